"""A recurrent layer as an op: one class for every cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._sequence_arguments import Array, gradient_arguments, sequence_arguments
from . import sequence
from .cell import Cell
from .op import Arrays, Run

__all__ = ["Recurrent"]


@dataclass(frozen=True)
class Recurrent:
    """inputs x (N, T, I), lengths, initial states -> sequence (N, T, H), final states."""

    make_cell: Callable[..., Cell]

    def forward(
        self, inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run
    ) -> tuple[list[Array], Any]:
        x, lengths, *initial_state = inputs
        options = dict(attributes)
        go_backwards = options.pop("go_backwards", False)
        cell = self.make_cell(**options)
        kernel, recurrent_kernel, *bias = weights
        arguments = sequence_arguments(
            x,
            kernel,
            recurrent_kernel,
            bias[0] if bias else None,
            tuple(initial_state),  # a list of one would be read as a state itself
            lengths,
            gates=cell.GATES,
            states=cell.STATES,
            split_bias=cell.split_bias,
        )
        result = sequence.forward(cell, arguments, go_backwards, run.training)
        output = np.flip(result.output, axis=1) if go_backwards else result.output
        return [output, *result.state], (result.tape, output.shape)

    def backward(self, doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
        tape, shape = saved
        doutput, *dstate = doutputs
        if doutput is not None and tape.reverse:
            doutput = np.flip(doutput, axis=1)  # output = flip(result.output)
        states, dtype = tape.cell.STATES, tape.arguments.x.dtype
        gradients = sequence.backward(
            tape, *gradient_arguments(doutput, tuple(dstate), states=states, shape=shape, dtype=dtype)
        )
        dweights = [gradients.kernel, gradients.recurrent_kernel]
        if gradients.bias is not None:
            dweights.append(gradients.bias)
        return [gradients.x, None, *gradients.initial_state], dweights
