"""Random numbers that belong to a sample in an epoch, whatever batch, order or thread it comes in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnncore.reference.random import philox

WORD = np.uint64(0xFFFFFFFF)
APART = 0x61756721  # keeps these numbers apart from those of dropout, which has the same seed


@dataclass(frozen=True)
class Draws:
    """Where in the sequence of random numbers a batch of samples stands."""

    seed: int
    epoch: int
    samples: npt.NDArray[np.int64]  # (N,)
    stage: int  # which augmentation of a chain

    def uniform(self, size: int, purpose: int = 0) -> npt.NDArray[np.float64]:
        """(N, size) numbers in (0, 1); another `purpose` gives others."""
        blocks = (size + 3) // 4
        shape = (len(self.samples), blocks)
        counter = np.empty((*shape, 4), np.uint64)
        counter[..., 0] = np.arange(blocks)
        counter[..., 1] = self.samples[:, None]
        counter[..., 2] = self.epoch
        counter[..., 3] = self.stage * 4 + purpose
        key = np.array([self.seed & 0xFFFFFFFF, (self.seed >> 32) ^ APART], np.uint64)
        words = philox((counter & WORD).reshape(-1, 4), key).reshape(len(self.samples), -1)[:, :size]
        numbers: npt.NDArray[np.float64] = (words + 0.5) * 2.0**-32
        return numbers

    def normal(self, size: int, purpose: int = 0) -> npt.NDArray[np.float64]:
        """(N, size) numbers of the standard normal distribution (Box and Muller 1958)."""
        half = (size + 1) // 2
        pairs = self.uniform(2 * half, purpose)
        radius, angle = np.sqrt(-2 * np.log(pairs[:, :half])), 2 * np.pi * pairs[:, half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :size]

    def whole(self, high: npt.ArrayLike, size: int = 1, purpose: int = 0) -> npt.NDArray[np.int64]:
        """(N, size) whole numbers from 0 to `high`, which may differ from sample to sample (N, 1)."""
        top = np.asarray(high, np.int64)
        drawn: npt.NDArray[np.int64] = np.minimum((self.uniform(size, purpose) * (top + 1)).astype(np.int64), top)
        return drawn
