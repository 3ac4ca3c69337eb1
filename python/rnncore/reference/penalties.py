"""Penalties on weights: their values and gradients."""

from __future__ import annotations

import numpy as np

from .._sequence_arguments import Array
from ..program import ActivityRegularizer, Regularizer
from .magnitude import norm

__all__ = ["orthogonality", "penalty", "slope", "value"]


def value(factors: Regularizer | ActivityRegularizer, w: Array) -> float:
    """l1·Σ|w| + l2·Σ w², of which a part with the factor 0 is 0."""
    wide = w.astype(np.float64)
    total = factors.l1 * np.sum(np.abs(wide)) if factors.l1 else 0.0
    return float(total + factors.l2 * np.sum(wide * wide) if factors.l2 else total)


def slope(factors: Regularizer | ActivityRegularizer, w: Array) -> Array:
    """The gradient of `value`."""
    gradient: Array = factors.l1 * np.sign(w)
    return gradient + 2 * factors.l2 * w if factors.l2 else gradient


def penalty(regularizer: Regularizer, w: Array) -> tuple[float, Array]:
    """The penalty on one parameter, and its gradient."""
    total, gradient = value(regularizer, w), slope(regularizer, w)
    if regularizer.orthogonal:
        matrix = w.T if regularizer.columns else w
        further, turned = orthogonality(regularizer.orthogonal, matrix)
        total += further
        gradient = gradient + (turned.T if regularizer.columns else turned)
    return total, gradient


def orthogonality(factor: float, w: Array) -> tuple[float, Array]:
    """The mean of |u_i · u_j| over all pairs of rows w (V, L), scaled to length 1, times `factor`."""
    pairs = len(w) * (len(w) - 1) / 2
    if not pairs:
        return 0.0, np.zeros_like(w)
    length = norm(w, 1)
    inverse = np.divide(1, length, where=length > 0, out=np.zeros_like(length)).astype(w.dtype)
    u = w * inverse
    cosines = u @ u.T
    np.fill_diagonal(cosines, 0)
    turn = np.sign(cosines) @ u
    along = np.sum(np.abs(cosines), axis=1, keepdims=True)
    gradient: Array = factor / pairs * inverse * (turn - along * u)
    return float(factor / (2 * pairs) * np.sum(np.abs(cosines), dtype=np.float64)), gradient.astype(w.dtype)
