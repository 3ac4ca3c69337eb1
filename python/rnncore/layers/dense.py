"""The fully connected layer."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore.layers.arguments import OwnArguments, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["Dense"]


class Dense(Layer):
    """activation(x · kernel + bias) over the last axis: (N, ..., I) to (N, ..., units).

    Parameters
    ----------
    units : int
    activation : str, function or object of `rnncore.activations`, optional
        One of `rnncore.activations`, by default linear.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or Initializer
        Default glorot_uniform and zeros.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        The penalty on the outputs: see `Layer`.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    kernel : ndarray, shape (I, units)
    bias : ndarray, shape (units,)

    Raises
    ------
    TypeError, ValueError
        For a bad argument; unknown names come with the nearest valid ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Dense(2, activation="softmax")(layers.Input((5, 3))).shape
    (None, 5, 2)
    """

    _op = "dense"
    _node_arguments = ("activation",)
    _mixes_features = True
    _acts_per_step = _treats_steps_as_samples = True
    kernel = WeightView()
    bias = WeightView()

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = None,
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        bias_initializer: initializers.Identifier = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        activity_regularizer: regularizers.Identifier = None,
        kernel_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        **arguments: Unpack[OwnArguments],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **arguments)
        self.units = check.positive_int("units", units)
        self.activation = activations.kept(activation)
        self.use_bias = check.boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, ..., I) with a known I."""
        if len(shape) < 2:
            raise ValueError(f"{self.name!r} needs an input of shape (N, ..., features), got {shape}")
        self._features(shape)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel (I, units) and bias (units,)."""
        shape = (self._features(input_shape), self.units)
        weights = [self._own_weight("kernel", shape)]
        if self.use_bias:
            weights.append(self._own_weight("bias", (self.units,)))
        return weights

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The input's shape with `units` features."""
        return ((*input_shape[:-1], self.units),)
