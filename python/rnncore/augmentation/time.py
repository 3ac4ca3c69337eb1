"""Changes of time. They suit targets that belong to the whole sequence, not those of single steps."""

from __future__ import annotations

import numpy as np

from rnncore import _validation as check
from rnncore.augmentation.base import Array, Augmentation, Lengths
from rnncore.augmentation.curves import read_at, smooth_curves
from rnncore.augmentation.draws import Draws

SLOWEST = 0.1  # of the usual speed: time never stands still or runs back


class TimeWarp(Augmentation):
    """Let time run faster and slower along a smooth random curve (Um et al. 2017).

    First and last valid step stay; between them the sequence is read on the straight lines between its steps.

    Parameters
    ----------
    sigma : float, default 0.2
        Standard deviation of the speed around 1 at the knots of its curve.
    knots : int, default 4
        Inner knots of the curve.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import TimeWarp
    >>> y = TimeWarp()(np.arange(10.0).reshape(1, 10, 1), seed=1)[0, :, 0]
    >>> float(y[0]), round(float(y[-1]), 6), bool((np.diff(y) > 0).all())
    (0.0, 9.0, True)
    """

    def __init__(self, sigma: float = 0.2, knots: int = 4, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.sigma = check.number("sigma", sigma, low=0.0)
        self.knots = check.integer("knots", knots, low=0)

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        steps = x.shape[1]
        values = draws.normal(self.knots + 2)[..., None]
        speed = np.maximum(1 + self.sigma * smooth_curves(values, lengths, steps)[..., 0], SLOWEST)  # (N, T)
        passed = np.cumsum(speed, axis=1) - speed[:, :1]
        last = np.maximum(lengths - 1, 0)[:, None]
        total = np.take_along_axis(passed, last, axis=1)
        return read_at(x, passed * (last / np.where(total > 0, total, 1)), lengths)


class WindowSlicing(Augmentation):
    """Cut a random window out of each sequence and stretch it to the old length.

    A. Le Guennec et al., "Data augmentation for time series classification using convolutional neural networks",
    2016.

    Parameters
    ----------
    ratio : float in (0, 1], default 0.9
        The length of the window, as a share of the sequence's.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import WindowSlicing
    >>> y = WindowSlicing(0.5)(np.arange(9.0).reshape(1, 9, 1), seed=1)[0, :, 0]
    >>> np.diff(y)
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """

    def __init__(self, ratio: float = 0.9, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.ratio = check.number("ratio", ratio, low=0.0)
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio must lie in (0, 1], got {ratio}")

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        last = np.maximum(lengths - 1, 0)[:, None]
        start = draws.uniform(1) * (1 - self.ratio) * last
        return read_at(x, start + self.ratio * np.arange(x.shape[1]), lengths)


class Permutation(Augmentation):
    """Cut each sequence into equal pieces and put them together in random order (Um et al. 2017).

    Parameters
    ----------
    max_segments : int, default 5
        The number of pieces is drawn from 1 to this.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import Permutation
    >>> Permutation(3)(np.arange(6.0).reshape(1, 6, 1), seed=1)[0, :, 0]
    array([2., 3., 4., 5., 0., 1.])
    """

    def __init__(self, max_segments: int = 5, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.max_segments = check.positive_int("max_segments", max_segments)

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        steps = np.arange(x.shape[1])
        pieces = 1 + draws.whole(self.max_segments - 1)  # (N, 1)
        piece = np.minimum(steps * pieces // np.maximum(lengths, 1)[:, None], self.max_segments - 1)  # (N, T)
        rank = np.argsort(np.argsort(draws.uniform(self.max_segments, purpose=1), axis=1), axis=1)
        place = np.take_along_axis(rank, piece, axis=1)
        place = np.where(steps < lengths[:, None], place, self.max_segments)  # padding stays behind
        order = np.argsort(place, axis=1, kind="stable")
        return np.take_along_axis(x, order[..., None], axis=1)
