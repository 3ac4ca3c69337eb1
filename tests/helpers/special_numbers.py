"""NaN, infinities, the largest and the smallest numbers of a type, and what a function of them must be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _core, reference

Array = npt.NDArray[Any]

DTYPES = ["float32", "float64"]
# Each level of the compiled executor, and the reference.
EXECUTORS = [*_core.isa_levels(), "reference"]


@contextmanager
def executor_of(name: str) -> Iterator[Any]:
    """The class of executor that a name among EXECUTORS stands for, while its level is set."""
    if name == "reference":
        yield reference.Executor
        return
    before = _core.isa()
    _core.set_isa(name)
    try:
        yield _core.Executor
    finally:
        _core.set_isa(before)


def specials(dtype: str) -> Array:
    """Both signs of zeros, the smallest and the largest numbers, and where functions overflow, and NaN."""
    limits = np.finfo(dtype)
    bend = np.log(float(limits.max))  # 88.7 or 709.8
    sizes = [
        *(0, limits.smallest_subnormal, limits.tiny, 1e-20, limits.eps, 1e-3, 0.5, 1, 2.5, 3, 6, 8.5, 15, 20, 26),
        *(bend - 1, bend - 0.01, bend + 0.01, bend + 16, 1e4, 1e19, 1e30, float(limits.max) / 2, limits.max, np.inf),
    ]
    positive = np.array(sizes, dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def assert_numbers(actual: Array, expected: Array, relative: float, absolute: float) -> None:
    """Assert equal infinities and NaNs, and numbers that are near; beyond the type's range is infinite."""
    expected = np.asarray(expected)
    with np.errstate(over="ignore"):
        rounded = expected.astype(actual.dtype)
    special = ~np.isfinite(rounded)
    np.testing.assert_array_equal(np.where(special, actual, 0), np.where(special, rounded, 0))
    np.testing.assert_allclose(np.where(special, 0, actual), np.where(special, 0, expected), relative, absolute)
