"""Convolution over time, first of each channel by itself, then across channels."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore.layers.arguments import OwnArguments, Unpack
from rnncore.layers.base import WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.composing import END, Composer
from rnncore.layers.masks import Mask
from rnncore.layers.window import Convolution
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["SeparableConv1D"]


class SeparableConv1D(Convolution):
    """A convolution over time of each channel by itself, then a product across channels: (N, T, C) to (N, T', filters).

    It has far fewer weights than a `Conv1D`, K · C · m + C · m · filters, and is no faster here: it is made of several
    ops, each of which goes over the memory. Padding, strides, dilation, masks and `lengths` are those of `Conv1D`.

    Parameters
    ----------
    filters : int
    kernel_size : int, or tuple of one
    strides : int, or tuple of one, default 1
    padding : {"valid", "same", "causal"}, default "valid"
        "same" with strides above 1 needs an input that tells its number of steps; "causal" is beyond Keras.
    data_format : None or "channels_last"
    dilation_rate : int, or tuple of one, default 1
        Not together with strides above 1.
    depth_multiplier : int, default 1
        m, how many convolutions each channel has.
    activation : str, function or object of `rnncore.activations`, optional
        By default linear.
    use_bias : bool, default True
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
        Default glorot_uniform for kernels, and zeros.
    depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer : str or Regularizer, optional
    depthwise_constraint, pointwise_constraint, bias_constraint : str or Constraint, optional
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    depthwise_kernel : ndarray, shape (kernel_size, C, depth_multiplier)
    pointwise_kernel : ndarray, shape (1, C · depth_multiplier, filters)
    bias : ndarray, shape (filters,)

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input of another rank or too short.

    Examples
    --------
    >>> from rnncore import layers
    >>> layer = layers.SeparableConv1D(8, 5, padding="causal")
    >>> layer(layers.Input((None, 3))).shape, layer.count_params()
    ((None, None, 8), 47)
    """

    depthwise_kernel = WeightView()
    pointwise_kernel = WeightView()
    bias = WeightView()

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int],
        strides: int | tuple[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int] = 1,
        depth_multiplier: int = 1,
        activation: activations.Identifier = None,
        use_bias: bool = True,
        depthwise_initializer: initializers.Identifier = "glorot_uniform",
        pointwise_initializer: initializers.Identifier = "glorot_uniform",
        bias_initializer: initializers.Identifier = "zeros",
        depthwise_regularizer: regularizers.Identifier = None,
        pointwise_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        activity_regularizer: regularizers.Identifier = None,
        depthwise_constraint: constraints.Identifier = None,
        pointwise_constraint: constraints.Identifier = None,
        bias_constraint: constraints.Identifier = None,
        **arguments: Unpack[OwnArguments],
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **arguments)
        self._set_windows(filters, kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = check.positive_int("depth_multiplier", depth_multiplier)
        self.activation = activations.kept(activation)
        self.use_bias = check.boolean("use_bias", use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C) with enough steps, of a number that is told if need be."""
        super()._check_input(shape)
        if self.padding == "same" and self.strides > 1 and shape[1] is None:
            raise ValueError(
                f"{self.name!r} with padding='same' and strides above 1 needs an input that tells its number of steps,"
                f" got shape {shape}"
            )

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """The kernel of each channel (K, C, m), the one across channels (1, C · m, filters) and the bias."""
        channels = self._features(input_shape)
        deep = (self.kernel_size, channels, self.depth_multiplier)
        wide = (1, channels * self.depth_multiplier, self.filters)
        bias = [self._own_weight("bias", (self.filters,))] if self.use_bias else []
        return [
            self._own_weight("depthwise_kernel", deep, "depthwise"),
            self._own_weight("pointwise_kernel", wide, "pointwise"),
            *bias,
        ]

    def _padded(self, steps: int | None) -> tuple[int, int]:
        """How many zeros come before and after so many steps."""
        span = self._span()
        if self.padding == "valid":
            return 0, 0
        if self.padding == "causal":
            return span - 1, 0
        missing = span - 1
        if self.strides > 1 and steps is not None:
            missing = max((-(-steps // self.strides) - 1) * self.strides + span - steps, 0)
        return missing // 2, missing - missing // 2

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append a product for each step that a window sees, their sum, and the convolution across channels."""
        compose, (x,) = Composer(builder, self.name), inputs
        shape, padding = builder.shape(x), masks[0].padding
        self._output_mask = self._emit_mask(builder, x, padding)
        x = compose.zeroed(x, padding)
        channels, span = self._features(shape), self._span()
        steps = self._steps_of(shape[1])
        before, after = self._padded(shape[1])
        if before or after:
            longer = None if shape[1] is None else shape[1] + before + after
            x = compose.node("pad1d", (x, -1), (None, longer, channels), before=before, after=after)
        depthwise, *across = self.weights
        wide = channels * self.depth_multiplier
        kernels = compose.row(depthwise, self.kernel_size, wide)
        taps = []
        for tap in range(self.kernel_size):
            first = tap * self.dilation_rate
            seen = compose.slice(x, 1, (None, steps, channels), first, first + 1 - span or END, self.strides)
            kernel = compose.slice(kernels, 1, (None, 1, wide), tap, tap + 1, 1)
            if self.depth_multiplier > 1:
                seen = compose.reshape(seen, None, channels, 1)
                kernel = compose.reshape(kernel, 1, channels, self.depth_multiplier)
            taps.append(compose.merge("multiply", seen, kernel))
        sums = compose.merge("add", *taps) if len(taps) > 1 else taps[0]
        if self.depth_multiplier > 1:
            sums = compose.reshape(sums, None, wide)
        attributes = activations.attributes("activation", self.activation)
        parameters = tuple(builder.parameter(weight) for weight in across)
        return (compose.node("conv1d", (sums, -1), (None, steps, self.filters), parameters, **attributes),)

    def _emit_mask(self, builder: ProgramBuilder, x: int, padding: int) -> int:
        """Which windows a row has, by the same rule as in `Conv1D`."""
        if self._keeps_time or padding < 0:
            return padding
        if not builder.ends_rows(padding):
            return -1
        shape = builder.shape(x)
        windows = (self.window_size, self.window_stride, self._window_dilation, self.padding)
        made = builder.windows_mask(self.name, (None, self._steps_of(shape[1])), padding, windows)
        first = self._span() - 1 if self.padding == "valid" else 0
        cut = {"starts": [first, 0], "stops": [END, END], "steps": [self.strides, 1], "drops": [0, 0]}
        builder.node("slice", f"{self.name}/mask", (x, padding), (-1, made), (), cut)
        return made
