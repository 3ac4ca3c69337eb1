"""repeat_row: an array (N, ...) that tells N -> y (N, H), the row of a weight (1, H) N times."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (like,), (row,) = inputs, weights
    if row.ndim != 2 or len(row) != 1:
        raise ValueError(f"row: expected shape (1, H), got {row.shape}")
    return [np.repeat(row, len(like), axis=0)], None


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [None], [dy.sum(axis=0, keepdims=True)]
