"""Connectionist temporal classification (A. Graves et al., ICML 2006): minus the log-probability of some labels.

The labels, with a blank (class 0) before, between and after them, are the states s of a chain. A step stays in its
state, goes to the next one, or passes over a blank between two different labels.
"""

from __future__ import annotations

import numpy as np

from .._sequence_arguments import Array
from .activations import log_softmax, softmax

__all__ = ["check_labels", "ctc"]


def ctc(target: Array, output: Array, real: Array | None = None) -> tuple[Array, Array]:
    """Values (N,) and gradients (N, T, C) of logits `output` (N, T, C).

    `target` (N, L) has labels from 1 to C − 1, then zeros. `real` (N, T) tells which steps count; all by default.
    Without a path to its labels a sample has an infinite value and no gradient.
    """
    value, gradient = np.zeros(len(output), output.dtype), np.zeros_like(output)
    for n, logits in enumerate(output):
        steps = np.arange(len(logits)) if real is None else np.flatnonzero(real[n])
        value[n], gradient[n, steps] = _sample(target[n][target[n] != 0], logits[steps])
    return value, gradient


def check_labels(target: Array, classes: int, steps: Array, rows: Array | None = None, name: str = "targets") -> None:
    """Raise a ValueError unless `target` (N, L) holds labels, then zeros, that fit into `steps` (N,).

    The message has the `name` of the target and the number of the sample, which `rows` (N,) tells for a batch.
    """
    for k, row in enumerate(target):
        n = k if rows is None else rows[k]
        labels = row[row != 0]
        if row[len(labels) :].any():
            raise ValueError(f"{name}: sample {n} has labels after the padding with 0")
        if labels.size and not 0 < labels.min() <= labels.max() < classes:
            raise ValueError(
                f"{name}: expected labels from 1 to {classes - 1}, or 0 for padding, got {labels.min()} to "
                f"{labels.max()} in sample {n}"
            )
        needed = len(labels) + np.count_nonzero(labels[1:] == labels[:-1])
        if needed > steps[k]:
            raise ValueError(
                f"{name}: the {len(labels)} labels of sample {n} need {needed} steps (repeated ones need a blank "
                f"between them), the output has {steps[k]}"
            )


def _sample(labels: Array, logits: Array) -> tuple[float, Array]:
    """The value and the gradient (T, C) of one sample with logits (T, C)."""
    states = np.zeros(2 * len(labels) + 1, np.intp)  # (S,): the class of each state
    states[1::2] = labels
    passes = np.zeros(len(states), bool)  # whether a state can be reached from the one but before it
    passes[2:] = (states[2:] != 0) & (states[2:] != states[:-2])
    emitted = log_softmax(logits.astype(np.float64))[:, states]  # (T, S)
    if not len(logits):
        return (np.inf if len(labels) else 0.0), np.zeros_like(logits)
    with np.errstate(invalid="ignore"):
        forward = _chain(emitted, passes)  # (T, S): all paths to here, this step with them
        # Backward is the same chain from the other end; where it passes over a blank is seen from there.
        backward = _chain(emitted[::-1, ::-1], np.roll(passes[::-1], 2))[::-1, ::-1]
        log_probability = np.logaddexp.reduce(forward[-1, -2:])
        if np.isneginf(log_probability):
            return np.inf, np.zeros_like(logits)
        occupied = np.exp(forward + backward - emitted - log_probability)  # (T, S), sums to 1 over S
    gradient = softmax(logits.astype(np.float64))
    for state, label in enumerate(states):
        gradient[:, label] -= occupied[:, state]
    return -log_probability, gradient.astype(logits.dtype)


def _chain(emitted: Array, passes: Array) -> Array:
    """Logarithms (T, S) of the sums over all paths from one of the first two states."""
    sums = np.full(emitted.shape, -np.inf)
    sums[0, :2] = emitted[0, :2]
    for t in range(1, len(emitted)):
        before = sums[t - 1]
        one, two = np.full((2, len(before)), -np.inf)
        one[1:] = before[:-1]
        two[2:] = np.where(passes[2:], before[:-2], -np.inf)
        sums[t] = np.logaddexp(np.logaddexp(before, one), two) + emitted[t]
    return sums
