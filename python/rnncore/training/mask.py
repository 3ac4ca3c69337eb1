"""Which steps of an output are valid, for what is computed in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnncore._turns import Turns
from rnncore.data import Array
from rnncore.program import Node, Program


class Mask:
    """The mask of an output of a Program: computed by the part of the Program that makes it."""

    def __init__(self, program: Program, parameters: Array, output: int) -> None:
        self._parameters = parameters
        value = program.masks[output] if program.masks else -1
        self._by_lengths = value >= 0 and value == program.lengths
        self._executor: Any = None
        self._turns = Turns()
        if value < 0 or self._by_lengths:
            return
        from rnncore.reference import Executor

        part = replace(
            program, nodes=_nodes_for(program, value), outputs=(value,), masks=()
        )  # some write what they hold
        self._held = parameters.copy()
        self._state_size = part.state_size
        self._executor = Executor(part, self._held, np.zeros_like(parameters))

    def real(
        self, inputs: Sequence[Array], lengths: Array | None, states: Array | None = None, **run: Any
    ) -> Array | None:
        """Which steps are valid (N, T), or None for all; `states` stay as they are."""
        if self._by_lengths and lengths is not None:
            return np.asarray(np.arange(inputs[0].shape[1]) < lengths[:, None])
        if self._executor is None:
            return None
        before = None if states is None else states[: len(inputs[0]) * self._state_size].copy()
        with self._turns:
            self._held[...] = self._parameters
            (mask,) = self._executor.forward(inputs, lengths, **run, states=before)
        return np.asarray(mask != 0)


def _nodes_for(program: Program, value: int) -> tuple[Node, ...]:
    """The nodes that make a value; if any is random all before it, for random numbers belong to a node's number."""
    wanted, needed = {value}, []
    for node in reversed(program.nodes):
        if wanted & set(node.outputs):
            needed.append(node)
            wanted |= set(node.inputs) - {-1}
    if any("seed" in node.attributes for node in needed):
        return program.nodes[: program.nodes.index(needed[0]) + 1]
    return tuple(reversed(needed))


def counted(weight: Array | None, real: Array | None, output: Array) -> Array | None:
    """The weights (N,) or (N, ...) of an output's positions, 0 where a step is not valid."""
    if real is None:
        return weight
    if weight is None:
        return real.astype(output.dtype)
    ndim = max(weight.ndim, 2)
    spread: Array = weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))
    return np.ascontiguousarray(spread * real.reshape(real.shape + (1,) * (ndim - 2)), output.dtype)
