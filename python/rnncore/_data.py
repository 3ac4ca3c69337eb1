"""The user's arrays, checked and brought to the shape and dtype that executors take.

Every error names the argument, what was expected and what came.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._arrays import as_array, padded
from rnncore._pages import see
from rnncore.program import Shape, Value

Array = npt.NDArray[Any]


def real(argument: str, value: Any) -> Array:
    """An array of real numbers with at least one axis, in whatever dtype and layout it came."""
    array = as_array(argument, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{argument} must be an array with one row per sample, got the single value {array}")
    return array


def floating(argument: str, value: Any, dtype: np.dtype[Any] | None = None) -> Array:
    """A C-contiguous array of `dtype`; by default float64 stays and all else becomes float32."""
    array = real(argument, value)
    if dtype is None:
        dtype = np.dtype(np.float64 if array.dtype.kind == "f" and array.dtype.itemsize >= 8 else np.float32)
    return np.ascontiguousarray(array, dtype)


def writable(array: Array) -> Array:
    """The array, or a copy of one that cannot be written to, as joblib's of files that are mapped into memory."""
    return array if array.flags.writeable else array.copy()


def whole(argument: str, value: Any, low: int, high: int | None) -> npt.NDArray[np.int32]:
    """C-contiguous int32 numbers in [low, high); floats must be whole."""
    array = real(argument, value)
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        wrong = array[array != np.floor(array)]
        if wrong.size:
            raise ValueError(f"{argument} must hold whole numbers, got {wrong[0]}")
    high = 2**31 if high is None else high
    if array.size and not (low <= array.min() and array.max() < high):
        wrong = array[(array < low) | (array >= high)]
        if wrong.size:  # else another thread has written to it
            raise ValueError(f"{argument} must lie in [{low}, {high - 1}], got {wrong[0]}")
    return np.ascontiguousarray(array, np.int32)


def matched(argument: str, array: Array, shape: Shape, hint: str = "") -> Array:
    """`array` in `shape`, where None fits any size; a last axis of size 1 is added or dropped as needed."""
    given = array.shape
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    elif array.ndim == len(shape) - 1 and shape[-1] == 1:
        array = array[..., None]
    if not _fits(array.shape, shape):
        raise ValueError(f"{argument} must have shape {show(shape)}, got {show(given)}{hint}{see('faq')}")
    return array


def _fits(sizes: tuple[int, ...], shape: Shape) -> bool:
    if len(sizes) != len(shape):
        return False
    for n, size in zip(sizes, shape, strict=True):  # noqa: SIM110 (a generator takes longer than a small step)
        if size is not None and n != size:
            return False
    return True


def show(shape: Shape) -> str:
    """A shape with `any` where a size is free."""
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def named(argument: str, value: Any, names: Sequence[str], needed: Sequence[bool] | None = None) -> dict[str, Any]:
    """One entry per name, from the value itself (one name), a sequence or a mapping; keys name the arguments.

    What is not `needed` may be left out of a mapping, or be None.
    """
    wanted = [name for name, need in zip(names, needed or [True] * len(names), strict=True) if need]
    if isinstance(value, Mapping):
        if not set(wanted) <= set(value) <= set(names):
            raise ValueError(f"{argument} must have the keys {wanted}, got {list(value)}")
        return {f"{argument}[{name!r}]": value.get(name) for name in names}
    if len(names) == 1:
        return {argument: value}
    if len(wanted) == 1 and not isinstance(value, (list, tuple)):
        return {argument if name in wanted else name: value if name in wanted else None for name in names}
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        came = f"{len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{argument} must be a list of {len(names)} arrays (for {', '.join(names)}), got {came}")
    return {f"{argument}[{i}]": entry for i, entry in enumerate(value)}


def sole(value: Any, rank: int) -> Any:
    """The array alone, where it came in a list of one as several would; `rank` tells such a list from one of rows."""
    is_sole = isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], np.ndarray)
    return value[0] if is_sole and value[0].ndim == rank else value


def one_input(argument: str, value: Any, spec: Value, limit: int | None, dtype: npt.DTypeLike) -> Array:
    """Samples for one input of a Program. `limit` is the number of ids an integer input may hold."""
    array = matched(argument, real(argument, sole(value, len(spec.shape))), spec.shape)
    if 0 in array.shape[1:]:
        raise ValueError(f"{argument} must have shape {show(spec.shape)} with no empty axis, got {show(array.shape)}")
    return whole(argument, array, 0, limit) if spec.dtype == "int" else np.ascontiguousarray(array, dtype)


def target(
    argument: str, value: Any, output: Shape, dtype: npt.DTypeLike, *, sparse: bool = False, probabilities: bool = False
) -> Array:
    """Targets for an output of shape (N, ..., U): like it, or class ids (N, ...) when `sparse`."""
    array = real(argument, sole(value, len(output) - 1 if sparse else len(output)))
    if sparse:
        return whole(argument, matched(argument, array, output[:-1]), 0, output[-1])
    hint = ""
    if array.ndim == len(output) - 1 and array.dtype.kind in "iu":
        hint = "; class ids go with sparse_categorical_crossentropy or through utils.to_categorical"
    array = np.ascontiguousarray(matched(argument, array, output, hint), dtype)
    if probabilities and np.any(outside := (array < 0) | (array > 1)):
        raise ValueError(f"{argument} must lie in [0, 1] for a cross-entropy, got {array[outside].flat[0]}")
    return array


def sample_weight(argument: str, value: Any, positions: Shape, dtype: npt.DTypeLike) -> Array:
    """Weights (N,), or for each of the loss's positions (N, ...)."""
    array = real(argument, value)
    array = matched(argument, array, positions[: array.ndim])
    if not np.isfinite(array).all():
        raise ValueError(f"{argument} must hold finite weights, got {array[~np.isfinite(array)].flat[0]}")
    return np.ascontiguousarray(array, dtype)


def class_weight(value: Any, targets: Array, *, sparse: bool, dtype: npt.DTypeLike) -> Array:
    """The weight of each target's class; 1 for classes that `class_weight` leaves out."""
    if not isinstance(value, Mapping):
        raise TypeError(f"class_weight must map class ids to weights, got {type(value).__name__}")
    classes = targets if sparse else targets[..., 0].round() if targets.shape[-1] == 1 else targets.argmax(axis=-1)
    weights = np.ones(classes.shape, dtype)
    for key, weight in value.items():
        try:
            weights[classes == operator.index(key)] = weight
        except (TypeError, ValueError) as error:
            raise TypeError(f"class_weight must map class ids to weights, got {key!r}: {weight!r}") from error
    if not np.isfinite(weights).all():
        raise ValueError(f"class_weight must hold finite weights, got {dict(value)}")
    return weights


def lengths(value: Any, rows: int, steps: int) -> npt.NDArray[np.int32]:
    """How many leading steps of each row are valid: (N,), from 0 to T."""
    array = real("lengths", value)
    if array.shape != (rows,):
        raise ValueError(
            f"lengths must have shape ({rows},), one for each row of x, got {show(array.shape)}"
            + see("guide/sequences")
        )
    return whole("lengths", array, 0, steps + 1)


def lengths_within(ends: Array, value: Any, steps: int) -> npt.NDArray[np.int32]:
    """The lengths that were given beside rows that have ends of their own; ValueError where they go beyond those."""
    found = lengths(value, len(ends), steps)
    if (beyond := found > ends).any():
        row = int(beyond.argmax())
        raise ValueError(f"lengths must be at most {ends[row]} in row {row}, the steps of x there, got {found[row]}")
    return found


def warn_of_leading_padding(x: Array, lengths: npt.NDArray[np.int32]) -> None:
    """Warn where x (N, T, ...) looks as if its padding came first, as `pad_sequences` puts it by default."""
    if _is_padded_before(x, lengths):
        warnings.warn(
            "lengths counts the leading steps of each row, but x looks padded before its data: all rows of fewer steps"
            " begin with as many equal ones and end with others; pad with padding='post', or leave lengths out and"
            " use a mask",
            stacklevel=6,
        )


def _is_padded_before(x: Array, lengths: npt.NDArray[np.int32]) -> bool:
    """Whether all short rows begin with as many steps of one number as they lack, at least three, and end otherwise."""
    steps = x.shape[1]
    (short,) = np.nonzero((lengths < steps) & (lengths > 0))
    if not short.size:
        return False
    first = x[short, 0]
    filler = first.flat[0]
    if not (first == filler).all():  # as good as always, after a look at one step
        return False
    missing = steps - lengths[short]
    equal = (x[short] == filler).reshape(len(short), steps, -1).all(axis=2)
    before = np.arange(steps) < missing[:, None]
    return bool(missing.sum() > 2 and equal[before].all() and not equal[:, -1].any())


def sequences(x: Any, names: Sequence[str]) -> tuple[Any, npt.NDArray[np.int32] | None]:
    """X with arrays in place of sequences that end at different steps, and the lengths of those of the first input.

    Raises
    ------
    TypeError, ValueError
        If x holds no such sequences, or another input has some that end elsewhere.
    """
    if len(names) == 1 and not isinstance(x, Mapping):
        return padded("x", x)
    entries = named("x", x, names)
    found = {key: (name, *padded(key, entries[key])) for name, key in zip(names, entries, strict=True)}
    if all(lengths is None for _, _, lengths in found.values()):
        return x, None
    first = next(iter(found.values()))[2]
    for argument, (_, _, lengths) in found.items():
        same_ends(argument, lengths, first)
    return {name: value for name, value, _ in found.values()}, first


def same_ends(argument: str, found: Array | None, lengths: Array | None) -> None:
    """ValueError where sequences of an argument end at other steps than those of x."""
    if found is None or np.array_equal(found, () if lengths is None else lengths):
        return
    if lengths is None or len(found) != len(lengths):
        came = "all are valid" if lengths is None else f"{len(lengths)} sequences"
        raise ValueError(f"{argument} must have the steps of x, {came}, got {len(found)} rows of different lengths")
    row = int(np.argmax(found != lengths))
    raise ValueError(f"{argument} must have the steps of x, {lengths[row]} in row {row}, got {found[row]}")


def same_rows(arrays: Mapping[str, Array]) -> int:
    """The number of samples that all arrays share; at least one."""
    counts = [len(array) for array in arrays.values()]
    rows = counts[0]
    if counts.count(rows) != len(counts):
        came = ", ".join(f"{argument} has {count}" for argument, count in zip(arrays, counts, strict=True))
        raise ValueError(f"all arrays must have the same number of rows: {came}")
    if rows == 0:
        argument, array = next(iter(arrays.items()))
        raise ValueError(f"{argument} must have at least one row, got shape {show(array.shape)}")
    return rows
