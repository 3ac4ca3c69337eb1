"""Normalization of each feature over the batch, and of each position over its features."""

from __future__ import annotations

from typing import Any, ClassVar

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore._configurable import passed_on
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["BatchNormalization", "LayerNormalization", "ScaleAndOffset"]


class ScaleAndOffset(Layer, registered=False):
    """Base of normalizations with a scale `gamma` and an offset `beta` of each feature."""

    _node_arguments: ClassVar[tuple[str, ...]] = ("epsilon", "scale", "center")
    gamma = WeightView()
    beta = WeightView()

    def __init__(
        self,
        *,
        axis: Any,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: initializers.Identifier,
        gamma_initializer: initializers.Identifier,
        beta_regularizer: regularizers.Identifier,
        gamma_regularizer: regularizers.Identifier,
        beta_constraint: constraints.Identifier,
        gamma_constraint: constraints.Identifier,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        if isinstance(axis, (list, tuple)) and len(axis) == 1:
            axis = axis[0]
        self.axis = check.integer("axis", axis)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)
        self.center = check.boolean("center", center)
        self.scale = check.boolean("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, ..., C) with a known C and `axis` is its last."""
        if len(shape) < 2:
            raise ValueError(f"{self.name!r} needs an input of shape (N, ..., features), got {shape}")
        if self.axis not in (-1, len(shape) - 1):
            raise ValueError(
                f"axis of {self.name!r} must be the last of its input, others are not supported, got {self.axis} "
                f"for shape {shape}"
            )
        self._features(shape)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Gamma (C,) and beta (C,)."""
        shape = (self._features(input_shape),)
        names = ["gamma"] * self.scale + ["beta"] * self.center
        return [self._own_weight(name, shape) for name in names]


class BatchNormalization(ScaleAndOffset):
    """(x - mean) / √(variance + epsilon) · gamma + beta, for each feature over all positions of a batch.

    In training mean and variance are those of the batch, and the moving ones go towards them:
    moving = moving · momentum + batch · (1 - momentum). Otherwise, and where `trainable` is False, the moving ones
    are taken. Steps that a mask or `lengths` leave out do not count. See Ioffe and Szegedy (2015).

    Parameters
    ----------
    axis : int, default -1
        Only the last axis is supported: a ValueError otherwise.
    momentum : float, default 0.99
    epsilon : float, default 0.001
    center, scale : bool, default True
        Whether there are beta and gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
        Default zeros, ones, zeros, ones.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    renorm, renorm_clipping, renorm_momentum, synchronized
        Only the defaults.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    gamma, beta, moving_mean, moving_variance : ndarray, shape (C,)
        The weights, in this order; the last two do not train.

    Raises
    ------
    TypeError, ValueError
        For a bad argument or input.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.BatchNormalization()
    >>> layer(layers.Input((5, 3))).shape
    (None, 5, 3)
    >>> layer.moving_variance
    array([1., 1., 1.], dtype=float32)
    """

    _op = "batch_normalization"
    _node_arguments = (*ScaleAndOffset._node_arguments, "momentum")
    _treats_steps_as_samples = True
    _takes_mask = True
    moving_mean = WeightView()
    moving_variance = WeightView()

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: initializers.Identifier = "zeros",
        gamma_initializer: initializers.Identifier = "ones",
        moving_mean_initializer: initializers.Identifier = "zeros",
        moving_variance_initializer: initializers.Identifier = "ones",
        beta_regularizer: regularizers.Identifier = None,
        gamma_regularizer: regularizers.Identifier = None,
        beta_constraint: constraints.Identifier = None,
        gamma_constraint: constraints.Identifier = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        check.unsupported(
            "BatchNormalization", renorm=renorm, renorm_clipping=renorm_clipping, synchronized=synchronized
        )
        super().__init__(
            **passed_on(
                locals(),
                *("momentum", "moving_mean_initializer", "moving_variance_initializer"),
                *("renorm", "renorm_clipping", "renorm_momentum", "synchronized"),
            )
        )
        self.momentum = check.number("momentum", momentum, low=0.0, high=1.0)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Gamma, beta, moving mean and moving variance, each (C,)."""
        shape = (self._features(input_shape),)
        return [
            *super()._make_weights(input_shape),
            self._weight("moving_mean", shape, self.moving_mean_initializer, None, statistic=True),
            self._weight("moving_variance", shape, self.moving_variance_initializer, None, statistic=True),
        ]

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node, which reads the mask of a sequence."""
        shape = builder.shape(inputs[0])
        output = builder.value(self.name, shape)
        mask = builder.real(inputs[0], masks[0]) if len(shape) > 2 else -1
        attributes = self._attributes() | {"frozen": not builder.trainable.of_layer(self)}
        builder.node(self._op, self.name, (inputs[0], mask), (output,), self._emit_weights(builder), attributes)
        return (output,)


class LayerNormalization(ScaleAndOffset):
    """(x - mean) / √(variance + epsilon) · gamma + beta, for each position over its own features.

    See Ba, Kiros and Hinton (2016).

    Parameters
    ----------
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
        `name`, `trainable`, `input_shape`: see `Layer`. `rms_scaling` must be False.

    Attributes
    ----------
    gamma, beta : ndarray, shape (C,)

    Raises
    ------
    TypeError, ValueError
        For a bad argument or input.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.LayerNormalization()(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _op = "layer_normalization"
    _mixes_features = True
    _acts_per_step = _treats_steps_as_samples = True

    def __init__(
        self,
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
        *,
        rms_scaling: bool = False,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        check.unsupported("LayerNormalization", rms_scaling=rms_scaling)
        super().__init__(**passed_on(locals(), "rms_scaling"))
