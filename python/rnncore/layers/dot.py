"""Products of two values, summed over one axis of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import Composer
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.merging import Merge
from rnncore.layers.symbolic import SymbolicValue
from rnncore.program import Shape

__all__ = ["Dot", "dot"]


class Dot(Merge):
    """The scalar products of two values along one axis of each, sample by sample.

    The axes of the first that are left come before those of the second: (N, T, K) and (N, S, K) with `axes=2` give
    (N, T, S), two vectors (N, K) give (N, 1).

    Parameters
    ----------
    axes : int, or two of them
        The axis of both, or one for each; not the batch's, 0; of known sizes.
    normalize : bool, default False
        Whether the vectors are scaled to length 1 before: then products are the cosines of their angles.
    **arguments
        `name`, `trainable`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or inputs that have no such axes, or other sizes there.

    Notes
    -----
    All products are in memory before they are summed: T·S·K numbers for a sample above. `Attention` keeps none.
    Masks end here, as in Keras. The lengths of a batch go on with the time axis; steps beyond them count as zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> a, b = layers.Input((2,)), layers.Input((2,))
    >>> model = models.Model([a, b], layers.Dot(axes=1)([a, b]))
    >>> model.predict([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])], verbose=0)
    array([[11.]], dtype=float32)
    """

    _sections = ""
    _op = "merge"  # a list of inputs, as other merging layers take
    _acts_per_step = False

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        if isinstance(axes, (list, tuple)):
            if len(axes) != 2:
                raise ValueError(f"axes must be one axis or two, got {axes!r}")
            self.axes: Any = [check.integer("each of axes", axis) for axis in axes]
        else:
            self.axes = check.integer("axes", axes)
        self.normalize = check.boolean("normalize", normalize)

    def _summed(self, shapes: Sequence[Shape]) -> list[int]:
        """The axis of each input, counted from the batch."""
        given = self.axes if isinstance(self.axes, list) else [self.axes] * 2
        for axis, shape in zip(given, shapes, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(f"axes of {self.name!r} must be after the batch of {list(shapes)}, got {self.axes}")
        return [axis % len(shape) for axis, shape in zip(given, shapes, strict=True)]

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are two float values whose shapes fit."""
        if len(values) != 2:
            raise ValueError(f"{self.name!r} takes two inputs, got {len(values)}")
        super()._check_values(values)

    def _left(self, shapes: Sequence[Shape]) -> list[list[int | None]]:
        """The sizes of each input after the batch, without those along the axes."""
        axes = self._summed(shapes)
        return [
            [size for number, size in enumerate(shape) if number not in (0, axis)]
            for axis, shape in zip(axes, shapes, strict=True)
        ]

    def _merged_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """What is left of the first, then what is left of the second."""
        if len(shapes) != 2:
            raise ValueError(f"{self.name!r} takes two shapes, got {len(shapes)}")
        sizes = [shape[axis] for axis, shape in zip(self._summed(shapes), shapes, strict=True)]
        if sizes[0] != sizes[1] or None in sizes:
            raise ValueError(f"{self.name!r} needs inputs of equal known sizes along {self.axes}, got {list(shapes)}")
        left = self._left(shapes)
        if any(None in some[1:] for some in left):
            raise ValueError(f"{self.name!r} needs inputs of known sizes but for the time, got {list(shapes)}")
        return (shapes[0][0], *([*left[0], *left[1]] or [1]))

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the products, each input repeated along the axes of the other, and their sums."""
        compose = Composer(builder, self.name)
        shapes = [builder.shape(x) for x in inputs]
        axes, left = self._summed(shapes), self._left(shapes)
        factors = []
        for number, (x, shape, axis) in enumerate(zip(inputs, shapes, axes, strict=True)):
            if axis == 1 and len(shape) > 2:
                x = compose.zeroed(x, masks[number].padding)
            x = compose.unit(x, [axis]) if self.normalize else x
            order = [*(other for other in range(1, len(shape)) if other != axis), axis]
            x = x if order == sorted(order) else compose.permute(x, order)
            ones = [1] * len(left[1 - number])
            sizes = [*left[0], *ones] if number == 0 else [*ones, *left[1]]
            factors.append(compose.reshape(x, *sizes, shape[axis]))
        products = compose.merge("multiply", *factors)
        if not left[0]:
            sums = compose.sum(products, [len(left[1]) + 1])
            return (compose.reshape(sums, *(left[1] or [1])),)
        steps, size = [*left[0][1:], *left[1]], shapes[0][axes[0]]
        folded = compose.node("fold_time", (products,), (None, *steps, size))
        sums = compose.reshape(compose.sum(folded, [len(steps) + 1]), *(steps or [1]))
        made = compose.node("unfold_time", (sums, products), (None, left[0][0], *(steps or [1])))
        return (made if steps else compose.reshape(made, left[0][0]),)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """Lengths alone, where the time axis of the first input is that of the output."""
        shape = builder.shape(inputs[0])
        stays = len(shape) > 2 and self._summed([builder.shape(x) for x in inputs])[0] != 1
        return (masks[0].padding_alone if stays else NO_MASK,)


def dot(inputs: Any, axes: int | Sequence[int] = -1, **arguments: Any) -> Any:
    """The scalar products of two values: `Dot(axes, **arguments)(inputs)`.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.dot([layers.Input((5, 3)), layers.Input((7, 3))], axes=2).shape
    (None, 5, 7)
    """
    return Dot(axes, **arguments)(inputs)
