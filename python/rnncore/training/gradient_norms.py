"""The gradient of each sample by itself, of which only the norm is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore.batches import Batches, Samples, Update
from rnncore.program import Program, Training
from rnncore.reference.magnitude import norm

__all__ = ["gradient_norms"]


def gradient_norms(
    kind: Any, program: Program, vector: Array, training: Training, samples: Samples, seed: int
) -> Array:
    """The norms (N,) in float64 of the losses' gradients to the trainable parameters, row by row.

    Goodfellow, "Efficient per-example gradient computations" (2015), has a shortcut for dense layers. A layer that
    is applied at many time steps sums over them before the norm, so here each row is a batch of its own, which
    is exact for any model. The rows run through an executor of `kind` over a copy of the parameters `vector`,
    without an optimizer.
    """
    parameters, gradients = vector.copy(), np.zeros_like(vector)
    executor = kind(program, parameters, gradients)
    losses = Training(training.losses)
    executor.configure(losses, np.zeros((0, vector.size), vector.dtype))
    norms = np.zeros(samples.rows)
    for row in range(samples.rows):
        batch, update = Batches(samples, np.array([row]), 1), Update(np.zeros(1), 0, seed)
        executor.train(batch, update, np.zeros(losses.state_size()))
        norms[row] = norm(gradients).item()
        parameters[...] = vector  # a forward pass may have moved averages
    return norms
