"""The one tolerance per dtype, and numerical gradients to test against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

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
