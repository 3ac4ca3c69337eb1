"""Losses whose outputs are the parameters of a distribution, or quantiles: minus the logarithm of the targets' density.

The last axis of an output holds one block for each parameter, as wide as the target. Scales and the like come through
softplus, so that outputs may be any numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .activations import log_softmax, sigmoid, softmax

__all__ = ["DISTRIBUTIONS", "blocks_of", "of_distribution", "positive"]

LEAST = 1e-6  # of scales and the like
LOG_ROOT = 0.5 * math.log(2 * math.pi)

log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def positive(x: Array) -> Array:
    """softplus(x) + 1e-6, whose derivative is sigmoid(x)."""
    return np.logaddexp(0, x) + LEAST


def digamma(x: Array) -> Array:
    """The derivative of log Γ, for x > 0, by its asymptotic series from 10 on."""
    x = np.array(x, np.float64)
    total = np.zeros_like(x)
    for _ in range(10):
        small = x < 10
        total -= np.where(small, 1 / x, 0)
        x = np.where(small, x + 1, x)
    s = 1 / (x * x)
    series = s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132)))))
    return np.asarray(total + np.log(x) - 0.5 / x - series)


# (y, blocks (P, ...)) -> value, and a gradient for each block; all float64


def gaussian_nll(y: Array, blocks: Array) -> tuple[Array, Array]:
    mean, raw = blocks
    scale = positive(raw)
    z = (y - mean) / scale
    return np.log(scale) + 0.5 * z * z + LOG_ROOT, np.stack([-z / scale, (1 - z * z) / scale * sigmoid(raw)])


def student_t_nll(y: Array, blocks: Array) -> tuple[Array, Array]:
    """Its degrees of freedom are 2 + softplus, so that it has a variance."""
    location, raw, raw_freedom = blocks
    scale, freedom = positive(raw), 2 + positive(raw_freedom)
    z = (y - location) / scale
    tail = np.log1p(z * z / freedom)
    value = np.log(scale) + log_gamma(freedom / 2) - log_gamma((freedom + 1) / 2) + 0.5 * np.log(math.pi * freedom)
    slope = (freedom + 1) * z / (freedom + z * z)
    of_freedom = digamma(freedom / 2) - digamma((freedom + 1) / 2) + 1 / freedom + tail - slope * z / freedom
    gradients = [-slope / scale, (1 - slope * z) / scale * sigmoid(raw), 0.5 * of_freedom * sigmoid(raw_freedom)]
    return value + (freedom + 1) / 2 * tail, np.stack(gradients)


def negative_binomial_nll(y: Array, blocks: Array) -> tuple[Array, Array]:
    """With mean μ and variance μ + α·μ²; y are counts."""
    raw_mean, raw_dispersion = blocks
    mean, dispersion = positive(raw_mean), positive(raw_dispersion)
    r, product = 1 / dispersion, dispersion * mean
    value = log_gamma(r) + log_gamma(y + 1) - log_gamma(y + r) + (r + y) * np.log1p(product) - y * np.log(product)
    of_mean = (1 + y * dispersion) / (1 + product) - y / mean
    of_r = digamma(r) - digamma(y + r) + np.log1p(product)
    of_dispersion = -of_r * r * r + (r + y) * mean / (1 + product) - y * r
    return value, np.stack([of_mean * sigmoid(raw_mean), of_dispersion * sigmoid(raw_dispersion)])


def mixture_nll(y: Array, blocks: Array) -> tuple[Array, Array]:
    """Of K normal distributions: K blocks of logits, K of means, K of scales."""
    logits, means, raw = np.split(blocks, 3)
    scales = positive(raw)
    z = (y - means) / scales
    logits = np.moveaxis(logits, 0, -1)
    scores = np.moveaxis(log_softmax(logits), -1, 0) - np.log(scales) - 0.5 * z * z - LOG_ROOT
    value = -np.logaddexp.reduce(scores, axis=0)
    shares = np.exp(scores + value)  # of each component in what was seen
    of_logits = np.moveaxis(softmax(logits), -1, 0) - shares
    return value, np.concatenate([of_logits, -shares * z / scales, shares * (1 - z * z) / scales * sigmoid(raw)])


def quantile(y: Array, blocks: Array, quantiles: Sequence[float]) -> tuple[Array, Array]:
    q = np.reshape(np.asarray(quantiles, np.float64), (-1, *[1] * y.ndim))
    error = y - blocks
    slope = np.where(error > 0, q, np.where(error < 0, q - 1, error)) / len(q)  # of NaN, NaN
    return np.sum(slope * error, axis=0), -slope


DISTRIBUTIONS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "gaussian_nll": gaussian_nll,
    "student_tnll": student_t_nll,
    "negative_binomial_nll": negative_binomial_nll,
    "mixture_nll": mixture_nll,
    "quantile": quantile,
}


def blocks_of(kind: str, attributes: dict[str, Any]) -> int:
    """How many numbers of the output belong to one of the target."""
    if kind == "quantile":
        return len(attributes["quantiles"])
    if kind == "mixture_nll":
        return 3 * int(attributes["components"])
    return 3 if kind == "student_tnll" else 2


def of_distribution(kind: str) -> Callable[..., tuple[Array, Array]]:
    """The loss as all are: target (..., U), output (..., P·U) -> the mean over U, and its gradient."""
    function = DISTRIBUTIONS[kind]

    def loss(target: Array, output: Array, **attributes: Any) -> tuple[Array, Array]:
        blocks, units = blocks_of(kind, attributes), target.shape[-1]
        parts = np.moveaxis(output.reshape(*output.shape[:-1], blocks, units), -2, 0).astype(np.float64)
        given = {"quantiles": attributes["quantiles"]} if kind == "quantile" else {}
        value, gradient = function(target.astype(np.float64), parts, **given)
        joined = np.moveaxis(gradient, 0, -2).reshape(output.shape) / units
        return value.mean(axis=-1).astype(output.dtype), joined.astype(output.dtype)

    return loss
