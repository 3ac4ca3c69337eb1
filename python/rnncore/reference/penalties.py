"""Penalties on weights: their values and gradients."""

from __future__ import annotations

import numpy as np

from .._sequence_arguments import Array
from ..program import Regularizer

__all__ = ["orthogonality", "penalty"]


def penalty(regularizer: Regularizer, w: Array) -> tuple[float, Array]:
    """The penalty on one parameter, and its gradient."""
    value = regularizer.l1 * np.sum(np.abs(w), dtype=np.float64) + regularizer.l2 * np.sum(w * w, dtype=np.float64)
    gradient = regularizer.l1 * np.sign(w) + 2 * regularizer.l2 * w
    if regularizer.orthogonal:
        matrix = w.T if regularizer.columns else w
        further, slope = orthogonality(regularizer.orthogonal, matrix)
        value += further
        gradient = gradient + (slope.T if regularizer.columns else slope)
    return float(value), gradient


def orthogonality(factor: float, w: Array) -> tuple[float, Array]:
    """The mean of |u_i · u_j| over all pairs of rows w (V, L), scaled to length 1, times `factor`."""
    pairs = len(w) * (len(w) - 1) / 2
    if not pairs:
        return 0.0, np.zeros_like(w)
    length = np.sqrt(np.sum(w * w, axis=1, keepdims=True, dtype=np.float64))
    inverse = np.divide(1, length, where=length > 0, out=np.zeros_like(length)).astype(w.dtype)
    u = w * inverse
    cosines = u @ u.T
    np.fill_diagonal(cosines, 0)
    turn = np.sign(cosines) @ u
    along = np.sum(np.abs(cosines), axis=1, keepdims=True)
    gradient: Array = factor / pairs * inverse * (turn - along * u)
    return float(factor / (2 * pairs) * np.sum(np.abs(cosines), dtype=np.float64)), gradient.astype(w.dtype)
