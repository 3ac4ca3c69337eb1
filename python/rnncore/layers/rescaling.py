"""A fixed factor and a fixed summand."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.base import Layer

__all__ = ["Rescaling"]


class Rescaling(Layer):
    """x · scale + offset. `2 * x`, `x / 2`, `-x`, `x + 1` and `1 - x` on symbolic values make such layers.

    Parameters
    ----------
    scale : float
    offset : float, default 0.0
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If one of the two is no finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> x = layers.Input((2,))
    >>> models.Model(x, layers.Rescaling(0.5, offset=1.0)(x)).predict(np.array([[2.0, 4.0]]), verbose=0)
    array([[2., 3.]], dtype=float32)
    """

    _op = "rescale"
    _node_arguments = ("scale", "offset")
    _acts_per_step = _treats_steps_as_samples = True

    def __init__(self, scale: float, offset: float = 0.0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.scale = check.number("scale", scale)
        self.offset = check.number("offset", offset)
