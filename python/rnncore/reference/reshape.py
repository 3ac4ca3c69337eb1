"""x (N, ...) -> y (N, *shape), the same numbers in C order. One size of `shape` may be -1."""

from __future__ import annotations

import math
from typing import Any

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    shape = list(attributes["shape"])
    if -1 in shape:  # NumPy cannot tell the size when there are no rows
        shape[shape.index(-1)] = math.prod(x.shape[1:]) // -math.prod(shape)
    return [x.reshape(len(x), *shape)], x.shape


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [dy.reshape(saved)], []
