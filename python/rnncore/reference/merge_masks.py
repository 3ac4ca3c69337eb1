"""Masks of arrays (N, T, ...) into one (N, T): of steps that are valid in all, in any, or one mask after the other.

Kind "reverse", of two masks of one array: what the second says of the steps that the first calls real, in their order,
for the array in reversed order of time.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    arrays, masks = inputs[::2], inputs[1::2]
    real = [real_steps(mask, x.shape) for x, mask in zip(arrays, masks, strict=True)]
    return [KINDS[attributes["kind"]](real).astype(np.int32)], [x.shape for x in arrays]


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    return [None] * (2 * len(saved)), []


def _reverse(real: list[Array]) -> Array:
    steps, mask = real
    backwards = np.flip(steps, axis=1)
    found = np.zeros_like(steps)
    found[backwards] = mask[steps]  # row by row, each with as many steps on both sides
    return found


KINDS = {
    "and": lambda real: reduce(np.logical_and, real),
    "or": lambda real: reduce(np.logical_or, real),
    "concatenate": lambda real: np.concatenate(real, axis=1),
    "reverse": _reverse,
}
