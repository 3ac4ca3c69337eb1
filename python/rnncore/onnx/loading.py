"""`load`: a model from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.layers import InputLayer
from rnncore.layers.symbolic import SymbolicValue, walk
from rnncore.models import Model
from rnncore.onnx import operators  # noqa: F401  # fills the table of operators
from rnncore.onnx.attributes import NodeError
from rnncore.onnx.files import read_model
from rnncore.onnx.importing import Batch, Importer, InputPort, NeedsValue, input_dims, one_to_drop
from rnncore.onnx.sizes import Size
from rnncore.onnx.tensors import Conflict, Tensor, regroup
from rnncore.parameters import deferring, hold
from rnncore.policies import POLICIES
from rnncore.writing import FilePath

__all__ = ["Loaded", "OutputPort", "load", "loaded"]


@dataclass(frozen=True)
class OutputPort:
    """How an output of the model is one of the graph: where its batch goes, or which axis of size one it replaced."""

    name: str
    batch: int | None
    dropped: int | None
    rank: int


@dataclass(frozen=True)
class Loaded:
    """A model, and how its inputs and outputs are those of the graph."""

    model: Model
    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]


def load(
    filepath: FilePath | bytes,
    *,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    values: Mapping[str, npt.ArrayLike] | None = None,
) -> Model:
    """Make a model of an ONNX file: layers with the file's weights, which can be trained on and saved.

    The inputs and outputs of the model are those of the graph, in their order and with their names, but the batch
    is their first axis. Where the graph has a fixed batch of one, the batch takes the place of the first axis of size
    one, and an input without such an axis gets one more in front. States that go in and out are inputs and outputs
    like others. An input of `sequence_lens` is left out: give `lengths` to the model's methods.

    Parameters
    ----------
    filepath : str or path
        Or bytes: what such a file holds.
    shapes : dict of str to tuple of int or None, optional
        Sizes of inputs, in the order of the graph, that take the place of those in the file: a number for an axis that
        the graph leaves open, where something depends on it; None for an axis of any size.
    values : dict of str to array_like, optional
        Inputs that are constants of the model rather than inputs.

    Returns
    -------
    Model
        Not compiled, float32; float64 if the first input is.

    Raises
    ------
    ValueError
        If the file is damaged, or has what layers do not; the message names the node and says what can be done.
    ImportError
        Without the package onnx.
    FileNotFoundError

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> from rnncore.onnx import export, load
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4), layers.Dense(2)])
    >>> x = np.ones((1, 5, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, os.path.join(folder, "model.onnx"))
    ...     again = load(os.path.join(folder, "model.onnx"))
    >>> bool(np.allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6))
    True
    """
    return loaded(read_model(filepath), shapes, values).model


def loaded(
    proto: Any,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    values: Mapping[str, npt.ArrayLike] | None = None,
) -> Loaded:
    """The model of a checked ModelProto."""
    inputs = {given.name: given for given in proto.graph.input}
    fixed = {name: check.shape(f"shape of {name}", tuple(shape)) for name, shape in (shapes or {}).items()}
    constants = {name: np.asarray(value) for name, value in (values or {}).items()}
    for argument, names in (("shapes", fixed), ("values", constants)):
        for name in names:
            if name not in inputs:
                raise ValueError(f"{argument} has {name!r}, which is no input of the graph; they are {list(inputs)}")
    errors: list[NodeError | Conflict] = []
    left = list(_candidates(proto, fixed, constants))
    while left:
        batch = left.pop(0)
        try:
            with deferring():
                return _finished(proto, Importer(proto, batch, fixed, constants))
        except NeedsValue:
            raise
        except (NodeError, Conflict) as error:
            errors.append(error)
            also = error.also if isinstance(error, Conflict) else None
            if isinstance(batch, frozenset) and also is not None and also not in batch:
                left.insert(0, batch | {also})
    raise next((error for error in errors if isinstance(error, NodeError)), ValueError(str(errors[0])))


def _candidates(proto: Any, shapes: Mapping[str, Any], values: Mapping[str, Array]) -> Iterator[Batch]:
    """What may be the batch, the likeliest first: open sizes, nothing in the graph, fixed sizes."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    found: dict[str, tuple[int, int]] = {}
    fixed: dict[tuple[int, int], None] = {}
    for given in proto.graph.input:
        if given.name in stored or given.name in values or not given.type.HasField("tensor_type"):
            continue
        for axis, size in enumerate(input_dims(given, shapes.get(given.name))):
            if isinstance(size, Size):
                name = size.factors[0]
                likely = 0 if name.lower() in ("n", "b") or "batch" in name.lower() else 1
                found[name] = min(found.get(name, (likely, axis)), (likely, axis))
            elif axis < 2 and size > 1:
                fixed[size, axis] = None
    yield from (frozenset({name}) for name in sorted(found, key=lambda name: found[name]))
    yield None
    yield from fixed


def _finished(proto: Any, importer: Importer) -> Loaded:
    """The model of a graph that has been read, with its weights."""
    outputs, ports = [], []
    for name, tensor in importer.outputs.items():
        value, port = _output(importer, name, tensor)
        outputs.append(value)
        ports.append(port)
    given = {port.value: port for port in importer.ports if port.value is not None}
    read = {value for call in walk(given, outputs) for value in call.reads} | set(outputs)
    used = [port for value, port in given.items() if value in read]
    if not used:
        raise NodeError("no output of the graph depends on an input of floats or ids")
    kept = {port.name: port for port in used}
    if importer.lengths is not None:
        kept[importer.lengths] = InputPort(importer.lengths, None)
    order = [graph_input.name for graph_input in proto.graph.input]
    inputs = tuple(sorted(kept.values(), key=lambda port: order.index(port.name)))
    if importer.timed is not None:  # lengths belong to the first input of a model
        inputs = tuple(sorted(inputs, key=lambda port: port.value is not importer.timed))
    model = Model([port.value for port in inputs if port.value is not None], outputs, name=_name(proto))
    weights = model.weights
    dtype = "float64" if _is_double(proto) else "float32"
    model._policy = check.lookup("dtype", dtype, POLICIES)
    if weights:
        hold(weights, model._policy.dtype)
    for layer in model.layers:
        for weight, array in zip(layer.weights, importer.weights.get(layer, []), strict=True):
            weight.value[...] = array
    model._session.engine(model)  # checks the graph as a whole
    return Loaded(model, inputs, tuple(ports))


def _output(importer: Importer, name: str, tensor: Tensor) -> tuple[SymbolicValue, OutputPort]:
    """The value of an output, with the batch first and the other axes in their order."""
    joined = [axis for axis, group in enumerate(tensor.axes) if 0 in group]
    if joined and tensor.axes[joined[0]] != (0,):
        raise Conflict(f"output {name!r} joins the batch and another axis")
    batch = joined[0] if joined else None
    dims = tensor.dims
    dropped = None if joined else one_to_drop(dims)
    groups = [tensor.axes[axis] for axis in range(tensor.rank) if axis not in (batch, dropped)]
    value = regroup(tensor, groups or [()]).value
    if not isinstance(value.layer, InputLayer) and not value.layer.weights and value.call.index == 0:
        value.layer.name = importer.name(name)
    return value, OutputPort(name, batch, dropped, tensor.rank)


def _name(proto: Any) -> str | None:
    return proto.graph.name or None


def _is_double(proto: Any) -> bool:
    return any(given.type.tensor_type.elem_type == 11 for given in proto.graph.input)
