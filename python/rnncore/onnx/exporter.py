"""A graph in the making: nodes, stored arrays, inputs and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from rnncore._data import Array
from rnncore.onnx.files import package
from rnncore.program import Node, Program, Shape

__all__ = ["Exporter", "writes"]

Write = Callable[["Exporter", Node], None]
WRITERS: dict[str, Write] = {}


def writes(*ops: str) -> Callable[[Write], Write]:
    """Register what a node of a Program becomes."""

    def register(function: Write) -> Write:
        WRITERS.update(dict.fromkeys(ops, function))
        return function

    return register


class Exporter:
    """Collects the nodes of a graph; arrays have the axes of the Program's values, the batch first."""

    def __init__(self, program: Program, parameters: Array, outputs: Sequence[str]) -> None:
        self.program = program
        self._parameters = parameters
        self._names: Counter[str] = Counter()
        self._node_names: Counter[str] = Counter()
        self._values: dict[int, str] = {}
        self._padding = {program.lengths}  # values that say where rows end, which a graph is not told
        self.nodes: list[Any] = []
        self.stored: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        for number, value in enumerate(program.inputs):
            self._values[value] = self._input(number, value)
        self._wanted = {value: self.fresh(name) for value, name in zip(program.outputs, outputs, strict=True)}
        self.states: list[Any] = []  # outputs that follow those of the model
        for node in program.nodes:
            self._check_masks(node)
            if node.op not in WRITERS:
                self.fail(node, f"there is no operator for {node.op!r}")
            WRITERS[node.op](self, node)
        for value, name in zip(program.outputs, outputs, strict=True):
            self._output(value, name)
        self.outputs += self.states

    def fail(self, node: Node, reason: str) -> NoReturn:
        """Raise an error that names the layer."""
        raise ValueError(f"{node.name!r} cannot be written to an ONNX file: {reason}")

    def _input(self, number: int, value: int) -> str:
        described = self.program.values[value]
        name = self.fresh(described.name)
        time = "time" if number == 0 else f"{name}_time"
        self.add_input(name, described.shape, described.dtype, time)
        return name

    def add_input(self, name: str, shape: Shape, dtype: str = "float", time: str = "time") -> None:
        """Add an input of the graph."""
        onnx = package()
        open_names = ["batch", time, *(f"{name}_{axis}" for axis in range(2, len(shape)))]
        sizes = [open_names[axis] if size is None else size for axis, size in enumerate(shape)]
        kind = onnx.TensorProto.INT32 if dtype == "int" else onnx.TensorProto.FLOAT
        self.inputs.append(onnx.helper.make_tensor_value_info(name, kind, sizes))

    def _output(self, value: int, name: str) -> None:
        made = self._values[value]
        if made != self._wanted[value] or any(made == known.name for known in self.outputs):
            name = self.fresh(name) if made == name else name
            self.add("Identity", [made], [name])
            made = name
        shape = self.program.values[value].shape
        self.outputs.append(self.described_output(made, shape))

    def described_output(self, name: str, shape: Shape) -> Any:
        """The description of an output of the graph."""
        onnx = package()
        sizes = ["batch" if axis == 0 else size for axis, size in enumerate(shape)]
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)

    def fresh(self, name: str) -> str:
        """A name that no other array has."""
        return _fresh(self._names, name)

    # Masks

    def _check_masks(self, node: Node) -> None:
        """Refuse a node that leaves out steps, but for those beyond lengths, which are not given to a graph."""
        masks = _masks_of(node)
        own = [mask for mask in masks if mask >= 0 and mask not in self._padding]
        if node.op == "masking":
            self.fail(node, "masks have no operator; take the masked steps away and give sequences as they are")
        if own:
            self.fail(node, "it leaves out steps by a mask, which has no operator")
        if node.op == "merge_masks":
            self._padding |= set(node.outputs)
        elif node.op in ("conv1d", "pool1d", "pad1d", "slice", "upsampling1d"):
            self._padding |= set(node.outputs[1:])

    # What writers use

    def read(self, value: int) -> str:
        """The name of a value's array."""
        return self._values[value]

    def shape(self, value: int) -> Shape:
        """The shape of a value."""
        return self.program.values[value].shape

    def weight(self, parameter: int) -> Array:
        """The numbers of a weight."""
        described = self.program.parameters[parameter]
        window = self._parameters[described.offset : described.offset + described.size]
        return window.reshape(described.shape).astype(np.float32)

    def weights(self, node: Node) -> list[Array]:
        """The numbers of a node's weights."""
        return [self.weight(parameter) for parameter in node.parameters]

    def store(self, array: Array, name: str) -> str:
        """Put an array into the file."""
        name = self.fresh(name)
        self.stored.append(package().numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, numbers: Sequence[int], name: str = "shape") -> str:
        """Put whole numbers into the file."""
        return self.store(np.array(numbers, np.int64), name)

    def number(self, value: float, name: str = "number") -> str:
        """Put one number into the file."""
        return self.store(np.array(value, np.float32), name)

    def add(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str] | None = None, name: str = "", **attributes: Any
    ) -> str:
        """Add a node; return the name of its first output."""
        name = _fresh(self._node_names, name or op.lower())
        outputs = [self.fresh(f"{name}.out")] if outputs is None else outputs
        self.nodes.append(package().helper.make_node(op, list(inputs), list(outputs), name=name, **attributes))
        return outputs[0]

    def give(self, value: int, made: str) -> None:
        """Let an array be a value of the Program."""
        if value in self._wanted and made not in (self._values.get(v) for v in self.program.inputs):
            made = self._renamed(made, self._wanted[value])
        self._values[value] = made

    def _renamed(self, made: str, name: str) -> str:
        """Give the array of the last node the name of an output."""
        last = self.nodes[-1]
        if made not in last.output or made in self._values.values():
            return self.add("Identity", [made], [name])
        last.output[list(last.output).index(made)] = name
        return name


def _fresh(names: Counter[str], name: str) -> str:
    count = names[name]
    names[name] += 1
    return _fresh(names, f"{name}_{count}") if count else name


def _masks_of(node: Node) -> tuple[int, ...]:
    """The masks that a node reads."""
    if node.op == "merge_masks":
        return node.inputs[1::2]
    if node.op == "merge":
        return node.inputs[len(node.inputs) // 2 :] if node.attributes.get("masked") else ()
    if node.op == "attention":
        return node.inputs[3:]
    reads = ("simple_rnn", "lstm", "gru", "batch_normalization", "conv1d", "pool1d", "global_pool1d", "slice")
    return node.inputs[1:2] if node.op in (*reads, "softmax", "pad1d", "upsampling1d") else ()
