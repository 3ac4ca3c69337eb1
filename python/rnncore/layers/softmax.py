"""The softmax function as a layer."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.layers.activation import Elementwise
from rnncore.layers.arguments import LayerArguments, Unpack

__all__ = ["Softmax"]


class Softmax(Elementwise):
    """exp(x) / Σ exp(x) over the last axis.

    Parameters
    ----------
    axis : int, default -1
        Only the last axis is supported: a ValueError otherwise.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Softmax()(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _function = "softmax"
    _mixes_features = True

    def __init__(self, axis: int = -1, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.axis = check.integer("axis", axis)
        if self.axis != -1:
            raise ValueError(f"axis of {self.name!r} must be -1, the last one, got {axis}")
