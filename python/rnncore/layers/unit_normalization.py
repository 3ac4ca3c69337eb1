"""Vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import Composer
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["UnitNormalization"]


class UnitNormalization(Layer):
    """x / √(Σx²), the sum going over one or some axes; where it is zero, x stays as it is.

    Parameters
    ----------
    axis : int or sequence of int, default -1
        Not the batch's, 0; of known sizes.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that has no such axes or does not tell their sizes.

    Notes
    -----
    Masks go on. Over the time axis masked steps count, as in Keras; steps beyond the lengths of a batch count as zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((2,)), layers.UnitNormalization()])
    >>> model.predict(np.array([[3.0, 4.0]]), verbose=0)
    array([[0.6, 0.8]], dtype=float32)
    """

    _mixes_features = True

    def __init__(self, axis: int | Sequence[int] = -1, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        if isinstance(axis, (list, tuple)):
            self.axis: Any = [check.integer("each axis", one) for one in axis]
        else:
            self.axis = check.integer("axis", axis)

    def _given(self) -> list[int]:
        return list(self.axis) if isinstance(self.axis, list) else [self.axis]

    def _axes(self, shape: Shape) -> list[int]:
        """The axes of an input, counted from the batch; ValueError for those it has not."""
        for axis in self._given():
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(f"axis of {self.name!r} must be one after the batch of {shape}, got {axis}")
        return sorted({axis % len(shape) for axis in self._given()})

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape has these axes, with known sizes."""
        axes = self._axes(shape)
        if not axes:
            raise ValueError(f"axis of {self.name!r} must name an axis, got {self.axis}")
        if any(size is None and (axis in axes or axis > 1) for axis, size in enumerate(shape) if axis):
            raise ValueError(f"{self.name!r} needs an input that tells the sizes along axis {self.axis}, got {shape}")

    def build(self, input_shape: Shape) -> None:
        """Learn whether the steps of a sequence stay by themselves."""
        super().build(input_shape)
        self._acts_per_step = len(input_shape) > 2 and 1 not in self._axes(input_shape)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the squares, their sum and the quotient."""
        compose, x = Composer(builder, self.name), inputs[0]
        shape = builder.shape(x)
        axes = self._axes(shape)
        if len(shape) > 2 and 1 in axes:
            x = compose.zeroed(x, masks[0].padding)
        return (compose.unit(x, axes),)
