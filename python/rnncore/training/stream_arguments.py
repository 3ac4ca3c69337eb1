"""What the methods of a stream are given, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore._arrays import as_array
from rnncore._data import Array, show

__all__ = ["check_target", "given_array", "given_states", "row_numbers"]


def given_array(argument: str, value: Any, shape: tuple[int | None, ...], dtype: np.dtype[Any], note: str) -> Array:
    """An array of a shape, whose open sizes are None, and a dtype."""
    array = as_array(argument, value)
    if array.dtype != dtype:
        if array.dtype.kind not in ("iub" if dtype.kind == "i" else "fiub"):
            raise TypeError(
                f"{argument} must hold {'whole' if dtype.kind == 'i' else 'real'} numbers, got {array.dtype}"
            )
        array = data.whole(argument, array, 0, None) if dtype.kind == "i" else array.astype(dtype)
    if array.shape != shape and (
        array.ndim != len(shape) or any(m not in (None, n) for n, m in zip(array.shape, shape, strict=True))
    ):
        raise ValueError(f"{argument} must have shape {show(shape)}{note}, got {show(array.shape)}")
    return array


def check_target(argument: str, target: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """TypeError or ValueError unless an array can receive an output."""
    if not isinstance(target, np.ndarray):
        raise TypeError(f"{argument} must be an ndarray, got {type(target).__name__}")
    if target.dtype != dtype:
        raise TypeError(f"{argument} must have dtype {dtype}, got {target.dtype}")
    if target.shape != shape:
        raise ValueError(f"{argument} must have shape {show(shape)}, got {show(target.shape)}")
    if not (target.flags.c_contiguous and target.flags.writeable):
        kind = "read-only" if target.flags.c_contiguous else "not contiguous"
        raise ValueError(f"{argument} must be C-contiguous and writable, got an array that is {kind}")


def row_numbers(rows: Any, batch_size: int) -> npt.NDArray[np.int64]:
    """Numbers of rows that exist."""
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or not chosen.size:
        raise ValueError(f"rows must be a list of at least one row, got shape {show(chosen.shape)}")
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"rows must hold whole numbers, got {chosen.dtype}")
    for number, row in enumerate(chosen.tolist()):
        if not 0 <= row < batch_size:
            raise IndexError(f"rows[{number}] must be a row from 0 to {batch_size - 1}, got {row}")
    return chosen.astype(np.int64)


def given_states(
    states: Any, names: Sequence[str], specs: Callable[[int], Sequence[tuple[tuple[int, ...], np.dtype[Any]]]]
) -> tuple[int, list[Array]]:
    """The number of steps and copies of the arrays of these names; `specs` has their shapes after so many steps."""
    if not isinstance(states, Mapping):
        raise TypeError(f"states must be a dict as `states` gives it, got {type(states).__name__}")
    if set(states) != {"steps", *names}:
        raise ValueError(f"states must have the keys {['steps', *names]}, got {list(states)}")
    steps = np.asarray(states["steps"])
    if steps.shape != () or steps.dtype.kind not in "iu" or steps < 0:
        raise ValueError(f"states['steps'] must be a whole number from 0 on, got {states['steps']!r}")
    arrays = []
    for name, (shape, dtype) in zip(names, specs(int(steps)), strict=True):
        array = np.asarray(states[name])
        if array.dtype != dtype:
            raise TypeError(f"states[{name!r}] must have dtype {dtype}, got {array.dtype}")
        if array.shape != shape:
            raise ValueError(
                f"states[{name!r}] must have shape {show(shape)} after {steps} steps, got {show(array.shape)}"
            )
        arrays.append(np.array(array, order="C"))
    return int(steps), arrays
