"""What all initializers share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import config, seeds
from rnncore._configurable import Configurable

__all__ = ["Initializer", "Seeded"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class Initializer(Configurable, registry="initializer"):
    """Base of all initializers: subclass and define `values(shape)` for one of your own.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import initializers
    >>> class Ramp(initializers.Initializer):
    ...     def values(self, shape):
    ...         return np.arange(np.prod(shape)).reshape(shape)
    >>> Ramp()((2, 2))
    array([[0., 1.],
           [2., 3.]], dtype=float32)
    """

    def values(self, shape: Shape) -> Array:
        """Numbers of the given shape, in any real dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define values(shape)")

    def __call__(self, shape: Shape, dtype: npt.DTypeLike | None = None) -> Array:
        """Make an array of `shape` and `dtype` (default `config.floatx()`); ValueError if a number would be lost."""
        sizes = tuple(check.integer("each size of shape", size, low=0) for size in shape)
        to = config.floatx() if dtype is None else dtype
        values = check.cast(f"values of {type(self).__name__}", np.asarray(self.values(sizes)), to)
        return np.asarray(values, order="C")


class Seeded(Initializer, registered=False):
    """Base of the random ones: `seed` is as given, and drawn when the object is made if it is None."""

    def __init__(self, seed: int | None) -> None:
        self.seed = None if seed is None else check.integer("seed", seed, low=0)
        self._seed = seeds.next_seed() if self.seed is None else self.seed

    def generator(self) -> np.random.Generator:
        """A generator that starts at the beginning each time."""
        return np.random.default_rng(self._seed)
