"""repeat_row: an array (N, ...) that tells N -> y (N, H), N times a weight, or numbers given as `row`, as one row."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (like,) = inputs
    (row,) = weights or [np.array(attributes.get("row", ()), run.dtype)]
    if row.size == 0:
        raise ValueError("row: expected a parameter or numbers, got none")
    return [np.repeat(row.reshape(1, -1), len(like), axis=0)], [weight.shape for weight in weights]


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [None], [dy.sum(axis=0).reshape(shape) for shape in saved]
