"""Reading the protobuf of a model: what is no model, or could harm, is refused before anything is made of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["arrays_of", "checked_model", "label", "package", "read_model"]

LARGEST = 2**24  # elements of one array that a graph may ask for
MOST = 4096  # copies of a part of a graph
DOMAINS = ("", "ai.onnx")
OLDEST, NEWEST = 7, 26  # opsets


def package() -> Any:
    """The package onnx, which reads and writes the files."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: pip install 'rnncore[onnx]'") from error
    return onnx


def read_model(source: Any) -> Any:
    """A checked ModelProto from a path, from bytes or from one that is loaded already."""
    onnx = package()
    if isinstance(source, onnx.ModelProto):
        return checked_model(source, "the model")
    if isinstance(source, (bytes, bytearray)):
        return checked_model(_parsed(bytes(source), "the model"), "the model")
    path = os.fsdecode(source)
    return checked_model(_parsed(Path(path).read_bytes(), path), path)


def _parsed(content: bytes, where: str) -> Any:
    from google.protobuf.message import DecodeError

    model = package().ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"{where} is no ONNX file, or a damaged one: {error}") from error
    return model


def checked_model(model: Any, where: str) -> Any:
    """The model, if this package knows its operators and it keeps all it needs within itself."""
    if not model.ir_version or not model.graph.node:
        raise ValueError(f"{where} is no ONNX file, or a damaged one: it has no graph of nodes")
    for node in nodes_of(model.graph):
        names = [node.name, node.op_type, node.domain, *node.input, *node.output]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"{where} is damaged: {label(node)} has names that are no text")
    versions = {entry.domain: entry.version for entry in model.opset_import}
    used = {node.domain for node in nodes_of(model.graph)}
    for domain in sorted(used):
        if domain not in DOMAINS:
            node = next(node for node in nodes_of(model.graph) if node.domain == domain)
            raise ValueError(
                f"{label(node)} is of the domain {domain!r}, only ONNX's own operators are known; export the model "
                "without extensions"
            )
    version = opset(model)
    if not OLDEST <= version <= NEWEST:
        raise ValueError(
            f"{where} has opset {version}, known are {OLDEST} to {NEWEST}; onnx.version_converter changes it"
            if versions
            else f"{where} names no opset, so that its operators have no meaning"
        )
    if model.functions:
        raise ValueError(f"{where} defines functions of its own; onnx.inliner.inline_local_functions takes them out")
    for tensor in _tensors(model.graph):
        _check_tensor(tensor, where)
    return model


def opset(model: Any) -> int:
    """The version of ONNX's own operators, 0 where none is named."""
    return max((int(entry.version) for entry in model.opset_import if entry.domain in DOMAINS), default=0)


def label(node: Any) -> str:
    """How messages call a node."""
    return f"node {node.name or next(iter(node.output), '?')!r} ({node.op_type})"


def nodes_of(graph: Any) -> Iterator[Any]:
    """All nodes, those of branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from nodes_of(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    if graph.sparse_initializer:
        raise ValueError(
            f"tensor {graph.sparse_initializer[0].values.name!r} is sparse, which is not supported; store it whole"
        )
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _tensors(inner)


def _check_tensor(tensor: Any, where: str) -> None:
    """Raise unless a tensor has its numbers within the file, and as many as it says."""
    onnx = package()
    name = f"tensor {tensor.name!r}" if tensor.name else "a tensor of a node"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(
            f"{name} of {where} lies in another file; join them: onnx.save(onnx.load(path), path, "
            "save_as_external_data=False)"
        )
    if any(size < 0 for size in tensor.dims):
        raise ValueError(f"{name} of {where} has shape {list(tensor.dims)}, sizes must not be negative")
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        raise ValueError(f"{name} of {where} has the unknown data type {tensor.data_type}") from None
    wanted = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(str(dtype), 8 * dtype.itemsize)
        fits = len(tensor.raw_data) == (wanted * bits + 7) // 8
    else:
        there = max(len(getattr(tensor, field)) for field in ARRAYS)
        fits = there == wanted * (2 if dtype.kind == "c" else 1) or (dtype.itemsize == 1 and there >= wanted // 4)
    if not fits:
        raise ValueError(f"{name} of {where} says that it has shape {list(tensor.dims)}, but holds other numbers")


ARRAYS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def arrays_of(tensors: Any) -> dict[str, Any]:
    """The arrays of named tensors."""
    numpy_helper = package().numpy_helper
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
