"""What a recurrent cell is: one time step, forward and backward. The time loop is in `sequence.py`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from .._sequence_arguments import Array
from .magnitude import product

__all__ = ["Cell", "Mask", "State", "StepGradients", "Weights", "masked"]

# (N, H) each; the first is the hidden state h, which is also the output, and (N, P) where it is projected.
State = tuple[Array, ...]


Mask = Array | int  # (N, H) of recurrent dropout, or 1


def masked(h: Array, mask: Mask) -> Array:
    """H · mask, where what is dropped is gone: infinity and NaN, too."""
    return h if isinstance(mask, int) else product(h, mask)


class Weights(NamedTuple):
    kernel: Array  # (I, G·H)
    recurrent_kernel: Array  # (H, G·H), or (P, G·H) where h is projected
    bias: Array  # (G·H,), or (2, G·H): input and recurrent part
    peephole_kernel: Array = np.zeros((0, 0))  # (3, H) of an LSTM with peepholes
    projection_kernel: Array = np.zeros((0, 0))  # (H, P) of an LSTM with a projection
    # (rows, H) of a normalized cell: gains of x @ kernel and h @ recurrent_kernel by gate, gain and shift of c
    normalization_weights: Array = np.zeros((0, 0))


class StepGradients(NamedTuple):
    x: Array  # (N, I)
    state: State  # gradient to the state before the step
    weights: Weights  # this step's share


class Cell(Protocol):
    """One step of a recurrent network, with gates in blocks of H columns."""

    GATES: ClassVar[int]
    STATES: ClassVar[int]

    @property
    def split_bias(self) -> bool:
        """Whether the bias is (2, G·H)."""

    @property
    def products(self) -> str:
        """How products take their factors, a key of ROUNDINGS. The time loop rounds x and the weights."""

    def forward(self, x: Array, state: State, weights: Weights, mask: Mask = 1) -> tuple[State, Any]:
        """From x (N, I) and the state before: the state after, and what `backward` needs.

        The recurrent product reads h * mask in place of h.
        """

    def backward(self, dstate: State, saved: Any, weights: Weights) -> StepGradients:
        """Gradient to the state after the step -> gradients to everything the step read."""
