"""Minus the log-probability of the labels of a chain whose transitions a conditional random field gives."""

from __future__ import annotations

import numpy as np

from .._sequence_arguments import Array

__all__ = ["crf_loss"]


def crf_loss(target: Array, output: Array, real: Array | None = None) -> tuple[Array, Array]:
    """Values (N,) and gradients (N, T, K, K) of log-probabilities `output` (N, T, K, K) of labels `target` (N, T).

    `real` (N, T) tells which steps count; all by default. A step follows the last one before it that counts.
    """
    value, gradient = np.zeros(len(output), output.dtype), np.zeros_like(output)
    for n, labels in enumerate(target):
        steps = np.arange(len(labels)) if real is None else np.flatnonzero(real[n])
        before = np.concatenate([[0], labels[steps][:-1]])[: len(steps)]
        value[n] = -output[n, steps, before, labels[steps]].sum()
        gradient[n, steps, before, labels[steps]] = -1
    return value, gradient
