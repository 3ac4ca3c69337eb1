"""The simple (Elman) cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .._sequence_arguments import Array
from .activations import ACTIVATIONS
from .cell import State, StepGradients, Weights

__all__ = ["SimpleRNNCell"]

Saved = tuple[Array, Array, Array]


@dataclass(frozen=True)
class SimpleRNNCell:
    GATES: ClassVar[int] = 1
    STATES: ClassVar[int] = 1

    activation: str = "tanh"

    split_bias: ClassVar[bool] = False

    def forward(self, x: Array, state: State, weights: Weights) -> tuple[State, Saved]:
        (h,) = state
        z = x @ weights.kernel + h @ weights.recurrent_kernel + weights.bias
        h_new = ACTIVATIONS[self.activation].forward(z)
        return (h_new,), (x, h, h_new)

    def backward(self, dstate: State, saved: Saved, weights: Weights) -> StepGradients:
        x, h, h_new = saved
        (dh_new,) = dstate
        dz = ACTIVATIONS[self.activation].backward(h_new, dh_new)  # h_new = activation(z)
        return StepGradients(  # z = x @ kernel + h @ recurrent_kernel + bias
            x=dz @ weights.kernel.T,
            state=(dz @ weights.recurrent_kernel.T,),
            weights=Weights(x.T @ dz, h.T @ dz, dz.sum(axis=0)),
        )
