"""Operators that work number by number, and those that reduce or normalize along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore import activations, layers
from rnncore._data import Array
from rnncore.layers import Layer
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.attributes import Reader
from rnncore.onnx.importing import Importer, Open, operator
from rnncore.onnx.operators.layout import aligned, reshaped
from rnncore.onnx.sizes import BATCH, Size, product
from rnncore.onnx.tensors import Conflict, Tensor, known_one, regroup

__all__ = ["moved_last"]


def moved_last(x: Tensor, axis: int) -> tuple[Tensor, int]:
    """The tensor with an axis of it as the last of its value, and which that is."""
    if x.reads_batch(axis):
        raise Conflict(f"axis {axis} is that of the batch")
    group, place = x.axes[axis], len(x.sizes) - 1
    if group == (place,) or (not group and place and known_one(x.sizes[place])):
        return x, place
    made = regroup(x, [*((p,) for p in x.inner if p not in group and not known_one(x.sizes[p])), group])
    return made, len(made.sizes) - 1


# One input

ACTIVATIONS: dict[str, Callable[[Reader], Any]] = {
    "Celu": lambda reader: activations.CELU(reader.get("alpha", 1.0)),
    "Elu": lambda reader: activations.ELU(reader.get("alpha", 1.0)),
    "Gelu": lambda reader: activations.GELU(reader.get("approximate", "none") == "tanh"),
    "HardSigmoid": lambda reader: activations.HardSigmoid(reader.get("alpha", 0.2), reader.get("beta", 0.5)),
    "LeakyRelu": lambda reader: activations.LeakyReLU(reader.get("alpha", 0.01)),
    "Mish": lambda reader: "mish",
    "Relu": lambda reader: "relu",
    "Selu": lambda reader: _selu(reader),
    "Sigmoid": lambda reader: "sigmoid",
    "Softplus": lambda reader: "softplus",
    "Softsign": lambda reader: "softsign",
    "Swish": lambda reader: _swish(reader),
    "Tanh": lambda reader: "tanh",
    "ThresholdedRelu": lambda reader: activations.Threshold(reader.get("alpha", 1.0), 0.0),
}


def _selu(reader: Reader) -> str:
    alpha, gamma = reader.get("alpha", 1.67326319217681884765625), reader.get("gamma", 1.05070102214813232421875)
    if not math.isclose(alpha, 1.6732632, rel_tol=1e-6) or not math.isclose(gamma, 1.0507010, rel_tol=1e-6):
        reader.fail(f"alpha and gamma must be the defaults, got {alpha} and {gamma}")
    return "selu"


def _swish(reader: Reader) -> str:
    if reader.get("alpha", 1.0) != 1.0:
        reader.fail("alpha must be 1, others are not supported")
    return "silu"


@operator(*ACTIVATIONS)
def _activation(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    found = ACTIVATIONS[reader.op](reader)
    reader.ignore("consumed_inputs")
    reader.finish()
    return applied(importer, reader, x, found)


def applied(importer: Importer, reader: Reader, x: Tensor, activation: Any) -> Tensor:
    """An activation of a tensor: part of the layer that makes it, where nothing else reads that."""
    made_by: Any = x.value.layer
    inner = made_by.layer if isinstance(made_by, layers.TimeDistributed) else made_by
    fits = isinstance(inner, (layers.Dense, layers.Conv1D)) and inner.activation == "linear" and inner.trainable
    if fits and importer.read_once(reader.node.input[0]):
        inner.activation = activations.kept(activation)
        return x
    return x.on(layers.Activation(activation, name=importer.layer_name(reader))(x.value))


def _elementwise(x: Tensor, function: str, **options: Any) -> Tensor:
    return x.on(layers.Elementwise(function, **options)(x.value))


FUNCTIONS = {"Abs": "abs", "Cos": "cos", "Exp": "exp", "Log": "log", "Sin": "sin", "Sqrt": "sqrt"}


@operator(*FUNCTIONS)
def _function(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    reader.finish()
    return _elementwise(importer.tensor(reader, inputs, 0), FUNCTIONS[reader.op])


@operator("Neg")
def _negative(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    return rescaled(importer.tensor(reader, inputs, 0), -1.0)


@operator("Reciprocal")
def _reciprocal(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    return _elementwise(importer.tensor(reader, inputs, 0), "power", exponent=-1.0)


@operator("HardSwish")
def _hard_swish(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    return x.on(layers.Multiply()([x.value, layers.Activation(activations.HardSigmoid(1 / 6, 0.5))(x.value)]))


@operator("Clip")
def _clip(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    bounds = []
    for number, name in ((1, "min"), (2, "max")):
        given = importer.array(reader, inputs, number, name)
        bound = reader.get(name, None) if given is None else float(given.ravel()[0])
        bounds.append(bound if bound is None or abs(bound) < 3e38 else None)
    return _elementwise(importer.tensor(reader, inputs, 0), "clip", min_value=bounds[0], max_value=bounds[1])


@operator("PRelu")
def _prelu(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    slope = importer.required(reader, inputs, 1, "slope")
    if slope.size != 1 or slope.ravel()[0] < 0:
        reader.fail(f"slope must be one number that is not negative, got shape {slope.shape}")
    found = activations.LeakyReLU(float(slope.ravel()[0]))
    return applied(importer, reader, importer.tensor(reader, inputs, 0), found)


@operator("Pow")
def _power(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    exponent = importer.required(reader, inputs, 1, "exponent")
    if exponent.size != 1:
        reader.fail(f"its exponent must be one number, got shape {exponent.shape}")
    x, number = importer.tensor(reader, inputs, 0), float(exponent.ravel()[0])
    if number == 2:
        return _elementwise(x, "square")
    return _elementwise(x, "sqrt") if number == 0.5 else _elementwise(x, "power", exponent=number)


def rescaled(x: Tensor, scale: float, offset: float = 0.0) -> Tensor:
    """Give scale · x + offset."""
    layer = x.value.layer
    if isinstance(layer, layers.Rescaling) and not layer.offset and math.frexp(scale)[0] in (0.5, -0.5):
        return rescaled(x.on(x.value.call.inputs[0]), scale * layer.scale, offset)  # powers of two are exact
    return x if scale == 1 and offset == 0 else x.on(layers.Rescaling(scale, offset)(x.value))


# Two inputs

MERGES: dict[str, type[Layer]] = {
    "Add": layers.Add,
    "Sub": layers.Subtract,
    "Mul": layers.Multiply,
    "Max": layers.Maximum,
    "Min": layers.Minimum,
    "Sum": layers.Add,
    "Mean": layers.Average,
}


@dataclass(frozen=True)
class Erf:
    """Part of x · (1 + erf(x / √2)) / 2, which is how files without Gelu say it: the sum, times a number so far."""

    x: Tensor
    scale: float | None = None  # None before the one is added


@operator("Erf")
def _erf(importer: Importer, reader: Reader, inputs: list[Any]) -> Erf:
    x = importer.tensor(reader, inputs, 0)
    layer = x.value.layer
    if not isinstance(layer, layers.Rescaling) or abs(layer.scale - math.sqrt(0.5)) > 1e-6 or layer.offset:
        reader.fail("it is supported as part of a gelu alone: x · (1 + erf(x / √2)) / 2")
    return Erf(x.on(x.value.call.inputs[0]))


def _gelu_part(reader: Reader, inputs: list[Any]) -> Erf | Tensor:
    """The next part of a gelu."""
    (part,) = (value for value in inputs if isinstance(value, Erf))
    (other,) = (value for value in inputs if not isinstance(value, Erf)) if len(inputs) == 2 else (None,)
    number = float(other.ravel()[0]) if isinstance(other, np.ndarray) and other.size == 1 else None
    if reader.op == "Add" and part.scale is None and number == 1:
        return Erf(part.x, 1.0)
    if reader.op == "Mul" and part.scale is not None and number is not None:
        return Erf(part.x, part.scale * number)
    if reader.op == "Mul" and part.scale is not None and isinstance(other, Tensor):
        scale, value, layer = part.scale, other.value, other.value.layer
        if value is not part.x.value and isinstance(layer, layers.Rescaling) and not layer.offset:
            scale, value = scale * layer.scale, other.value.call.inputs[0]
        if value is part.x.value and other.axes == part.x.axes:
            return rescaled(part.x.on(layers.Activation("gelu")(value)), 2 * scale)
    return reader.fail("erf is supported as part of a gelu alone: x · (1 + erf(x / √2)) / 2")


@operator("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")
def _merge(importer: Importer, reader: Reader, inputs: list[Any]) -> Any:
    reader.ignore("axis", "broadcast")
    if any(isinstance(value, Erf) for value in inputs):
        return _gelu_part(reader, inputs)
    known = [value for value in inputs if isinstance(value, np.ndarray)]
    if reader.op == "Mul" and any(isinstance(value, Open) for value in inputs) and not all(map(np.any, known)):
        return np.zeros((), np.int64)  # zero times a whole number, whatever it is
    if len(inputs) == 2 and len(known) == 1:
        found = _with_constant(importer, reader, inputs, known[0])
        if found is not None:
            return found
    tensors = [importer.tensor(reader, inputs, number) for number in range(len(inputs))]
    if reader.op == "Div":
        tensors[1] = _elementwise(tensors[1], "power", exponent=-1.0)
    return merged(MERGES["Mul" if reader.op == "Div" else reader.op], tensors)


def merged(layer: type[Layer], tensors: list[Tensor]) -> Tensor:
    """Tensors merged number by number, as ONNX repeats axes of size one."""
    first = tensors[0]
    if len(tensors) == 1:
        return first
    if all((x.axes, x.sizes) == (first.axes, first.sizes) for x in tensors):
        return first.on(layer()([x.value for x in tensors]))
    rank = max(x.rank for x in tensors)
    full = [Tensor(x.value, (*[()] * (rank - x.rank), *x.axes), x.sizes) for x in tensors]
    values, axes, sizes = aligned(full)
    return Tensor(layer()(values), axes, tuple(sizes))


def _with_constant(importer: Importer, reader: Reader, inputs: list[Any], array: Array) -> Tensor | None:
    """One tensor and one constant as a layer of its own kind, or None."""
    first = isinstance(inputs[0], np.ndarray)
    x = importer.tensor(reader, inputs, 1 if first else 0)
    if array.dtype == object:
        reader.fail("it needs sizes that are not known as numbers; fix them with shapes=")
    if reader.op == "Add" and array.ndim and array.size == array.shape[-1]:
        biased = _with_bias(importer, reader, x, array.ravel(), first)
        if biased is not None:
            return biased
    if array.size == 1 and array.ndim <= x.rank and reader.op in ("Add", "Sub", "Mul", "Div"):
        number = float(array.ravel()[0])
        if reader.op == "Add":
            return rescaled(x, 1.0, number)
        if reader.op == "Sub":
            return rescaled(x, -1.0, number) if first else rescaled(x, 1.0, -number)
        if reader.op == "Mul":
            return rescaled(x, number)
        if not first and number:
            return rescaled(x, 1.0 / number)
        return rescaled(_elementwise(x, "power", exponent=-1.0), number) if first else None
    long = [axis for axis, size in enumerate(array.shape) if size != 1]
    if len(long) != 1 or array.ndim > x.rank or reader.op not in ("Add", "Sub", "Mul", "Div"):
        return None
    axis = x.rank - array.ndim + long[0]
    if x.reads_batch(axis) or isinstance(x.dims[axis], Size) or x.dims[axis] != array.size:
        return None
    return _per_feature(importer, reader, x, axis, array.ravel().astype(np.float64), first)


def _per_feature(
    importer: Importer, reader: Reader, x: Tensor, axis: int, numbers: Array, first: bool
) -> Tensor | None:
    """A number for each feature: the bias of the layer that made the tensor, or a normalization that never trains."""
    scale, offset = np.ones_like(numbers), np.zeros_like(numbers)
    if reader.op == "Add":
        offset = numbers
    elif reader.op == "Sub":
        scale, offset = (-scale, numbers) if first else (scale, -numbers)
    elif reader.op == "Mul":
        scale = numbers
    elif first or not numbers.all():
        return None
    else:
        scale = 1 / numbers
    x, _ = moved_last(x, axis)
    layer = layers.BatchNormalization(epsilon=0.0, trainable=False, name=importer.layer_name(reader))
    return x.on(importer.add(layer, [scale, offset, np.zeros_like(scale), np.ones_like(scale)], x.value))


def _with_bias(importer: Importer, reader: Reader, x: Tensor, numbers: Array, first: bool) -> Tensor | None:
    """The tensor with the numbers as the bias of the Dense that made it, if it has none and nothing else reads that."""
    layer = x.value.layer
    name = reader.node.input[1 if first else 0]
    if not isinstance(layer, layers.Dense) or layer.use_bias or layer.activation != "linear":
        return None
    place = len(x.sizes) - 1
    shown = () if layer.units == 1 else (place,)
    if numbers.size != layer.units or x.axes[-1] != shown or not importer.read_once(name):
        return None
    (kernel,) = importer.weights.pop(layer)
    biased = layers.Dense(layer.units, name=layer.name)
    return x.on(importer.add(biased, [kernel, numbers], x.value.call.inputs[0]))


# Along an axis


@operator("Softmax", "LogSoftmax")
def _softmax(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    axis = x.axis(reader.get("axis", -1 if reader.opset >= 13 else 1))
    if reader.opset < 13 and axis != x.rank - 1:  # over all axes from this one on
        flat = Tensor(x.value, (*x.axes[:axis], sum(x.axes[axis:], ())), x.sizes)
        return reshaped(_applied_softmax(importer, reader, flat, axis), x.dims)
    return _applied_softmax(importer, reader, x, axis)


def _applied_softmax(importer: Importer, reader: Reader, x: Tensor, axis: int) -> Tensor:
    """The softmax, or its logarithm, over an axis."""
    x = importer.without_lengths(moved_last(x, axis)[0])
    x = applied(importer, reader, x, "softmax")
    return _elementwise(x, "log") if reader.op == "LogSoftmax" else x


@operator("ReduceMean", "ReduceSum", "ReduceMax", "GlobalAveragePool", "GlobalMaxPool")
def _reduce(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    keeps = bool(reader.get("keepdims", 1))
    if reader.op.startswith("Global"):
        axes = list(range(2, x.rank))
    else:
        given = importer.array(reader, inputs, 1, "axes")
        axes = reader.get("axes", None) if given is None else [int(axis) for axis in given.ravel()]
        if not axes:
            if reader.get("noop_with_empty_axes", 0):
                return x
            axes = list(range(x.rank))
    places = sorted(x.axis(axis) for axis in axes)
    if any(x.reads_batch(axis) for axis in places):
        raise Conflict(f"axes {places} hold that of the batch")
    joined = sum((x.axes[axis] for axis in places), ())
    count = product(x.dims[axis] for axis in places)
    shown = dict.fromkeys(places, ())
    sums = reader.op == "ReduceSum" and isinstance(count, Size)
    if joined:
        rest = tuple(p for p in x.inner if p not in joined and not known_one(x.sizes[p]))
        wide = importer.without_lengths(_joined(x, joined, rest, places))
        if sums:
            value = _sum(importer, reader, wide.value)
        else:
            pool = layers.GlobalMaxPooling1D() if "Max" in reader.op else layers.GlobalAveragePooling1D()
            value = pool(wide.value)
        if len(rest) > 1:
            value = layers.Reshape([int(x.sizes[p]) for p in rest])(value)
        new = {p: number for number, p in enumerate(rest, 1)}
        axes_left = [shown[a] if a in shown else tuple(new.get(p, 0) for p in g) for a, g in enumerate(x.axes)]
        x = Tensor(value, tuple(axes_left), (BATCH, *([x.sizes[p] for p in rest] or [1])))
    if reader.op == "ReduceSum" and not sums:
        x = rescaled(x, float(count))
    return x if keeps else Tensor(x.value, tuple(g for a, g in enumerate(x.axes) if a not in shown), x.sizes)


def _sum(importer: Importer, reader: Reader, value: SymbolicValue) -> SymbolicValue:
    """The sum over any number of steps: a recurrent layer that adds each to its state, and never trains."""
    features = int(value.shape[-1] or 0)
    layer = layers.SimpleRNN(features, "linear", use_bias=False, trainable=False, name=importer.layer_name(reader))
    made: SymbolicValue = importer.add(layer, [np.eye(features), np.eye(features)], value)
    return made


def _joined(x: Tensor, joined: tuple[int, ...], rest: tuple[int, ...], places: list[int]) -> Tensor:
    """The value as (N, steps, features), of which a tensor of three axes shows all."""
    if any(isinstance(x.sizes[p], Size) for p in rest) and len(rest) > 1:
        raise Conflict("an axis of an open size is in the way; fix it with shapes=")
    flat = Tensor(x.value, ((0,), joined, rest), x.sizes)
    return regroup(flat, [joined, rest])
