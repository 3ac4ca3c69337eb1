"""y = x · mask / (1 - rate) in training, y = x otherwise; mask is 1 with probability 1 - rate.

Along `shared_axes` the mask is the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    rate = attributes["rate"]
    if not run.training or rate == 0:
        return [x], None
    shared = attributes.get("shared_axes") or ()
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape))
    keep = run.uniform(math.prod(shape), attributes.get("seed") or 0).reshape(shape) >= rate
    # where, not a product: a dropped infinity must become zero
    return [np.where(keep, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))], (keep, rate)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    if saved is None:
        return [dy], []
    keep, rate = saved
    return [np.where(keep, dy * dy.dtype.type(1 / (1 - rate)), dy.dtype.type(0))], []
