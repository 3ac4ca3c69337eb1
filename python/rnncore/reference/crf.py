"""A linear-chain conditional random field (J. Lafferty et al., ICML 2001), as the transitions of a Markov chain.

The score of labels y_1 … y_T is start[y_1] + Σ_t x[t, y_t] + Σ_t transitions[y_{t-1}, y_t] + end[y_T]. Given x, each
label depends on the one before it alone, and

    log p(y_t = j | y_{t-1} = i, x) = transitions[i, j] + x[t, j] + after[t, j] - after[t-1, i],

where after[t, j] is the logarithm of the sum over all that may follow label j of step t. These are the output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .masking import real_steps
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    x, mask = inputs  # (N, T, K); lengths (N,), mask (N, T) or None
    transitions = weights[0]
    start, end = weights[1:] if len(weights) == 3 else np.zeros((2, len(transitions)), x.dtype)
    y = np.zeros((*x.shape, x.shape[-1]), x.dtype)
    rows = [np.flatnonzero(real) for real in real_steps(mask, x.shape)]
    for n, steps in enumerate(rows):
        after = end.astype(np.float64)
        for t in steps[::-1]:
            before = start if t == steps[0] else transitions
            scores = before + (x[n, t] + after)  # (K,), or (K, K)
            total = np.logaddexp.reduce(scores, axis=-1, keepdims=True)
            y[n, t] = scores - total
            after = total[..., 0]
    return [y], (y, rows, x, weights)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    y, rows, x, weights = saved
    (dy,) = doutputs
    dx, dtransitions = np.zeros_like(x), np.zeros_like(weights[0])
    dstart, dend = np.zeros((2, x.shape[-1]), x.dtype)
    for n, steps in enumerate(rows):
        dafter = np.zeros(x.shape[-1])  # (K,): the gradient to `after` of the step before
        for t in steps:
            given, p = dy[n, t], np.exp(y[n, t])
            if t == steps[0]:
                dscores = (given - given.sum(axis=-1, keepdims=True) * p).sum(axis=0)
                dstart += dscores
            else:
                dscores = given + (dafter - given.sum(axis=-1))[:, None] * p
                dtransitions += dscores
                dscores = dscores.sum(axis=0)
            dx[n, t] = dafter = dscores
        dend += dafter
    return [dx, None], [dtransitions, dstart, dend][: len(weights)]
