"""Convolution over time."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore.layers.arguments import OwnArguments, Unpack
from rnncore.layers.base import WeightView
from rnncore.layers.window import Convolution
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["Conv1D"]


class Conv1D(Convolution):
    """activation(x * kernel + bias), a convolution over time: (N, T, C) to (N, T', filters).

    Output step j sees `kernel_size` input steps, `dilation_rate` apart. The first is step j · strides with padding
    "valid", and T' = (T - span) // strides + 1 with span = (kernel_size - 1) · dilation_rate + 1. With "causal" the
    last is step j · strides, with "same" missing steps are shared between both ends, and T' = T / strides rounded up.
    Missing steps are zeros.

    With `lengths`, steps beyond a row's length are zeros too, so padding does not matter, and the lengths go on with
    the output: those of "valid" by the formula above, otherwise divided by the stride and rounded up. (With "same"
    and a stride, where a window begins depends on the T of the batch.) A mask ends here, as in Keras.

    Parameters
    ----------
    filters : int
    kernel_size : int, or tuple of one
    strides : int, or tuple of one, default 1
    padding : {"valid", "same", "causal"}, default "valid"
    data_format : None or "channels_last"
    dilation_rate : int, or tuple of one, default 1
        Not together with strides above 1.
    groups : int, default 1
        Other numbers are not supported: a ValueError.
    activation : str, function or object of `rnncore.activations`, optional
        By default linear.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or Initializer
        Default glorot_uniform and zeros.
    kernel_regularizer, bias_regularizer, activity_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    kernel : ndarray, shape (kernel_size, C, filters)
    bias : ndarray, shape (filters,)

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input of another rank or too short.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Conv1D(8, 5, strides=2, padding="same", activation="relu")(layers.Input((100, 3))).shape
    (None, 50, 8)
    """

    _op = "conv1d"
    _node_arguments = ("strides", "padding", "dilation_rate", "activation")
    kernel = WeightView()
    bias = WeightView()

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int],
        strides: int | tuple[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int] = 1,
        groups: int = 1,
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
        self._set_windows(filters, kernel_size, strides, padding, data_format, dilation_rate)
        if check.positive_int("groups", groups) != 1:
            raise ValueError(f"groups of {self.name!r} must be 1, others are not supported, got {groups}")
        self.activation = activations.kept(activation)
        self.use_bias = check.boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel (K, C, filters) and bias (filters,)."""
        shape = (self.kernel_size, self._features(input_shape), self.filters)
        weights = [self._own_weight("kernel", shape)]
        if self.use_bias:
            weights.append(self._own_weight("bias", (self.filters,)))
        return weights
