"""Bands of steps or features that are blanked."""

from __future__ import annotations

import numpy as np

from rnncore import _validation as check
from rnncore.augmentation.base import Array, Augmentation, Lengths
from rnncore.augmentation.draws import Draws


class _Bands(Augmentation):
    def __init__(self, max_width: int, count: int = 1, value: float = 0.0, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.max_width = check.integer("max_width", max_width, low=0)
        self.count = check.positive_int("count", count)
        self.value = check.number("value", value)

    def _inside(self, size: int, limits: Lengths, draws: Draws) -> Array:
        """(N, size): what lies in one of the bands, which lie in the first `limits` (N,) places."""
        limit = limits[:, None]
        width = draws.whole(np.minimum(self.max_width, limit), self.count)  # (N, count)
        start = draws.whole(limit - width, self.count, purpose=1)
        place = np.arange(size)[:, None]
        inside: Array = np.any((place >= start[:, None]) & (place < (start + width)[:, None]), axis=2)
        return inside


class TimeMasking(_Bands):
    """Blank bands of consecutive steps, all features of them (SpecAugment: D. Park et al., Interspeech 2019).

    Parameters
    ----------
    max_width : int
        The width of each band is drawn from 0 to this, its place among the valid steps.
    count : int, default 1
        Number of bands; they may overlap.
    value : float, default 0.0
        What the blanked values become.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import TimeMasking
    >>> TimeMasking(4)(np.ones((2, 8, 1)), seed=4)[..., 0]
    array([[1., 1., 1., 1., 1., 0., 1., 1.],
           [1., 1., 1., 1., 1., 1., 1., 0.]])
    """

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        return np.where(self._inside(x.shape[1], lengths, draws)[..., None], self.value, x)


class FeatureMasking(_Bands):
    """Blank bands of neighbouring features at all steps, as SpecAugment's frequency masking.

    Parameters
    ----------
    max_width : int
        The width of each band is drawn from 0 to this.
    count : int, default 1
        Number of bands; they may overlap.
    value : float, default 0.0
        What the blanked values become.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import FeatureMasking
    >>> FeatureMasking(3)(np.ones((1, 2, 6)), seed=1)[0]
    array([[1., 1., 1., 1., 0., 0.],
           [1., 1., 1., 1., 0., 0.]])
    """

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        features = x.shape[2]
        inside = self._inside(features, np.full(len(x), features), draws)
        return np.where(inside[:, None], self.value, x)
