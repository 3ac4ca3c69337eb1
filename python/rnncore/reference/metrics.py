"""Metrics: what a batch adds to the float64 state of a metric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._quiet import quiet
from .._sequence_arguments import Array
from ..program import Metric
from .losses import LOSSES

__all__ = ["METRICS", "state_increment"]


Function = Callable[..., Array]

METRICS: dict[str, Function] = {}


def averaged(function: Function) -> Function:
    """Enter a metric by its name: a function of target and output gives a value (N, ...) for each position."""
    METRICS[function.__name__] = function
    return function


@averaged
def binary_accuracy(target: Array, output: Array, threshold: float = 0.5) -> Array:
    value: Array = np.mean(target == (output > threshold), axis=-1)
    return value


@averaged
def sparse_categorical_accuracy(target: Array, output: Array) -> Array:
    value: Array = target == output.argmax(axis=-1)
    return value


@averaged
def categorical_accuracy(target: Array, output: Array) -> Array:
    return sparse_categorical_accuracy(target.argmax(axis=-1), output)


@averaged
def sparse_top_k_categorical_accuracy(target: Array, output: Array, k: int = 5) -> Array:
    """Whether fewer than k classes score higher than the right one: ties count in its favour."""
    known = (target >= 0) & (target < output.shape[-1])  # a loss may ignore others
    right = np.take_along_axis(output, np.where(known, target, 0)[..., None].astype(np.intp), axis=-1)
    right = np.where(np.isnan(right), -np.inf, right)  # the lowest score, as to Keras
    value: Array = known & ((output > right).sum(axis=-1) < k)
    return value


@averaged
def top_k_categorical_accuracy(target: Array, output: Array, k: int = 5) -> Array:
    return sparse_top_k_categorical_accuracy(target.argmax(axis=-1), output, k)


@quiet
def state_increment(metric: Metric, target: Array, output: Array, weight: Array | None) -> Array:
    """The state (metric.state_size(),) that this batch adds. `weight` is (N,), (N, ...) or None."""
    if metric.kind == "confusion":
        return _confusion(target, output, weight, metric.attributes["thresholds"])
    if metric.kind in LOSSES:
        value = LOSSES[metric.kind](target, output, **metric.attributes)[0]
    else:
        value = METRICS[metric.kind](target, output, **metric.attributes)
    counts = _broadcast(weight, value.shape)
    ignored = metric.attributes.get("ignore_class")
    if weight is not None and ignored is not None:
        counts = np.where(target == ignored, 0, counts)  # as in Keras: without weights these positions count
    return np.array([np.sum(counts * value), np.sum(counts)])


def _confusion(target: Array, output: Array, weight: Array | None, thresholds: list[float]) -> Array:
    """True and false positives, false and true negatives at each threshold, (4, K) flattened."""
    weight = _broadcast(weight, output.shape)
    positive = target > 0.5
    counts = np.empty((4, len(thresholds)))
    for k, threshold in enumerate(thresholds):
        predicted = output > threshold
        counts[:, k] = [
            np.sum(weight * (predicted & positive)),
            np.sum(weight * (predicted & ~positive)),
            np.sum(weight * (~predicted & positive)),
            np.sum(weight * (~predicted & ~positive)),
        ]
    return counts.reshape(-1)


def _broadcast(weight: Array | None, shape: tuple[int, ...]) -> Array:
    """Weights (N, ...) in float64, spread over the axes they lack."""
    if weight is None:
        return np.ones(shape)
    return np.broadcast_to(weight.astype(np.float64).reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)
