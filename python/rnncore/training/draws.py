"""What a run of `fit` draws: the order of samples, and what dropout and augmentation begin with."""

from __future__ import annotations

import numpy as np

__all__ = ["Draws"]


class Draws:
    """Everything random of a run, which follows from one number.

    Attributes
    ----------
    start : int
        The number.
    order : numpy.random.Generator
        Draws the order of the samples of one epoch after the other.
    seed : int
        Of dropout and augmentation.
    """

    def __init__(self, start: int) -> None:
        self.begin(start)

    def begin(self, start: int) -> None:
        """Draw what a run draws that began with this number, from its beginning."""
        self.start = start
        self.order = np.random.default_rng(start)
        self.seed = int(self.order.integers(2**32))
