"""Pooling over windows of the time axis, and over all of it."""

from __future__ import annotations

from typing import Any, ClassVar

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import Mask
from rnncore.layers.window import WindowLayer, channels_last, single
from rnncore.program import Shape

__all__ = ["AveragePooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "MaxPooling1D"]


class Pooling(WindowLayer, registered=False):
    """Base of the layers that pool windows; a subclass sets `kind`."""

    _sections = """
    Steps before the first and after the last, and with `lengths` those beyond a row's length, do not take part; a
    window without any gives zero. The lengths go on with the output as those of a `Conv1D` do; a mask ends here, as
    in Keras.

    Parameters
    ----------
    pool_size : int, or tuple of one, default 2
        Steps of a window.
    strides : int, or tuple of one, optional
        Steps from window to window, by default `pool_size`.
    padding : {"valid", "same"}, default "valid"
    data_format : None or "channels_last"
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or an input of another rank or too short.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.NAME(3, strides=2)(layers.Input((9, 4))).shape
    (None, 4, 4)
    """
    _op = "pool1d"
    _node_arguments = ("pool_size", "strides", "padding")
    _kind: ClassVar[str]

    def __init__(
        self,
        pool_size: int | tuple[int],
        strides: int | tuple[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        channels_last(type(self).__name__, data_format)
        self.pool_size = self.window_size = single("pool_size", pool_size)
        self.strides = self.window_stride = self.pool_size if strides is None else single("strides", strides)
        self.padding = check.lookup("padding", padding, {name: name for name in ("valid", "same")})
        self._keeps_time = self._keeps_steps()

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"kind": self._kind, **super()._attributes()}


class MaxPooling1D(Pooling):
    """The largest value of each channel in each window: (N, T, C) to (N, T', C)."""

    _kind = "max"

    def __init__(
        self,
        pool_size: int | tuple[int] = 2,
        strides: int | tuple[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **arguments)


class AveragePooling1D(Pooling):
    """The mean of each channel in each window: (N, T, C) to (N, T', C)."""

    _kind = "average"


class GlobalPooling(Layer, registered=False):
    """Base of the layers that pool all steps; a subclass sets `kind`."""

    _sections = """
    Parameters
    ----------
    data_format : None or "channels_last"
    keepdims : bool, default False
        Keep a time axis of one step.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument or an input of another rank.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.NAME()(layers.Input((9, 4))).shape
    (None, 4)
    >>> layers.NAME(keepdims=True)(layers.Input((9, 4))).shape
    (None, 1, 4)
    """
    _op = "global_pool1d"
    _keeps_time = False
    _kind: ClassVar[str]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **arguments: Unpack[LayerArguments]
    ) -> None:
        super().__init__(**arguments)
        channels_last(type(self).__name__, data_format)
        self.keepdims = check.boolean("keepdims", keepdims)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C)."""
        check.sequence_shape(self.name, shape, "channels")

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, C), or (N, 1, C) with `keepdims`."""
        return ((input_shape[0], *([1] if self.keepdims else []), input_shape[2]),)

    def _mask_of(self, mask: Mask) -> Mask:
        """What decides which steps take part."""
        return mask

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the pooling, and with `keepdims` one step of it."""
        rows, _, channels = builder.shape(inputs[0])
        output = builder.value(self.name, (rows, channels))
        mask = builder.real(inputs[0], self._mask_of(masks[0]))
        builder.node(self._op, self.name, (inputs[0], mask), (output,), (), {"kind": self._kind})
        if not self.keepdims:
            return (output,)
        step = builder.value(f"{self.name}/step", (rows, 1, channels))
        builder.node("repeat_vector", f"{self.name}/step", (output,), (step,), (), {"n": 1})
        return (step,)


class GlobalAveragePooling1D(GlobalPooling):
    """The mean of each channel over all steps: (N, T, C) to (N, C).

    Steps that a mask or `lengths` leave out do not take part; a row without any step gives zeros.
    """

    _kind = "average"
    _takes_mask = True


class GlobalMaxPooling1D(GlobalPooling):
    """The largest value of each channel over all steps: (N, T, C) to (N, C).

    Steps beyond `lengths` do not take part, and a row of length 0 gives zeros. A mask plays no role, as in Keras.
    """

    _kind = "max"

    def _mask_of(self, mask: Mask) -> Mask:
        """Lengths alone, and what follows from them."""
        return mask.padding_alone
