"""RNN, LSTM and GRU nodes: their attributes, and their weights in the layouts of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnncore import activations
from rnncore._data import Array
from rnncore._gate_orders import reorder
from rnncore.activations.options import Parametrized
from rnncore.onnx.attributes import Reader

__all__ = ["CELLS", "Cell", "Direction", "RecurrentNode", "RnnActivation", "recurrent_node"]


@dataclass(frozen=True)
class Cell:
    """What differs from operator to operator."""

    layer: str
    op: str  # of a Program
    gates: int
    states: int
    defaults: tuple[str, ...]  # activations of one direction


CELLS = {
    "RNN": Cell("SimpleRNN", "simple_rnn", 1, 1, ("Tanh",)),
    "LSTM": Cell("LSTM", "lstm", 4, 2, ("Sigmoid", "Tanh", "Tanh")),
    "GRU": Cell("GRU", "gru", 3, 1, ("Sigmoid", "Tanh")),
}

# What alpha and beta are where a node does not say; of each, whether there is one.
OPTIONS: dict[str, tuple[float | None, float | None]] = {
    "affine": (1.0, 0.0),
    "elu": (1.0, None),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, None),
    "relu": (None, None),
    "scaledtanh": (1.0, 1.0),
    "sigmoid": (None, None),
    "softplus": (None, None),
    "softsign": (None, None),
    "tanh": (None, None),
    "thresholdedrelu": (1.0, None),
}


@dataclass(frozen=True)
class RnnActivation:
    """An activation of a node, by its name in lower case."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def kept(self) -> str | Parametrized:
        """The same as an argument of a layer."""
        a, b = self.alpha or 0.0, self.beta or 0.0
        with_options: dict[str, Any] = {
            "affine": lambda: activations.Affine(a, b),
            "elu": lambda: activations.ELU(a),
            "hardsigmoid": lambda: activations.HardSigmoid(a, b),
            "leakyrelu": lambda: activations.LeakyReLU(a),
            "scaledtanh": lambda: activations.ScaledTanh(a, b),
            "thresholdedrelu": lambda: activations.Threshold(a, 0.0),
        }
        made: str | Parametrized = with_options[self.name]() if self.name in with_options else self.name
        return made

    def __call__(self, x: Array) -> Array:
        from rnncore.reference.activations import ACTIVATIONS

        found = self.kept()
        if isinstance(found, str):
            return np.asarray(ACTIVATIONS[found].forward(x))
        return np.asarray(ACTIVATIONS[found._function].forward(x, **found.get_config()))


@dataclass
class Direction:
    """One direction of a node: activations, and weights in ONNX's layout."""

    backward: bool
    activations: tuple[RnnActivation, ...]
    kernel: Array  # W (G·H, I)
    recurrent_kernel: Array  # R (G·H, H)
    bias: Array | None  # Wb then Rb (2·G·H,)
    peepholes: Array | None  # P (3·H,): i, o, f
    initial: list[Array] = field(default_factory=list)  # states (1, H) that are part of the graph


@dataclass
class RecurrentNode:
    """A node whose weights are known."""

    op: str
    units: int
    layout: int
    clip: float
    input_forget: bool
    linear_before_reset: bool
    directions: list[Direction] = field(default_factory=list)

    @property
    def cell(self) -> Cell:
        return CELLS[self.op]

    def beyond_layers(self) -> str | None:
        """The option that no layer has, or None."""
        if self.clip:
            return "clip"
        for direction in self.directions:
            names = direction.activations
            if self.op == "LSTM" and names[1] != names[2]:
                return "another activation for a cell's output than for its input"
            if self.input_forget and not _is_symmetric(names[0]):
                return "input_forget with an activation f where 1 - f(x) is not f(-x)"
        return None

    def arguments(self, direction: Direction) -> dict[str, Any]:
        """Arguments of the layer of a direction."""
        made: dict[str, Any] = {"units": self.units, "use_bias": direction.bias is not None}
        names = direction.activations
        made["activation"] = names[0 if self.op == "RNN" else 1].kept()
        if self.op != "RNN":
            made["recurrent_activation"] = names[0].kept()
        if self.op == "GRU":
            made["reset_after"] = self.linear_before_reset
        if direction.peepholes is not None:
            made["peepholes"] = True
        if direction.initial:
            made["trainable_initial_state"] = True
        return made

    def weights(self, direction: Direction) -> list[Array]:
        """The weights of that layer."""
        cell, units = self.cell.op, self.units
        kernel = reorder(direction.kernel.T, cell, "onnx", "rnncore")
        recurrent = reorder(direction.recurrent_kernel.T, cell, "onnx", "rnncore")
        made = [kernel, recurrent]
        if direction.bias is not None:
            halves = reorder(direction.bias.reshape(2, -1), cell, "onnx", "rnncore")
            made.append(halves if self.op == "GRU" and self.linear_before_reset else halves.sum(axis=0))
        if direction.peepholes is not None:
            made.append(reorder(direction.peepholes.reshape(3, units), "peepholes", "onnx", "rnncore", axis=0))
        if self.input_forget:  # 1 - f(x) = f(-x): the forget gate is the input gate with all signs turned
            made = [self._coupled(array, number) for number, array in enumerate(made)]
        return [*made, *direction.initial]

    def _coupled(self, array: Array, number: int) -> Array:
        coupled = array.copy()
        units = self.units
        if number == 3 or (number == 2 and array.ndim == 2):  # peepholes (3, H)
            coupled[1] = -array[0]
        else:
            coupled[..., units : 2 * units] = -array[..., :units]
        return coupled


def _is_symmetric(activation: RnnActivation) -> bool:
    return activation.name == "sigmoid" or (activation.name == "hardsigmoid" and activation.beta == 0.5)


def recurrent_node(reader: Reader, weights: Sequence[Array | None]) -> RecurrentNode:
    """Check a node and its weights W, R, B and, of an LSTM, P."""
    op, cell = reader.op, CELLS[reader.op]
    kernel, recurrent, bias, *rest = weights
    peepholes = rest[0] if rest else None
    if kernel is None or recurrent is None:
        reader.fail("its inputs W and R are missing")
    way = reader.get("direction", "forward")
    if way not in ("forward", "reverse", "bidirectional"):
        reader.fail(f"direction must be forward, reverse or bidirectional, got {way!r}")
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[way]
    count, gates = len(ways), cell.gates
    units = reader.get("hidden_size", None)
    if recurrent.ndim != 3 or (units is not None and units != recurrent.shape[2]):
        reader.fail(f"R must have shape ({count}, {gates}·hidden_size, hidden_size), got {recurrent.shape}")
    units = recurrent.shape[2]
    if units < 1:
        reader.fail("hidden_size must be at least 1, got 0")
    inputs = kernel.shape[2] if kernel.ndim == 3 else 0
    shapes = {
        "W": (kernel, (count, gates * units, inputs)),
        "R": (recurrent, (count, gates * units, units)),
        "B": (bias, (count, 2 * gates * units)),
        "P": (peepholes, (count, 3 * units)),
    }
    for name, (array, shape) in shapes.items():
        if array is not None and (array.shape != shape or not inputs):
            reader.fail(f"{name} must have shape {shape}, got {array.shape}")
        if array is not None and array.dtype.kind != "f":
            reader.fail(f"{name} must hold floats, got {array.dtype}")
    layout = reader.get("layout", 0)
    if layout not in (0, 1):
        reader.fail(f"layout must be 0 or 1, got {layout}")
    clip = float(reader.get("clip", 0.0))
    if not 0 <= clip < np.inf:
        reader.fail(f"clip must be a number from 0 on, got {clip}")
    node = RecurrentNode(
        op,
        units,
        layout,
        clip,
        bool(reader.get("input_forget", 0)) if op == "LSTM" else False,
        bool(reader.get("linear_before_reset", 0)) if op == "GRU" else False,
    )
    names = _activations(reader, cell, count)
    for number, backward in enumerate(ways):
        node.directions.append(
            Direction(
                backward,
                names[number * len(cell.defaults) : (number + 1) * len(cell.defaults)],
                kernel[number],
                recurrent[number],
                None if bias is None else bias[number],
                None if peepholes is None else peepholes[number],
            )
        )
    if reader.opset < 7:
        reader.ignore("output_sequence")
    reader.finish()
    return node


def _activations(reader: Reader, cell: Cell, directions: int) -> tuple[RnnActivation, ...]:
    """The activations of all directions; alpha and beta are handed out in the order of those that have them."""
    names = reader.get("activations", None) or list(cell.defaults) * directions
    alphas, betas = (list(reader.get(f"activation_{option}", None) or []) for option in ("alpha", "beta"))
    if len(names) != len(cell.defaults) * directions:
        reader.fail(f"activations must be {len(cell.defaults) * directions} names, got {names}")
    made = []
    for given in names:
        name = given.lower()
        if name not in OPTIONS:
            reader.fail(f"activations has the unknown name {given!r}, known are {', '.join(sorted(OPTIONS))}")
        alpha, beta = OPTIONS[name]
        if alpha is not None and alphas:
            alpha = float(alphas.pop(0))
        if beta is not None and betas:
            beta = float(betas.pop(0))
        if name in ("elu", "leakyrelu") and alpha is not None and alpha < 0:
            reader.fail(f"activation_alpha of {given} must not be negative, got {alpha}")
        made.append(RnnActivation(name, alpha, beta))
    if alphas or betas:
        reader.fail(f"activation_alpha and activation_beta have more numbers than activations {names} take")
    return tuple(made)
