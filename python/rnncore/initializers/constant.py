"""Initializers without chance."""

from __future__ import annotations

import numpy as np

from rnncore import _validation as check
from rnncore.initializers.base import Array, Initializer, Shape

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Zeros(Initializer, aliases=("zero",)):
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


class Ones(Initializer, aliases=("one",)):
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

    def __init__(self, value: float = 0.0) -> None:
        self.value = check.number("value", value)

    def values(self, shape: Shape) -> Array:
        """The value, repeated to the given shape."""
        return np.full(shape, self.value)


class Identity(Initializer, aliases=("IdentityInitializer",)):
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

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = check.number("gain", gain)

    def values(self, shape: Shape) -> Array:
        """A matrix (rows, columns) with `gain` on the diagonal."""
        if len(shape) != 2:
            raise ValueError(f"shape must have two sizes for Identity, got {shape}")
        return self.gain * np.eye(*shape)
