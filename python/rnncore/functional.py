"""Recurrent layers as functions of NumPy arrays, on the compiled kernels.

Same names, signatures and semantics as `rnncore.reference`. Calls whose arguments need no check or conversion go
straight to the core; the bodies here see all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore._namespace import public

from . import _core, activations
from . import _validation as check
from ._core import PackedWeights, Tape
from ._sequence_arguments import (
    Array,
    SequenceArguments,
    SequenceGradients,
    SequenceResult,
    ended,
    floating,
    gradient_arguments,
    sequence_arguments,
)

__all__ = ["PackedWeights", "SequenceGradients", "SequenceResult", "backward", "gru", "lstm", "pack", "simple_rnn"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

_CELLS = _core.cells()


@_core.direct
def simple_rnn(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    activation: activations.Identifier = "tanh",
) -> SequenceResult:
    """Run a simple recurrent layer, h' = activation(x @ kernel + h @ recurrent_kernel + bias).

    Parameters
    ----------
    x : array_like (N, T, I)
        Input. float32 and float64 stay; integers, booleans and float16 become float32. All other
        arrays are converted to the dtype of `x`. Read in place when its last axis is contiguous.
    kernel : array_like (I, H), or PackedWeights in place of both kernels and the bias
    recurrent_kernel : array_like (H, H)
    bias : array_like (H,), optional
    initial_state : array_like (N, H) or tuple of one, optional
        State before the first step; zeros by default.
    lengths : array_like of int (N,), optional
        How many leading steps of each row are valid; all by default. Padded steps cost nothing and
        are not processed: the output repeats the row's final state there.
    resets : array_like of bool (N, T), optional
        Where it is set a new sequence begins: the row is cut before that step, the state there is zero, whatever
        `initial_state` is, and no gradient passes. So is a row that is read in reverse: each piece by itself. Also
        integers, set where they are not 0, and floating numbers 0 and 1. At padded steps it means nothing.
    reverse : bool, default False
        Process each row from its last valid step to its first. The output stays aligned with `x`.
    training : bool, default False
        Keep a tape for `backward`. It has copies of all arguments that it needs, which may then change; it
        also reads `output`, which is therefore read-only: write to `output.copy()` instead.
    activation : str, function or object of `rnncore.activations`, default "tanh"
        Any but softmax.

    Returns
    -------
    SequenceResult
        `output` (N, T, H), `state` ((N, H),) and `tape`. The output may be a strided view.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If a shape, a length, a reset or the activation's name is wrong.

    References
    ----------
    J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.functional import simple_rnn
    >>> x = np.array([[[1.0], [2.0], [4.0]]])
    >>> simple_rnn(x, [[1.0]], [[0.5]], activation="linear").output[0, :, 0]
    array([1.  , 2.5 , 5.25])
    """
    return _checked(
        "simple_rnn",
        activation,
        "linear",
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        lengths,
        resets,
        reverse,
        training,
    )


@_core.direct
def lstm(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    activation: activations.Identifier = "tanh",
    recurrent_activation: activations.Identifier = "sigmoid",
) -> SequenceResult:
    """Run an LSTM layer. Gates are blocks of H columns in the order i, f, c, o.

    Parameters
    ----------
    x : array_like (N, T, I)
        Input. float32 and float64 stay; integers, booleans and float16 become float32. All other
        arrays are converted to the dtype of `x`. Read in place when its last axis is contiguous.
    kernel : array_like (I, 4·H), or PackedWeights in place of both kernels and the bias
    recurrent_kernel : array_like (H, 4·H)
    bias : array_like (4·H,), optional
    initial_state : tuple of two array_like (N, H), optional
        `(h, c)` before the first step; zeros by default.
    lengths : array_like of int (N,), optional
        How many leading steps of each row are valid; all by default. Padded steps cost nothing and
        are not processed: the output repeats the row's final state there.
    resets : array_like of bool (N, T), optional
        Where it is set a new sequence begins: the row is cut before that step, the state there is zero, whatever
        `initial_state` is, and no gradient passes. So is a row that is read in reverse: each piece by itself. Also
        integers, set where they are not 0, and floating numbers 0 and 1. At padded steps it means nothing.
    reverse : bool, default False
        Process each row from its last valid step to its first. The output stays aligned with `x`.
    training : bool, default False
        Keep a tape for `backward`. It has copies of all arguments that it needs, which may then change; it
        also reads `output`, which is therefore read-only: write to `output.copy()` instead.
    activation, recurrent_activation : str, function or object of `rnncore.activations`
        Of candidate and output, and of the gates; "tanh" and "sigmoid" by default. Any but softmax.

    Returns
    -------
    SequenceResult
        `output` (N, T, H), `state` ((N, H), (N, H)) = `(h, c)` and `tape`. The output may be a strided view.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If a shape, a length, a reset or an activation's name is wrong.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997);
    F. Gers et al., "Learning to forget", Neural Computation 12 (2000).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.functional import lstm
    >>> result = lstm(np.ones((2, 3, 1)), np.ones((1, 8)), np.zeros((2, 8)))
    >>> h, c = result.state
    >>> result.output.shape, float(round(c[0, 0], 4))
    ((2, 3, 2), 1.2614)
    """
    return _checked(
        "lstm",
        activation,
        recurrent_activation,
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        lengths,
        resets,
        reverse,
        training,
    )


@_core.direct
def gru(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    reset_after: bool = True,
    activation: activations.Identifier = "tanh",
    recurrent_activation: activations.Identifier = "sigmoid",
) -> SequenceResult:
    """Run a GRU layer. Gates are blocks of H columns in the order z, r, h.

    Parameters
    ----------
    x : array_like (N, T, I)
        Input. float32 and float64 stay; integers, booleans and float16 become float32. All other
        arrays are converted to the dtype of `x`. Read in place when its last axis is contiguous.
    kernel : array_like (I, 3·H), or PackedWeights in place of both kernels and the bias
    recurrent_kernel : array_like (H, 3·H)
    bias : array_like (2, 3·H) of input and recurrent part, or (3·H,) with `reset_after=False`, optional
    initial_state : array_like (N, H) or tuple of one, optional
        State before the first step; zeros by default.
    lengths : array_like of int (N,), optional
        How many leading steps of each row are valid; all by default. Padded steps cost nothing and
        are not processed: the output repeats the row's final state there.
    resets : array_like of bool (N, T), optional
        Where it is set a new sequence begins: the row is cut before that step, the state there is zero, whatever
        `initial_state` is, and no gradient passes. So is a row that is read in reverse: each piece by itself. Also
        integers, set where they are not 0, and floating numbers 0 and 1. At padded steps it means nothing.
    reverse : bool, default False
        Process each row from its last valid step to its first. The output stays aligned with `x`.
    training : bool, default False
        Keep a tape for `backward`. It has copies of all arguments that it needs, which may then change; it
        also reads `output`, which is therefore read-only: write to `output.copy()` instead.
    reset_after : bool, default True
        Apply the reset gate after the recurrent product, as PyTorch does, or before it.
    activation, recurrent_activation : str, function or object of `rnncore.activations`
        Of the candidate, and of the gates; "tanh" and "sigmoid" by default. Any but softmax.

    Returns
    -------
    SequenceResult
        `output` (N, T, H), `state` ((N, H),) and `tape`. The output may be a strided view.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If a shape, a length, a reset or an activation's name is wrong.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.functional import gru
    >>> x = np.ones((1, 2, 1))
    >>> gru(x, [[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]], activation="linear").output[0, :, 0]
    array([0.5 , 0.75])
    """
    cell = "gru" if reset_after else "gru_reset_before"
    return _checked(
        cell,
        activation,
        recurrent_activation,
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        lengths,
        resets,
        reverse,
        training,
    )


@_core.direct
def backward(tape: Tape, doutput: npt.ArrayLike | None = None, dstate: Any = None) -> SequenceGradients:
    """Gradients of one training call, by back-propagation through time.

    Parameters
    ----------
    tape : Tape
        From a call with `training=True`. It is used up: a second `backward` needs a second call.
    doutput : array_like (N, T, H), optional
        Gradient of the loss with respect to the output; zeros by default.
    dstate : array_like (N, H) or tuple, optional
        Gradient with respect to the state, one array (or None) for each; zeros by default.

    Returns
    -------
    SequenceGradients
        Gradients of `x`, `kernel`, `recurrent_kernel`, `bias` (None without a bias) and `initial_state`.

    Raises
    ------
    TypeError
        If `tape` is not a tape, or an array does not hold real numbers.
    ValueError
        If a shape is wrong or the tape has been used.

    References
    ----------
    P. J. Werbos, "Backpropagation through time", Proceedings of the IEEE 78 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.functional import backward, simple_rnn
    >>> result = simple_rnn(np.ones((1, 2, 1)), [[1.0]], [[0.5]], activation="linear", training=True)
    >>> backward(result.tape, np.ones((1, 2, 1))).kernel
    array([[2.5]])
    """
    if type(tape) is not Tape:
        raise TypeError(f"tape: expected the tape of a call with training=True, got {type(tape).__name__}")
    doutput, dstate = gradient_arguments(
        doutput, dstate, sizes=(tape.shape[2],) * tape.states, shape=tape.shape, dtype=tape.dtype
    )
    gradients = tape.backward(None if doutput is None else _dense(doutput), tuple(map(_plain, dstate)))
    assert gradients is not None
    return gradients


def pack(
    kernel: npt.ArrayLike,
    recurrent_kernel: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    cell: str = "lstm",
    *,
    reset_after: bool = True,
) -> PackedWeights:
    """Pack the weights of a recurrent layer once for many calls, most of whose time packing would take.

    Parameters
    ----------
    kernel, recurrent_kernel, bias
        As for the function of the cell. Float32 and float64 stay; all three get the dtype of `kernel`. They are copied:
        later changes of the arrays change nothing here.
    cell : {"simple_rnn", "lstm", "gru"}, default "lstm"
    reset_after : bool, default True
        Of a GRU.

    Returns
    -------
    PackedWeights
        What the function of the cell takes as `kernel`, without `recurrent_kernel` and `bias`, in calls that do not
        train. It has `cell`, `inputs` (I), `units` (H) and `dtype`, to which such calls convert all other arrays.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If a shape or the name of the cell is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.functional import lstm, pack
    >>> rng = np.random.default_rng(0)
    >>> kernel, recurrent_kernel = rng.normal(size=(3, 16)), rng.normal(size=(4, 16))
    >>> weights = pack(kernel, recurrent_kernel)
    >>> x = rng.normal(size=(1, 1, 3))
    >>> bool(np.array_equal(lstm(x, weights).output, lstm(x, kernel, recurrent_kernel).output))
    True
    """
    name = check.lookup("cell", cell, {name: name for name in ("simple_rnn", "lstm", "gru")})
    if name == "gru" and not check.boolean("reset_after", reset_after):
        name = "gru_reset_before"
    kernel = floating(kernel, "kernel")
    if kernel.ndim != 2 or kernel.shape[0] == 0:
        raise ValueError(f"kernel: expected shape (features, columns) with at least one feature, got {kernel.shape}")
    x = np.broadcast_to(np.zeros((), kernel.dtype), (0, 1, kernel.shape[0]))
    arguments = _arguments(name, x, kernel, recurrent_kernel, bias)
    bias = None if arguments.bias is None else _plain(arguments.bias)
    return _core.pack(name, _plain(arguments.kernel), _plain(arguments.recurrent_kernel), bias)


def _plain(array: Array) -> Array:
    """`array` itself when it is C-contiguous and aligned, else a copy."""
    return np.require(array, requirements=("C", "A"))


def _dense(array: Array) -> Array:
    """`array` itself when its last axis is contiguous and aligned, else a copy."""
    size = array.itemsize
    good = array.flags.aligned and array.strides[2] == size and not any(s % size for s in array.strides)
    return array if good else _plain(array)


def _attributes(argument: str, identifier: activations.Identifier) -> dict[str, Any]:
    """The activation that an argument stands for, as a node of a program describes it."""
    return activations.attributes(argument, activations.kept(identifier, argument, elementwise=True))


def _arguments(
    cell: str,
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    initial_state: Any = None,
    lengths: Any = None,
    resets: Any = None,
) -> SequenceArguments:
    return sequence_arguments(
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        lengths,
        gates=_CELLS[cell]["gates"],
        states=_CELLS[cell]["states"],
        split_bias=_CELLS[cell]["bias_rows"] == 2,
        resets=resets,
    )


def _check_packed(cell: str, packed: PackedWeights, recurrent_kernel: Any, bias: Any, training: bool) -> None:
    """ValueError if a call of the cell cannot take these weights."""
    if packed.cell != cell:
        raise ValueError(f"kernel: expected weights packed for {cell!r}, got those of {packed.cell!r}")
    for name, value in (("recurrent_kernel", recurrent_kernel), ("bias", bias)):
        if value is not None:
            raise ValueError(f"{name}: expected None with packed weights, which contain it")
    if training:
        raise ValueError("training: expected False with packed weights; give the arrays to train")


def _checked(
    cell: str,
    activation: activations.Identifier,
    recurrent_activation: activations.Identifier,
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any,
    initial_state: Any,
    lengths: Any,
    resets: Any,
    reverse: bool,
    training: bool,
) -> SequenceResult:
    """Check and convert the arguments of a call, and run it."""
    packed = kernel if isinstance(kernel, PackedWeights) else None
    if packed is not None:
        _check_packed(cell, packed, recurrent_kernel, bias, training)
        columns = _CELLS[cell]["gates"] * packed.units
        x, lengths = ended(x, lengths)
        zero, x = np.zeros((), packed.dtype), floating(x, "x", packed.dtype)
        kernel, recurrent_kernel = (np.broadcast_to(zero, (n, columns)) for n in (packed.inputs, packed.units))
    x, kernel, recurrent_kernel, bias, initial_state, lengths, resets = _arguments(
        cell, x, kernel, recurrent_kernel, bias, initial_state, lengths, resets
    )
    result = _core.sequence(
        cell,
        _attributes("activation", activation),
        _attributes("recurrent_activation", recurrent_activation),
        _dense(x),
        packed or _plain(kernel),
        None if packed else _plain(recurrent_kernel),
        None if bias is None else _plain(bias),
        tuple(map(_plain, initial_state)),
        lengths,
        resets,
        bool(reverse),
        bool(training),
    )
    assert result is not None
    return result
