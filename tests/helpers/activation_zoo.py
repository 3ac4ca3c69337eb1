"""Every activation that a cell takes: by name, and with options."""

from __future__ import annotations

from typing import Any

from rnncore import activations

NAMES = sorted(set(activations.functions.__all__) - {"softmax", "swish"})
WITH_OPTIONS = [
    activations.Affine(0.2, 0.3),
    activations.ReLU(0.1, 1.4, 0.25),
    activations.LeakyReLU(0.05),
    activations.Threshold(0.2, -0.1),
    activations.HardSigmoid(0.2, 0.5),
    activations.ScaledTanh(1.7, 0.6),
    activations.ELU(0.4),
    activations.CELU(0.4),
    activations.GELU(approximate=True),
]
EVERY: list[Any] = [*NAMES, *WITH_OPTIONS]
