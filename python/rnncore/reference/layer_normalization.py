"""y = (x - mean) / √(variance + epsilon) · gamma + beta, over the columns of each position (..., C).

J. Ba, J. Kiros and G. Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    scale, center = attributes.get("scale", True), attributes.get("center", True)
    gamma = weights[0] if scale else None
    beta = weights[int(scale)] if center else None
    distance = x - x.mean(axis=-1, keepdims=True)
    variance = (distance * distance).mean(axis=-1, keepdims=True)
    factor = 1 / np.sqrt(variance + x.dtype.type(attributes.get("epsilon", 1e-3)))
    normal = distance * factor
    y = normal if gamma is None else normal * gamma
    return [y if beta is None else y + beta], (normal, factor, gamma, beta)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    normal, factor, gamma, beta = saved
    (dy,) = doutputs
    axes = tuple(range(dy.ndim - 1))
    dnormal = dy if gamma is None else dy * gamma
    mean, slope = dnormal.mean(axis=-1, keepdims=True), (dnormal * normal).mean(axis=-1, keepdims=True)
    dx = factor * (dnormal - mean - normal * slope)
    dweights = [] if gamma is None else [(dy * normal).sum(axis=axes)]
    dweights += [] if beta is None else [dy.sum(axis=axes)]
    return [dx], dweights
