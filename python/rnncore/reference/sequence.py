"""The time loop: runs a cell over a batch of sequences, forward and backward through time.

A row takes part in the steps that are valid for it; in the others it holds its state. It is cut into pieces, each of
which begins anew, before the valid steps that `resets` marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._sequence_arguments import Array, SequenceArguments, SequenceGradients, SequenceResult
from .cell import Cell, Mask, State, Weights
from .magnitude import product
from .rounding import ROUNDINGS, WEIGHT_ROUNDINGS

# By state, the share of the state before a step that stays in the one after it: (N, T, H) or one number.
Holds = tuple[Array | float, ...]

Further = Mapping[str, Array]  # weights that only an option of a cell has, by their names in `Weights`

__all__ = ["Further", "Holds", "Resets", "Tape", "backward", "forward", "gradients"]


@dataclass(frozen=True)
class Resets:
    """Where rows are cut into pieces, and the states (N, H) that all pieces but the first processed begin with."""

    marks: Array  # (N, T) bool
    state: State

    def begins(self, real: Array, reverse: bool) -> Array:
        """Which valid steps are the first ones processed of such a piece (N, T)."""
        marked = self.marks & real
        if not reverse:
            return marked
        begins, pending = np.zeros_like(marked), np.zeros(len(marked), bool)
        for t in range(marked.shape[1] - 1, -1, -1):  # what was processed before t lies behind the cut
            begins[:, t] = pending & real[:, t]
            pending = np.where(real[:, t], marked[:, t], pending)
        return begins


@dataclass(frozen=True)
class Tape:
    """What the forward pass keeps for the backward pass."""

    cell: Cell
    arguments: SequenceArguments
    reverse: bool
    real: Array  # (N, T): which steps are
    begins: Array  # (N, T): before which steps the state is replaced by that of resets
    saved: list[Any]  # of the cell, one per step in the order of processing
    holds: Holds
    further: Further
    dhidden: Array  # (N, T, H): what `backward` finds for h after each step, by way of all later steps


def forward(
    cell: Cell,
    arguments: SequenceArguments,
    real: Array,
    reverse: bool,
    training: bool,
    mask: Array | None = None,
    holds: Holds = (),
    further: Further | None = None,
    resets: Resets | None = None,
) -> SequenceResult:
    """Run the steps that are `real` (N, T); the output is aligned with x. The recurrent product reads h * mask.

    With `holds` (zoneout), a state after a step is hold * before + (1 - hold) * what the cell makes.
    """
    begins = np.zeros_like(real) if resets is None else resets.begins(real, reverse)
    x = ROUNDINGS[cell.products](arguments.x)
    further = further or {}
    weights = _weights(cell, arguments, further)
    output = np.empty((*x.shape[:2], weights.recurrent_kernel.shape[0]), x.dtype)
    state = tuple(part.copy() for part in arguments.initial_state)
    saved = []
    for t in _times(x, reverse):
        for part, fresh in zip(state, resets.state if resets else (), strict=False):
            part[begins[:, t]] = fresh[begins[:, t]]
        rows = np.flatnonzero(real[:, t])
        step_mask: Mask = 1 if mask is None else mask[rows]
        new, kept = cell.forward(x[rows, t], tuple(part[rows] for part in state), weights, step_mask)
        for k, (part, value) in enumerate(zip(state, new, strict=True)):
            if holds:
                hold = _hold(holds, k, rows, t)
                value = product(part[rows], hold) + product(value, 1 - hold)
            part[rows] = value
        output[:, t] = state[0]
        if training:
            saved.append(kept)
    if not training:
        return SequenceResult(output, state, None)
    tape = Tape(cell, arguments, reverse, real, begins, saved, holds, further, np.zeros_like(output))
    return SequenceResult(output, state, tape)


def backward(tape: Tape, doutput: Array | None, dstate: tuple[Array, ...]) -> SequenceGradients:
    dx, dweights, dinitial_state, _ = gradients(tape, doutput, dstate)
    dbias = None if tape.arguments.bias is None else dweights.bias
    return SequenceGradients(dx, dweights.kernel, dweights.recurrent_kernel, dbias, dinitial_state)


def gradients(tape: Tape, doutput: Array | None, dstate: State) -> tuple[Array, Weights, State, State]:
    """Gradients to x, to the weights, to the initial state and to that of resets."""
    cell, arguments = tape.cell, tape.arguments
    x = arguments.x
    weights = _weights(cell, arguments, tape.further)
    dx = np.zeros(x.shape, x.dtype)
    dweights = Weights(*(np.zeros(part.shape, x.dtype) for part in weights))
    dstate = tuple(part.copy() for part in dstate)
    dreset = tuple(np.zeros_like(part) for part in dstate)
    for t, kept in reversed(list(zip(_times(x, tape.reverse), tape.saved, strict=True))):
        if doutput is not None:  # output[:, t] = state[0]
            dstate[0][...] += doutput[:, t]
        rows = np.flatnonzero(tape.real[:, t])
        tape.dhidden[rows, t] = dstate[0][rows]
        dnew = tuple(part[rows] for part in dstate)
        held = []
        if tape.holds:  # state = hold * state + (1 - hold) * new
            hold = [_hold(tape.holds, k, rows, t) for k in range(len(dstate))]
            held = [k * part for k, part in zip(hold, dnew, strict=True)]
            dnew = tuple((1 - k) * part for k, part in zip(hold, dnew, strict=True))
        step = cell.backward(dnew, kept, weights)
        dx[rows, t] = step.x
        for k, (part, value) in enumerate(zip(dstate, step.state, strict=True)):
            part[rows] = value + held[k] if held else value
        for total, share in zip(dweights, step.weights, strict=True):
            total += share
        begun = tape.begins[:, t]
        for part, total in zip(dstate, dreset, strict=True):  # state[begun] = resets.state[begun]
            total[begun] += part[begun]
            part[begun] = 0
    return dx, dweights, dstate, dreset


def _hold(holds: Holds, state: int, rows: Array, t: int) -> Array | float:
    """How much of a state stays at time t."""
    hold = holds[state]
    return hold if isinstance(hold, (int, float)) else hold[rows, t]


def _times(x: Array, reverse: bool) -> range:
    """The times of x (N, T, I) in the order of processing."""
    steps = x.shape[1]
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _weights(cell: Cell, arguments: SequenceArguments, further: Further) -> Weights:
    bias = arguments.bias
    if bias is None:
        columns = arguments.kernel.shape[1]
        bias = np.zeros((2, columns) if cell.split_bias else columns, arguments.x.dtype)
    rounded = WEIGHT_ROUNDINGS[cell.products]
    kernels = rounded(arguments.kernel), rounded(arguments.recurrent_kernel)
    return Weights(*kernels, bias, **further)
