"""y = (x - mean) / √(variance + epsilon) · gamma + beta, for each column over all positions (..., C).

S. Ioffe and C. Szegedy, "Batch normalization" (2015). A training step takes mean and variance of the real positions
of the batch, and moves the moving ones towards them; otherwise, or with `frozen`, it takes the moving ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .magnitude import magnitude, product
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    x, mask = inputs
    scale, center = attributes.get("scale", True), attributes.get("center", True)
    gamma = weights[0] if scale else None
    beta = weights[int(scale)] if center else None
    moving_mean, moving_variance = weights[-2:]
    real = np.ones(x.shape[:-1], bool)
    if mask is not None:
        real &= real_steps(mask, x.shape).reshape(*x.shape[:2], *[1] * (x.ndim - 3))
    epsilon = attributes.get("epsilon", 1e-3)
    of_batch = run.training and not attributes.get("frozen", False)
    if of_batch:
        counted = x[real].astype(np.float64)  # (m, C)
        scale = magnitude(counted, 0)  # (1, C)
        count = max(len(counted), 1)
        mean = (counted / scale).sum(axis=0) / count
        variance = ((counted / scale - mean) ** 2).sum(axis=0) / count
        spread = np.maximum(variance + epsilon / scale[0] ** 2, np.finfo(np.float64).tiny)
        factor = (1 / np.sqrt(spread) / scale[0]).astype(x.dtype)
        mean, variance = mean * scale[0], variance * scale[0] ** 2
        momentum = attributes.get("momentum", 0.99)
        moving_mean[...] = moving_mean * momentum + mean * (1 - momentum)
        moving_variance[...] = moving_variance * momentum + variance * (1 - momentum)
    else:
        mean, variance = moving_mean, moving_variance
        factor = (1 / np.sqrt(variance + epsilon)).astype(x.dtype)
    normal = (x - mean.astype(x.dtype)) * factor
    y = normal if gamma is None else normal * gamma
    y = y if beta is None else y + beta
    return [y], (normal, factor, gamma, beta, real, of_batch)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    normal, factor, gamma, beta, real, of_batch = saved
    (dy,) = doutputs
    axes = tuple(range(dy.ndim - 1))
    # What is not real may be NaN, with a dy of 0.
    dgamma = np.where(real[..., None], dy * normal, product(normal, dy)).sum(axis=axes)
    dbeta = dy.sum(axis=axes)
    bracket = dy
    if of_batch:  # mean and variance depend on the positions that are valid
        common = (dbeta + normal * dgamma) / dy.dtype.type(max(real.sum(), 1))
        bracket = dy - np.where(real[..., None], common, dy.dtype.type(0))
    dx = bracket * (factor if gamma is None else factor * gamma)
    dweights = [] if gamma is None else [dgamma]
    dweights += [] if beta is None else [dbeta]
    nothing = np.zeros_like(factor)  # no loss reaches what the step itself writes
    return [dx.astype(dy.dtype), None], [*dweights, nothing, nothing]
