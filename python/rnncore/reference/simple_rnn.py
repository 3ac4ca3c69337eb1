"""The simple (Elman) cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .._sequence_arguments import Array
from .activations import ACTIVATIONS, Activation
from .cell import Mask, State, StepGradients, Weights, masked
from .rounding import ROUNDINGS

__all__ = ["SimpleRNNCell"]

Saved = tuple[Array, Array, Mask, Array, Array]


@dataclass(frozen=True)
class SimpleRNNCell:
    GATES: ClassVar[int] = 1
    STATES: ClassVar[int] = 1

    activation: Activation = ACTIVATIONS["tanh"]
    products: str = "exact"

    split_bias: ClassVar[bool] = False

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, Saved]:
        (h,) = state
        m = ROUNDINGS[self.products](masked(h, mask))
        z = x @ weights.kernel + m @ weights.recurrent_kernel + weights.bias
        h_new = self.activation.forward(z)
        return (h_new,), (x, m, mask, z, h_new)

    def backward(self, dstate: State, saved: Saved, weights: Weights) -> StepGradients:
        x, m, mask, z, h_new = saved
        (dh_new,) = dstate
        dz = self.activation.backward(z, h_new, dh_new)  # h_new = activation(z)
        dz = ROUNDINGS[self.products](dz)
        return StepGradients(  # z = x @ kernel + m @ recurrent_kernel + bias, m = h * mask
            x=dz @ weights.kernel.T,
            state=(masked(dz @ weights.recurrent_kernel.T, mask),),
            weights=Weights(x.T @ dz, m.T @ dz, dz.sum(axis=0)),
        )
