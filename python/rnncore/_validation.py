"""Checks shared by all arguments: each error names the argument, what was expected and what came."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rnncore._arrays import as_array
from rnncore._pages import see

Entry = TypeVar("Entry")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names most like `name`, as the end of an error message."""
    known = sorted(set(known))
    by_folded: dict[str, str] = {}
    for key in known:  # a class and a function may differ in case alone: what is written alike comes first
        folded = key.replace("_", "").lower()
        if folded not in by_folded or key[0].isupper() == name[:1].isupper():
            by_folded[folded] = key
    close = difflib.get_close_matches(name.replace("_", "").lower(), list(by_folded), n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(by_folded[key]) for key in close)}?"
    return f"known names: {', '.join(known)}"


def lookup(kind: str, name: str, table: Mapping[str, Entry]) -> Entry:
    """Find `name` in `table`; a ValueError about an unknown `kind` offers the nearest names."""
    if not isinstance(name, str):
        raise TypeError(f"{kind} must be given by name or object, got {type(name).__name__} {name!r}")
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; {nearest(name, table)}")
    return table[name]


def integer(argument: str, value: Any, *, low: int | None = None) -> int:
    """A whole number, not below `low`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument} must be an integer, got {type(value).__name__} {value!r}")
    if low is not None and value < low:
        raise ValueError(f"{argument} must be at least {low}, got {value}")
    return int(value)


def positive_int(argument: str, value: Any) -> int:
    """A whole number of at least 1."""
    return integer(argument, value, low=1)


def number(argument: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite real number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} must be a number, got {type(value).__name__} {value!r}")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not (math.isfinite(real) and low <= real <= high):
        raise ValueError(f"{argument} must be a finite number in [{low}, {high}], got {value!r}")
    return real


def boolean(argument: str, value: Any) -> bool:
    """True or False; not merely something truthy."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument} must be True or False, got {type(value).__name__} {value!r}")
    return bool(value)


def name(argument: str, value: Any) -> str:
    """A string that can be written and printed."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, got {type(value).__name__} {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{argument} must be text, got {value!r}, which has no UTF-8: {error.reason}") from error
    return value


def shape(argument: str, value: Any) -> tuple[int | None, ...]:
    """A tuple of positive sizes, None where a size is known only at run time."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise TypeError(f"{argument} must be a tuple of sizes, got {type(value).__name__} {value!r}")
    return tuple(None if size is None else positive_int(f"each size of {argument}", size) for size in value)


def real_array(argument: str, value: Any, expected: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """An array of real numbers, of shape `expected` when that is given."""
    array = as_array(argument, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}")
    if expected is not None and array.shape != expected:
        raise ValueError(f"{argument} must have shape {expected}, got {array.shape}")
    return array


def sequence_shape(name: str, shape: tuple[int | None, ...], channels: str = "features") -> None:
    """Raise a ValueError unless the shape is (N, T, C); `name` is that of the layer that asks."""
    if len(shape) != 3:
        raise ValueError(f"{name!r} needs an input of shape (N, T, {channels}), got {shape}{last_output_hint(shape)}")


def last_output_hint(shape: tuple[int | None, ...]) -> str:
    """What may be wrong with a shape that lacks a time axis: the end of an error message."""
    if len(shape) != 2:
        return ""
    return "; a recurrent layer before it gives all steps only with return_sequences=True" + see("guide/recurrent")


def cast(argument: str, array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of numbers in another dtype; ValueError for one that the dtype cannot hold, but for its rounding."""
    to = np.dtype(dtype)
    if array.dtype == to:
        return array
    if array.dtype.kind == "c" and to.kind != "c":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        found = array.astype(to)
    if array.dtype.kind in "fiub" and to.kind in "fiub":
        if to.kind == "f":
            lost = np.isinf(found) & np.isfinite(array)
        else:
            low, high = (0, 1) if to.kind == "b" else (np.iinfo(to).min, np.iinfo(to).max)
            if array.dtype.kind == "f":  # float(high) may be high + 1, which does not fit
                kept = (array >= low) & (array < float(high) + 1) & (array == np.floor(array))
            else:
                kept = (array >= low) & (array <= high)
            lost = ~kept
        if lost.any():
            hint = "; give a dtype of floats" if to.kind != "f" and array.dtype.kind == "f" else ""
            raise ValueError(f"{argument} must hold numbers of dtype {to}, got {array[lost].flat[0]}{hint}")
    return found


def unsupported(owner: str, **arguments: Any) -> None:
    """Refuse arguments that are known but not implemented, unless they are off (None, False or 0)."""
    for argument, value in arguments.items():
        if value is not None and value is not False and value != 0:
            raise ValueError(f"{owner}: {argument}={value!r} is not supported yet; leave it out")
