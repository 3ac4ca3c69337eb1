"""y = x0 ∘ x1 ∘ ...: sum, product, mean, difference, maximum or minimum of arrays (N, ...).

Axes of size 1 are repeated; an input with fewer axes gets axes of size 1 after the batch. When `masked`, the masks of
the inputs follow them: at each step only inputs take part whose step is real; where none is, a product is zero, and a
maximum or minimum the first input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .magnitude import product
from .masking import real_steps
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
    kind, masked = attributes["kind"], attributes.get("masked", False)
    if masked and kind not in ("multiply", "maximum", "minimum"):
        raise ValueError(f"masked: expected a product, maximum or minimum, got {kind!r}")
    arrays = inputs[: len(inputs) // 2] if masked else inputs
    masks = inputs[len(arrays) :]
    rank = max(x.ndim for x in arrays)
    full = [x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in arrays]
    takes_part: list[Array] | None = None
    if masked:
        shape = np.broadcast_shapes(*(x.shape for x in full))
        takes_part = [_spread(mask, x, shape) for mask, x in zip(masks, full, strict=True)]
        y = _masked(kind, full, takes_part)
    else:
        y = reduce(KINDS[kind], full)
    y = y / y.dtype.type(len(arrays)) if kind == "average" else y
    return [y], (kind, full, [x.shape for x in arrays], takes_part)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    kind, full, shapes, takes_part = saved
    (dy,) = doutputs
    gradients = _gradients(kind, full, dy) if takes_part is None else _masked_gradients(kind, full, takes_part, dy)
    found = [_summed(dx, x.shape).reshape(shape) for dx, x, shape in zip(gradients, full, shapes, strict=True)]
    return [*found, *[None] * (0 if takes_part is None else len(full))], []


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
    # Pairwise from the left; equal numbers get half the gradient each. NaN is the greatest, and equal to itself.
    before = [x[0]]
    for other in x[1:]:
        before.append(KINDS[kind](before[-1], other))
    gradients = []
    for k in range(len(x) - 1, 0, -1):
        share = np.where(_same(x[k], before[k - 1]), 0.5, _same(x[k], before[k])).astype(dy.dtype)
        gradients.append(product(dy, share))
        dy = product(dy, 1 - share)
    return [dy, *reversed(gradients)]


def _spread(mask: Array | None, x: Array, shape: tuple[int, ...]) -> Array:
    """Where an input takes part, in the shape of y."""
    real = np.ones(x.shape[:2], bool) if mask is None else real_steps(mask, x.shape)
    return np.broadcast_to(real.reshape(real.shape + (1,) * (x.ndim - 2)), shape)


def _masked(kind: str, x: list[Array], takes_part: list[Array]) -> Array:
    """The inputs that take part, merged."""
    shape = takes_part[0].shape
    if kind == "multiply":
        one = x[0].dtype.type(1)
        factors = [np.where(there, value, one) for value, there in zip(x, takes_part, strict=True)]
        whole: Array = np.where(np.any(takes_part, axis=0), reduce(np.multiply, factors), one * 0)
        return whole
    y, any_yet = np.broadcast_to(x[0], shape), takes_part[0]
    for value, there in zip(x[1:], takes_part[1:], strict=True):
        y = np.where(there, np.where(any_yet, KINDS[kind](y, value), value), y)
        any_yet = any_yet | there
    return y


def _masked_gradients(kind: str, x: list[Array], takes_part: list[Array], dy: Array) -> list[Array]:
    """The gradient of each input: of the inputs that take part at a position, as if there were no others."""
    gradients = [np.zeros_like(dy) for _ in x]
    full = [np.broadcast_to(value, dy.shape) for value in x]
    none = ~np.any(takes_part, axis=0)
    if kind != "multiply":
        gradients[0][none] = dy[none]
    which = np.sum([there << k for k, there in enumerate(takes_part)], axis=0)  # bit k: input k takes part
    for chosen in np.unique(which[which > 0]):
        here = which == chosen
        members = [k for k in range(len(x)) if chosen >> k & 1]
        for k, dx in zip(members, _gradients(kind, [full[k][here] for k in members], dy[here]), strict=True):
            gradients[k][here] = dx
    return gradients


def _same(a: Array, b: Array) -> Array:
    equal: Array = (a == b) | (np.isnan(a) & np.isnan(b))
    return equal


def _summed(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of `shape` that was repeated to the gradient's shape."""
    axes = tuple(a for a, (size, full) in enumerate(zip(shape, gradient.shape, strict=True)) if size != full)
    total: Array = gradient.sum(axis=axes, keepdims=True)
    return total
