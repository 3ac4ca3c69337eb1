"""Normalization of each sample over groups of its channels."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore._configurable import passed_on
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import Composer
from rnncore.layers.masks import Mask
from rnncore.layers.normalization import ScaleAndOffset
from rnncore.program import Shape

__all__ = ["GroupNormalization"]


class GroupNormalization(ScaleAndOffset):
    """(x - mean) / √(variance + epsilon) · gamma + beta, for each group of channels over all positions of a sample.

    With one group this is a normalization of whole samples, with as many groups as channels an instance normalization.
    See Wu and He (2018).

    Parameters
    ----------
    groups : int, default 32
        A divisor of the number of channels, or -1 for one group for each channel.
    axis : int, default -1
        Only the last axis is supported: a ValueError otherwise.
    epsilon : float, default 0.001
    center, scale : bool, default True
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer : str or Initializer
        Default zeros and ones.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    gamma, beta : ndarray, shape (C,)

    Raises
    ------
    TypeError, ValueError
        For a bad argument or input.

    Notes
    -----
    Masks go on, but masked steps count, as in Keras. Steps beyond the lengths of a batch do not.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.GroupNormalization(groups=2)(layers.Input((None, 6))).shape
    (None, None, 6)
    """

    _mixes_features = True

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: initializers.Identifier = "zeros",
        gamma_initializer: initializers.Identifier = "ones",
        beta_regularizer: regularizers.Identifier = None,
        gamma_regularizer: regularizers.Identifier = None,
        beta_constraint: constraints.Identifier = None,
        gamma_constraint: constraints.Identifier = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**passed_on(locals(), "groups"))
        self.groups = check.integer("groups", groups, low=-1)
        if self.groups == 0:
            raise ValueError("groups must be at least 1, or -1, got 0")

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the channels go into groups, and all sizes but that of the time are known."""
        super()._check_input(shape)
        if self._features(shape) % self.groups:
            raise ValueError(f"groups of {self.name!r} must divide the {shape[-1]} channels, got {self.groups}")
        if None in shape[2:]:
            raise ValueError(f"{self.name!r} needs an input of known sizes but for the time, got {shape}")

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append mean and variance, first over the steps of a sequence, then over the rest of a group."""
        compose, (x,) = Composer(builder, self.name), inputs
        shape, channels = builder.shape(x), self._features(builder.shape(x))
        groups = channels if self.groups == -1 else self.groups
        grouped = (groups, channels // groups)
        has_steps = len(shape) > 2
        between = 1
        for size in shape[2:-1]:
            between *= size or 1
        x = compose.reshape(x, *((None, between, *grouped) if has_steps else grouped))
        ends = masks[0].padding

        def mean(of: int) -> int:
            return compose.mean(compose.mean(of, [1], ends), [2, 4]) if has_steps else compose.mean(of, [2])

        centered = compose.merge("subtract", x, mean(x))
        variance = compose.rescale(mean(compose.elementwise("square", centered)), 1.0, self.epsilon)
        factor = compose.elementwise("power", variance, exponent=-0.5)
        *weights, beta = [compose.row(weight, *grouped) for weight in self.weights] + [-1] * (not self.center)
        y = compose.merge("multiply", centered, compose.merge("multiply", factor, *weights) if weights else factor)
        y = compose.merge("add", y, beta) if self.center else y
        return (compose.reshape(y, *((None, *shape[2:]) if has_steps else (channels,))),)
