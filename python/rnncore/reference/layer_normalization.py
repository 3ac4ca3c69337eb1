"""y = (x - mean) / √(variance + epsilon) · gamma + beta, over the columns of each position (..., C).

J. Ba, J. Kiros and G. Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .magnitude import standardize, standardize_backward
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    scale, center = attributes.get("scale", True), attributes.get("center", True)
    gamma = weights[0] if scale else None
    beta = weights[int(scale)] if center else None
    saved = standardize(x, attributes.get("epsilon", 1e-3))
    y = saved.normal if gamma is None else saved.normal * gamma
    return [y if beta is None else y + beta], (saved, gamma, beta)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    standard, gamma, beta = saved
    (dy,) = doutputs
    axes = tuple(range(dy.ndim - 1))
    dx = standardize_backward(standard, dy if gamma is None else dy * gamma)
    dweights = [] if gamma is None else [(dy * standard.normal).sum(axis=axes)]
    dweights += [] if beta is None else [dy.sum(axis=axes)]
    return [dx], dweights
