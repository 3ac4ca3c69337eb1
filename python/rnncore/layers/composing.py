"""Layers that are made of several ops: what appends their nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnncore.layers.builder import ProgramBuilder
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["END", "Composer"]

END = 2**31  # beyond any axis
WITH_MASKS = ("conv1d", "pad1d", "slice")  # ops whose second output is a mask


class Composer:
    """Appends nodes of one layer and knows the shapes of what they make.

    Axes are counted as those of arrays, the batch being 0. Sizes known only at run time are None; no op below has more
    than one of them after the batch.
    """

    def __init__(self, builder: ProgramBuilder, name: str) -> None:
        self._builder, self._name = builder, name

    def shape(self, x: int) -> Shape:
        """The shape of a value."""
        return self._builder.shape(x)

    def node(
        self, op: str, inputs: Sequence[int], shape: Shape, parameters: tuple[int, ...] = (), /, **attributes: Any
    ) -> int:
        """Append a node with one output of this shape."""
        made = self._builder.value(f"{self._name}/{op}", shape)
        outputs = (made, -1) if op in WITH_MASKS else (made,)
        self._builder.node(op, f"{self._name}/{op}", tuple(inputs), outputs, parameters, attributes)
        return made

    def merge(self, kind: str, *inputs: int) -> int:
        """Values merged, repeated along axes of size 1; they have the same rank, or begin after the batch with ones."""
        shapes = [self.shape(x) for x in inputs]
        rank = max(map(len, shapes))
        full = [(None, *(1,) * (rank - len(shape)), *shape[1:]) for shape in shapes]
        sizes = [next((size for size in axis if size != 1), 1) for axis in zip(*(s[1:] for s in full), strict=True)]
        return self.node("merge", inputs, (None, *sizes), kind=kind)

    def elementwise(self, function: str, x: int, **options: float) -> int:
        """A function of every number."""
        return self.node("elementwise", (x,), self.shape(x), function=function, **options)

    def activation(self, function: str, x: int) -> int:
        """An activation of every number."""
        return self.node("activation", (x,), self.shape(x), function=function)

    def rescale(self, x: int, scale: float, offset: float = 0.0) -> int:
        """Multiply by a number and add one."""
        return self.node("rescale", (x,), self.shape(x), scale=scale, offset=offset)

    def reshape(self, x: int, *sizes: int | None) -> int:
        """The same numbers in another shape after the batch."""
        return self.node("reshape", (x,), (None, *sizes), shape=[-1 if size is None else size for size in sizes])

    def permute(self, x: int, axes: Sequence[int]) -> int:
        """The axes after the batch in another order."""
        return self.node("permute", (x,), (None, *(self.shape(x)[axis] for axis in axes)), dims=list(axes))

    def row(self, numbers: Weight | Sequence[float], *sizes: int) -> int:
        """For every sample the numbers of a weight, or given ones, in this shape after the batch."""
        of_weight = isinstance(numbers, Weight)
        parameters = (self._builder.parameter(numbers),) if isinstance(numbers, Weight) else ()
        given = {} if of_weight else {"row": list(map(float, numbers))}  # type: ignore[arg-type]
        flat = self.node("repeat_row", (self._builder.batch,), (None, math.prod(sizes)), parameters, **given)
        return flat if len(sizes) == 1 else self.reshape(flat, *sizes)

    def slice(self, x: int, axis: int, shape: Shape, *cut: int) -> int:
        """What `cut`, start, stop and step, leaves of one axis: a value of this shape."""
        cuts = [cut if a == axis else (0, END, 1) for a in range(1, len(shape))]
        starts, stops, steps = (list(numbers) for numbers in zip(*cuts, strict=True))
        return self.node("slice", (x, -1), shape, starts=starts, stops=stops, steps=steps, drops=[0] * len(cuts))

    def zeroed(self, x: int, mask: int) -> int:
        """A sequence with zeros at the steps that are not valid: a product of nothing."""
        return x if mask < 0 else self.node("merge", (x, mask), self.shape(x), kind="multiply", masked=True)

    def mean(self, x: int, axes: Sequence[int], mask: int = -1) -> int:
        """The mean over some axes, which stay with size 1; of the time axis only where `mask` calls steps valid."""
        shape = self.shape(x)
        if len(shape) > 2 and 1 not in axes:  # in a stream a chunk has other numbers of steps
            shape = (None, None, *shape[2:])
        kept = [axis for axis in range(1, len(shape)) if axis not in axes]
        order = [*axes, *kept]
        if order != sorted(order):
            x = self.permute(x, order)
        reduced, others = ([shape[axis] for axis in some] for some in (axes, kept))
        flat = self.reshape(x, _product(reduced), _product(others))
        means = self.node("global_pool1d", (flat, mask), (None, _product(others)), kind="average")
        return self.reshape(means, *(1 if axis in axes else shape[axis] for axis in range(1, len(shape))))

    def sum(self, x: int, axes: Sequence[int]) -> int:
        """The sum over some axes of known sizes, which stay with size 1."""
        count = math.prod(size for size in (self.shape(x)[axis] for axis in axes) if size is not None)
        return self.rescale(self.mean(x, axes), count)

    def unit(self, x: int, axes: Sequence[int]) -> int:
        """Vectors of length 1 over some axes of known sizes; zeros stay zeros."""
        squares = self.elementwise("clip", self.sum(self.elementwise("square", x), axes), min_value=1e-24)
        return self.merge("multiply", x, self.elementwise("power", squares, exponent=-0.5))


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None
