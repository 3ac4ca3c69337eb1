"""y = what a layer's own Python code makes of x; its gradients are what the code says."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _own_code
from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    *x, mask = inputs
    layer = _own_code.found(attributes["function"])
    real = None if mask is None else real_steps(mask, x[0].shape)
    y = layer._run([array.copy() for array in x], real, run.training)
    return y, (layer, x, y, real, run.training)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    layer, x, y, real, training = saved
    dy = [np.zeros_like(a) if g is None else g for g, a in zip(doutputs, y, strict=True)]
    copies = ([array.copy() for array in some] for some in (x, y, dy))
    dinputs, dweights = layer._run_back(*copies, real, training)
    zeros = [np.zeros_like(a) if g is None else g for g, a in zip(dinputs, x, strict=True)]
    return [*zeros, None], dweights
