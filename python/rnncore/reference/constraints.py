"""Constraints: the allowed weights nearest to given ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._sequence_arguments import Array
from . import magnitude

__all__ = ["CONSTRAINTS"]

EPSILON = 1e-7  # added to norms before the division


def non_negative(w: Array) -> Array:
    """No weight below 0."""
    return np.maximum(w, 0)


def norm(w: Array, min_value: float, max_value: float, rate: float, axes: Sequence[int]) -> Array:
    """Norms along `axes` brought between two bounds, or `rate` of the way there."""
    norms = magnitude.norm(w, axes)
    desired = rate * np.clip(norms, min_value, max_value) + (1 - rate) * norms
    allowed: Array = w * (desired / (EPSILON + norms)).astype(w.dtype)
    return allowed


CONSTRAINTS: dict[str, Callable[..., Array]] = {"non_negative": non_negative, "norm": norm}
