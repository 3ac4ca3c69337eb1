"""y = x with steps put before and after each row, zeros or its own steps reflected; or taken away.

The second output is the mask of the steps of y that its rows have.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward", "reflected"]


def reflected(steps: Array, length: int) -> Array:
    """The places within a row of so many steps that places beyond it stand for; the borders are not repeated."""
    if length == 1:
        return np.zeros_like(steps)
    period = 2 * (length - 1)
    places = steps % period
    return np.asarray(np.minimum(places, period - places))


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
    x, mask = inputs
    before, after, mode = attributes["before"], attributes["after"], attributes.get("mode", "zero")
    steps = x.shape[1] + before + after
    if steps < 1:
        raise ValueError(f"nothing is left of {x.shape[1]} steps with {before} and {after} more")
    if mode == "reflect" and max(before, after) >= x.shape[1]:
        raise ValueError(f"expected more than {max(before, after)} time steps to reflect, got {x.shape[1]}")
    lengths = real_steps(mask, x.shape).sum(axis=1)
    marks = (np.arange(steps) < (lengths + before + after)[:, None]).astype(np.int32)
    sources = np.arange(steps) - before
    y, places = np.zeros((x.shape[0], steps, *x.shape[2:]), x.dtype), []
    for row, length in enumerate(lengths):
        to = np.flatnonzero(marks[row]) if length else np.arange(0)
        if mode == "zero":
            to = to[(sources[to] >= 0) & (sources[to] < length)]
        of = reflected(sources[to], length) if mode == "reflect" and length else sources[to]
        y[row, to] = x[row, of]
        places.append((to, of))
    return [y, marks], (x, places)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    x, places = saved
    dx = np.zeros_like(x)
    for row, (to, of) in enumerate(places):
        np.add.at(dx[row], of, doutputs[0][row, to])
    return [dx, None], []
