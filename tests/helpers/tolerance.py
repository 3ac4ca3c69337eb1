"""How results are compared: the one tolerance per dtype, equal bits, and numerical gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _core

Array = npt.NDArray[Any]

RELATIVE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}
FINITE_DIFFERENCES = 1e-7  # what `numerical_gradient` reaches in float64


def assert_close(actual: Array, expected: Array, relative: float | None = None) -> None:
    """Assert that the largest error is below `relative` times the largest magnitude expected.

    `relative` is by default the tolerance of the less precise of the two dtypes. A zero array is compared
    absolutely.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    if expected.size == 0:
        return
    if relative is None:
        relative = max(RELATIVE[actual.dtype], RELATIVE[expected.dtype])
    scale = np.abs(expected).max() or 1.0
    error = np.abs(actual.astype(np.float64) - expected).max() / scale
    assert error <= relative, f"relative error {error:.2e} exceeds {relative:.0e}"


def assert_all_close(actual: Iterable[Any], expected: Iterable[Any], relative: float | None = None) -> None:
    """`assert_close` for each two of as many arrays."""
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, relative)


def assert_all_equal(actual: Iterable[Any], expected: Iterable[Any]) -> None:
    """Assert that as many arrays hold the same bits."""
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_threads_agree(run: Callable[[], Sequence[Array]]) -> None:
    """Assert that `run` computes the same bits with any number of threads."""
    _core.set_num_threads(1)
    single = run()
    for threads in (2, 3, 8):
        _core.set_num_threads(threads, always=True)
        assert_all_equal(run(), single)


def numerical_gradient(function: Callable[[], float], array: Array, step: float = 3e-4) -> Array:
    """Gradient of `function()` to `array` (float64), which is changed in place and restored."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        samples = []
        for k in (-2, -1, 1, 2):
            array[index] = value + k * step
            samples.append(function())
        array[index] = value
        gradient[index] = (samples[0] - 8 * samples[1] + 8 * samples[2] - samples[3]) / (12 * step)
    return gradient
