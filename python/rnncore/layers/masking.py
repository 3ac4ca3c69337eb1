"""Steps that are not real, by their value."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["Masking"]


class Masking(Layer):
    """Mask the steps of a sequence (N, T, F) whose features all equal a value, and set them to zero.

    The mask goes on with the output: recurrent layers skip masked steps and hold their state there, and losses and
    metrics on an output that still has the time axis leave them out. As in Keras, this mask takes the place of one that
    came with the input; steps beyond the lengths of a batch stay masked.

    Parameters
    ----------
    mask_value : float, default 0.0
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input that is not (N, T, F).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> x = layers.Input((None, 1))
    >>> model = models.Model(x, layers.Masking(-1.0)(x))
    >>> model.predict(np.array([[[3.0], [-1.0], [2.0]]]), verbose=0)[0, :, 0]
    array([3., 0., 2.], dtype=float32)
    """

    _op = "masking"
    _acts_per_step = True

    def __init__(self, mask_value: float = 0.0, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.mask_value = check.number("mask_value", mask_value)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, F)."""
        check.sequence_shape(self.name, shape)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node: the values and the mask of x."""
        return builder.masking(self.name, inputs[0], masks[0].padding, self.mask_value)[:1]

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask that the node makes."""
        made = builder.masking(self.name, inputs[0], masks[0].padding, self.mask_value)[1]
        return (Mask(masks[0].padding, made),)
