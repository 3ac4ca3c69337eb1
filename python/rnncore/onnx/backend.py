"""ONNX's interface for packages that run its graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend as _Backend
from onnx.backend.base import BackendRep

from rnncore._data import Array
from rnncore.onnx import loop
from rnncore.onnx.attributes import Reader
from rnncore.onnx.files import arrays_of, checked_model, opset
from rnncore.onnx.folding import referenced
from rnncore.onnx.importing import RECURRENT, InputPort, NeedsValue
from rnncore.onnx.loading import Loaded, OutputPort, loaded
from rnncore.onnx.operators.recurrent import BeyondLayers
from rnncore.onnx.recurrent_nodes import recurrent_node

__all__ = ["Backend", "PreparedModel"]


class PreparedModel(BackendRep):
    """A graph that is ready to run, on arrays in the graph's own shapes."""

    def __init__(self, model: Any) -> None:
        self._proto = model
        stored = {tensor.name for tensor in model.graph.initializer}
        self._names = [given.name for given in model.graph.input if given.name not in stored]
        self._constants: dict[str, Array] = {}  # inputs that the model has been made with
        self._fixed: list[str] = []  # inputs that must be known before a model can be made
        self._loaded: Loaded | None = None
        self._shapes: tuple[Any, ...] = ()
        self._by_node = False

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """Compute the outputs of the graph.

        Parameters
        ----------
        inputs : list of array_like, or dict of str to array_like
            In the order of the graph's inputs, or by their names.

        Returns
        -------
        tuple of ndarray
        """
        given = inputs if isinstance(inputs, Mapping) else dict(zip(self._names, _listed(inputs), strict=False))
        missing = [name for name in self._names if name not in given]
        if missing or len(given) != len(self._names):
            raise ValueError(
                f"inputs must be {self._names}, got {len(given)}" + (f", without {missing}" * bool(missing))
            )
        feeds = {name: np.asarray(given[name]) for name in self._names}
        if not self._by_node:
            try:
                return self._compiled(feeds)
            except BeyondLayers:
                self._by_node = True
        return run_nodes(self._proto, feeds)

    def _compiled(self, feeds: dict[str, Array]) -> tuple[Array, ...]:
        """The outputs by a model, which is made anew for other constants or shapes."""
        while True:
            shapes = tuple(feeds[name].shape for name in self._names)
            same = all(np.array_equal(self._constants[name], feeds[name]) for name in self._constants)
            if self._loaded is None or shapes != self._shapes or not same:
                self._constants = {name: feeds[name] for name in self._fixed}
                try:
                    self._loaded = self._made(feeds)
                except NeedsValue as error:
                    self._fixed.append(error.name)
                    continue
                self._shapes = shapes
            return _through(self._loaded, feeds)

    def _made(self, feeds: dict[str, Array]) -> Loaded:
        """A model for any sizes that the graph leaves open or, where these must be known, for those of this call."""
        try:
            return loaded(self._proto, self._open(feeds), self._constants)
        except (NeedsValue, BeyondLayers):
            raise
        except ValueError as error:
            try:
                return loaded(self._proto, {name: feeds[name].shape for name in self._names}, self._constants)
            except NeedsValue:
                raise
            except ValueError:
                raise error from None

    def _open(self, feeds: dict[str, Array]) -> dict[str, tuple[int | None, ...]]:
        """The sizes of this call for axes that the graph leaves open, but for that of the batch."""
        found: dict[str, tuple[int | None, ...]] = {}
        for given in self._proto.graph.input:
            if given.name in feeds and not given.type.tensor_type.HasField("shape"):
                found[given.name] = tuple(feeds[given.name].shape)
        return found


def _listed(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]


def _through(found: Loaded, feeds: dict[str, Array]) -> tuple[Array, ...]:
    """Arrays of the graph through the model."""
    values = [_inward(port, feeds[port.name]) for port in found.inputs if port.value is not None]
    lengths = next((feeds[port.name] for port in found.inputs if port.value is None), None)
    made = found.model.forward(values, lengths)
    made = made if isinstance(made, list) else [made]
    return tuple(_outward(port, value) for port, value in zip(found.outputs, made, strict=True))


def _inward(port: InputPort, array: Array) -> Array:
    if port.batch is not None:
        moved = np.moveaxis(array, port.batch, 0)
    else:
        moved = array[None] if port.dropped is None else np.expand_dims(np.squeeze(array, port.dropped), 0)
    return moved.reshape(len(moved), 1) if moved.ndim == 1 else moved


def _outward(port: OutputPort, array: Array) -> Array:
    if port.batch is not None:
        made = np.moveaxis(array, 0, port.batch)
    else:
        made = array[0] if port.dropped is None else np.expand_dims(array[0], port.dropped)
    return made.reshape(made.shape[: port.rank]) if made.ndim > port.rank else made


def run_nodes(proto: Any, feeds: Mapping[str, Array]) -> tuple[Array, ...]:
    """The outputs of a graph, node by node: recurrent nodes in a loop over time, others by ONNX's reference."""
    known: dict[str, Array] = {**arrays_of(proto.graph.initializer), **feeds}
    for node in proto.graph.node:
        inputs = [known[name] if name else None for name in node.input]
        made = (
            run_recurrent(node, opset(proto), inputs) if node.op_type in RECURRENT else _reference(proto, node, inputs)
        )
        known |= {name: value for name, value in zip(node.output, made, strict=False) if name}
    return tuple(known[output.name] for output in proto.graph.output)


def run_recurrent(node: Any, version: int, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs of a recurrent node in a loop over time, with every option."""
    full = [*inputs, *[None] * (8 - len(inputs))]
    places = (1, 2, 3, 7) if node.op_type == "LSTM" else (1, 2, 3)
    reader = Reader(node, version)
    parsed = recurrent_node(reader, [full[place] for place in places])
    x = full[0]
    if x is None or x.ndim != 3 or x.shape[2] != parsed.directions[0].kernel.shape[1]:
        reader.fail(f"X must have three axes, the last as W, got shape {None if x is None else x.shape}")
    made = loop.run(parsed, x, full[4], full[5:7] if node.op_type == "LSTM" else full[5:6])
    return [made[number] for number in range(len(node.output))]


def _reference(proto: Any, node: Any, inputs: Sequence[Array | None]) -> list[Array]:
    return referenced(Reader(node, opset(proto)), inputs)


class Backend(_Backend):
    """Runs ONNX models with rnncore's layers, as `onnx.backend.test` and others ask for it.

    A recurrent node with an option that no layer has (`clip`, an LSTM with different activations g and h), for any
    number of steps or rows of several lengths, runs in a loop over time in NumPy, which is much slower, and then so do
    its neighbours, by ONNX's reference.

    Examples
    --------
    >>> import numpy as np
    >>> import onnx
    >>> from rnncore.onnx.backend import Backend
    >>> node = onnx.helper.make_node("Relu", ["x"], ["y"])
    >>> Backend.run_node(node, [np.array([[-1.0, 2.0]], np.float32)])[0]
    array([[0., 2.]], dtype=float32)
    """

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether the operators of a model are known."""
        from rnncore.onnx.importing import OPERATORS

        known = {*OPERATORS, "Constant", "If", "Shape", "Size", "ConstantOfShape"}
        return all(node.op_type in known for node in model.graph.node)

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """Make a model ready to run."""
        if not cls.supports_device(device):
            raise ValueError(f"device must be CPU, got {device!r}")
        return PreparedModel(checked_model(model, "the model"))

    @classmethod
    def run_node(
        cls, node: Any, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Array, ...]:
        """Run one node on arrays; those of inputs that are left out are left out too."""
        names = [name for name in node.input if name]
        arrays = [np.asarray(array) for array in _listed(inputs)]
        helper = onnx.helper
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "node", infos, outputs)
        version = kwargs.get("opset_version", 22)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, version)])
        return cls.prepare(model, device).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it is the processor."""
        return device.split(":")[0].upper() == "CPU"
