"""Reading labels off the outputs of a model trained with `losses.CTC`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array

__all__ = ["Transcript", "ctc_beam", "ctc_greedy"]


class Transcript(NamedTuple):
    """Labels read off one sample, without blanks, and the logarithm of their probability.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.decoding import Transcript
    >>> Transcript(np.array([3, 1]), -0.5).log_probability
    -0.5
    """

    labels: npt.NDArray[np.int32]
    log_probability: float


def ctc_greedy(scores: npt.ArrayLike, lengths: npt.ArrayLike | None = None, *, blank: int = 0) -> list[Transcript]:
    """Take the best class of each step, join repetitions and drop blanks.

    Parameters
    ----------
    scores : array_like, shape (N, T, C)
        Logits, or logarithms of probabilities.
    lengths : array_like of int, shape (N,), optional
        How many leading steps of each row are valid; all by default.
    blank : int, default 0
        The class that means no label.

    Returns
    -------
    list of N Transcript
        The probability is that of the one path taken.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    References
    ----------
    A. Graves et al., "Connectionist temporal classification", ICML (2006), section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.decoding import ctc_greedy
    >>> path = [1, 1, 0, 1, 2, 0]
    >>> ctc_greedy(np.log(np.eye(3)[path] * 0.7 + 0.1)[None])[0].labels
    array([1, 1, 2], dtype=int32)
    """
    rows, blank = _rows(scores, lengths, blank)
    found = []
    for row in rows:
        path = row.argmax(axis=-1)
        first = np.ones(len(path), bool)
        first[1:] = path[1:] != path[:-1]
        labels = path[first & (path != blank)].astype(np.int32)
        found.append(Transcript(labels, float(row.max(axis=-1).sum())))
    return found


def ctc_beam(
    scores: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    *,
    beam_width: int = 100,
    top_paths: int = 1,
    blank: int = 0,
) -> list[list[Transcript]]:
    """Find the most probable labels, each summed over all its paths, by a beam search over prefixes.

    Parameters
    ----------
    scores : array_like, shape (N, T, C)
        Logits, or logarithms of probabilities.
    lengths : array_like of int, shape (N,), optional
        How many leading steps of each row are valid; all by default.
    beam_width : int, default 100
        How many prefixes are kept after each step.
    top_paths : int, default 1
        How many of the last ones are returned, at most `beam_width`.
    blank : int, default 0
        The class that means no label.

    Returns
    -------
    list of N lists of Transcript
        Best first; fewer than `top_paths` where there are no more.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    References
    ----------
    A. Graves, "Supervised sequence labelling with recurrent neural networks" (2012), section 7.5.3.

    Examples
    --------
    No path to the empty label is best at both steps, yet the two paths with label 1 are too rare apart:

    >>> import numpy as np
    >>> from rnncore.decoding import ctc_beam, ctc_greedy
    >>> scores = np.log([[[0.6, 0.4], [0.6, 0.4]]])
    >>> ctc_greedy(scores)[0].labels
    array([], dtype=int32)
    >>> best = ctc_beam(scores)[0][0]
    >>> best.labels, round(float(np.exp(best.log_probability)), 2)
    (array([1], dtype=int32), 0.64)
    """
    rows, blank = _rows(scores, lengths, blank)
    beam_width = check.positive_int("beam_width", beam_width)
    top_paths = check.positive_int("top_paths", top_paths)
    if top_paths > beam_width:
        raise ValueError(f"top_paths must be at most beam_width = {beam_width}, got {top_paths}")
    return [_search(row, beam_width, blank)[:top_paths] for row in rows]


def _search(row: Array, beam_width: int, blank: int) -> list[Transcript]:
    """All prefixes of the last beam for log-probabilities (T, C), best first."""
    prefixes: list[tuple[int, ...]] = [()]
    in_blank, in_label = np.zeros(1), np.full(1, -np.inf)  # (B,): paths that end in a blank, or in the last label
    classes = row.shape[-1]
    for step in row:
        total = np.logaddexp(in_blank, in_label)
        last = np.array([prefix[-1] if prefix else blank for prefix in prefixes])
        longer = total[:, None] + step  # (B, C): one more label
        own = np.arange(len(prefixes))
        # The same label again is a new one only after a blank; without one it goes on.
        longer[own, last] = in_blank + step[last]
        longer[:, blank] = -np.inf
        held_blank = total + step[blank]
        held_label = np.where(last == blank, -np.inf, in_label + step[last])
        number = {prefix: k for k, prefix in enumerate(prefixes)}
        for k, prefix in enumerate(prefixes):  # a kept prefix is reached from its shorter one as well
            shorter = number.get(prefix[:-1]) if prefix else None
            if shorter is not None:
                held_label[k] = np.logaddexp(held_label[k], longer[shorter, prefix[-1]])
                longer[shorter, prefix[-1]] = -np.inf
        candidates = np.concatenate([np.logaddexp(held_blank, held_label), longer.reshape(-1)])
        best = np.argsort(-candidates, kind="stable")[:beam_width]
        best = best[np.isfinite(candidates[best])]
        kept, grown = best[best < len(prefixes)], best[best >= len(prefixes)] - len(prefixes)
        prefixes = [prefixes[k] for k in kept] + [(*prefixes[k // classes], int(k % classes)) for k in grown]
        in_blank = np.concatenate([held_blank[kept], np.full(len(grown), -np.inf)])
        in_label = np.concatenate([held_label[kept], longer.reshape(-1)[grown]])
    total = np.logaddexp(in_blank, in_label)
    return [
        Transcript(np.array(prefixes[k], np.int32), float(total[k])) for k in np.argsort(-total, kind="stable").tolist()
    ]


def _rows(scores: npt.ArrayLike, lengths: npt.ArrayLike | None, blank: int) -> tuple[list[Array], int]:
    """Log-probabilities (length, C) of each sample in float64, and the blank."""
    array = data.real("scores", scores)
    if array.ndim != 3 or array.shape[-1] == 0:
        raise ValueError(f"scores must have shape (N, T, C), got {array.shape}")
    blank = check.integer("blank", blank, low=0)
    if blank >= array.shape[-1]:
        raise ValueError(f"blank must be one of the {array.shape[-1]} classes, got {blank}")
    steps = np.full(len(array), array.shape[1]) if lengths is None else data.lengths(lengths, *array.shape[:2])
    array = array.astype(np.float64)
    if np.isnan(array).any() or np.isposinf(array).any():
        raise ValueError("scores must not hold NaN or infinity")
    top = array.max(axis=-1, keepdims=True)
    if np.isneginf(top).any():
        raise ValueError("scores must leave each step a possible class, got one with -inf alone")
    array = array - (top + np.log(np.exp(array - top).sum(axis=-1, keepdims=True)))
    return [row[:length] for row, length in zip(array, steps, strict=True)], blank
