"""First values of weights, drawn over the whole (fused) matrix as Keras draws them.

An initializer is called with a shape and gives an array. Two calls of one object give the same
numbers: its seed is fixed when it is made, from `seed` or from `rnncore.utils.set_random_seed`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import utils

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "deserialize",
    "get",
    "serialize",
]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

# Standard deviation of a standard normal cut off at ±2.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(ABC):
    """Base of all initializers: subclass and define `values(shape)` for one of your own.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import initializers, layers
    >>> class Ramp(initializers.Initializer):
    ...     def values(self, shape):
    ...         return np.arange(np.prod(shape)).reshape(shape)
    >>> Ramp()((2, 2))
    array([[0., 1.],
           [2., 3.]], dtype=float32)
    """

    _arguments: tuple[str, ...] = ()

    @abstractmethod
    def values(self, shape: Shape) -> Array:
        """Numbers of the given shape, in any real dtype."""

    def __call__(self, shape: Shape, dtype: npt.DTypeLike = "float32") -> Array:
        """Make an array of `shape` and `dtype` (default float32)."""
        sizes = tuple(check.integer("each size of shape", size, low=0) for size in shape)
        return np.ascontiguousarray(self.values(sizes), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in self._arguments}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def values(self, shape: Shape) -> Array:
        """Zeros of the given shape."""
        return np.zeros(shape)


class Ones(Initializer):
    """All ones.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def values(self, shape: Shape) -> Array:
        """Ones of the given shape."""
        return np.ones(shape)


class Constant(Initializer):
    """The same number everywhere.

    Parameters
    ----------
    value : float, default 0.0

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    _arguments = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        self.value = check.number("value", value)

    def values(self, shape: Shape) -> Array:
        """The value, repeated to the given shape."""
        return np.full(shape, self.value)


class Identity(Initializer):
    """Ones on the diagonal of a matrix, times `gain`; zeros elsewhere.

    Parameters
    ----------
    gain : float, default 1.0

    Raises
    ------
    ValueError
        When called with a shape that is not two-dimensional.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    _arguments = ("gain",)

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = check.number("gain", gain)

    def values(self, shape: Shape) -> Array:
        """A matrix (rows, columns) with `gain` on the diagonal."""
        if len(shape) != 2:
            raise ValueError(f"shape must have two sizes for Identity, got {shape}")
        return self.gain * np.eye(*shape)


class _Random(Initializer):
    """Base of the random ones: `seed` is as given, `_seed` the number in use."""

    def __init__(self, seed: int | None) -> None:
        self.seed = None if seed is None else check.integer("seed", seed, low=0)
        self._seed = utils.next_seed() if self.seed is None else self.seed

    def generator(self) -> np.random.Generator:
        """A generator that starts at the beginning each time."""
        return np.random.default_rng(self._seed)


class RandomNormal(_Random):
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

    _arguments = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check.number("mean", mean)
        self.stddev = check.number("stddev", stddev, low=0.0)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.generator().normal(self.mean, self.stddev, shape)


class RandomUniform(_Random):
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

    _arguments = ("minval", "maxval", "seed")

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = check.number("minval", minval)
        self.maxval = check.number("maxval", maxval, low=self.minval)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.generator().uniform(self.minval, self.maxval, shape)


def _truncated_normal(generator: np.random.Generator, shape: Shape) -> Array:
    """Standard normal numbers, drawn again where they fall outside ±2."""
    draws = generator.standard_normal(shape)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = generator.standard_normal(int(outside.sum()))
    return draws


class TruncatedNormal(_Random):
    """Normal numbers, none further than two standard deviations from the mean.

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

    _arguments = ("mean", "stddev", "seed")

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check.number("mean", mean)
        self.stddev = check.number("stddev", stddev, low=0.0)
        super().__init__(seed)

    def values(self, shape: Shape) -> Array:
        """Independent draws of the given shape."""
        return self.mean + self.stddev * _truncated_normal(self.generator(), shape)


def _fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one unit: the last two sizes, each times the sizes before them."""
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class VarianceScaling(_Random):
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

    _arguments: tuple[str, ...] = ("scale", "mode", "distribution", "seed")

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
        return math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated_normal(generator, shape)


class _FixedScaling(VarianceScaling):
    """Base of the named kinds of variance scaling, which have a seed only."""

    _arguments = ("seed",)
    _kind: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._kind, seed)


class GlorotUniform(_FixedScaling):
    """Uniform numbers of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> bool((abs(initializers.GlorotUniform(seed=0)((2, 4))) <= 1.0).all())
    True
    """

    _kind = (1.0, "fan_avg", "uniform")


class GlorotNormal(_FixedScaling):
    """Truncated normal numbers of variance 2 / (inputs + outputs) (Glorot and Bengio 2010).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.GlorotNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_FixedScaling):
    """Uniform numbers of variance 2 / inputs (He et al. 2015).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.HeUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (2.0, "fan_in", "uniform")


class HeNormal(_FixedScaling):
    """Truncated normal numbers of variance 2 / inputs (He et al. 2015).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.HeNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_FixedScaling):
    """Uniform numbers of variance 1 / inputs (LeCun et al. 1998).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.LecunUniform(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_in", "uniform")


class LecunNormal(_FixedScaling):
    """Truncated normal numbers of variance 1 / inputs (LeCun et al. 1998).

    Parameters
    ----------
    seed : int, optional

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.LecunNormal(seed=0)((2, 4)).shape
    (2, 4)
    """

    _kind = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
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

    _arguments = ("gain", "seed")

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


# All that names an initializer.
Identifier = str | dict[str, Any] | type[Initializer] | Initializer

_CLASSES: tuple[Callable[..., Initializer], ...] = (
    Zeros,
    Ones,
    Constant,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    GlorotUniform,
    GlorotNormal,
    HeUniform,
    HeNormal,
    LecunUniform,
    LecunNormal,
    Orthogonal,
    Identity,
)

_TABLE: dict[str, Callable[..., Initializer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{utils.snake_case(cls.__name__): cls for cls in _CLASSES},
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "OrthogonalInitializer": Orthogonal,
    "IdentityInitializer": Identity,
}


def serialize(initializer: Initializer) -> dict[str, Any]:
    """Describe an initializer as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.serialize(initializers.Constant(0.5))
    {'class_name': 'Constant', 'config': {'value': 0.5}}
    """
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def deserialize(config: dict[str, Any]) -> Initializer:
    """Make an initializer from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.deserialize({"class_name": "Constant", "config": {"value": 0.5}})
    Constant(value=0.5)
    """
    return check.lookup("initializer", config.get("class_name", ""), _TABLE)(**config.get("config", {}))


def get(identifier: Identifier) -> Initializer:
    """Find an initializer by name (`"glorot_uniform"` or `"GlorotUniform"`), description or class.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import initializers
    >>> initializers.get("he_normal")
    HeNormal(seed=None)
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    return check.lookup("initializer", identifier, _TABLE)()
