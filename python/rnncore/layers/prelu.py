"""A rectifier whose slopes are weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import Composer
from rnncore.layers.masks import Mask
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["PReLU"]


class PReLU(Layer):
    """x from zero on, alpha · x below, with a weight alpha for each position of a sample.

    See He, Zhang, Ren and Sun (2015).

    Parameters
    ----------
    alpha_initializer : str or Initializer, default "zeros"
    alpha_regularizer : str or Regularizer, optional
    alpha_constraint : str or Constraint, optional
    shared_axes : int or sequence of int, optional
        Axes along which all positions share a weight; `[1]` for sequences (N, T, C) of any length.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    alpha : ndarray
        The shape of a sample, with size 1 along `shared_axes`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input whose sizes along other axes are not known.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.PReLU(shared_axes=[1])
    >>> layer(layers.Input((None, 3))).shape
    (None, None, 3)
    >>> layer.alpha.shape
    (1, 3)
    """

    _treats_steps_as_samples = True
    alpha = WeightView()

    def __init__(
        self,
        alpha_initializer: initializers.Identifier = "zeros",
        alpha_regularizer: regularizers.Identifier = None,
        alpha_constraint: constraints.Identifier = None,
        shared_axes: int | Sequence[int] | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if isinstance(shared_axes, (list, tuple)):
            self.shared_axes: Any = [check.positive_int("each of shared_axes", axis) for axis in shared_axes]
        else:
            self.shared_axes = None if shared_axes is None else [check.positive_int("shared_axes", shared_axes)]

    def _alpha_shape(self, shape: Shape) -> Shape:
        shared = self.shared_axes or ()
        return tuple(1 if axis in shared else size for axis, size in enumerate(shape) if axis)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless there is a size for each axis that shares no weight, that of the weights."""
        if len(shape) < 2 or any(axis >= len(shape) for axis in self.shared_axes or ()):
            raise ValueError(f"shared_axes of {self.name!r} must be axes of its input {shape}, got {self.shared_axes}")
        wanted = self._alpha_shape(shape)
        if None in wanted and not self.built:
            raise ValueError(
                f"{self.name!r} needs an input of known sizes, or shared_axes=[1] for sequences of any length, got"
                f" shape {shape}"
            )
        if self.built and any(None not in pair and pair[0] != pair[1] for pair in self._pairs(wanted)):
            raise ValueError(f"{self.name!r} was built for inputs of shape {self.input_shape}, got {shape}")

    def _pairs(self, wanted: Shape) -> list[tuple[int | None, int]]:
        made = self.weights[0].shape
        if len(made) != len(wanted):
            raise ValueError(f"{self.name!r} was built for inputs of shape {self.input_shape}")
        return list(zip(wanted, made, strict=True))

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Alpha."""
        shape = tuple(size for size in self._alpha_shape(input_shape) if size is not None)
        return [self._own_weight("alpha", shape)]

    def build(self, input_shape: Shape) -> None:
        """Make the weight, and learn whether it is one for all steps of a sequence."""
        super().build(input_shape)
        shape = self.weights[0].shape
        self._acts_per_step = len(shape) > 1 and shape[0] == 1

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append relu(x) - alpha · relu(-x)."""
        compose, (x,) = Composer(builder, self.name), inputs
        below = compose.activation("relu", compose.rescale(x, -1.0))
        (alpha,) = self.weights
        slopes = compose.row(alpha, *alpha.shape)
        return (compose.merge("subtract", compose.activation("relu", x), compose.merge("multiply", slopes, below)),)
