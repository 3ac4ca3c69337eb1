"""Losses: (target, output) -> value l (N, ...) per position, and dl/doutput (N, ..., U).

`output` has its features or classes on the last axis; `target` has the same shape, or for the sparse
loss the shape without the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .._sequence_arguments import Array
from .activations import log_sigmoid, log_softmax, sigmoid, softmax

__all__ = ["LOSSES", "REDUCTIONS", "weighted_loss"]

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1


def mean_squared_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return np.mean(error * error, axis=-1), 2 * error / error.shape[-1]


def mean_absolute_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return np.mean(np.abs(error), axis=-1), np.sign(error) / error.shape[-1]


def mean_absolute_percentage_error(target: Array, output: Array) -> tuple[Array, Array]:
    factor = 100 / np.maximum(np.abs(target), EPSILON)
    error = output - target
    return np.mean(factor * np.abs(error), axis=-1), factor * np.sign(error) / error.shape[-1]


def mean_squared_logarithmic_error(target: Array, output: Array) -> tuple[Array, Array]:
    y = np.maximum(output, EPSILON)
    error = np.log1p(y) - np.log1p(np.maximum(target, EPSILON))
    return np.mean(error * error, axis=-1), np.where(output >= EPSILON, 2 * error / (1 + y), 0) / error.shape[-1]


def log_cosh(target: Array, output: Array) -> tuple[Array, Array]:
    """log(cosh(error)), written so that it does not overflow."""
    error = output - target
    size = np.abs(error)
    return np.mean(size + np.log1p(np.exp(-2 * size)) - math.log(2), axis=-1), np.tanh(error) / error.shape[-1]


def poisson(target: Array, output: Array) -> tuple[Array, Array]:
    y = output + output.dtype.type(EPSILON)
    return np.mean(output - target * np.log(y), axis=-1), (1 - target / y) / output.shape[-1]


def cosine_similarity(target: Array, output: Array) -> tuple[Array, Array]:
    t, _ = _unit(target)
    y, norm = _unit(output)
    value = -np.sum(t * y, axis=-1)
    along = np.where(norm > EPSILON, value[..., None], 0)  # a shorter output is divided by a constant
    return value, -(t + along * y) / np.maximum(norm, EPSILON)


def hinge(target: Array, output: Array) -> tuple[Array, Array]:
    """Targets are −1 or 1; 0 stands for −1."""
    sign = np.where(target == 0, -1, target).astype(output.dtype)
    margin = np.maximum(1 - sign * output, 0)
    return np.mean(margin, axis=-1), np.where(margin > 0, -sign, 0) / output.shape[-1]


def squared_hinge(target: Array, output: Array) -> tuple[Array, Array]:
    sign = np.where(target == 0, -1, target).astype(output.dtype)
    margin = np.maximum(1 - sign * output, 0)
    return np.mean(margin * margin, axis=-1), -2 * sign * margin / output.shape[-1]


def categorical_hinge(target: Array, output: Array) -> tuple[Array, Array]:
    """The best wrong class stays 1 below the right one."""
    others = (1 - target) * output
    best = others.argmax(axis=-1)[..., None]
    value = np.take_along_axis(others, best, axis=-1)[..., 0] - np.sum(target * output, axis=-1) + 1
    gradient = np.where(np.arange(output.shape[-1]) == best, 1 - target, 0) - target
    return np.maximum(value, 0), np.where(value[..., None] > 0, gradient, 0).astype(output.dtype)


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


def sparse_categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, ignore_class: int | None = None
) -> tuple[Array, Array]:
    """A label of `ignore_class` has neither value nor gradient."""
    classes = output.shape[-1]
    wanted = target if ignore_class is None else target[target != ignore_class]
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < classes:
        raise ValueError(f"targets: expected labels from 0 to {classes - 1}, got {wanted.min()} to {wanted.max()}")
    one_hot = target[..., None] == np.arange(classes)
    if ignore_class is not None:
        one_hot &= target[..., None] != ignore_class
    return categorical_crossentropy(one_hot.astype(output.dtype), output, from_logits)


def kl_divergence(target: Array, output: Array) -> tuple[Array, Array]:
    """Both are kept within [1e-7, 1]."""
    t, y = (np.clip(p, EPSILON, 1) for p in (target, output))
    return np.sum(t * np.log(t / y), axis=-1), np.where((output >= EPSILON) & (output <= 1), -t / y, 0)


def binary_focal_crossentropy(
    target: Array,
    output: Array,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> tuple[Array, Array]:
    """Cross-entropy, where what is right already counts less (T.-Y. Lin et al., ICCV 2017)."""
    target = target * (1 - label_smoothing) + 0.5 * label_smoothing
    y = sigmoid(output) if from_logits else output
    p, inside = _clip(y)
    entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    dentropy = np.where(inside, (1 - target) / (1 - p) - target / p, 0)
    factor, slope = _focus(1 - (target * y + (1 - target) * (1 - y)), gamma)
    gradient = factor * dentropy - slope * (2 * target - 1) * entropy
    balance = target * alpha + (1 - target) * (1 - alpha) if apply_class_balancing else 1
    if from_logits:
        gradient = gradient * y * (1 - y)
    return np.mean(balance * factor * entropy, axis=-1), balance * gradient / output.shape[-1]


def categorical_focal_crossentropy(
    target: Array,
    output: Array,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> tuple[Array, Array]:
    target = target * (1 - label_smoothing) + label_smoothing / output.shape[-1]
    total = 1 if from_logits else output.sum(axis=-1, keepdims=True)
    q = softmax(output) if from_logits else output / total
    p, inside = _clip(q)
    factor, slope = _focus(1 - p, gamma)
    value = -alpha * np.sum(target * factor * np.log(p), axis=-1)
    dq = np.where(inside, alpha * target * (slope * np.log(p) - factor / p), 0)
    return value, (dq - np.sum(dq * q, axis=-1, keepdims=True)) * (q if from_logits else 1 / total)


def _focus(distance: Array, gamma: float) -> tuple[Array, Array]:
    """distance^gamma and its derivative; none at 0."""
    far = distance > 0
    safe = np.where(far, distance, 1)
    factor = np.where(far, safe**gamma, float(gamma == 0)).astype(distance.dtype)
    return factor, np.where(far, gamma * safe ** (gamma - 1), 0).astype(distance.dtype)


def _unit(x: Array) -> tuple[Array, Array]:
    """Vectors along the last axis divided by their norms, and these."""
    norm = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    return x / np.maximum(norm, EPSILON), norm


def _clip(p: Array) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1, and where the gradient passes."""
    return np.clip(p, EPSILON, 1 - EPSILON), (p >= EPSILON) & (p <= 1 - EPSILON)


LOSSES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mean_squared_logarithmic_error": mean_squared_logarithmic_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "poisson": poisson,
    "cosine_similarity": cosine_similarity,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "categorical_hinge": categorical_hinge,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "kl_divergence": kl_divergence,
    "binary_focal_crossentropy": binary_focal_crossentropy,
    "categorical_focal_crossentropy": categorical_focal_crossentropy,
}

REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")


def weighted_loss(
    value: Array,
    gradient: Array,
    weight: Array | None,
    reduction: str = "sum_over_batch_size",
    counted: Array | None = None,
) -> tuple[float, Array]:
    """Σ w·l / divisor of a batch, 0 when empty, and its gradient (N, ..., U).

    `weight` is (N,), (N, ...) or None. The divisor is the number of positions that are `counted` (N, ...), all by
    default; 1 for the sum; the sum of their weights for the mean with these.
    """
    spread = np.ones(value.shape, value.dtype)
    if weight is not None:
        spread *= weight.reshape(weight.shape + (1,) * (value.ndim - weight.ndim))
    if counted is not None:
        spread *= counted
    if reduction == "sum":
        divisor = 1.0
    elif reduction == "mean_with_sample_weight":
        divisor = float(np.sum(spread, dtype=np.float64))
    else:
        divisor = float(value.size if counted is None else np.count_nonzero(counted))
    share = spread / value.dtype.type(divisor) if divisor else np.zeros_like(spread)
    return float(np.sum(share * value, dtype=np.float64)), share.reshape(
        share.shape + (1,) * (gradient.ndim - share.ndim)
    ) * gradient
