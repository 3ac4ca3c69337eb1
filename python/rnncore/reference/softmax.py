"""y = the softmax of x over one axis; over the time axis, steps that are not valid get zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from . import activations
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    x, mask = inputs
    axis = attributes["axis"]
    moved = np.moveaxis(x, axis, -1)
    real = np.ones(x.shape[axis], bool)
    if mask is not None:
        real = real_steps(mask, x.shape).reshape(x.shape[0], *[1] * (x.ndim - 2), x.shape[1])
    with np.errstate(invalid="ignore"):  # of rows without a valid step
        y = activations.softmax(np.where(real, moved, -np.inf).astype(x.dtype))
    y = np.where(real, y, x.dtype.type(0))
    return [np.ascontiguousarray(np.moveaxis(y, -1, axis))], (axis, y)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    axis, y = saved
    dy = np.moveaxis(doutputs[0], axis, -1)
    dx = y * (dy - np.sum(dy * y, axis=-1, keepdims=True))
    return [np.ascontiguousarray(np.moveaxis(dx, -1, axis)), None], []
