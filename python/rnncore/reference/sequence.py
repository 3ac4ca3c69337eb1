"""The time loop: runs a cell over a batch of sequences, forward and backward through time.

A row takes part in as many steps as it is long. Step k of a row reads its time k or, in reverse,
its k-th real time from the end. Padded times are never processed: the output repeats the row's
final state there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._sequence_arguments import Array, SequenceArguments, SequenceGradients, SequenceResult
from .cell import Cell, Weights

__all__ = ["Tape", "backward", "forward"]


@dataclass(frozen=True)
class Tape:
    """What the forward pass keeps for the backward pass."""

    cell: Cell
    arguments: SequenceArguments
    reverse: bool
    saved: list[Any]  # of the cell, one per step


def forward(cell: Cell, arguments: SequenceArguments, reverse: bool, training: bool) -> SequenceResult:
    x = arguments.x
    weights = _weights(cell, arguments)
    steps_of_row = _steps_of_row(arguments)
    units = weights.recurrent_kernel.shape[0]

    output = np.empty((*x.shape[:2], units), x.dtype)
    state = tuple(part.copy() for part in arguments.initial_state)
    saved = []
    for step in range(steps_of_row.max(initial=0)):
        rows, times = _rows_and_times(steps_of_row, step, reverse)
        new, kept = cell.forward(x[rows, times], tuple(part[rows] for part in state), weights)
        for part, value in zip(state, new, strict=True):
            part[rows] = value
        output[rows, times] = new[0]
        if training:
            saved.append(kept)
    rows, times = _padding(arguments, steps_of_row)
    output[rows, times] = state[0][rows]
    return SequenceResult(output, state, Tape(cell, arguments, reverse, saved) if training else None)


def backward(tape: Tape, doutput: Array | None, dstate: tuple[Array, ...]) -> SequenceGradients:
    cell, arguments = tape.cell, tape.arguments
    x = arguments.x
    weights = _weights(cell, arguments)
    steps_of_row = _steps_of_row(arguments)

    dx = np.zeros(x.shape, x.dtype)
    dweights = Weights(*(np.zeros(part.shape, x.dtype) for part in weights))
    dstate = tuple(part.copy() for part in dstate)
    if doutput is not None:  # output[rows, times] = state[0][rows] at padded times
        rows, times = _padding(arguments, steps_of_row)
        np.add.at(dstate[0], rows, doutput[rows, times])
    for step in reversed(range(len(tape.saved))):
        rows, times = _rows_and_times(steps_of_row, step, tape.reverse)
        if doutput is not None:  # output[rows, times] = new[0]
            dstate[0][rows] += doutput[rows, times]
        gradients = cell.backward(tuple(part[rows] for part in dstate), tape.saved[step], weights)
        dx[rows, times] = gradients.x
        for part, value in zip(dstate, gradients.state, strict=True):
            part[rows] = value
        for total, share in zip(dweights, gradients.weights, strict=True):
            total += share
    return SequenceGradients(
        dx,
        dweights.kernel,
        dweights.recurrent_kernel,
        None if arguments.bias is None else dweights.bias,
        dstate,
    )


def _weights(cell: Cell, arguments: SequenceArguments) -> Weights:
    bias = arguments.bias
    if bias is None:
        columns = arguments.kernel.shape[1]
        bias = np.zeros((2, columns) if cell.split_bias else columns, arguments.x.dtype)
    return Weights(arguments.kernel, arguments.recurrent_kernel, bias)


def _steps_of_row(arguments: SequenceArguments) -> Array:
    """Number of real steps of each row (N,)."""
    rows, steps, _ = arguments.x.shape
    return np.full(rows, steps) if arguments.lengths is None else arguments.lengths


def _rows_and_times(steps_of_row: Array, step: int, reverse: bool) -> tuple[Array, Array]:
    """The rows that take part in this step, and the input time each of them reads."""
    rows = np.flatnonzero(steps_of_row > step)
    times = steps_of_row[rows] - 1 - step if reverse else np.full(len(rows), step)
    return rows, times


def _padding(arguments: SequenceArguments, steps_of_row: Array) -> tuple[Array, Array]:
    """The (row, time) pairs that are not real."""
    rows, times = np.nonzero(np.arange(arguments.x.shape[1]) >= steps_of_row[:, None])
    return rows, times
