"""y = each step of x `size` times; the second output is the mask of the steps of y that its rows have."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
    x, mask = inputs
    size = attributes["size"]
    lengths = real_steps(mask, x.shape).sum(axis=1)
    marks = np.arange(x.shape[1] * size) < (lengths * size)[:, None]
    return [np.repeat(x, size, axis=1), marks.astype(np.int32)], x.shape


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    rows, steps, *inner = saved
    return [doutputs[0].reshape(rows, steps, -1, *inner).sum(axis=2), None], []
