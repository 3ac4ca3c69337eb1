"""Operators with weights, and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore import layers
from rnncore.layers import Layer
from rnncore.onnx.attributes import Reader
from rnncore.onnx.importing import Importer, operator
from rnncore.onnx.operators.arithmetic import moved_last
from rnncore.onnx.operators.layout import cut, padded
from rnncore.onnx.sizes import Dim, Size
from rnncore.onnx.tensors import Conflict, Tensor, regroup

__all__: list[str] = []


@operator("MatMul")
def _matmul(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    left, right = inputs
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        reader.fail("a product of two tensors that the graph computes is not supported, as in attention")
    known = importer.required(reader, inputs, 1 if isinstance(left, Tensor) else 0, "matrix")
    x = importer.tensor(reader, inputs, 0 if isinstance(left, Tensor) else 1)
    if known.ndim != 2:
        reader.fail(f"its matrix must have two axes, got shape {known.shape}")
    if isinstance(left, Tensor):
        return _dense(importer, reader, x, x.rank - 1, known, None)
    if x.rank < 2:
        reader.fail("a matrix times a vector is not supported")
    return _dense(importer, reader, x, x.rank - 2, known.T, None)


@operator("Gemm")
def _gemm(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    kernel, bias = importer.required(reader, inputs, 1, "B"), importer.array(reader, inputs, 2, "C")
    alpha, beta = reader.get("alpha", 1.0), reader.get("beta", 1.0)
    if reader.get("transA", 0):
        x = Tensor(x.value, x.axes[::-1], x.sizes)
    kernel = alpha * (kernel.T if reader.get("transB", 0) else kernel)
    if bias is not None:
        bias = beta * np.broadcast_to(bias, np.broadcast_shapes(bias.shape, (1, kernel.shape[1])))
        if len(bias) != 1:
            reader.fail(f"C must be the same for all rows, got shape {bias.shape}")
        bias = bias[0]
    return _dense(importer, reader, x, x.rank - 1, kernel, bias)


def _dense(importer: Importer, reader: Reader, x: Tensor, axis: int, kernel: Any, bias: Any) -> Tensor:
    """A Dense along an axis."""
    size = x.dims[axis]
    if x.reads_batch(axis):
        raise Conflict(f"axis {axis} is that of the batch")
    if isinstance(size, Size) or size != len(kernel):
        reader.fail(f"a matrix of shape {kernel.shape} does not fit an axis of size {size}")
    x, place = moved_last(x, axis)
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, name=importer.layer_name(reader))
    value = importer.add(layer, [kernel] if bias is None else [kernel, bias], x.value)
    return x.resized(value, axis, place)


# Windows


def _windowed(x: Tensor, *made: Layer) -> Tensor:
    """Layers on each sequence (steps, channels) of a tensor (n, channels, steps)."""
    if x.rank != 3:
        raise ValueError(f"only tensors of three axes (N, C, T) are supported, got {x.rank}")
    if x.reads_batch(1) or x.reads_batch(2):
        raise Conflict("the batch is not the first axis")
    outer = tuple(p for p in x.axes[0] if p)
    x = regroup(x, [*([outer] if outer else []), x.axes[2], x.axes[1]])
    value = x.value
    for layer in made:
        value = (layers.TimeDistributed(layer) if outer else layer)(value)
    channels = len(value.shape) - 1
    return x.resized(value, 2, channels - 1).resized(value, 1, channels)


def _window(reader: Reader, x: Tensor, size: int) -> tuple[int, int, tuple[int, int]]:
    """Stride, dilation and explicit padding of a node with windows of so many steps."""
    (stride,), (dilation,) = reader.get("strides", [1]), reader.get("dilations", [1])
    pads = tuple(reader.get("pads", [0, 0]))
    auto = reader.get("auto_pad", "NOTSET")
    span = (size - 1) * dilation + 1
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        steps = x.dims[2]
        if isinstance(steps, Size) and stride > 1:
            reader.fail(f"auto_pad={auto} with a stride depends on the number of steps; fix it with shapes=")
        rest = 0 if stride == 1 else (-int(steps) // stride * -1 - 1) * stride - int(steps)
        total = max(span - 1 if stride == 1 else rest + span, 0)
        small, large = total // 2, total - total // 2
        pads = (small, large) if auto == "SAME_UPPER" else (large, small)
    if len(pads) != 2:
        reader.fail(f"pads must be two numbers, got {list(pads)}")
    return stride, dilation, (pads[0], pads[1])


def _pads_as_keras(reader: Reader) -> bool:
    """Whether the padding is that of "same" in layers, for any number of steps."""
    strides, dilations = reader.get("strides", [1]), reader.get("dilations", [1])
    return reader.get("auto_pad", "NOTSET") == "SAME_UPPER" and len(strides) == 1 and dilations == [1]


@operator("Conv")
def _conv(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    kernel, bias = importer.required(reader, inputs, 1, "W"), importer.array(reader, inputs, 2, "B")
    if kernel.ndim != 3:
        reader.fail(f"only convolutions over one axis are supported, got W of shape {kernel.shape}")
    if reader.get("group", 1) != 1:
        reader.fail(f"group must be 1, others are not supported, got {reader.get('group', 1)}")
    filters, _, size = kernel.shape
    if reader.get("kernel_shape", [size]) != [size]:
        reader.fail(f"kernel_shape must be [{size}], as W is, got {reader.get('kernel_shape', [])}")
    x = importer.tensor(reader, inputs, 0)
    as_keras = _pads_as_keras(reader)
    stride, dilation, pads = (reader.get("strides", [1])[0], 1, (0, 0)) if as_keras else _window(reader, x, size)
    reader.finish()
    padding, left = ("same", pads) if as_keras else _padding((size - 1) * dilation, stride, pads)
    layer = layers.Conv1D(
        filters,
        size,
        strides=1 if dilation > 1 else stride,
        dilation_rate=dilation,
        padding=padding,
        use_bias=bias is not None,
        name=importer.layer_name(reader),
    )
    if x.rank == 3 and not x.reads_batch(1) and x.dims[1] != kernel.shape[1]:
        reader.fail(f"W has {kernel.shape[1]} channels, its input {x.dims[1]}")
    before = [] if left == (0, 0) else [layers.ZeroPadding1D(left)]
    y = _windowed(importer.without_lengths(x), *before, layer)
    kernel = kernel.transpose(2, 1, 0)
    importer.keep(y.value.layer, [kernel] if bias is None else [kernel, bias])
    return cut(y, 2, slice(0, None, stride)) if dilation > 1 and stride > 1 else y


def _padding(reach: int, stride: int, pads: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """The padding of the layer, and what is left for a layer before it."""
    if stride == 1 and reach and pads == (reach // 2, reach - reach // 2):
        return "same", (0, 0)
    if reach and pads == (reach, 0):
        return "causal", (0, 0)
    return "valid", pads


@operator("MaxPool", "AveragePool")
def _pool(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    shape = reader.get("kernel_shape", [])
    if len(shape) != 1:
        reader.fail(f"only pooling over one axis is supported, got kernel_shape {shape}")
    size = shape[0]
    largest = reader.op == "MaxPool"
    counts = bool(reader.get("count_include_pad", 0))
    reader.ignore("storage_order")
    if _pads_as_keras(reader) and not counts and not reader.get("ceil_mode", 0):
        stride = reader.get("strides", [1])[0]
        reader.finish()
        return _pooled(importer, x, largest, size, stride, "same")
    stride, dilation, pads = _window(reader, x, size)
    if dilation != 1:
        reader.fail("dilations must be 1, others are not supported")
    pads = _rounded_up(reader, x, size, stride, pads)
    reader.finish()
    padding = "valid"
    reach = size - 1
    if pads != (0, 0) and stride == 1 and pads == (reach // 2, reach - reach // 2) and not counts:
        padding = "same"
    elif pads != (0, 0) and largest:
        x = padded(importer, x, 2, pads, filling=float(np.finfo(np.float32).min))
    elif pads != (0, 0) and counts:
        x = padded(importer, x, 2, pads)
    elif pads != (0, 0):
        reader.fail("pads of an average that leaves them out are supported only where they keep the number of steps")
    return _pooled(importer, x, largest, size, stride, padding)


def _pooled(importer: Importer, x: Tensor, largest: bool, size: int, stride: int, padding: str) -> Tensor:
    kind = layers.MaxPooling1D if largest else layers.AveragePooling1D
    return _windowed(importer.without_lengths(x), kind(size, strides=stride, padding=padding))


def _rounded_up(reader: Reader, x: Tensor, size: int, stride: int, pads: tuple[int, int]) -> tuple[int, int]:
    """The pads with what a last window that is not whole needs."""
    if not reader.get("ceil_mode", 0):
        return pads
    steps = x.dims[2]
    if isinstance(steps, Size):
        reader.fail("ceil_mode depends on the number of steps; fix it with shapes=")
    over = (steps + sum(pads) - size) % stride
    if over and reader.op == "AveragePool":
        reader.fail("ceil_mode of an average is supported only where the windows fit the steps")
    missing = stride - over if over else 0
    starts_in_padding = over and steps + pads[0] <= (steps + sum(pads) - size + missing) // stride * stride
    return pads if starts_in_padding else (pads[0], pads[1] + missing)


# Normalization


@operator("BatchNormalization")
def _batch_normalization(importer: Importer, reader: Reader, inputs: list[Any]) -> list[Tensor]:
    x = importer.tensor(reader, inputs, 0)
    weights = [importer.required(reader, inputs, k, what) for k, what in enumerate(("scale", "B", "mean", "var"), 1)]
    if reader.get("training_mode", 0):
        reader.fail("training_mode must be 0: a graph to train is not supported, export the trained model")
    epsilon, momentum = reader.get("epsilon", 1e-5), reader.get("momentum", 0.9)
    reader.ignore("spatial", "is_test")
    reader.finish()
    x, _ = moved_last(x, 1 if x.rank > 1 else 0)
    layer = layers.BatchNormalization(epsilon=epsilon, momentum=momentum, name=importer.layer_name(reader))
    return [x.on(importer.add(layer, weights, x.value))]


@operator("LayerNormalization")
def _layer_normalization(importer: Importer, reader: Reader, inputs: list[Any]) -> list[Tensor]:
    x = importer.tensor(reader, inputs, 0)
    scale, bias = importer.required(reader, inputs, 1, "scale"), importer.array(reader, inputs, 2, "B")
    axis, epsilon = x.axis(reader.get("axis", -1)), reader.get("epsilon", 1e-5)
    reader.ignore("stash_type")
    reader.finish()
    if axis != x.rank - 1:
        reader.fail(f"axis must be the last, others are not supported, got {axis} of {x.rank}")
    x, _ = moved_last(x, axis)
    features: Dim = x.dims[axis]
    weights = [np.broadcast_to(array.ravel(), (int(features),)) for array in (scale, bias) if array is not None]
    layer = layers.LayerNormalization(epsilon=epsilon, center=bias is not None, name=importer.layer_name(reader))
    return [x.on(importer.add(layer, weights, x.value))]
