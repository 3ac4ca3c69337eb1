"""What goes into and comes out of one recurrent call: types, checks and conversions of both backends."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._arrays import as_array, padded

__all__ = [
    "Array",
    "SequenceArguments",
    "SequenceGradients",
    "SequenceResult",
    "floating",
    "gradient_arguments",
    "sequence_arguments",
    "state_arrays",
]

Array = npt.NDArray[Any]

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INT32 = np.dtype(np.int32)


class SequenceArguments(NamedTuple):
    """The checked arguments of a recurrent call; all floating arrays share the dtype of `x`."""

    x: Array  # (N, T, I)
    kernel: Array  # (I, G·H)
    recurrent_kernel: Array  # (H, G·H)
    bias: Array | None  # (G·H,), or (2, G·H) when input and recurrent part have their own
    initial_state: tuple[Array, ...]  # (N, H) each
    lengths: Array | None  # (N,) int32
    resets: Array | None = None  # (N, T) bool


class SequenceResult(NamedTuple):
    """Result of a recurrent forward pass.

    Attributes
    ----------
    output : ndarray (N, T, H)
        Hidden state after each step; read-only where there is a tape.
    state : tuple of ndarray (N, H)
        State after the last valid step of each row: `(h, c)` for an LSTM, `(h,)` otherwise.
    tape : object or None
        What `backward` needs; None unless the call was made with `training=True`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import simple_rnn
    >>> output, (h,), tape = simple_rnn(np.ones((2, 5, 1)), [[1.0]], [[1.0]])
    >>> output.shape, h.shape, tape
    ((2, 5, 1), (2, 1), None)
    """

    output: Array
    state: tuple[Array, ...]
    tape: Any


class SequenceGradients(NamedTuple):
    """Gradients of a recurrent call, each shaped like the argument it is named after.

    Attributes
    ----------
    x : ndarray (N, T, I)
    kernel : ndarray (I, G·H)
    recurrent_kernel : ndarray (H, G·H)
    bias : ndarray or None
        None when the call had no bias.
    initial_state : tuple of ndarray (N, H)

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import backward, simple_rnn
    >>> result = simple_rnn(np.ones((2, 5, 1)), [[1.0]], [[1.0]], training=True)
    >>> gradients = backward(result.tape, result.output)
    >>> gradients.x.shape, gradients.bias
    ((2, 5, 1), None)
    """

    x: Array
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None
    initial_state: tuple[Array, ...]


def sequence_arguments(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike,
    recurrent_kernel: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    initial_state: Any,
    lengths: npt.ArrayLike | None,
    *,
    gates: int,
    states: int,
    split_bias: bool = False,
    units: int | None = None,
    resets: npt.ArrayLike | None = None,
) -> SequenceArguments:
    """Check and convert the arguments of a recurrent call.

    Arrays that are right already pass through without a copy, whatever their strides. Integers,
    booleans and float16 become float32; everything else follows the dtype of `x`.

    Parameters
    ----------
    x, kernel, recurrent_kernel, bias, initial_state, lengths, resets
        As in `rnncore.functional`.
    gates, states : int
        Numbers of the cell.
    split_bias : bool, default False
        Whether the bias is (2, G·H) instead of (G·H,).
    units : int, optional
        H where h is projected and has a size P of its own, that of the recurrent kernel's rows.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or `lengths` no integers.
    ValueError
        If a shape, a length or a reset is wrong.
    """
    x, lengths = ended(x, lengths)
    x = floating(x, "x")
    if x.ndim != 3:
        raise ValueError(f"x: expected 3 axes (batch, time, features), got shape {x.shape}")
    rows, steps, features = x.shape
    if steps == 0 or features == 0:
        raise ValueError(f"x: expected at least one time step and one feature, got shape {x.shape}")
    dtype = x.dtype

    if recurrent_kernel is None:
        raise ValueError("recurrent_kernel: expected an array, got None; only packed weights come without it")
    recurrent_kernel = floating(recurrent_kernel, "recurrent_kernel", dtype)
    if recurrent_kernel.ndim != 2 or recurrent_kernel.shape[0] == 0:
        raise ValueError(
            f"recurrent_kernel: expected shape (units, {gates}·units) with at least one unit, "
            f"got {recurrent_kernel.shape}"
        )
    hidden = recurrent_kernel.shape[0]
    units = hidden if units is None else units
    if recurrent_kernel.shape[1] != gates * units:
        raise ValueError(
            f"recurrent_kernel: expected shape {(hidden, gates * units)}, {gates} gate(s) of {units} unit(s), "
            f"got {recurrent_kernel.shape}"
        )

    kernel = floating(kernel, "kernel", dtype)
    if kernel.shape != (features, gates * units):
        raise ValueError(
            f"kernel: expected shape {(features, gates * units)} for {features} feature(s) and {units} unit(s), "
            f"got {kernel.shape}"
        )
    if bias is not None:
        bias = floating(bias, "bias", dtype)
        shape = (2, gates * units) if split_bias else (gates * units,)
        if bias.shape != shape:
            raise ValueError(f"bias: expected shape {shape} for {units} unit(s), got {bias.shape}")
    return SequenceArguments(
        x,
        kernel,
        recurrent_kernel,
        bias,
        state_arrays(initial_state, "initial_state", rows, (hidden, *(units,) * (states - 1)), dtype),
        None if lengths is None else _lengths(lengths, rows, steps),
        None if resets is None else _resets(resets, rows, steps),
    )


def gradient_arguments(
    doutput: npt.ArrayLike | None,
    dstate: Any,
    *,
    sizes: tuple[int, ...],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> tuple[Array | None, tuple[Array, ...]]:
    """Check and convert the arguments of `backward` for an output of `shape` (N, T, H) and states of `sizes`.

    An absent `doutput` stays None; absent state gradients become zeros.
    """
    if doutput is not None:
        doutput = floating(doutput, "doutput", dtype)
        if doutput.shape != shape:
            raise ValueError(f"doutput: expected the shape of the output {shape}, got {doutput.shape}")
    return doutput, state_arrays(dstate, "dstate", shape[0], sizes, dtype)


def floating(value: npt.ArrayLike, argument: str, dtype: np.dtype[Any] | None = None) -> Array:
    """`value` as a native floating array of `dtype`, or of its own precision if None."""
    array = as_array(argument, value)
    given = array.dtype
    if given in (FLOAT32, FLOAT64) if dtype is None else given == dtype:
        return array
    if given.kind not in "fiub":
        raise TypeError(f"{argument}: expected real numbers, got dtype {given}")
    if dtype is None:
        dtype = FLOAT64 if given.kind == "f" and given.itemsize >= 8 else FLOAT32
    return array.astype(dtype)


def state_arrays(
    value: Any, argument: str, rows: int, sizes: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Array, ...]:
    """One array (N, H) per state of the cell, of the sizes given; zeros where None is given."""
    shapes = [(rows, size) for size in sizes]
    if value is None:
        return tuple(np.zeros(shape, dtype) for shape in shapes)
    if not isinstance(value, tuple if len(sizes) == 1 else (tuple, list)):
        value = (value,)
    if len(value) != len(sizes):
        raise ValueError(f"{argument}: expected {len(sizes)} array(s) of shape {shapes[0]}, got {len(value)}")
    arrays = []
    for number, (part, shape) in enumerate(zip(value, shapes, strict=True)):
        array = np.zeros(shape, dtype) if part is None else floating(part, f"{argument}[{number}]", dtype)
        if array.shape != shape:
            raise ValueError(f"{argument}[{number}]: expected shape {shape}, got {array.shape}")
        arrays.append(array)
    return tuple(arrays)


def ended(x: Any, lengths: npt.ArrayLike | None) -> tuple[Any, npt.ArrayLike | None]:
    """X as one array, where it comes as sequences that end at different steps, and the lengths."""
    x, ends = padded("x", x)
    return x, lengths if ends is None else ends if lengths is None else _lengths(lengths, len(ends), ends)


def _lengths(value: npt.ArrayLike, rows: int, steps: int | Array) -> Array:
    """`value` as (N,) int32 with 0 <= length <= T, or at most the steps (N,) at which rows end by themselves."""
    array = as_array("lengths", value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"lengths: expected integers, got dtype {array.dtype}")
    if array.shape != (rows,):
        raise ValueError(f"lengths: expected shape {(rows,)}, one per row of x, got {array.shape}")
    broken = array[array != np.floor(array)]
    if broken.size:
        raise ValueError(f"lengths: expected whole numbers, got {broken[0]}")
    outside = (array < 0) | (array > steps)
    if outside.any():
        row = int(outside.argmax())
        most = np.broadcast_to(steps, rows)[row]
        raise ValueError(f"lengths: expected values from 0 to {most}, the time steps of x, got {array[row]}")
    return np.ascontiguousarray(array, INT32)


def _resets(value: npt.ArrayLike, rows: int, steps: int) -> Array:
    """`value` as (N, T) bool: integers are set where they are not 0, floating numbers must be 0 or 1."""
    array = as_array("resets", value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"resets: expected booleans, got dtype {array.dtype}")
    if array.shape != (rows, steps):
        raise ValueError(f"resets: expected shape {(rows, steps)}, one for each step of x, got {array.shape}")
    if array.dtype.kind == "f":
        broken = array[(array != 0) & (array != 1)]
        if broken.size:
            raise ValueError(f"resets: expected booleans, or 0 and 1, got {broken[0]}")
    return np.ascontiguousarray(array != 0)
