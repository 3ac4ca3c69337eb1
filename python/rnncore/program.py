"""The description both executors run: plain data, printable and JSON-serialisable."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from . import _core

__all__ = [
    "ActivityRegularizer",
    "Constraint",
    "Loss",
    "Metric",
    "Node",
    "Optimizer",
    "Parameter",
    "Program",
    "Regularizer",
    "Training",
    "Value",
    "option_attribute",
]

Shape = tuple[int | None, ...]

# The recurrent ops, and what each of their options is where it is off.
RECURRENT_OPS = ("simple_rnn", "lstm", "gru")
RECURRENT_OPTIONS: dict[str, Any] = {
    "recurrent_dropout": 0.0,
    "zoneout": 0.0,
    "cell_zoneout": 0.0,
    "peepholes": False,
    "projected": False,
    "layer_normalization": False,
    "products": "exact",
    "reset_after": True,
}
# Of an option, those that must be off where it is on.
EXCLUDED_OPTIONS = {
    "projected": ("zoneout", "cell_zoneout", "peepholes", "products"),
    "layer_normalization": ("zoneout", "cell_zoneout", "peepholes", "projected", "products", "reset_after"),
    "products": ("reset_after",),
}


def excluded_options(attributes: dict[str, Any]) -> tuple[str, str] | None:
    """An option of a recurrent node that is on and another one that must then be off but is not, if there are any."""
    on = {name for name, off in RECURRENT_OPTIONS.items() if attributes.get(name) not in (None, off)}
    pairs = ((option, other) for option, others in EXCLUDED_OPTIONS.items() for other in others)
    return next((pair for pair in pairs if on.issuperset(pair)), None)


@dataclass(frozen=True)
class Value:
    """One array of the graph: `shape` has None for sizes known only at run time (batch, time)."""

    name: str
    shape: Shape
    dtype: str = "float"  # "float": the executor's dtype; "int": int32


@dataclass(frozen=True)
class Parameter:
    """One weight: a window of `size` elements at `offset` in the flat parameter vector."""

    name: str
    shape: tuple[int, ...]
    offset: int
    trainable: bool = True

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size


@dataclass(frozen=True)
class Node:
    """One operation. Slots are positional; -1 marks an absent optional slot."""

    op: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """Topologically ordered nodes over values and parameters.

    `lengths` is the id of the implicit value that carries the lengths of a batch, or -1.
    Its value is absent at run time when the caller gives no lengths.
    `masks`: for each output (N, T, ...) the value that says which of its steps are valid, the lengths or a mask (N, T),
    or -1; losses and metrics leave out the other steps. Empty when no output has any.
    """

    values: tuple[Value, ...]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    lengths: int = -1
    masks: tuple[int, ...] = ()

    @property
    def state_size(self) -> int:
        """How many numbers of a sample `read_state` and `write_state` keep: S."""
        kept = [node.attributes for node in self.nodes if node.op in ("read_state", "write_state")]
        return max((attributes["state_offset"] + attributes.get("units", 0) for attributes in kept), default=0)

    @property
    def moved(self) -> tuple[Parameter, ...]:
        """The parameters that a forward pass in training itself moves: means and variances."""
        return tuple(
            self.parameters[number]
            for node in self.nodes
            if node.op == "batch_normalization"
            for number in node.parameters[-2:]
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Program:
        data = json.loads(text)
        return cls(
            values=tuple(Value(v["name"], tuple(v["shape"]), v["dtype"]) for v in data["values"]),
            parameters=tuple(
                Parameter(p["name"], tuple(p["shape"]), p["offset"], p["trainable"]) for p in data["parameters"]
            ),
            nodes=tuple(
                Node(
                    n["op"],
                    n["name"],
                    tuple(n["inputs"]),
                    tuple(n["outputs"]),
                    tuple(n["parameters"]),
                    n["attributes"],
                )
                for n in data["nodes"]
            ),
            inputs=tuple(data["inputs"]),
            outputs=tuple(data["outputs"]),
            lengths=data["lengths"],
            masks=tuple(data["masks"]),
        )

    def __str__(self) -> str:
        def show(ids: tuple[int, ...]) -> str:
            return ", ".join("_" if i < 0 else f"%{i}" for i in ids)

        lines = [f"inputs {show(self.inputs)}"]
        for node in self.nodes:
            shapes = ", ".join(str(self.values[i].shape) for i in node.outputs if i >= 0)
            weights = ", ".join(f"{self.parameters[p].name}{self.parameters[p].shape}" for p in node.parameters)
            attributes = ", ".join(f"{k}={v!r}" for k, v in node.attributes.items())
            lines.append(f"{show(node.outputs)} {shapes} = {node.op}({show(node.inputs)}) {{{attributes}}} [{weights}]")
        lines.append(f"outputs {show(self.outputs)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Loss:
    """One loss on output number `output` of the Program."""

    kind: str
    output: int = 0
    weight: float = 1.0
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One metric on output number `output`; `weighted` metrics use the sample weights."""

    kind: str
    output: int = 0
    weighted: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    def state_size(self) -> int:
        return 4 * len(self.attributes["thresholds"]) if self.kind == "confusion" else 2


@dataclass(frozen=True)
class Regularizer:
    """Penalty l1·Σ|w| + l2·Σw² on one parameter, and on a matrix orthogonal·(mean of |u_i·u_j| over all pairs of rows).

    The u are the rows, or with `columns` the columns, scaled to length 1.
    """

    parameter: int
    l1: float = 0.0
    l2: float = 0.0
    orthogonal: float = 0.0
    columns: bool = False


@dataclass(frozen=True)
class ActivityRegularizer:
    """Penalty (l1·Σ|y| + l2·Σy²) / N on one value y (N, ...) of the Program."""

    value: int
    l1: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True)
class Constraint:
    """What one parameter must fulfil after each update."""

    parameter: int
    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimizer:
    """Update rule; the learning rate is passed per step."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)

    def slot_count(self) -> int:
        """The state vectors of the parameters: of the rule, gathered gradients, and the average."""
        return _core.slot_count(self)


@dataclass(frozen=True)
class Training:
    """What a training step minimises, measures and how it updates; without an optimizer it computes gradients only."""

    losses: tuple[Loss, ...]
    metrics: tuple[Metric, ...] = ()
    regularizers: tuple[Regularizer, ...] = ()
    optimizer: Optimizer | None = None
    constraints: tuple[Constraint, ...] = ()
    activity_regularizers: tuple[ActivityRegularizer, ...] = ()
    divisors: bool = False  # whether the state ends with what each loss was divided by

    def state_size(self) -> int:
        pairs = 1 + (len(self.losses) if len(self.losses) > 1 else 0)
        divisors = len(self.losses) if self.divisors else 0
        return 2 * pairs + divisors + sum(metric.state_size() for metric in self.metrics)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def option_attribute(attribute: str, option: str) -> str:
    """The attribute of a node that is an option of the activation that another one names."""
    return f"recurrent_{option}" if attribute == "recurrent_activation" else option
