"""Products, norms and deviations that hold for all numbers: the largest, infinity, and 0 times infinity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._sequence_arguments import Array

__all__ = ["Standard", "magnitude", "norm", "product", "standardize", "standardize_backward"]

LARGE = 1e150  # numbers beyond it are scaled before they are squared


def product(x: Array, factor: Any) -> Array:
    """X · factor, and 0 where the factor is 0, whatever x is."""
    y: Array = np.where(factor == 0, x.dtype.type(0), x * factor)
    return y


def norm(x: Array, axis: int | Sequence[int] | None = None) -> Array:
    """√Σ x² along `axis`, which stays with size 1, in float64: finite when the numbers are and it is."""
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    wide = x.astype(np.float64)
    scale = magnitude(wide, axes)
    found: Array = scale * np.sqrt(np.sum((wide / scale) ** 2, axis=axes, keepdims=True))
    return found


class Standard(NamedTuple):
    """What `standardize_backward` reads."""

    normal: Array  # ẑ (..., C)
    factor: Array  # 1 / √(variance + ε) (..., 1)


def standardize(z: Array, epsilon: float) -> Standard:
    """ẑ = (z - mean) / √(variance + ε) over the last axis."""
    wide = z.astype(np.float64)
    scale = magnitude(wide, -1)
    wide = wide / scale
    distance = wide - wide.mean(axis=-1, keepdims=True)
    variance = (distance * distance).mean(axis=-1, keepdims=True)
    factor = 1 / np.sqrt(np.maximum(variance + epsilon / scale**2, np.finfo(np.float64).tiny))
    return Standard((distance * factor).astype(z.dtype), (factor / scale).astype(z.dtype))


def standardize_backward(saved: Standard, dnormal: Array) -> Array:
    normal, factor = saved
    mean, slope = dnormal.mean(axis=-1, keepdims=True), (dnormal * normal).mean(axis=-1, keepdims=True)
    dz: Array = factor * (dnormal - mean - normal * slope)
    return dz


def magnitude(x: Array, axes: int | tuple[int, ...] | None) -> Array:
    """The largest magnitude where squares could overflow, else 1."""
    most = np.max(np.abs(x), axis=axes, keepdims=True, initial=0)
    scale: Array = np.where(np.isfinite(most) & (most > LARGE), most, 1)
    return scale
