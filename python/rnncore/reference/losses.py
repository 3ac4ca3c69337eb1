"""Losses: (target, output) -> value l (N, ...) per position, and dl/doutput (N, ..., U).

`output` has its features or classes on the last axis; `target` has the same shape, or for the sparse
loss the shape without the last axis; of distributions, fewer features.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .._sequence_arguments import Array
from .activations import log_sigmoid, log_softmax, sigmoid, softmax
from .distributions import DISTRIBUTIONS, of_distribution
from .magnitude import norm

__all__ = ["LOSSES", "REDUCTIONS", "weighted_loss"]

Function = Callable[..., tuple[Array, Array]]

LOSSES: dict[str, Function] = {kind: of_distribution(kind) for kind in DISTRIBUTIONS}

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1


def loss(function: Function) -> Function:
    """Enter a loss by its name: a function of target and output gives the value of each position, and its gradient."""
    LOSSES[function.__name__] = function
    return function


@loss
def mean_squared_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return _mean(error * error), 2 * error / error.shape[-1]


@loss
def mean_absolute_error(target: Array, output: Array) -> tuple[Array, Array]:
    error = output - target
    return _mean(np.abs(error)), np.sign(error) / error.shape[-1]


@loss
def mean_absolute_percentage_error(target: Array, output: Array) -> tuple[Array, Array]:
    factor = 100 / np.maximum(np.abs(target), EPSILON)
    error = output - target
    return _mean(factor * np.abs(error)), factor * np.sign(error) / error.shape[-1]


@loss
def mean_squared_logarithmic_error(target: Array, output: Array) -> tuple[Array, Array]:
    y = np.maximum(output, EPSILON)
    error = np.log1p(y) - np.log1p(np.maximum(target, EPSILON))
    return _mean(error * error), np.where(output < EPSILON, 0, 2 * error / (1 + y)) / error.shape[-1]


@loss
def log_cosh(target: Array, output: Array) -> tuple[Array, Array]:
    """log(cosh(error)), written so that it does not overflow."""
    error = output - target
    size = np.abs(error)
    return _mean(size + np.log1p(np.exp(-2 * size)) - math.log(2)), np.tanh(error) / error.shape[-1]


@loss
def poisson(target: Array, output: Array) -> tuple[Array, Array]:
    y = output + output.dtype.type(EPSILON)
    return _mean(output - target * np.log(y)), (1 - target / y) / output.shape[-1]


@loss
def cosine_similarity(target: Array, output: Array) -> tuple[Array, Array]:
    t, _ = _unit(target)
    y, length = _unit(output)
    value = -np.sum(t * y, axis=-1)
    along = np.where(length > EPSILON, value[..., None], 0)  # a shorter output is divided by a constant
    gradient = -(t + along * y) / np.maximum(length, EPSILON)
    return value.astype(output.dtype), gradient.astype(output.dtype)


@loss
def hinge(target: Array, output: Array) -> tuple[Array, Array]:
    """Targets are −1 or 1; 0 counts as −1."""
    sign = np.where(target == 0, -1, target).astype(output.dtype)
    margin = np.maximum(1 - sign * output, 0)
    return _mean(margin), np.where(margin > 0, -sign, margin) / output.shape[-1]


@loss
def squared_hinge(target: Array, output: Array) -> tuple[Array, Array]:
    sign = np.where(target == 0, -1, target).astype(output.dtype)
    margin = np.maximum(1 - sign * output, 0)
    return _mean(margin * margin), -2 * sign * margin / output.shape[-1]


@loss
def categorical_hinge(target: Array, output: Array) -> tuple[Array, Array]:
    """The best wrong class stays 1 below the right one."""
    others = (1 - target) * output
    best = others.argmax(axis=-1)[..., None]
    value = np.take_along_axis(others, best, axis=-1)[..., 0] - np.sum(target * output, axis=-1) + 1
    gradient = np.where(np.arange(output.shape[-1]) == best, 1 - target, 0) - target
    slope = np.where(value > 0, 1, np.minimum(value, 0) * 0)  # of NaN, NaN
    return np.maximum(value, 0), (slope[..., None] * gradient).astype(output.dtype)


@loss
def huber(target: Array, output: Array, delta: float = 1.0) -> tuple[Array, Array]:
    """Quadratic up to `delta`, linear beyond (P. Huber, Ann. Math. Stat. 35, 1964)."""
    error = output - target
    size = np.abs(error)
    value = np.where(size <= delta, 0.5 * error * error, delta * size - 0.5 * delta * delta)
    return _mean(value), np.clip(error, -delta, delta) / error.shape[-1]


@loss
def binary_crossentropy(
    target: Array, output: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    features = output.shape[-1]
    target = target * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        value = -(_share(target, log_sigmoid(output)) + _share(1 - target, log_sigmoid(-output)))
        return _mean(value), (sigmoid(output) - target) / features
    p, inside = _clip(output)
    value = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    gradient = np.where(inside, (1 - target) / (1 - p) - target / p, 0)
    return _mean(value), gradient / features


@loss
def categorical_crossentropy(
    target: Array, output: Array, from_logits: bool = False, label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    target = target * (1 - label_smoothing) + label_smoothing / output.shape[-1]
    if from_logits:
        value = -np.sum(_share(target, log_softmax(output)), axis=-1)
        return value, target.sum(axis=-1, keepdims=True) * softmax(output) - target
    total = output.sum(axis=-1, keepdims=True)
    q = output / total
    p, inside = _clip(q)
    value = -np.sum(target * np.log(p), axis=-1)
    dq = np.where(inside, -target / p, 0)
    return value, (dq - np.sum(dq * q, axis=-1, keepdims=True)) / total  # q = output / total


@loss
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


@loss
def kl_divergence(target: Array, output: Array) -> tuple[Array, Array]:
    """Both are kept within [1e-7, 1]."""
    t, y = (np.clip(p, EPSILON, 1) for p in (target, output))
    return np.sum(t * np.log(t / y), axis=-1), np.where((output < EPSILON) | (output > 1), 0, -t / y)


@loss
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
    dtype = output.dtype
    target, output = target.astype(np.float64), output.astype(np.float64)  # 1 - y loses digits
    target = target * (1 - label_smoothing) + 0.5 * label_smoothing
    y = sigmoid(output) if from_logits else output
    p, inside = _clip(y, dtype)
    entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    dentropy = np.where(inside, (1 - target) / (1 - p) - target / p, 0)
    factor, slope = _focus(1 - (target * y + (1 - target) * (1 - y)), gamma)
    gradient = factor * dentropy - slope * (2 * target - 1) * entropy
    balance = target * alpha + (1 - target) * (1 - alpha) if apply_class_balancing else 1
    if from_logits:
        gradient = gradient * y * (1 - y)
    value = np.mean(balance * factor * entropy, axis=-1)
    return value.astype(dtype), (balance * gradient / output.shape[-1]).astype(dtype)


@loss
def categorical_focal_crossentropy(
    target: Array,
    output: Array,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> tuple[Array, Array]:
    dtype = output.dtype
    target, output = target.astype(np.float64), output.astype(np.float64)  # 1 - y loses digits
    target = target * (1 - label_smoothing) + label_smoothing / output.shape[-1]
    total = 1 if from_logits else output.sum(axis=-1, keepdims=True)
    q = softmax(output) if from_logits else output / total
    p, inside = _clip(q, dtype)
    factor, slope = _focus(1 - p, gamma)
    value = -alpha * np.sum(target * factor * np.log(p), axis=-1)
    dq = np.where(inside, alpha * target * (slope * np.log(p) - factor / p), 0)
    gradient = (dq - np.sum(dq * q, axis=-1, keepdims=True)) * (q if from_logits else 1 / total)
    return value.astype(dtype), gradient.astype(dtype)


def _focus(distance: Array, gamma: float) -> tuple[Array, Array]:
    """distance^gamma and its derivative; none at 0."""
    far = distance > 0
    safe = np.where(far, distance, 1)
    return np.where(far, safe**gamma, float(gamma == 0)), np.where(far, gamma * safe ** (gamma - 1), 0)


def _unit(x: Array) -> tuple[Array, Array]:
    """Vectors along the last axis divided by their norms, and these, in float64."""
    length = norm(x, -1)
    return x / np.maximum(length, EPSILON), length


def _share(weight: Array, logarithm: Array) -> Array:
    """Weight · logarithm, where nothing of an infinite one is 0."""
    y: Array = np.where((weight == 0) & np.isinf(logarithm), 0, weight * logarithm)
    return y


def _mean(x: Array) -> Array:
    """The mean over the last axis, whose sum may be beyond the type."""
    y: Array = np.mean(x, axis=-1, dtype=np.float64).astype(x.dtype)
    return y


def _clip(p: Array, dtype: npt.DTypeLike | None = None) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1 by numbers of `dtype`, and where the gradient passes: NaN does."""
    low, high = np.array([EPSILON, 1 - EPSILON], p.dtype if dtype is None else dtype).astype(p.dtype)
    return np.clip(p, low, high), ~((p < low) | (p > high))


REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")


def weighted_loss(
    value: Array,
    gradient: Array,
    weight: Array | None,
    reduction: str = "sum_over_batch_size",
    counted: Array | None = None,
) -> tuple[float, Array, float]:
    """Σ w·l / divisor of a batch, 0 when empty, its gradient (N, ..., U), and the divisor.

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
    slope = share.reshape(share.shape + (1,) * (gradient.ndim - share.ndim)) * gradient
    return float(np.sum(share * value, dtype=np.float64)), slope, divisor
