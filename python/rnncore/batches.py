"""What a call of an executor is given: samples cut into batches, and how to update the weights after each.

Nobody changes these; they are not frozen because small calls would feel the time that takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Batches", "Samples", "Update"]

Array = npt.NDArray[Any]


@dataclass
class Samples:
    """Arrays ready for an executor, one row per sample."""

    inputs: Sequence[Array]  # one per input of the Program
    targets: Sequence[Array] = ()  # one per output; empty for predictions
    weights: Sequence[Array | None] = ()  # one per output, (N,) or (N, ...); empty for none at all
    lengths: Array | None = None  # (N,)

    @property
    def rows(self) -> int:
        return len(self.inputs[0])

    def __getitem__(self, part: slice) -> Samples:
        return self._each(part)

    def take(self, rows: Array) -> Samples:
        """Copies of the rows with these numbers."""
        return self._each(rows)

    def _each(self, part: slice | Array) -> Samples:
        return Samples(
            [array[part] for array in self.inputs],
            [array[part] for array in self.targets],
            [None if array is None else array[part] for array in self.weights],
            None if self.lengths is None else self.lengths[part],
        )


@dataclass
class Batches:
    """Samples in an order, cut into batches of which the last may be short."""

    samples: Samples
    order: Array  # (n,) int64
    batch_size: int
    states: Array | None = None  # (batch_size·S,) that each batch begins with, and leaves its own in
    resume: bool = True  # whether the first step goes on from `states`
    on_batch: Callable[[int], bool] | None = None  # told the number of batches done; True stops the call
    every_batch: bool = False  # whether `on_batch` is called after each batch, not only now and then

    @classmethod
    def whole(cls, samples: Samples, **options: Any) -> Batches:
        """All samples in one batch."""
        return cls(samples, np.arange(samples.rows), samples.rows, **options)

    @property
    def count(self) -> int:
        """The number of batches."""
        return -(-len(self.order) // self.batch_size)

    def each(self) -> Iterator[Batches]:
        """The batches one by one."""
        for start in range(0, len(self.order), self.batch_size):
            order = self.order[start : start + self.batch_size]
            yield Batches(self.samples, order, self.batch_size, self.states, self.resume)


@dataclass
class Update:
    """How the steps of training on some batches change the weights."""

    rates: npt.NDArray[np.float64]  # (number of batches,), each read when its step begins
    step: int  # the number of steps done before: of random numbers, and of rules that count
    seed: int  # of random numbers

    def of_batch(self, number: int) -> Update:
        """That of one batch."""
        return Update(self.rates[number : number + 1], self.step + number, self.seed)
