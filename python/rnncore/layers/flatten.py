"""Flattening."""

from __future__ import annotations

import math

from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.program import Shape

__all__ = ["Flatten"]


class Flatten(Layer):
    """Put all axes but the batch into one, in C order: (N, ...) to (N, product).

    Parameters
    ----------
    data_format : {None, "channels_last"}
        The only order there is.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Flatten()(layers.Input((5, 3))).shape
    (None, 15)
    """

    _op = "flatten"
    _keeps_time = False

    def __init__(self, data_format: str | None = None, **arguments: Unpack[LayerArguments]) -> None:
        if data_format not in (None, "channels_last"):
            raise ValueError(f"data_format must be None or 'channels_last', got {data_format!r}")
        super().__init__(**arguments)

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, product), with an unknown product if a size is unknown."""
        known = [size for size in input_shape[1:] if size is not None]
        return ((input_shape[0], math.prod(known) if len(known) == len(input_shape) - 1 else None),)
