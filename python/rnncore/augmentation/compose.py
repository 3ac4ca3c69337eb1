"""Augmentations one after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncore.augmentation.base import Array, Augmentation, Lengths
from rnncore.augmentation.draws import Draws

WITHIN = 64  # stages of a chain within a chain


class Compose(Augmentation):
    """Apply augmentations one after another.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        At most 63.
    probability : float in [0, 1], default 1.0
        The share of the samples that are changed at all.

    Raises
    ------
    TypeError, ValueError
        If an entry is no augmentation, or there are none or too many.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import Compose, Jitter, TimeMasking
    >>> both = Compose([Jitter(0.1), TimeMasking(3)])
    >>> both(np.zeros((2, 5, 1)), seed=1).shape
    (2, 5, 1)
    """

    def __init__(self, augmentations: Sequence[Augmentation], *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.augmentations = list(augmentations)
        if not 1 <= len(self.augmentations) < WITHIN:
            raise ValueError(f"augmentations must be 1 to {WITHIN - 1}, got {len(self.augmentations)}")
        for number, entry in enumerate(self.augmentations):
            if not isinstance(entry, Augmentation):
                raise TypeError(f"augmentations[{number}] must be an Augmentation, got {type(entry).__name__}")

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        for number, augmentation in enumerate(self.augmentations):
            stage = (draws.stage * WITHIN + number + 1) % 2**28
            x = augmentation(
                x, lengths, seed=draws.seed, epoch=draws.epoch, samples=np.asarray(draws.samples), stage=stage
            )
        return x
