"""What an op of a Program is: a forward and a backward function on lists of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._sequence_arguments import Array
from . import random

__all__ = ["Arrays", "Op", "Run"]

Arrays = list[Any]  # positional slots of a node: arrays, or None where a slot is absent or a gradient zero


@dataclass(frozen=True)
class Run:
    """What a node may know of the run besides its inputs."""

    training: bool
    seed: int
    step: int
    node: int = -1  # its index in the Program
    dtype: npt.DTypeLike = np.float64
    states: Array | None = None  # (N·S,), kept from step to step
    resume: bool = True  # begin with what `states` holds

    def state(self, offset: int, shape: tuple[int, ...]) -> Array:
        """The view (N, H) of one state."""
        assert self.states is not None
        start = shape[0] * offset
        return self.states[start : start + math.prod(shape)].reshape(shape)

    def uniform(self, size: int, seed: int, array: int = 0) -> Array:
        """Random numbers (size,) in [0, 1) that belong to this node and step, and to that array of them."""
        return random.uniform(size, self.seed + seed, self.step, self.node, array)

    def normal(self, size: int, seed: int) -> Array:
        """Normal random numbers (size,) that belong to this node and step."""
        return random.normal(size, self.seed + seed, self.step, self.node)


class Op(Protocol):
    def forward(
        self, inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run
    ) -> tuple[list[Array], Any]:
        """Return the outputs and what `backward` needs."""

    def backward(self, doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
        """Return the gradients to the inputs and to the weights. At least one of `doutputs` is not None."""
