"""Joining along an axis."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.layers.merging import Merge
from rnncore.program import Shape

__all__ = ["Concatenate", "concatenate"]


class Concatenate(Merge):
    """Join values along one axis; all other axes have equal sizes.

    Parameters
    ----------
    axis : int, default -1
        Any but the batch's, 0.
    **arguments
        `name`, `trainable`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or shapes that do not fit.

    Notes
    -----
    Where all inputs have a mask, a step of the output is real if it is real in any of them. Joined in time, the masks
    are joined, too; an input without one counts as real.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((5, 3))
    >>> layers.Concatenate()([x, x]).shape
    (None, 5, 6)
    """

    _sections = ""
    _op = "concatenate"
    _least = 1

    def __init__(self, axis: int = -1, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.axis = check.integer("axis", axis)
        if self.axis == 0:
            raise ValueError("axis must not be that of the batch, got 0")
        self._keeps_time = self._acts_per_step = self.axis == -1

    def _merged_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """The shape of the first input with the sizes along the axis added up."""
        rank = len(shapes[0])
        if not -rank < self.axis < rank:
            raise ValueError(f"axis of {self.name!r} must be one of those after the batch of {shapes[0]}")
        axis = self.axis % rank
        if axis == 0:
            raise ValueError(f"axis of {self.name!r} must not be that of the batch of {shapes[0]}, got {self.axis}")
        merged: list[int | None] = list(shapes[0])
        for shape in shapes[1:]:
            others = [a for a in range(rank) if a != axis]
            if len(shape) != rank or any(None not in (merged[a], shape[a]) and merged[a] != shape[a] for a in others):
                raise ValueError(
                    f"{self.name!r} needs inputs of equal shapes but for axis {self.axis}, got {list(shapes)}"
                )
            for a in others:
                merged[a] = shape[a] if merged[a] is None else merged[a]
            size, added = merged[axis], shape[axis]
            merged[axis] = None if size is None or added is None else size + added
        return tuple(merged)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """As for other merging layers, or one mask after the other."""
        if self.axis % len(builder.shape(inputs[0])) != 1:
            return super()._emit_masks(builder, inputs, masks)
        before, last = [mask.padding for mask in masks[:-1]], masks[-1].padding
        padding = builder.merge_masks("concatenate", self.name, inputs, (*before, last))
        if builder.ends_rows(last) and all(mask < 0 for mask in before):
            builder.row_ends.add(padding)
        of = list(zip(inputs, masks, strict=True))
        return (Mask(padding, builder.merge_own("concatenate", self.name, of)),)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"axis": self.axis}


def concatenate(inputs: Any, axis: int = -1, **arguments: Unpack[LayerArguments]) -> Any:
    """Join values along one axis: `Concatenate(axis, **arguments)(inputs)`.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.concatenate([layers.Input((3,)), layers.Input((2,))]).shape
    (None, 5)
    """
    return Concatenate(axis, **arguments)(inputs)
