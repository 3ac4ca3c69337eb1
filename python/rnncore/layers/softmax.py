"""The softmax function as a layer."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import activations
from rnncore.layers.activation import AppliesActivation
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["Softmax"]


class Softmax(AppliesActivation):
    """exp(x) / Σ exp(x) over one axis.

    Parameters
    ----------
    axis : int, default -1
        Any but that of the batch, 0. Over the time axis, steps that are not valid get zeros.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input without that axis.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Softmax()(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _function = "softmax"

    def __init__(self, axis: int = -1, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.axis = check.integer("axis", axis)
        if self.axis == 0:
            raise ValueError(f"axis of {self.name!r} must not be that of the batch, 0")
        self._treats_steps_as_samples = self.axis == -1

    @property
    def _as_activation(self) -> activations.Kept:
        if self.axis != -1:
            raise ValueError(f"axis of {self.name!r} must be -1 where it stands for an activation, got {self.axis}")
        return self._function

    def _place(self, shape: Shape) -> int:
        """The axis, counted from the first."""
        return self.axis if self.axis > 0 else len(shape) + self.axis

    def build(self, input_shape: Shape) -> None:
        """Learn whether steps, or features, are mixed."""
        super().build(input_shape)
        place = self._place(input_shape)
        self._mixes_features = place == len(input_shape) - 1
        self._acts_per_step = place > 1 or len(input_shape) == 2

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the input has the axis."""
        if not 0 < self._place(shape) < len(shape):
            raise ValueError(f"{self.name!r} has axis {self.axis}, got shape {shape}")

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the activation over the last axis, or the op for any other."""
        shape = builder.shape(inputs[0])
        place = self._place(shape)
        if place == len(shape) - 1:
            return super()._emit(builder, inputs, masks)
        output = builder.value(self.name, shape)
        mask = builder.real(inputs[0], masks[0]) if place == 1 else -1
        builder.node("softmax", self.name, (inputs[0], mask), (output,), (), {"axis": place})
        return (output,)
