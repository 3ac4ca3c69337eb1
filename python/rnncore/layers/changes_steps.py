"""What padding, cropping and upsampling share: sequences with another number of steps."""

from __future__ import annotations

from collections.abc import Hashable

from rnncore import _validation as check
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["ChangesSteps"]


class ChangesSteps(Layer, registered=False):
    """Base of these layers: (N, T, C) to (N, T', C).

    Masks end here, as in Keras. The lengths of a batch go on: each row becomes what it would be alone.
    """

    _keeps_time = False

    def _steps_of(self, steps: int) -> int:
        """How many steps come of so many."""
        raise NotImplementedError

    def _change(self) -> Hashable:
        """What tells this change of steps from others."""
        return (self._op, *(str(getattr(self, name)) for name in self._node_arguments))

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C), and something is left of the time axis."""
        check.sequence_shape(self.name, shape, "channels")
        if shape[1] is not None and self._steps_of(shape[1]) < 1:
            raise ValueError(f"{self.name!r} leaves nothing of the time axis, got shape {shape}")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, T', C)."""
        steps = input_shape[1]
        return ((input_shape[0], None if steps is None else self._steps_of(steps), *input_shape[2:]),)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node: the sequence, and the mask of its rows' steps where there are lengths."""
        (shape,) = self._output_shapes(builder.shape(inputs[0]))
        output = builder.value(self.name, shape)
        padding, made = masks[0].padding, -1
        if builder.ends_rows(padding):
            made = builder.windows_mask(self.name, shape, padding, self._change())
        given = padding if made >= 0 else -1
        self._output_mask = Mask(made)
        builder.node(self._op, self.name, (inputs[0], given), (output, made), (), self._attributes())
        return (output,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """What says where the rows of the output end."""
        return (self._output_mask,)
