"""Another shape for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.program import Shape

__all__ = ["Reshape"]


class Reshape(Layer):
    """Give each sample another shape, in C order: (N, ...) to (N, *target_shape).

    Parameters
    ----------
    target_shape : sequence of int
        Without the batch; one size may be -1 and follows from the others.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input with another number of elements.

    Notes
    -----
    Masks end here, as in Keras. The lengths of a batch go on where each step keeps its numbers, as from (T, 6) to
    (T, 2, 3) or from (T,) to (-1, 1).

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Reshape((-1, 2))(layers.Input((6,))).shape
    (None, 3, 2)
    """

    _op = "reshape"
    _keeps_time = False

    def __init__(self, target_shape: Sequence[int], **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        if isinstance(target_shape, (str, int)) or not isinstance(target_shape, Sequence):
            raise TypeError(
                f"target_shape must be a tuple of sizes, got {type(target_shape).__name__} {target_shape!r}"
            )
        self.target_shape = tuple(
            -1 if size == -1 else check.positive_int("each size of target_shape", size) for size in target_shape
        )
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape may have one -1, got {self.target_shape}")

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the number of elements fits."""
        size = _size(shape[1:])
        known = math.prod(n for n in self.target_shape if n > 0)
        if size is not None and (size % known if -1 in self.target_shape else size != known):
            raise ValueError(f"{self.name!r} cannot reshape an input of shape {shape} to {self.target_shape}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, *target_shape), where -1 is resolved if all sizes of the input are known."""
        size = _size(input_shape[1:])
        known = math.prod(n for n in self.target_shape if n > 0)
        rest = None if size is None else size // known
        return ((input_shape[0], *(rest if n == -1 else n for n in self.target_shape)),)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """Lengths, where steps stay steps."""
        given = builder.shape(inputs[0])
        (made,) = self._output_shapes(given)
        sizes = _size(given[2:]), _size(made[2:])
        keeps_steps = None not in sizes and sizes[0] == sizes[1]
        keeps_steps |= given[1] is not None and given[1] == made[1]
        return (masks[0].padding_alone if keeps_steps else NO_MASK,)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"shape": list(self.target_shape)}


def _size(sizes: Shape) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
