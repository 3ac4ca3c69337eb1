"""What an ONNX file holds, read without making a model of it."""

from __future__ import annotations

import math
from typing import Any

from rnncore.formats.description import Description, Row
from rnncore.onnx.files import opset, package, read_model
from rnncore.writing import FilePath

__all__ = ["describe"]


def describe(filepath: FilePath) -> Description:
    """The nodes that have weights or give a new kind of array, with shapes as far as the file tells them."""
    model = read_model(filepath)
    graph = model.graph
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    known = _shapes(model)
    rows = [Row(given.name, "Input", _dims(given), ()) for given in graph.input if given.name not in sizes]
    for node in graph.node:
        if node.op_type == "Constant":
            continue
        weights = tuple(sizes[name] for name in node.input if name in sizes)
        shape = next((known[name] for name in node.output if name in known), "?")
        rows.append(Row(node.name or next(iter(node.output), "?"), node.op_type, shape, weights))
    version = f"opset {opset(model)}, IR version {model.ir_version}"
    made_by = f"{model.producer_name} {model.producer_version}".strip()
    outputs = ", ".join(f"{given.name} {_dims(given)}" for given in graph.output)
    total = sum(math.prod(shape) for shape in sizes.values())
    return Description("ONNX", version, tuple(rows), total, {"made by": made_by or "?", "outputs": outputs})


def _dims(given: Any) -> str:
    dims = given.type.tensor_type.shape.dim
    names = [str(size.dim_value) if size.HasField("dim_value") else size.dim_param or "?" for size in dims]
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"


def _shapes(model: Any) -> dict[str, str]:
    """The shapes of arrays inside, as far as ONNX's own inference finds them."""
    onnx = package()
    try:
        found = onnx.shape_inference.infer_shapes(model).graph
    except onnx.shape_inference.InferenceError:
        found = model.graph
    return {given.name: _dims(given) for given in [*found.value_info, *found.output]}
