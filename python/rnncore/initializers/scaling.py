"""Initializers whose variance follows from the shape."""

from __future__ import annotations

import math

from rnncore import _validation as check
from rnncore.initializers.base import Array, Seeded, Shape
from rnncore.initializers.distributions import truncated_normal

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
]

# Standard deviation of a standard normal cut off at ±2.
TRUNCATED_STDDEV = 0.87962566103423978


def _fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit: the last two sizes, each times the sizes before them."""
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class VarianceScaling(Seeded):
    """Random numbers of variance scale / n, where n is a count of inputs and outputs.

    Parameters
    ----------
    scale : float, default 1.0
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
        n: the number of inputs, of outputs, or their mean, over the whole fused matrix.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}, default "truncated_normal"
    seed : int, optional

    Raises
    ------
    ValueError
        If the scale is not positive, or a name is unknown.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=0)((2, 3)).dtype
    dtype('float32')
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        self.scale = check.number("scale", scale)
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        modes = ("fan_in", "fan_out", "fan_avg")
        self.mode = check.lookup("mode", mode, dict(zip(modes, modes, strict=True)))
        distributions = {
            "truncated_normal": "truncated_normal",
            "normal": "truncated_normal",
            "untruncated_normal": "untruncated_normal",
            "uniform": "uniform",
        }
        self.distribution = check.lookup("distribution", distribution, distributions)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        fan_in, fan_out = _fans(shape)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        generator = self.generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape)
        return math.sqrt(variance) / TRUNCATED_STDDEV * truncated_normal(generator, shape)


class _FixedScaling(VarianceScaling):
    """Base of the named kinds of variance scaling, which have a seed only."""

    _sections = """
    Parameters
    ----------
    seed : int, optional
    """
    _kind: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._kind, seed)


class GlorotUniform(_FixedScaling):
    """Uniform numbers of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

    Examples
    --------
    >>> from rnncore import initializers
    >>> bool((abs(initializers.GlorotUniform(seed=0)((2, 4))) <= 1.0).all())
    True
    """

    _kind = (1.0, "fan_avg", "uniform")


class GlorotNormal(_FixedScaling):
    """Truncated normal numbers of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.GlorotNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_FixedScaling):
    """Uniform numbers of variance 2 / inputs (He et al. 2015).

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.HeUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (2.0, "fan_in", "uniform")


class HeNormal(_FixedScaling):
    """Truncated normal numbers of variance 2 / inputs (He et al. 2015).

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.HeNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_FixedScaling):
    """Uniform numbers of variance 1 / inputs (LeCun et al. 1998).

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.LecunUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_in", "uniform")


class LecunNormal(_FixedScaling):
    """Truncated normal numbers of variance 1 / inputs (LeCun et al. 1998).

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.LecunNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_in", "truncated_normal")
