"""y = activation(x @ kernel + bias), over the last axis of x."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .activations import activation_of
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs  # (..., I)
    kernel = weights[0]  # (I, U)
    z = x @ kernel
    if len(weights) == 2:
        z = z + weights[1]
    activation = activation_of(attributes, "activation")
    y = activation.forward(z)
    return [y], (x, weights, z, y, activation)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    x, weights, z, y, activation = saved
    (dy,) = doutputs
    dz = activation.backward(z, y, dy)  # y = activation(z)
    kernel = weights[0]  # z = x @ kernel + bias
    flat_dz = dz.reshape(-1, kernel.shape[1])
    dweights = [x.reshape(-1, kernel.shape[0]).T @ flat_dz, flat_dz.sum(axis=0)]
    return [dz @ kernel.T], dweights[: len(weights)]
