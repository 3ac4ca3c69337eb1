"""fold_time: x (N, T, ...) -> y (T·N, ...), each step a sample, all samples of a step together."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "fold", "forward", "unfold"]


def fold(x: Array) -> Array:
    """(N, T, ...) to (T·N, ...)."""
    return np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def unfold(y: Array, samples: int, steps: int) -> Array:
    """(T·N, ...) to (N, T, ...)."""
    return np.ascontiguousarray(np.swapaxes(y.reshape(steps, samples, *y.shape[1:]), 0, 1))


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    return [fold(x)], x.shape


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [unfold(dy, *saved[:2])], []
