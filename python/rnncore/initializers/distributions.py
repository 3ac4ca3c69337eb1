"""Initializers that draw from a plain distribution."""

from __future__ import annotations

import math

import numpy as np

from rnncore import _validation as check
from rnncore.initializers.base import Array, Seeded, Shape

__all__ = ["Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "truncated_normal"]


class RandomNormal(Seeded, aliases=("normal",)):
    """Normal numbers.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.RandomNormal(stddev=1.0, seed=0)((2, 3)).shape
    (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check.number("mean", mean)
        self.stddev = check.number("stddev", stddev, low=0.0)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.generator().normal(self.mean, self.stddev, shape)


class RandomUniform(Seeded, aliases=("uniform",)):
    """Uniform numbers in [minval, maxval).

    Parameters
    ----------
    minval : float, default -0.05
    maxval : float, default 0.05
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> bool((abs(initializers.RandomUniform(seed=0)((4, 4))) <= 0.05).all())
    True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = check.number("minval", minval)
        self.maxval = check.number("maxval", maxval, low=self.minval)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.generator().uniform(self.minval, self.maxval, shape)


def truncated_normal(generator: np.random.Generator, shape: Shape) -> Array:
    """Standard normal numbers, drawn again where they fall outside ±2."""
    draws = generator.standard_normal(shape)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = generator.standard_normal(int(outside.sum()))
    return draws


class TruncatedNormal(Seeded):
    """Normal numbers, none farther than two standard deviations from the mean.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        Of the normal distribution before it is cut off.
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> bool((abs(initializers.TruncatedNormal(seed=0)((9, 9))) <= 0.1).all())
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check.number("mean", mean)
        self.stddev = check.number("stddev", stddev, low=0.0)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.mean + self.stddev * truncated_normal(self.generator(), shape)


class Orthogonal(Seeded, aliases=("OrthogonalInitializer",)):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    All axes but the last count as rows. The distribution is the uniform one (Saxe et al. 2014).

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional

    Raises
    ------
    ValueError
        When called with fewer than two sizes.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import initializers
    >>> q = initializers.Orthogonal(seed=0)((2, 8))
    >>> bool(np.allclose(q @ q.T, np.eye(2), atol=1e-6))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = check.number("gain", gain)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Q of the QR decomposition of a normal matrix."""
        if len(shape) < 2:
            raise ValueError(f"shape must have at least two sizes for Orthogonal, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self.generator().standard_normal((max(rows, columns), min(rows, columns))))
        # the decomposition's own choice of signs is not uniform
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)
