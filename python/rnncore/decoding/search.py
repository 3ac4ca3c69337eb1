"""Sequences from a model that gives the next token's probabilities step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array

__all__ = ["Hypothesis", "beam_search", "greedy_search", "sample"]

# tokens (R,), state -> logarithms of probabilities (R, V), state. A state is None, an array whose first axis is
# the row, or a tuple, list or dict of states.
Step = Callable[[npt.NDArray[np.int32], Any], tuple[npt.ArrayLike, Any]]


class Hypothesis(NamedTuple):
    """One decoded sequence.

    Attributes
    ----------
    tokens : ndarray of int32, shape (T,)
        Without the first token and without the end.
    log_probability : float
        Of these tokens, and of the end where it was reached.
    score : float
        The log probability divided by the length penalty.
    is_complete : bool
        Whether the end was reached.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.decoding import Hypothesis
    >>> Hypothesis(np.array([4, 2]), -0.5, -0.25, True).is_complete
    True
    """

    tokens: npt.NDArray[np.int32]
    log_probability: float
    score: float
    is_complete: bool


def greedy_search(
    step: Step, state: Any, start: npt.ArrayLike, *, end: int | None = None, max_length: int
) -> list[Hypothesis]:
    """Take the most probable token at each step, for a batch of rows at once.

    Parameters
    ----------
    step : callable
        `step(tokens, state) -> (log_probs, state)` with the last tokens (N,) int32, and logarithms of
        probabilities, or logits, (N, V).
    state : None, array, or tuple, list or dict of states
        At the start; arrays have N rows, one for each start token.
    start : array_like of int, shape (N,)
        The first token of each row.
    end : int, optional
        The token that ends a sequence.
    max_length : int
        The largest number of tokens, the end included.

    Returns
    -------
    list of N Hypothesis

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `step` returns, does not fit.

    Examples
    --------
    Counting up by one from a start, to the end token 5:

    >>> import numpy as np
    >>> from rnncore.decoding import greedy_search
    >>> def step(tokens, state):
    ...     return np.log(np.eye(6)[(tokens + 1) % 6] * 0.94 + 0.01), state
    >>> [found.tokens.tolist() for found in greedy_search(step, None, [0, 3], end=5, max_length=10)]
    [[1, 2, 3, 4], [4]]
    """
    limit = check.positive_int("max_length", max_length)
    last = end if end is None else check.integer("end", end, low=0)
    tokens = _tokens(start)
    samples = len(tokens)
    state = _map(state, lambda array: _rows_of(array, samples))
    taken, seen, is_open = [], [], np.ones(samples, bool)
    best: list[Array] = []  # logarithms of the best probabilities (steps, N), of many steps at once
    for _ in range(limit):
        scores, state = step(tokens, state)
        seen.append(_scores(scores, samples))
        tokens = seen[-1].argmax(axis=1).astype(np.int32)
        taken.append(tokens)
        if len(seen) * seen[-1].size > _NUMBERS_AT_ONCE:
            best.append(_best(seen))
            seen = []
        if last is not None:
            is_open[tokens == last] = False
            if not np.count_nonzero(is_open):
                break
    if seen:
        best.append(_best(seen))
    found = []
    for row, steps in zip(np.array(taken).T, np.concatenate(best).T, strict=True):
        ends = [] if last is None else np.flatnonzero(row == last)[:1].tolist()
        length = ends[0] if ends else len(row)
        total = float(np.cumsum(steps)[min(length, len(row) - 1)])
        found.append(Hypothesis(row[:length].copy(), total, total, bool(ends)))
    return found


def beam_search(
    step: Step,
    state: Any,
    start: npt.ArrayLike,
    *,
    end: int | None = None,
    max_length: int,
    beam_width: int = 4,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """Keep the most probable beginnings of sequences at each step, for a batch of rows at once.

    A sequence that reaches the end leaves the beam. The search of a row stops at `max_length` steps, or when no
    beginning in the beam can still become better than the `beam_width` best finished sequences.

    Parameters
    ----------
    step : callable
        `step(tokens, state) -> (log_probs, state)` with the last tokens (N·beam_width,) int32, and logarithms of
        probabilities (N·beam_width, V). The rows of a sample are neighbours.
    state : None, array, or tuple, list or dict of states
        At the start; arrays have N rows, one for each start token.
    start : array_like of int, shape (N,)
        The first token of each row.
    end : int, optional
        The token that ends a sequence.
    max_length : int
        The largest number of tokens, the end included.
    beam_width : int, default 4
    length_penalty : float, default 0.0
        α of the divisor ((5 + length) / 6)^α of log probabilities, where the length counts the end; with larger
        α, longer sequences win. 0 compares the probabilities themselves.

    Returns
    -------
    list of N lists of at most `beam_width` Hypothesis
        The best first. Unfinished ones are there only after `max_length` steps.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `step` returns, does not fit.

    References
    ----------
    Y. Wu et al., "Google's neural machine translation system" (2016), section 7.

    Examples
    --------
    The best first token is not the beginning of the best sequence:

    >>> import numpy as np
    >>> from rnncore.decoding import beam_search
    >>> table = np.array([[0.0, 0.6, 0.4, 0.0], [0.0, 0.5, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    >>> def step(tokens, state):
    ...     return np.log(table[tokens] + 1e-9), state
    >>> best = beam_search(step, None, [0], end=3, max_length=5, beam_width=2)[0][0]
    >>> best.tokens.tolist(), round(float(np.exp(best.score)), 6)
    ([2], 0.4)
    """
    rows = check.positive_int("beam_width", beam_width)
    limit = check.positive_int("max_length", max_length)
    alpha = check.number("length_penalty", length_penalty, low=0.0)
    last = end if end is None else check.integer("end", end, low=0)
    tokens = _tokens(start)
    samples = len(tokens)

    def penalty(length: int) -> float:
        return float(((5 + length) / 6) ** alpha)

    tokens = np.repeat(tokens, rows)
    state = _map(state, lambda array: np.repeat(_rows_of(array, samples), rows, axis=0))
    sums = np.full((samples, rows), -np.inf)  # log probabilities of the beginnings in the beam
    sums[:, 0] = 0.0  # all are equal at first: one counts
    history = np.empty((samples * rows, 0), np.int32)
    finished: list[list[Hypothesis]] = [[] for _ in range(samples)]
    open_rows = np.ones(samples, bool)
    for length in range(1, limit + 1):
        scores, state = step(tokens, state)
        log_probs = _log_probs(scores, len(tokens))
        size = log_probs.shape[1]
        if last is not None and last >= size:
            raise ValueError(f"end must be below the {size} tokens that step knows, got {last}")
        totals = sums[:, :, None] + log_probs.reshape(samples, rows, size)
        if last is not None:
            for n in np.flatnonzero(open_rows):
                for r in np.flatnonzero(totals[n, :, last] > -np.inf):
                    total = float(totals[n, r, last])
                    found = Hypothesis(history[n * rows + r].copy(), total, total / penalty(length), True)
                    finished[n].append(found)
                finished[n] = sorted(finished[n], key=lambda found: -found.score)[:rows]
            totals[:, :, last] = -np.inf
        # The best beginnings of each sample; the first of equals.
        flat = totals.reshape(samples, rows * size)
        if flat.shape[1] < rows:
            flat = np.pad(flat, ((0, 0), (0, rows - flat.shape[1])), constant_values=-np.inf)
        best = np.argsort(-flat, axis=1, kind="stable")[:, :rows]
        sums = np.take_along_axis(flat, best, axis=1)
        parents = (np.arange(samples)[:, None] * rows + np.minimum(best // size, rows - 1)).reshape(-1)
        tokens = (best % size).reshape(-1).astype(np.int32)
        history = np.concatenate([history[parents], tokens[:, None]], axis=1)
        state = _map(state, lambda array, parents=parents: _rows_of(array, samples * rows)[parents])  # type: ignore[misc]
        # A beginning can at best keep its log probability, and have the largest divisor.
        for n in np.flatnonzero(open_rows):
            bound = sums[n].max() / penalty(limit)
            full = len(finished[n]) == rows and finished[n][-1].score >= bound
            open_rows[n] = sums[n].max() > -np.inf and not full
        if not open_rows.any():
            break
    for n in np.flatnonzero(open_rows):
        for r in np.flatnonzero(sums[n] > -np.inf):
            total = float(sums[n, r])
            finished[n].append(Hypothesis(history[n * rows + r].copy(), total, total / penalty(limit), False))
        finished[n] = sorted(finished[n], key=lambda found: -found.score)[:rows]
    return finished


def sample(
    step: Step,
    state: Any,
    start: npt.ArrayLike,
    *,
    end: int | None = None,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> list[Hypothesis]:
    """Draw each token from the probabilities of the model, for a batch of rows at once.

    Parameters
    ----------
    step : callable
        `step(tokens, state) -> (log_probs, state)` with the last tokens (N,) int32, and logarithms of
        probabilities, or logits, (N, V).
    state : None, array, or tuple, list or dict of states
        At the start; arrays have N rows, one for each start token.
    start : array_like of int, shape (N,)
        The first token of each row.
    end : int, optional
        The token that ends a sequence.
    max_length : int
        The largest number of tokens, the end included.
    temperature : float, default 1.0
        Divides the log probabilities: below 1 prefers what is probable; 0 takes the best token.
    top_k : int, optional
        Draw from the k most probable tokens alone.
    seed : int, default 0
        A row's draws do not depend on the other rows.

    Returns
    -------
    list of N Hypothesis
        `log_probability` is that of the model, without temperature and `top_k`.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `step` returns, does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.decoding import sample
    >>> def step(tokens, state):
    ...     return np.zeros((len(tokens), 10)), state
    >>> sample(step, None, [0], max_length=5, top_k=1)[0].tokens.tolist()
    [0, 0, 0, 0, 0]
    >>> len(sample(step, None, [0], max_length=5, seed=3)[0].tokens)
    5
    """
    limit = check.positive_int("max_length", max_length)
    heat = check.number("temperature", temperature, low=0.0)
    kept = None if top_k is None else check.positive_int("top_k", top_k)
    last = end if end is None else check.integer("end", end, low=0)
    tokens = _tokens(start)
    samples = len(tokens)
    state = _map(state, lambda array: _rows_of(array, samples))
    generators = [np.random.default_rng((check.integer("seed", seed, low=0), n)) for n in range(samples)]
    drawn: list[list[int]] = [[] for _ in range(samples)]
    sums, open_rows = np.zeros(samples), np.ones(samples, bool)
    for _ in range(limit):
        scores, state = step(tokens, state)
        log_probs = _normalised(_log_probs(scores, samples))
        tokens = np.array(
            [_draw(row, heat, kept, rng) for row, rng in zip(log_probs, generators, strict=True)], np.int32
        )
        for n in np.flatnonzero(open_rows):
            sums[n] += log_probs[n, tokens[n]]
            if tokens[n] == last:
                open_rows[n] = False
            else:
                drawn[n].append(int(tokens[n]))
        if not open_rows.any():
            break
    return [
        Hypothesis(np.array(row, np.int32), float(total), float(total), not is_open)
        for row, total, is_open in zip(drawn, sums, open_rows, strict=True)
    ]


def _draw(log_probs: Array, temperature: float, top_k: int | None, rng: np.random.Generator) -> int:
    """A token (V,) by the cumulated probabilities; always one number from the generator."""
    uniform = rng.random()
    order = np.argsort(-log_probs, kind="stable")[:top_k]
    if temperature == 0:
        return int(order[0])
    probabilities = np.exp(_normalised(log_probs[order] / temperature))
    cumulated = np.cumsum(probabilities)
    return int(order[min(int(np.searchsorted(cumulated, uniform * cumulated[-1], side="right")), len(order) - 1)])


def _normalised(x: Array) -> Array:
    """Logarithms of probabilities that add up to 1 over the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


def _tokens(start: npt.ArrayLike) -> npt.NDArray[np.int32]:
    array = np.asarray(start)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"start must be a vector of token numbers, got {array.dtype} of shape {array.shape}")
    return array.astype(np.int32)


_NUMBERS_AT_ONCE = 1 << 16


def _best(seen: list[Array]) -> Array:
    """Logarithms of the largest probabilities (steps, N) of several steps' scores."""
    scores = _numbers(np.array(seen))
    # Its own share of the sum is 1.
    y: Array = -np.log(np.exp(scores - scores.max(axis=-1, keepdims=True)).sum(axis=-1))
    return y


def _scores(scores: npt.ArrayLike, rows: int) -> Array:
    """A copy (N, V)."""
    array = np.array(scores, np.float64)
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise ValueError(f"step must return log probabilities of shape ({rows}, V), got {array.shape}")
    return array


def _numbers(scores: Array) -> Array:
    if scores.size and not scores.max() < np.inf:
        raise ValueError("step must return log probabilities that are numbers below infinity")
    return scores


def _log_probs(scores: npt.ArrayLike, rows: int) -> Array:
    return _numbers(_scores(scores, rows))


def _rows_of(array: Any, rows: int) -> Array:
    found = np.asarray(array)
    if found.ndim == 0 or len(found) != rows:
        raise ValueError(f"arrays of the state must have {rows} rows, got shape {found.shape}")
    return found


def _map(state: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to all arrays of a state."""
    if state is None:
        return None
    if isinstance(state, dict):
        return {key: _map(value, function) for key, value in state.items()}
    if isinstance(state, (tuple, list)):
        return type(state)([_map(value, function) for value in state])
    return function(state)
