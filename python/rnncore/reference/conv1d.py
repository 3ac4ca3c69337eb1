"""y = activation(x * kernel + bias), a convolution over time; steps that are not valid count as zeros.

The second output is a mask of the first windows of each row, as many as begin before its end, for what comes next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .activations import activation_of
from .masking import real_steps
from .op import Arrays, Run
from .window import Windows

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
    x, mask = inputs  # (N, T, I)
    kernel = weights[0]  # (K, I, U)
    windows = Windows.of(
        x.shape[1],
        len(kernel),
        attributes.get("strides", 1),
        attributes.get("dilation_rate", 1),
        attributes.get("padding", "valid"),
    )
    real = real_steps(mask, x.shape)
    x = np.where(real[..., None], x, x.dtype.type(0))
    z = np.zeros((len(x), windows.count, kernel.shape[2]), x.dtype)
    if len(weights) == 2:
        z += weights[1]
    for tap in range(windows.size):
        to, steps = windows.seen(tap)
        z[:, to] += x[:, steps] @ kernel[tap]
    activation = activation_of(attributes, "activation")
    y = activation.forward(z)
    return [y, windows.mask(real)], (x, real, weights, windows, z, y, activation)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    x, real, weights, windows, z, y, activation = saved
    dz = activation.backward(z, y, doutputs[0])  # y = activation(z)
    kernel = weights[0]
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    for tap in range(windows.size):
        to, steps = windows.seen(tap)  # z[:, to] += x[:, steps] @ kernel[tap]
        dx[:, steps] += dz[:, to] @ kernel[tap].T
        dkernel[tap] = np.tensordot(x[:, steps], dz[:, to], ((0, 1), (0, 1)))
    dx = np.where(real[..., None], dx, dx.dtype.type(0))
    return [dx, None], [dkernel, dz.sum(axis=(0, 1))][: len(weights)]
