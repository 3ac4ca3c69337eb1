"""x (N, ...) -> y (N, ...) whose axis k is axis dims[k] of x, both counted from 1 after the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    axes = (0, *attributes["dims"])
    return [np.transpose(x, axes)], axes


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [np.transpose(dy, np.argsort(saved))], []
