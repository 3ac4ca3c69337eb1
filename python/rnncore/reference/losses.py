"""Losses: (target, output) -> value l (N, ...) per position, and dl/doutput (N, ..., U).

`output` has its features or classes on the last axis; `target` has the same shape, or for the sparse
loss the shape without the last axis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._sequence_arguments import Array
from .activations import log_sigmoid, log_softmax, sigmoid, softmax

__all__ = ["LOSSES", "weighted_loss"]

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1


def mean_squared_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return np.mean(error * error, axis=-1), 2 * error / error.shape[-1]


def mean_absolute_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return np.mean(np.abs(error), axis=-1), np.sign(error) / error.shape[-1]


def huber(target: Array, output: Array, delta: float = 1.0) -> tuple[Array, Array]:
    """Quadratic up to `delta`, linear beyond (P. Huber, Ann. Math. Stat. 35, 1964)."""
    error = output - target
    size = np.abs(error)
    value = np.where(size <= delta, 0.5 * error * error, delta * size - 0.5 * delta * delta)
    return np.mean(value, axis=-1), np.clip(error, -delta, delta) / error.shape[-1]


def binary_crossentropy(
    target: Array, output: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    features = output.shape[-1]
    target = target * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        value = -(target * log_sigmoid(output) + (1 - target) * log_sigmoid(-output))
        return np.mean(value, axis=-1), (sigmoid(output) - target) / features
    p, inside = _clip(output)
    value = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    gradient = np.where(inside, (1 - target) / (1 - p) - target / p, 0)
    return np.mean(value, axis=-1), gradient / features


def categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    target = target * (1 - label_smoothing) + label_smoothing / output.shape[-1]
    if from_logits:
        value = -np.sum(target * log_softmax(output), axis=-1)
        return value, target.sum(axis=-1, keepdims=True) * softmax(output) - target
    total = output.sum(axis=-1, keepdims=True)
    q = output / total
    p, inside = _clip(q)
    value = -np.sum(target * np.log(p), axis=-1)
    dq = np.where(inside, -target / p, 0)
    return value, (dq - np.sum(dq * q, axis=-1, keepdims=True)) / total  # q = output / total


def sparse_categorical_crossentropy(target: Array, output: Array, from_logits: bool = False) -> tuple[Array, Array]:
    classes = output.shape[-1]
    if target.size and not 0 <= target.min() <= target.max() < classes:
        raise ValueError(f"targets: expected labels from 0 to {classes - 1}, got {target.min()} to {target.max()}")
    return categorical_crossentropy(np.eye(classes, dtype=output.dtype)[target], output, from_logits)


def _clip(p: Array) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1, and where the gradient passes."""
    return np.clip(p, EPSILON, 1 - EPSILON), (p >= EPSILON) & (p <= 1 - EPSILON)


LOSSES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}


def weighted_loss(value: Array, gradient: Array, weight: Array | None) -> tuple[float, Array]:
    """Σ w·l / count(l) of a batch, 0 when empty, and its gradient (N, ..., U). `weight` is (N,), (N, ...) or None."""
    share = np.full(value.shape, 1 / max(value.size, 1), value.dtype)
    if weight is not None:
        share *= weight.reshape(weight.shape + (1,) * (value.ndim - weight.ndim))
    return float(np.sum(share * value, dtype=np.float64)), share[..., None] * gradient
