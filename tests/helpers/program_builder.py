"""Builds Programs by hand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, cast

from rnncore.program import Node, Parameter, Program, Value
from rnncore.reference.ops import OPS
from rnncore.reference.recurrent import Recurrent, normalization_rows


@dataclass
class Builder:
    """Appends values, parameters and nodes; `build` makes the Program."""

    values: list[Value] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    lengths: int = -1

    def value(self, *shape: int | None, dtype: str = "float") -> int:
        self.values.append(Value(f"value{len(self.values)}", (None, *shape), dtype))
        return len(self.values) - 1

    def input(self, *shape: int | None, dtype: str = "float") -> int:
        self.inputs.append(self.value(*shape, dtype=dtype))
        return self.inputs[-1]

    def mask(self, steps: int | None = None) -> int:
        """An input (N, T) that says which steps are real."""
        self.values.append(Value(f"mask{len(self.values)}", (None, steps), "int"))
        self.inputs.append(len(self.values) - 1)
        return self.inputs[-1]

    def lengths_value(self) -> int:
        if self.lengths < 0:
            self.lengths = self.value(dtype="int")
        return self.lengths

    def parameter(self, *shape: int, trainable: bool = True) -> int:
        offset = self.parameters[-1].offset + self.parameters[-1].size if self.parameters else 0
        self.parameters.append(Parameter(f"parameter{len(self.parameters)}", shape, offset, trainable))
        return len(self.parameters) - 1

    def node(
        self, op: str, inputs: tuple[int, ...], outputs: tuple[int, ...], parameters: tuple[int, ...], **attributes: Any
    ) -> None:
        self.nodes.append(Node(op, f"{op}{len(self.nodes)}", inputs, outputs, parameters, attributes))

    def elementwise(self, op: str, x: int, **attributes: Any) -> int:
        y = self.value(*self.values[x].shape[1:])
        self.node(op, (x,), (y,), (), **attributes)
        return y

    def dense(
        self, x: int, units: int, activation: str = "linear", *, bias: bool = True, trainable: bool = True
    ) -> int:
        *inner, features = self.values[x].shape[1:]
        assert features is not None
        parameters = [self.parameter(features, units, trainable=trainable)]
        if bias:
            parameters.append(self.parameter(units, trainable=trainable))
        y = self.value(*inner, units)
        self.node("dense", (x,), (y,), tuple(parameters), activation=activation)
        return y

    def recurrent(
        self,
        op: str,
        x: int,
        units: int,
        *,
        outputs: str = "sequence",
        initial: tuple[int, ...] = (),
        resets: tuple[int, ...] = (),
        lengths: bool = False,
        mask: int = -1,
        bias: bool = True,
        trainable: tuple[bool, bool, bool] = (True, True, True),
        projected: int = 0,
        **attributes: Any,
    ) -> list[int]:
        """Outputs are named: "sequence", "h" and "c", separated by spaces. With `projected` h has so many numbers.

        `resets` are the mask, then the states that rows begin anew with.
        """
        features = self.values[x].shape[-1]
        assert features is not None
        recurrent = OPS[op]
        assert isinstance(recurrent, Recurrent)
        cell: Any = recurrent.make_cell
        gates, states = cell.GATES, cell.STATES
        split = op == "gru" and attributes.get("reset_after", True)
        hidden = projected or units
        shapes: list[tuple[int, ...]] = [(features, gates * units), (hidden, gates * units)]
        if bias:
            shapes.append((2, gates * units) if split else (gates * units,))
        parameters = [self.parameter(*s, trainable=t) for s, t in zip(shapes, trainable, strict=False)]
        if attributes.get("peepholes", False):
            parameters.append(self.parameter(3, units, trainable=trainable[2]))
        if projected:
            parameters.append(self.parameter(units, projected, trainable=trainable[2]))
            attributes["projected"] = True
        if attributes.get("layer_normalization", False):
            rows = normalization_rows(cast("Any", recurrent.make_normalized_cell))
            parameters.append(self.parameter(rows, units, trainable=trainable[2]))
        made = {}
        slots = []
        for name in ("sequence", "h", "c")[: 1 + states]:
            size = units if name == "c" else hidden
            shape = (self.values[x].shape[1], size) if name == "sequence" else (size,)
            made[name] = self.value(*shape) if name in outputs.split() else -1
            slots.append(made[name])
        initial = (*initial, *(-1 for _ in range(states - len(initial))))
        slot = self.lengths_value() if lengths else mask
        attributes = {"activation": "tanh", "go_backwards": False, **attributes}
        if op != "simple_rnn":
            attributes.setdefault("recurrent_activation", "sigmoid")
        self.node(op, (x, slot, *initial, *resets), tuple(slots), tuple(parameters), **attributes)
        return [made[name] for name in outputs.split()]

    def attention(
        self,
        query: int,
        value: int,
        key: int,
        *,
        masks: tuple[int, ...] = (),
        weights: tuple[int, ...] = (),
        outputs: str = "context",
        heads: int | None = None,
        **attributes: Any,
    ) -> list[int]:
        """Masks of query, value and attention; outputs are named: "context", "weights"."""
        queries, keys = self.values[query].shape[1], self.values[value].shape[1]
        made = {"context": -1, "weights": -1}
        for name in outputs.split():
            shape = (queries, keys) if heads is None else (heads, queries, keys)
            made[name] = self.value(*(shape if name == "weights" else (queries, self.values[value].shape[2])))
        inputs = (query, value, key, *masks, *(-1 for _ in range(3 - len(masks))))
        self.node("attention", inputs, tuple(made.values()), weights, heads=heads, **attributes)
        return [made[name] for name in outputs.split()]

    def conv1d(
        self, x: int, size: int, units: int, *, mask: int = -1, bias: bool = True, **attributes: Any
    ) -> list[int]:
        """The sequence and its mask."""
        features = self.values[x].shape[-1]
        assert features is not None
        parameters = [self.parameter(size, features, units)]
        if bias:
            parameters.append(self.parameter(units))
        made = [self.value(None, units), self.value(None, dtype="int")]
        self.node("conv1d", (x, mask), tuple(made), tuple(parameters), **attributes)
        return made

    def pool(self, x: int, *, mask: int = -1, **attributes: Any) -> list[int]:
        """The sequence and its mask; without a size one step and no time axis."""
        features = self.values[x].shape[-1]
        if "pool_size" not in attributes:
            made = [self.value(features)]
            self.node("global_pool1d", (x, mask), tuple(made), (), **attributes)
        else:
            made = [self.value(None, features), self.value(None, dtype="int")]
            self.node("pool1d", (x, mask), tuple(made), (), **attributes)
        return made

    def normalized(self, op: str, x: int, *, mask: int = -1, **attributes: Any) -> int:
        features = self.values[x].shape[-1]
        assert features is not None
        used = [name for name in ("scale", "center") if attributes.get(name, True)]
        parameters = [self.parameter(features) for _ in used]
        if op == "batch_normalization":
            parameters += [self.parameter(features, trainable=False) for _ in range(2)]
            self.parameters[-1] = dataclasses.replace(self.parameters[-1], name="variance")
        y = self.value(*self.values[x].shape[1:])
        inputs = (x, mask) if op == "batch_normalization" else (x,)
        self.node(op, inputs, (y,), tuple(parameters), **attributes)
        return y

    def build(self, *outputs: int, masks: tuple[int, ...] = ()) -> Program:
        graph = tuple(self.values), tuple(self.parameters), tuple(self.nodes), tuple(self.inputs)
        return Program(*graph, outputs, self.lengths, masks)
