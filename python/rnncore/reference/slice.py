"""y = x[:, starts:stops:steps, ...], an entry for each axis after the batch; axes that drop are left out.

Where the time axis stays, the second output is the mask of its steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
    x, mask = inputs
    cuts = (slice(None), *map(slice, attributes["starts"], attributes["stops"], attributes["steps"]))
    kept = x[cuts]
    for axis, size in enumerate(kept.shape[1:], start=1):
        if size == 0:
            raise ValueError(f"nothing is left of axis {axis}, of size {x.shape[axis]}, from {cuts[axis]}")
    dropped = tuple(axis for axis, drops in enumerate(attributes["drops"], start=1) if drops)
    marks = None
    if x.ndim > 2 and 1 not in dropped:
        marks = real_steps(mask, x.shape)[:, cuts[1]].astype(np.int32)
    return [kept.squeeze(dropped), marks], (x, cuts, dropped)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    x, cuts, dropped = saved
    dx = np.zeros_like(x)
    dx[cuts] = np.expand_dims(doutputs[0], dropped)
    return [dx, None], []
