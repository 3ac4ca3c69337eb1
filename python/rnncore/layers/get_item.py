"""Parts of a value."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import END
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["GetItem"]

DOTS = "..."  # an Ellipsis in a config


class GetItem(Layer):
    """Part of each sample, by Python's rules: `x[:, -1]`, `x[:, 2:5]`, `x[..., 0]` on symbolic values make such layers.

    A step of the part is padding, or masked, where it was in the whole.

    Parameters
    ----------
    index : tuple of slice, int and at most one Ellipsis
        As in brackets: the first entry, for the batch, takes all. In configs a slice is a list
        [start, stop, step] and the Ellipsis "...".
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For an index of another kind, or one that leaves nothing of an axis.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((10, 4))
    >>> x[:, -1].shape, x[:, 2:5].shape, x[..., 0].shape
    ((None, 4), (None, 3, 4), (None, 10))
    """

    _op = "slice"

    def __init__(self, index: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        entries = tuple(index) if isinstance(index, (tuple, list)) else (index,)
        self.index = [_entry(entry) for entry in entries]
        if self.index.count(DOTS) > 1:
            raise ValueError(f"index may have one Ellipsis, got {index}")
        if not self.index or self.index[0] not in (DOTS, [None, None, None]):
            raise ValueError(f"index must begin with ':', for the batch, got {index}; parts are of each sample")

    def build(self, input_shape: Shape) -> None:
        """Learn whether the time axis stays as it is."""
        super().build(input_shape)
        self._keeps_time = self._acts_per_step = len(input_shape) > 2 and self._cuts(input_shape)[0] == [
            None,
            None,
            None,
        ]

    def _cuts(self, shape: Shape) -> list[Any]:
        """The entry for each axis after the batch."""
        given = self.index if DOTS in self.index else [*self.index, DOTS]
        place, missing = given.index(DOTS), len(shape) - len(given) + 1
        if missing < 0:
            raise ValueError(f"{self.name!r} has {len(given) - 1} indices for an input of shape {shape}")
        cuts = [*given[:place], *[[None, None, None]] * missing, *given[place + 1 :]]
        if isinstance(cuts[0], int):
            raise ValueError(f"{self.name!r} cannot take samples out of the batch, got shape {shape}")
        return cuts[1:]

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless something is left of each axis, and an axis after the batch."""
        cuts = self._cuts(shape)
        if all(isinstance(cut, int) for cut in cuts):
            raise ValueError(f"{self.name!r} must leave an axis after the batch, as x[:, 0:1] does, got shape {shape}")
        for axis, (cut, size) in enumerate(zip(cuts, shape[1:], strict=True), start=1):
            if size is not None and isinstance(cut, int) and not -size <= cut < size:
                raise ValueError(f"{self.name!r} has index {cut} for axis {axis} of size {size}")
            if size is not None and not isinstance(cut, int) and not range(size)[slice(*cut)]:
                raise ValueError(f"{self.name!r} leaves nothing of axis {axis} of size {size}: {slice(*cut)}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """What is left of each axis; None where it depends on the size at run time."""
        cuts = zip(self._cuts(input_shape), input_shape[1:], strict=True)
        sizes = [
            None if size is None else len(range(size)[slice(*cut)]) for cut, size in cuts if not isinstance(cut, int)
        ]
        return ((input_shape[0], *sizes),)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the node of the part, and where they differ from what came those of the masks of its steps."""
        x = inputs[0]
        given = builder.shape(x)
        (shape,) = self._output_shapes(given)
        output = builder.value(self.name, shape)
        cuts = self._cuts(given)
        ends = len(given) < 3 or isinstance(cuts[0], int)
        padding, own = (-1, -1) if ends else (masks[0].padding, masks[0].own)
        if not self._keeps_time:
            of = [-1 if mask < 0 else builder.value(f"{self.name}/mask", shape[:2], "int") for mask in (padding, own)]
            if builder.ends_rows(padding) and (cuts[0][2] or 1) > 0:
                builder.row_ends.add(of[0])
            builder.node(self._op, self.name, (x, padding), (output, of[0]), (), _attributes(cuts))
            if own >= 0:
                builder.node(self._op, f"{self.name}/mask", (x, own), (-1, of[1]), (), _attributes(cuts))
            padding, own = of
        else:
            builder.node(self._op, self.name, (x, -1), (output, -1), (), _attributes(cuts))
        self._mask = Mask(padding, own)
        return (output,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of the steps that are left."""
        return (self._mask,)


def _entry(entry: Any) -> Any:
    """An entry of an index as it stands in a config."""
    if entry is Ellipsis or entry == DOTS:
        return DOTS
    if isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 3:
        entry = slice(*entry)
    if isinstance(entry, slice):
        parts = [None if part is None else _whole(part) for part in (entry.start, entry.stop, entry.step)]
        if parts[2] == 0:
            raise ValueError("index must have no step of 0")
        return [None if part == default else part for part, default in zip(parts, (None, None, 1), strict=True)]
    return _whole(entry)


def _whole(value: Any) -> int:
    hint = "; give a Reshape for a new axis" if value is None else ""
    if isinstance(value, bool):
        raise TypeError(f"index must hold slices, integers and Ellipsis, got {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"index must hold slices, integers and Ellipsis, got {type(value).__name__}{hint}") from None


def _attributes(cuts: Sequence[Any]) -> dict[str, Any]:
    """Starts, stops, steps and which axes drop."""
    attributes: dict[str, list[int]] = {"starts": [], "stops": [], "steps": [], "drops": []}
    for cut in cuts:
        drops = isinstance(cut, int)
        start, stop, step = (cut, cut + 1 or END, 1) if drops else cut
        step = 1 if step is None else step
        first, last = (0, END) if step > 0 else (END, -END)
        values = (first if start is None else start, last if stop is None else stop, step, int(drops))
        for numbers, value in zip(attributes.values(), values, strict=True):
            numbers.append(max(-END, min(END, value)))
    return attributes
