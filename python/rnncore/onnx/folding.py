"""Nodes whose inputs are known when a graph is read: constants, and arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore.onnx.attributes import Reader
from rnncore.onnx.files import LARGEST, package
from rnncore.onnx.sizes import Dim, Size

__all__ = ["constant", "evaluated", "fold", "is_open", "referenced", "shape_array", "uniform"]


def is_open(array: Array) -> bool:
    """Whether an array has sizes in it that are not known."""
    return array.dtype == object


def shape_array(dims: Sequence[Dim]) -> Array:
    """A shape as an array: int64, or objects where sizes are open."""
    return _closed(np.array([*dims, None], object)[:-1])


def _closed(array: Array) -> Array:
    """An array of objects as int64, where it has no open size; floats and booleans stay what they are."""
    if array.dtype != object or any(isinstance(entry, Size) for entry in array.ravel()):
        return array
    plain = np.array(array.tolist())
    return plain if plain.dtype.kind in "fb" else plain.astype(np.int64)


def uniform(array: Array) -> Any:
    """The one number that an array holds everywhere, or None."""
    flat = array.ravel()
    if not flat.size:
        return None
    if array.dtype == object:
        return flat[0] if all(isinstance(n, Size) and n.same(flat[0]) for n in flat) else None
    return flat[0] if (flat == flat[0]).all() else None


def constant(reader: Reader) -> Array:
    """What a Constant node holds."""
    kinds = {"float": np.float32, "floats": np.float32, "int": np.int64, "ints": np.int64}
    dtypes = {"value": None, **{f"value_{kind}": dtype for kind, dtype in kinds.items()}}
    found = {name: value for name in dtypes if (value := reader.get(name, None)) is not None}
    if len(found) != 1:
        reader.fail("it must hold one tensor, numbers or a number")
    ((name, value),) = found.items()
    return np.asarray(value, dtypes[name])


def fold(reader: Reader, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node of known arrays.

    An axis of an open size, of an array that is the same along it, is kept with size one.
    """
    if reader.op in ("ConstantOfShape", "Expand", "Tile"):
        return [_repeated(reader, inputs)]
    if any(array is not None and is_open(array) for array in inputs):
        if reader.op not in SHAPES:
            reader.fail("it depends on sizes that are not known; fix them with shapes=")
        return [_closed(np.asarray(made, object)) for made in SHAPES[reader.op](reader, list(inputs))]
    return evaluated(reader, inputs)


ELEMENTWISE = {
    *("Abs", "Add", "And", "Ceil", "Clip", "Cos", "Div", "Equal", "Erf", "Exp", "Floor", "Greater"),
    *("GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Not", "Or"),
    *("Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor"),
}
# All others that are evaluated: none of them loops, or gives more numbers than `_result_size` says.
EVALUATED = ELEMENTWISE | {
    *("Cast", "Concat", "DequantizeLinear", "Dropout", "Flatten", "Gather", "Gemm", "Identity", "MatMul", "Pad"),
    *("Range", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Shape", "Size"),
    *("Slice", "Softmax", "Split", "Squeeze", "Transpose", "Trilu", "Unsqueeze"),
}


def evaluated(reader: Reader, inputs: Sequence[Array | None]) -> list[Array]:
    """What ONNX's reference implementation makes of the arrays of a constant node."""
    if reader.op not in EVALUATED:
        reader.fail("this operator is not supported on constants")
    given = [array for array in inputs if array is not None]
    try:
        size = _result_size(reader.op, given)
    except (ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
        reader.fail(f"its constant inputs do not fit: {error}")
    if size > LARGEST:
        reader.fail(f"it makes an array of {size} numbers, more than {LARGEST} are refused")
    return referenced(reader, inputs)


def _result_size(op: str, given: Sequence[Array]) -> int:
    """A bound on how many numbers a node gives."""
    if op in ELEMENTWISE:
        return int(math.prod(np.broadcast_shapes(*(array.shape for array in given))))
    if op == "Range":
        start, stop, step = (float(array.ravel()[0]) for array in given)
        return math.ceil(abs((stop - start) / step))
    if op == "Gather":
        return given[0].size * max(given[1].size, 1)
    if op == "Pad":
        return int(math.prod(n + int(np.abs(given[1]).sum()) for n in given[0].shape))
    if op in ("MatMul", "Gemm"):
        a, b = given[0], given[1]
        return int(a.size // min(a.shape[-2:] or (1,)) * (b.size // min(b.shape[-2:] or (1,))))
    return sum(array.size for array in given)


def referenced(reader: Reader, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node by ONNX's reference implementation."""
    onnx = package()
    from onnx.reference import ReferenceEvaluator

    node = reader.node
    feeds = {name: array for name, array in zip(node.input, inputs, strict=True) if array is not None}
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in feeds],
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", reader.opset)])
    try:
        made = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # whatever goes wrong, it is the node's arrays that do not fit
        reader.fail(f"its inputs do not fit: {error}")
    found = iter(made)
    return [np.asarray(next(found)) if name else np.empty(0) for name in node.output]


def _check_size(reader: Reader, sizes: Sequence[int]) -> None:
    if any(size < 0 for size in sizes) or math.prod(sizes) > LARGEST:
        reader.fail(f"it makes an array of shape {list(sizes)}, more than {LARGEST} numbers are refused")


def _repeated(reader: Reader, inputs: Sequence[Array | None]) -> Array:
    """ConstantOfShape, Expand and Tile, where open sizes, and those that only repeat, become one."""
    given = inputs[0] if reader.op == "ConstantOfShape" else inputs[1]
    if given is None:
        reader.fail("its shape is missing")
    sizes = list(given.ravel())
    if reader.op == "ConstantOfShape":
        value = np.asarray(reader.get("value", np.zeros(1, np.float32))).ravel()
        if value.size != 1:
            reader.fail(f"value must be one number, got {value.size}")
        closed = [1 if isinstance(size, Size) else int(size) for size in sizes]
        _check_size(reader, closed)
        return np.full(closed, value[0], value.dtype)
    array = inputs[0]
    if array is None:
        reader.fail("its input is missing")
    closed = [1 if isinstance(size, Size) else int(size) for size in sizes]
    if reader.op == "Tile":
        _check_size(reader, [array.size, *closed])
        return np.tile(array, closed)
    _check_size(reader, [max(n, 1) for n in closed])
    try:
        return np.broadcast_to(array, np.broadcast_shapes(array.shape, tuple(closed))).copy()
    except ValueError:
        reader.fail(f"an array of shape {array.shape} cannot be expanded to {sizes}")


# Nodes that work on shapes with open sizes: arrays of objects.

Evaluate = Callable[[Reader, list[Any]], list[Any]]
SHAPES: dict[str, Evaluate] = {}


def _shapes(*names: str) -> Callable[[Evaluate], Evaluate]:
    def register(function: Evaluate) -> Evaluate:
        SHAPES.update(dict.fromkeys(names, function))
        return function

    return register


@_shapes("Identity", "Cast")
def _same(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [inputs[0]]


@_shapes("Gather")
def _gather(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.take(inputs[0], inputs[1], axis=reader.get("axis", 0))]


@_shapes("Concat")
def _concat(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.concatenate([np.atleast_1d(array) for array in inputs], axis=reader.get("axis", 0))]


def _axes(reader: Reader, inputs: list[Any]) -> Any:
    given = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else reader.get("axes", None)
    return None if given is None else tuple(given)


@_shapes("Unsqueeze")
def _unsqueeze(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.expand_dims(inputs[0], _axes(reader, inputs))]


@_shapes("Squeeze")
def _squeeze(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.squeeze(inputs[0], _axes(reader, inputs))]


@_shapes("Reshape")
def _reshape(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.reshape(inputs[0], inputs[1])]


@_shapes("Slice")
def _slice(reader: Reader, inputs: list[Any]) -> list[Any]:
    array, starts, ends, *rest = inputs
    axes = rest[0].tolist() if rest and rest[0] is not None else range(len(starts))
    steps = rest[1].tolist() if len(rest) > 1 and rest[1] is not None else [1] * len(starts)
    cuts = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cuts[axis] = slice(int(start), int(end), int(step))
    return [array[tuple(cuts)]]


@_shapes("Add", "Sub", "Mul", "Div", "Equal")
def _arithmetic(reader: Reader, inputs: list[Any]) -> list[Any]:
    a, b = (np.asarray(array, object) for array in inputs)
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "Add": lambda x, y: x + y,
        "Sub": lambda x, y: x - y,
        "Mul": lambda x, y: x * y,
        "Div": lambda x, y: x // y,
        "Equal": lambda x, y: bool(x == y),
    }
    return [np.frompyfunc(functions[reader.op], 2, 1)(a, b)]


@_shapes("ReduceProd")
def _product(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.array(math.prod(inputs[0].ravel()), object)]


@_shapes("Not")
def _not(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.logical_not(inputs[0])]


@_shapes("Where")
def _where(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.where(np.asarray(inputs[0], bool), inputs[1], inputs[2])]


@_shapes("Shape")
def _shape(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.array(inputs[0].shape)]


@_shapes("Size")
def _size(reader: Reader, inputs: list[Any]) -> list[Any]:
    return [np.array(inputs[0].size)]
