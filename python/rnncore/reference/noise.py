"""Noise on x in training, y = x otherwise.

gaussian_noise adds normal numbers of deviation `stddev`; gaussian_dropout multiplies by normal numbers around one of
variance rate / (1 - rate) (N. Srivastava et al., 2014); alpha_dropout drops to the least value of selu and then
restores mean and variance (G. Klambauer et al., "Self-normalizing neural networks", 2017).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .activations import SELU_ALPHA, SELU_SCALE
from .magnitude import product
from .op import Arrays, Run

__all__ = ["backward", "forward"]

FLOOR = -SELU_ALPHA * SELU_SCALE


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    kind, rate, deviation = attributes["kind"], attributes.get("rate", 0.0), attributes.get("stddev", 0.0)
    if not run.training or (deviation if kind == "gaussian_noise" else rate) == 0:
        return [x], None
    seed, dtype = attributes.get("seed") or 0, x.dtype.type
    if kind == "gaussian_noise":
        return [x + (deviation * run.normal(x.size, seed).reshape(x.shape)).astype(dtype)], None
    if kind == "gaussian_dropout":
        spread = math.sqrt(rate / (1 - rate))
        factor = (1 + spread * run.normal(x.size, seed).reshape(x.shape)).astype(dtype)
        return [x * factor], factor
    keep = run.uniform(x.size, seed).reshape(x.shape) >= rate
    a = 1 / math.sqrt((1 - rate) * (1 + rate * FLOOR**2))
    y = np.where(keep, x, dtype(FLOOR)) * dtype(a) + dtype(-a * FLOOR * rate)
    return [y], np.where(keep, dtype(a), dtype(0))


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [dy if saved is None else product(dy, saved)], []
