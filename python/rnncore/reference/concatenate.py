"""Arrays of equal shapes but for one axis -> one array with them one after another along that axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    axis = attributes["axis"]
    return [np.concatenate(inputs, axis)], (axis, [x.shape[axis] for x in inputs])


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    axis, sizes = saved
    return list(np.split(dy, np.cumsum(sizes[:-1]), axis)), []
