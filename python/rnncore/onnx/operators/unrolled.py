"""Recurrent nodes with options that no layer has: a copy of small layers for each step.

All steps share their weights, so that the model trains and is saved as any other; each step costs some twenty layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnncore import layers
from rnncore._data import Array
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.importing import Importer
from rnncore.onnx.recurrent_nodes import Direction, RecurrentNode, RnnActivation

__all__ = ["unrolled"]


def unrolled(
    importer: Importer, node: RecurrentNode, name: str, x: SymbolicValue, states: Sequence[SymbolicValue], steps: int
) -> tuple[SymbolicValue, list[SymbolicValue]]:
    """The sequence (N, T, D·H), in the order of time, and the last states (N, D·H): h, and c of an LSTM."""
    count = node.cell.states
    sequences, ends = [], []
    for number, direction in enumerate(node.directions):
        state = list(states[number * count : (number + 1) * count])
        if not state:
            rows = direction.initial or [np.zeros((1, node.units), np.float32)] * count
            state = [importer.constant(row).value for row in rows]
        steps_of = _Steps(importer, node, direction, f"{name}_{number}" if len(node.directions) > 1 else name)
        hidden: list[SymbolicValue] = [x] * steps
        read = steps_of.read(x)
        for step in reversed(range(steps)) if direction.backward else range(steps):
            state = steps_of.step(read[:, step], state)
            hidden[step] = layers.Reshape((1, node.units))(state[0])
        sequences.append(layers.Concatenate(axis=1)(hidden) if steps > 1 else hidden[0])
        ends.append(state)
    if len(sequences) == 1:
        return sequences[0], ends[0]
    return layers.Concatenate()(sequences), [layers.Concatenate()(list(pair)) for pair in zip(*ends, strict=True)]


class _Steps:
    """The layers that all steps of a direction share."""

    def __init__(self, importer: Importer, node: RecurrentNode, direction: Direction, name: str) -> None:
        self._importer, self._node, self._name = importer, node, name
        self._names = direction.activations
        self._direction = direction
        zeros = np.zeros(2 * node.cell.gates * node.units, np.float32)
        self._input_bias, self._bias = np.split(zeros if direction.bias is None else direction.bias, 2)
        gates = np.split(direction.recurrent_kernel.T, node.cell.gates, axis=1)
        biases = np.split(self._bias, node.cell.gates)
        groups = [[0, 1], [2]] if node.op == "GRU" else [list(range(node.cell.gates))]
        self._recurrent = [
            self._dense(f"recurrent_{k}", [gates[g] for g in group], [biases[g] for g in group])
            for k, group in enumerate(groups)
        ]
        parts = [] if direction.peepholes is None else np.split(direction.peepholes, 3)
        self._peepholes = [self._factors(f"peephole_{k}", part) for k, part in enumerate(parts)]

    def _dense(self, name: str, kernels: list[Array], biases: list[Array]) -> layers.Dense:
        kernel = np.concatenate(kernels, axis=1)
        layer = layers.Dense(kernel.shape[1], name=self._importer.name(f"{self._name}.{name}"))
        layer.build((None, len(kernel)))
        self._importer.keep(layer, [kernel, np.concatenate(biases)])
        return layer

    def _factors(self, name: str, numbers: Array) -> layers.BatchNormalization:
        name = self._importer.name(f"{self._name}.{name}")
        layer = layers.BatchNormalization(epsilon=0.0, center=False, trainable=False, name=name)
        layer.build((None, self._node.units))
        self._importer.keep(layer, [numbers, np.zeros_like(numbers), np.ones_like(numbers)])
        return layer

    def read(self, x: SymbolicValue) -> SymbolicValue:
        """What all steps take from x at once, (N, T, G·H)."""
        made: SymbolicValue = self._dense("input", [self._direction.kernel.T], [self._input_bias])(x)
        return made

    def _activated(self, z: SymbolicValue, activation: RnnActivation) -> SymbolicValue:
        if self._node.clip:
            z = layers.Elementwise("clip", min_value=-self._node.clip, max_value=self._node.clip)(z)
        return self._applied(z, activation)

    def _applied(self, z: SymbolicValue, activation: RnnActivation) -> SymbolicValue:
        made: SymbolicValue = layers.Activation(activation.kept())(z)
        return made

    def _parts(self, z: SymbolicValue, count: int) -> list[Any]:
        units = self._node.units
        return [z[:, k * units : (k + 1) * units] for k in range(count)]

    def step(self, a: SymbolicValue, state: Sequence[SymbolicValue]) -> list[SymbolicValue]:
        """The states after a step, from what it takes of x and the states before."""
        return {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[self._node.op](a, state)

    def _rnn(self, a: Any, state: Sequence[Any]) -> list[SymbolicValue]:
        return [self._activated(a + self._recurrent[0](state[0]), self._names[0])]

    def _gru(self, a: Any, state: Sequence[Any]) -> list[SymbolicValue]:
        (h,) = state
        gates, candidate = self._names
        az, ar, ah = self._parts(a, 3)
        bz, br = self._parts(self._recurrent[0](h), 2)
        z, r = self._activated(az + bz, gates), self._activated(ar + br, gates)
        inner = r * self._recurrent[1](h) if self._node.linear_before_reset else self._recurrent[1](r * h)
        return [(1 - z) * self._activated(ah + inner, candidate) + z * h]

    def _lstm(self, a: Any, state: Sequence[Any]) -> list[SymbolicValue]:
        h, c = state
        f, g, output = self._names
        zi, zo, zf, zc = self._parts(a + self._recurrent[0](h), 4)
        look: Sequence[Any] = self._peepholes or [None] * 3

        def seen(z: Any, factors: Any, cell: Any) -> Any:
            return z if factors is None else z + factors(cell)

        i = self._activated(seen(zi, look[0], c), f)
        forget: Any = 1 - i if self._node.input_forget else self._activated(seen(zf, look[2], c), f)
        c = forget * c + i * self._activated(zc, g)
        o: Any = self._activated(seen(zo, look[1], c), f)
        return [o * self._applied(c, output), c]
