"""y = x0 ∘ x1 ∘ ...: sum, product, mean, difference, maximum or minimum of arrays (N, ...).

Axes of size 1 are repeated; an input with fewer axes gets axes of size 1 after the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["KINDS", "backward", "forward"]

KINDS: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "multiply": np.multiply,
    "average": np.add,
    "subtract": np.subtract,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    kind = attributes["kind"]
    rank = max(x.ndim for x in inputs)
    full = [x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in inputs]
    y = reduce(KINDS[kind], full)
    return [y / y.dtype.type(len(inputs)) if kind == "average" else y], (kind, full, [x.shape for x in inputs])


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    kind, full, shapes = saved
    (dy,) = doutputs
    gradients = _gradients(kind, full, dy)
    return [_summed(dx, x.shape).reshape(shape) for dx, x, shape in zip(gradients, full, shapes, strict=True)], []


def _gradients(kind: str, x: list[Array], dy: Array) -> list[Array]:
    """The gradient of each input, in the shape of y."""
    if kind == "add":
        return [dy] * len(x)
    if kind == "average":
        return [dy / dy.dtype.type(len(x))] * len(x)
    if kind == "subtract":
        return [dy, -dy]
    if kind == "multiply":
        return [reduce(np.multiply, x[:k] + x[k + 1 :], dy) for k in range(len(x))]
    # Pairwise from the left; equal numbers get half the gradient each.
    before = [x[0]]
    for other in x[1:]:
        before.append(KINDS[kind](before[-1], other))
    gradients = []
    for k in range(len(x) - 1, 0, -1):
        share = np.where(x[k] == before[k - 1], 0.5, x[k] == before[k]).astype(dy.dtype)
        gradients.append(dy * share)
        dy = dy * (1 - share)
    return [dy, *reversed(gradients)]


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of `shape` that was repeated to the gradient's shape."""
    axes = tuple(a for a, (size, full) in enumerate(zip(shape, gradient.shape, strict=True)) if size != full)
    total: Array = gradient.sum(axis=axes, keepdims=True)
    return total
