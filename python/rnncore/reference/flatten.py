"""x (N, ...) -> y (N, product of the other axes)."""

from __future__ import annotations

import math
from typing import Any

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    return [x.reshape(len(x), math.prod(x.shape[1:]))], x.shape


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [dy.reshape(saved)], []
