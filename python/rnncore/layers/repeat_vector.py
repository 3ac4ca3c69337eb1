"""Repetition of a vector."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.program import Shape

__all__ = ["RepeatVector"]


class RepeatVector(Layer):
    """Make a sequence of n equal steps: (N, C) to (N, n, C).

    Parameters
    ----------
    n : int
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, C).

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.RepeatVector(5)(layers.Input((3,))).shape
    (None, 5, 3)
    """

    _op = "repeat_vector"
    _node_arguments = ("n",)
    _keeps_time = False

    def __init__(self, n: int, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.n = check.positive_int("n", n)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, C)."""
        if len(shape) != 2:
            raise ValueError(f"{self.name!r} needs an input of shape (N, C), got {shape}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, n, C)."""
        return ((input_shape[0], self.n, input_shape[1]),)
