"""From a graph to a model: the nodes in their order, each by the rules of its operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore import layers
from rnncore._data import Array
from rnncore.layers import Layer
from rnncore.layers.reads_sequences import ReadsSequences
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.attributes import NodeError, Reader
from rnncore.onnx.files import LARGEST, arrays_of, label, opset, package
from rnncore.onnx.folding import constant, fold, shape_array
from rnncore.onnx.sizes import BATCH, Dim, Size, UnknownSize, product
from rnncore.onnx.tensors import Conflict, Tensor

__all__ = ["Batch", "Importer", "InputPort", "NeedsValue", "Open", "operator"]


@dataclass(frozen=True)
class Open:
    """An input of a graph that is no float tensor of a model: ids, lengths, or something whose value must be known."""

    name: str
    integer: bool
    dims: tuple[Dim, ...]


class NeedsValue(NodeError):
    """A node needs the value of an input of the graph to be read."""

    def __init__(self, node: Any, name: str, what: str) -> None:
        super().__init__(
            f"{label(node)}: its {what} is the graph's input {name!r}; give it a value: values={{{name!r}: ...}}"
        )
        self.name = name


@dataclass(frozen=True)
class InputPort:
    """How an input of the graph is one of the model.

    Attributes
    ----------
    name : str
        In the graph.
    value : SymbolicValue or None
        None for the lengths of the rows.
    batch : int or None
        The axis that goes first; None if an axis is put in front.
    dropped : int or None
        The axis of size one whose place the batch takes.
    """

    name: str
    value: SymbolicValue | None
    batch: int | None = None
    dropped: int | None = None


RECURRENT = ("RNN", "LSTM", "GRU")
FOLDED = 2**26


@dataclass(frozen=True)
class _Missing:
    """An output that nothing here makes."""

    reason: str


# What the batch is: open sizes, a fixed size and the likeliest axis for it, or nothing in the graph.
Batch = frozenset[str] | tuple[int, int] | None
Known = Tensor | Array | Open | _Missing
ADVICE = {
    "Loop": "; export the model with its steps unrolled, or with a recurrent node in place of the loop",
    "Scan": "; export the model with a recurrent node in place of the scan",
    "DynamicQuantizeLinear": "; take the file that is not quantized",
    "QuantizeLinear": "; take the file that is not quantized",
}

Operator = Callable[["Importer", Reader, list[Any]], Any]
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register what an operator becomes: a function of its attributes and inputs that returns its outputs."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


class Importer:
    """One reading of a graph, with the batch where it is supposed to be.

    Attributes
    ----------
    weights : dict of Layer to list of ndarray
        The weights of the layers made so far, in the order of `Layer.weights`.
    ports : list of InputPort
    """

    def __init__(
        self,
        model: Any,
        batch: Batch,
        shapes: Mapping[str, tuple[int | None, ...]],
        values: Mapping[str, Array],
    ) -> None:
        self.graph = model.graph
        self.opset = opset(model)
        self.weights: dict[Layer, list[Array]] = {}
        self.ports: list[InputPort] = []
        self.lengths: str | None = None  # the input that has the lengths of the rows
        self.timed: SymbolicValue | None = None  # the input whose rows they are
        self._batch = batch
        self._ids: dict[str, Tensor] = {}
        self._folded = 0  # numbers that constant nodes have made
        self._names: Counter[str] = Counter()
        self._uses = Counter(self._read(model.graph))
        self._has_lengths = any(node.op_type in RECURRENT and any(node.input[4:5]) for node in model.graph.node)
        self._known: dict[str, Known] = dict(arrays_of(model.graph.initializer))
        self._known |= values
        for given in model.graph.input:
            if given.name not in self._known:
                self._known[given.name] = self._input(given, shapes.get(given.name))
        self.outputs = {name: self._output(name) for name in self._run(model.graph)}

    def _read(self, graph: Any) -> Iterator[str]:
        """The names that nodes and outputs read, as often as they do."""
        yield from (output.name for output in graph.output)
        for node in graph.node:
            yield from node.input
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from self._read(attribute.g)

    # Inputs

    def _input(self, given: Any, shape: tuple[int | None, ...] | None) -> Known:
        """An input of the graph as one of the model."""
        onnx = package()
        kind = given.type.tensor_type.elem_type
        if not given.type.HasField("tensor_type") or kind == onnx.TensorProto.UNDEFINED:
            raise NodeError(f"input {given.name!r} must be a tensor of a known type, other inputs are not supported")
        dims = input_dims(given, shape)
        floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
        if kind not in floats:
            return Open(given.name, kind in (onnx.TensorProto.INT32, onnx.TensorProto.INT64), dims)
        return self._model_input(given.name, dims)

    def _model_input(self, name: str, dims: tuple[Dim, ...], dtype: str | None = None) -> Tensor:
        where = self._batch_axes(dims)
        if len(where) > 1:
            raise Conflict(f"input {name!r} has the batch twice")
        at = where[0] if where else None
        dropped = None if where else one_to_drop(dims)
        rest = [axis for axis in range(len(dims)) if axis not in (at, dropped)]
        inner = [dims[axis] for axis in rest]
        shape = [None if isinstance(size, Size) else size for size in inner] or [1]
        value = layers.Input(shape, name=self.name(name), dtype=dtype)
        places = {axis: (number,) for number, axis in enumerate(rest, 1)}
        if at is not None:
            places[at] = (0,)
        axes = tuple(places.get(axis, ()) for axis in range(len(dims)))
        self.ports.append(InputPort(name, value, at, dropped))
        return Tensor(value, axes, (BATCH, *(inner or [1])))

    def _batch_axes(self, dims: tuple[Dim, ...]) -> list[int]:
        """The axes that are supposed to be the batch."""
        if isinstance(self._batch, frozenset):
            return [axis for axis, size in enumerate(dims) if isinstance(size, Size) and size.factors[0] in self._batch]
        if self._batch is None:
            return []
        size, likely = self._batch
        found = [axis for axis, other in enumerate(dims) if not isinstance(other, Size) and other == size]
        return [likely] if likely in found else found[:1]

    def ids(self, given: Open) -> Tensor:
        """Make an input of integers one of the model."""
        if given.name not in self._ids:
            self._ids[given.name] = self._model_input(given.name, given.dims, "int32")
        return self._ids[given.name]

    # Nodes

    def _run(self, graph: Any) -> list[str]:
        """Go through the nodes; return the names of the outputs."""
        for node in graph.node:
            for name in node.input:
                if name and name not in self._known:
                    raise NodeError(
                        f"{label(node)}: it reads {name!r}, which no node before it makes: the graph has a cycle, or"
                        " its nodes are not in order"
                    )
            made = self._outputs_of(node)
            for name, value in zip(node.output, made, strict=False):
                if name:
                    self._known[name] = value
            for name in node.output:
                if name and name not in self._known:
                    self._known[name] = _Missing(
                        f"it reads the output {name!r} of {label(node)}, which is not supported"
                    )
        return [output.name for output in graph.output]

    def _outputs_of(self, node: Any) -> list[Known]:
        reader = Reader(node, self.opset)
        inputs = [self._known[name] if name else None for name in node.input]
        for value in inputs:
            if isinstance(value, _Missing):
                reader.fail(value.reason)
        try:
            made = self._made(reader, inputs)
        except NodeError:
            raise
        except UnknownSize as error:
            raise Conflict(
                reader.reason(f"it depends on {error}, which the graph leaves open; fix it with shapes=")
            ) from error
        except (ValueError, TypeError, IndexError) as error:
            conflict = Conflict(reader.reason(str(error)))
            conflict.also = getattr(error, "also", None)
            raise conflict from error
        return made if isinstance(made, list) else [made]

    def _made(self, reader: Reader, inputs: list[Any]) -> Any:
        """What a node gives: an array if all it reads is known, else tensors."""
        if reader.op == "Constant":
            return constant(reader)
        if reader.op == "If":
            return self._branch(reader, inputs[0])
        if reader.op in ("Shape", "Size") and isinstance(inputs[0], (Tensor, Open)):
            dims = inputs[0].dims
            if reader.op == "Size":
                return shape_array([product(dims)]).reshape(())
            return shape_array(dims[reader.get("start", 0) : reader.get("end", None)])
        known = all(value is None or isinstance(value, np.ndarray) for value in inputs)
        if inputs and known and reader.op not in RECURRENT:
            made = fold(reader, inputs)
            self._folded += sum(array.size for array in made)
            if self._folded > FOLDED:
                reader.fail(f"the constants of the graph come to more than {FOLDED} numbers")
            return made
        if reader.op not in OPERATORS:
            reader.fail("this operator is not supported" + ADVICE.get(reader.op, ""))
        return OPERATORS[reader.op](self, reader, inputs)

    def _branch(self, reader: Reader, condition: Any) -> list[Known]:
        """The outputs of the branch that is taken."""
        if isinstance(condition, Open):
            raise NeedsValue(reader.node, condition.name, "condition")
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            reader.fail("which branch is taken depends on the data; only conditions known beforehand are supported")
        name = "then_branch" if bool(condition.ravel()[0]) else "else_branch"
        graph = next((attribute.g for attribute in reader.node.attribute if attribute.name == name), None)
        if graph is None:
            reader.fail(f"it has no {name}")
        self._known |= arrays_of(graph.initializer)
        outputs = self._run(graph)
        for output in outputs:
            if output not in self._known:
                reader.fail(f"its {name} gives {output!r}, which no node makes")
        return [self._known[output] for output in outputs]

    # What operators use

    def name(self, given: str) -> str:
        """A name for a layer that no other has."""
        clean = given.strip("/").replace("/", ".") or "layer"
        count = self._names[clean]
        self._names[clean] += 1
        return self.name(f"{clean}_{count}") if count else clean

    def layer_name(self, reader: Reader) -> str:
        """A name for the layer of a node."""
        return self.name(reader.node.name or reader.op.lower())

    def add(self, layer: Layer, weights: Sequence[Array], *values: SymbolicValue) -> Any:
        """Call a layer that gets these weights."""
        made = layer(values[0] if len(values) == 1 else list(values))
        self.keep(layer, weights)
        return made

    def keep(self, layer: Layer, weights: Sequence[Array]) -> None:
        """Remember what the weights of a layer are to be."""
        wanted = [weight.shape for weight in layer.weights]
        if wanted != [np.shape(array) for array in weights]:
            raise ValueError(f"weights of shapes {[np.shape(a) for a in weights]} do not fit, expected {wanted}")
        self.weights[layer] = list(weights)

    @property
    def fixed_batch(self) -> int | None:
        """The number of samples that the graph is made for, where it is supposed to be made for one number."""
        return self._batch[0] if isinstance(self._batch, tuple) else None

    def reads(self, name: str) -> bool:
        """Whether anything reads a tensor."""
        return self._uses[name] > 0

    def read_once(self, name: str) -> bool:
        """Whether nothing but one node reads a tensor."""
        return self._uses[name] == 1

    def array(self, reader: Reader, inputs: Sequence[Any], number: int, what: str) -> Array | None:
        """An input that must be known beforehand, None if it is left out."""
        value = inputs[number] if number < len(inputs) else None
        if isinstance(value, Open):
            raise NeedsValue(reader.node, value.name, what)
        if isinstance(value, Tensor):
            port = next((port for port in self.ports if port.value is value.value), None)
            if port is not None:
                raise NeedsValue(reader.node, port.name, what)
            reader.fail(f"its {what} must be a constant, got one that the graph computes")
        return value

    def required(self, reader: Reader, inputs: Sequence[Any], number: int, what: str) -> Array:
        """The same for an input that must be there."""
        array = self.array(reader, inputs, number, what)
        if array is None:
            reader.fail(f"its {what} is missing")
        return array

    def tensor(self, reader: Reader, inputs: Sequence[Any], number: int, what: str = "input") -> Tensor:
        """An input that the model computes."""
        value = inputs[number] if number < len(inputs) else None
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Open):
            raise NeedsValue(reader.node, value.name, what)
        if value is None:
            reader.fail(f"its {what} is missing")
        return self.constant(value)

    def use_lengths(self, reader: Reader, given: Open, x: Tensor, time: int) -> None:
        """Let an input of the graph be the lengths of the rows of a model, for a tensor that has their steps."""
        if self.lengths not in (None, given.name):
            reader.fail(
                f"sequence_lens is {given.name!r}, that of another node {self.lengths!r}; only one is supported"
            )
        value = x.value
        while not isinstance(value.layer, layers.InputLayer):
            if not (value.layer._acts_per_step or isinstance(value.layer, (ReadsSequences, layers.Bidirectional))):
                reader.fail(
                    f"sequence_lens behind {value.layer.name!r}, which changes the steps, are not supported; put the"
                    " node first"
                )
            value = value.call.inputs[0]
        if x.axes[time] not in ((1,), ()) or self.timed not in (None, value):
            reader.fail("sequence_lens must belong to the steps of one input of the graph")
        self.lengths, self.timed = given.name, value

    def without_lengths(self, x: Tensor) -> Tensor:
        """The tensor for a layer that would leave out steps beyond the lengths, where the operator does not."""
        if not self._has_lengths or len(x.value.shape) < 3:
            return x
        turned = [2, 1, *range(3, len(x.value.shape))]
        return x.on(layers.Permute(turned)(layers.Permute(turned)(x.value)))

    def constant(self, array: Array) -> Tensor:
        """A tensor that is the same in every sample: the bias of a layer that does not train, on zeros."""
        if array.size > LARGEST:
            raise ValueError(f"a constant of {array.size} numbers is too large for a layer")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"a constant of {array.dtype} is no tensor of a model")
        sources = [port.value for port in self.ports if port.value is not None and port.value.dtype == "float"]
        if not sources:
            raise ValueError("a model needs a float input to repeat a constant for each of its samples")
        some = sources[0][(slice(None), *[0] * (len(sources[0].shape) - 2), slice(0, 1))]
        some = some if some.shape[1] == 1 else layers.Reshape((1,))(some)
        layer = layers.Dense(max(array.size, 1), trainable=False, name=self.name("constant"))
        made = self.add(layer, [np.zeros((1, layer.units), np.float32), array.ravel()], some)
        shown = [axis for axis, size in enumerate(array.shape) if size != 1]
        if len(shown) > 1:
            made = layers.Reshape([array.shape[axis] for axis in shown])(made)
        places = {axis: (number,) for number, axis in enumerate(shown, 1)}
        sizes = (BATCH, *([array.shape[axis] for axis in shown] or [1]))
        return Tensor(made, tuple(places.get(axis, ()) for axis in range(array.ndim)), sizes)

    def _output(self, name: str) -> Tensor:
        value = self._known.get(name)
        if isinstance(value, np.ndarray):
            return self.constant(value)
        if not isinstance(value, Tensor):
            raise NodeError(f"output {name!r} of the graph is no float tensor that the model computes")
        return value


def input_dims(given: Any, shape: tuple[int | None, ...] | None) -> tuple[Dim, ...]:
    """The sizes of an input; `shape` takes the place of what the graph says."""
    name, said = given.name, given.type.tensor_type.shape.dim
    if not given.type.tensor_type.HasField("shape") and shape is None:
        raise NodeError(f"input {name!r} has no shape in the graph; give one: shapes={{{name!r}: (None, ...)}}")
    dims: list[Dim] = [
        int(size.dim_value) if size.HasField("dim_value") else Size((size.dim_param or f"{name}:{axis}",))
        for axis, size in enumerate(said)
    ]
    if shape is not None:
        if given.type.tensor_type.HasField("shape") and len(shape) != len(dims):
            raise NodeError(f"shapes has {shape} for input {name!r}, which has {len(dims)} axes")
        dims = dims or [Size((f"{name}:{axis}",)) for axis in range(len(shape))]
        for axis, size in enumerate(shape):
            if size is not None:
                dims[axis] = size
            elif not isinstance(dims[axis], Size):
                dims[axis] = Size(("N" if axis == 0 else f"{name}:{axis}",))
    if any(not isinstance(size, Size) and size < 1 for size in dims):
        raise NodeError(f"input {name!r} has shape {dims}, sizes must be at least 1; fix it with shapes=")
    return tuple(dims)


def one_to_drop(dims: Sequence[Dim]) -> int | None:
    """The axis whose place the batch takes where the graph has none: the first of size one, but not the last."""
    return next((axis for axis, size in enumerate(dims[:-1]) if not isinstance(size, Size) and size == 1), None)
