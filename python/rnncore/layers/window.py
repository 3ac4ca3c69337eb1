"""What convolution and pooling over time share: windows, and the lengths of what they make."""

from __future__ import annotations

import copy
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import Self
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["WindowLayer", "single"]


def single(argument: str, value: Any) -> int:
    """A whole number of at least 1, which may stand in a tuple or list of one, as in Keras."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    return check.positive_int(argument, value)


def channels_last(owner: str, data_format: str | None) -> None:
    """Refuse any but Keras's default order of axes, (N, T, C)."""
    if data_format not in (None, "channels_last"):
        raise ValueError(f"{owner}: data_format must be 'channels_last', got {data_format!r}")


class WindowLayer(Layer, registered=False):
    """Base of layers that look at windows of the time axis: (N, T, C) to (N, T', C').

    Masks end here, as in Keras. The lengths of a batch go on: steps beyond a row's length are missing, like those
    before the first and after the last, and the output has as many steps as windows begin before the row's end. So does
    other padding that follows from lengths, where there is a window for each step; otherwise it ends here.
    """

    window_size: int
    window_stride: int
    _window_dilation: int = 1
    padding: str

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C) with enough steps."""
        check.sequence_shape(self.name, shape, "channels")
        self._features(shape)
        if shape[1] is not None and self.padding == "valid" and shape[1] < self._span():
            raise ValueError(
                f"{self.name!r} needs at least {self._span()} time steps with padding 'valid', got shape {shape}"
            )

    def _span(self) -> int:
        return (self.window_size - 1) * self._window_dilation + 1

    def _over_border(self) -> Self:
        """The layer, with its weights, for sequences that begin with the steps that their first window reads."""
        twin = copy.copy(self)
        twin.padding = "valid"
        twin._keeps_time = twin._keeps_steps()
        return twin

    def _steps_of(self, steps: int | None) -> int | None:
        """Number of windows in so many steps."""
        if steps is None:
            return None
        if self.padding == "valid":
            return max((steps - self._span()) // self.window_stride + 1, 0)
        return -(-steps // self.window_stride)

    def _channels(self, input_shape: Shape) -> int | None:
        """Number of channels of the output."""
        return input_shape[-1]

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The steps that windows make, and the channels."""
        return ((input_shape[0], self._steps_of(input_shape[1]), self._channels(input_shape)),)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node: the sequence, and the mask of its rows' steps where it differs from what came."""
        (shape,) = self._output_shapes(builder.shape(inputs[0]))
        output = builder.value(self.name, shape)
        mask = masks[0].padding
        self._output_mask = mask
        made = -1
        if not self._keeps_time and mask >= 0:
            self._output_mask = -1
            if builder.ends_rows(mask):
                windows = (self.window_size, self.window_stride, self._window_dilation, self.padding)
                self._output_mask = made = builder.windows_mask(self.name, shape, mask, windows)
        builder.node(
            self._op,
            self.name,
            (inputs[0], mask),
            (output, made),
            self._emit_weights(builder),
            self._attributes(),
        )
        return (output,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """What says where the rows of the output end."""
        return (Mask(self._output_mask),)

    def _keeps_steps(self) -> bool:
        """Whether there is a window for each step."""
        return self.window_stride == 1 and (self.padding != "valid" or self.window_size == 1)


class Convolution(WindowLayer, registered=False):
    """Base of convolutions over time, which make `filters` numbers of each window."""

    filters: int
    kernel_size: int
    strides: int
    dilation_rate: int

    def _set_windows(
        self,
        filters: int,
        kernel_size: int | tuple[int],
        strides: int | tuple[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | tuple[int],
    ) -> None:
        """Check and keep the arguments that all convolutions have."""
        channels_last(type(self).__name__, data_format)
        self.filters = check.positive_int("filters", filters)
        self.kernel_size = self.window_size = single("kernel_size", kernel_size)
        self.strides = self.window_stride = single("strides", strides)
        self.padding = check.lookup("padding", padding, {name: name for name in ("valid", "same", "causal")})
        self.dilation_rate = self._window_dilation = single("dilation_rate", dilation_rate)
        if self.strides > 1 and self.dilation_rate > 1:
            raise ValueError(
                f"strides and dilation_rate of {self.name!r} must not both be above 1, got {strides} and "
                f"{dilation_rate}"
            )
        self._keeps_time = self._keeps_steps()

    def _features(self, shape: Shape) -> int:
        """The number of channels, which must be known and, once built, what the kernel takes."""
        channels = shape[-1]
        if channels is None:
            raise ValueError(f"{self.name!r} needs an input whose last axis is known, got shape {shape}")
        if self.built and channels != self.weights[0].shape[1]:
            raise ValueError(
                f"{self.name!r} was built for inputs with {self.weights[0].shape[1]} channels (last axis), got shape"
                f" {shape}"
            )
        return channels

    def _channels(self, input_shape: Shape) -> int | None:
        """The filters."""
        return self.filters
