"""Layer normalization within a step of a cell: ẑ = (z - mean) / √(variance + ε), over all columns of a row.

J. Ba, J. Kiros and G. Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._sequence_arguments import Array

__all__ = ["EPSILON", "Normal", "normalize", "normalize_backward"]

EPSILON = 1e-3


class Normal(NamedTuple):
    """What `normalize_backward` reads."""

    normal: Array  # ẑ (N, columns)
    factor: Array  # 1 / √(variance + ε) (N, 1)


def normalize(z: Array) -> Normal:
    distance = z - z.mean(axis=1, keepdims=True)
    variance = (distance * distance).mean(axis=1, keepdims=True)
    factor = 1 / np.sqrt(variance + z.dtype.type(EPSILON))
    return Normal(distance * factor, factor)


def normalize_backward(saved: Normal, dnormal: Array) -> Array:
    normal, factor = saved
    mean, slope = dnormal.mean(axis=1, keepdims=True), (dnormal * normal).mean(axis=1, keepdims=True)
    dz: Array = factor * (dnormal - mean - normal * slope)
    return dz
