"""Another order of axes."""

from __future__ import annotations

from collections.abc import Sequence

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.program import Shape

__all__ = ["Permute"]


class Permute(Layer):
    """Put the axes after the batch into another order.

    Parameters
    ----------
    dims : sequence of int
        Axis k of the output is axis dims[k] of the input, both counted from 1: (2, 1) exchanges two axes.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input with another number of axes.

    Notes
    -----
    Masks end here, as in Keras. The lengths of a batch go on where the first axis stays.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Permute((2, 1))(layers.Input((5, 3))).shape
    (None, 3, 5)
    """

    _op = "permute"
    _node_arguments = ("dims",)
    _keeps_time = False

    def __init__(self, dims: Sequence[int], **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        if isinstance(dims, (str, int)) or not isinstance(dims, Sequence):
            raise TypeError(f"dims must be a tuple of axes, got {type(dims).__name__} {dims!r}")
        self.dims = tuple(check.integer("each of dims", axis) for axis in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"dims must hold each axis from 1 to {len(self.dims)} once, got {self.dims}")

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the input has as many axes as `dims`, and the batch."""
        if len(shape) != len(self.dims) + 1:
            raise ValueError(f"{self.name!r} needs an input of {len(self.dims) + 1} axes, got shape {shape}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The sizes in their new order."""
        return ((input_shape[0], *(input_shape[axis] for axis in self.dims)),)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """Lengths, where the time stays first."""
        return (masks[0].padding_alone if self.dims[0] == 1 else NO_MASK,)
