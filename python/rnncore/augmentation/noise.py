"""Noise on values: added, or as a factor."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.augmentation.base import Array, Augmentation, Lengths
from rnncore.augmentation.curves import smooth_curves
from rnncore.augmentation.draws import Draws


class Jitter(Augmentation):
    """Add normal noise to every value (Um et al., "Data augmentation of wearable sensor data", ICMI 2017).

    Parameters
    ----------
    sigma : float, default 0.03
        Standard deviation of the noise.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import Jitter
    >>> noisy = Jitter(0.1)(np.zeros((100, 20, 3)), seed=1)
    >>> round(float(noisy.std()), 2)
    0.1
    """

    def __init__(self, sigma: float = 0.03, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.sigma = check.number("sigma", sigma, low=0.0)

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        noisy: Array = x + self.sigma * draws.normal(x[0].size).reshape(x.shape)
        return noisy


class Scaling(Augmentation):
    """Multiply each feature of a sample by one random factor (Um et al. 2017).

    Parameters
    ----------
    sigma : float, default 0.1
        Standard deviation of the factors around 1.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import Scaling
    >>> y = Scaling(0.2)(np.ones((1, 3, 1)), seed=1)
    >>> bool(y[0, 0] == y[0, 1] == y[0, 2] != 1)
    True
    """

    def __init__(self, sigma: float = 0.1, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.sigma = check.number("sigma", sigma, low=0.0)

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        scaled: Array = x * (1 + self.sigma * draws.normal(x.shape[2]))[:, None]
        return scaled


class MagnitudeWarp(Augmentation):
    """Multiply each feature of a sample by a smooth random curve around 1 (Um et al. 2017).

    Parameters
    ----------
    sigma : float, default 0.2
        Standard deviation of the curve at its knots.
    knots : int, default 4
        Inner knots of the curve; more make it change faster.
    probability : float in [0, 1], default 1.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import MagnitudeWarp
    >>> curve = MagnitudeWarp(0.2)(np.ones((1, 50, 1)), seed=1)
    >>> bool(np.abs(np.diff(curve[0, :, 0])).max() < 0.1 < np.ptp(curve))
    True
    """

    def __init__(self, sigma: float = 0.2, knots: int = 4, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.sigma = check.number("sigma", sigma, low=0.0)
        self.knots = check.integer("knots", knots, low=0)

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        features = x.shape[2]
        values = draws.normal((self.knots + 2) * features).reshape(len(x), self.knots + 2, features)
        warped: Array = x * (1 + self.sigma * smooth_curves(values, lengths, x.shape[1]))
        return warped
