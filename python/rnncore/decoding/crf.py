"""Reading labels off the outputs of a conditional random field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array
from rnncore.decoding.ctc import Transcript

__all__ = ["crf_n_best", "crf_viterbi"]


def crf_viterbi(scores: npt.ArrayLike, lengths: npt.ArrayLike | None = None) -> list[Transcript]:
    """Find the most probable labels.

    Parameters
    ----------
    scores : array_like, shape (N, T, K, K)
        The output of `layers.CRF`, or any scores of label j after label i; those of the first step are read for i = 0.
    lengths : array_like of int, shape (N,), optional
        How many leading steps of each row are valid; all by default.

    Returns
    -------
    list of N Transcript
        A label for each valid step, and the logarithm of their probability.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a row allows no labels at all.

    References
    ----------
    A. Viterbi, "Error bounds for convolutional codes", IEEE Transactions on Information Theory 13 (1967).

    Examples
    --------
    Label 1 is likelier at first, but nothing likely follows it:

    >>> import numpy as np
    >>> from rnncore.decoding import crf_viterbi
    >>> first, then = [[0.4, 0.6], [0.4, 0.6]], [[0.9, 0.1], [0.5, 0.5]]
    >>> best = crf_viterbi(np.log([[first, then]]))[0]
    >>> best.labels, round(float(np.exp(best.log_probability)), 2)
    (array([0, 0], dtype=int32), 0.36)
    """
    best = crf_n_best(scores, lengths, 1)
    if [] in best:
        raise ValueError(f"scores of row {best.index([])} must allow some labels, got probability 0 for all")
    return [found[0] for found in best]


def crf_n_best(scores: npt.ArrayLike, lengths: npt.ArrayLike | None = None, n: int = 5) -> list[list[Transcript]]:
    """Find the n most probable sequences of labels.

    Parameters
    ----------
    scores : array_like, shape (N, T, K, K)
        As for `crf_viterbi`.
    lengths : array_like of int, shape (N,), optional
        How many leading steps of each row are valid; all by default.
    n : int, default 5

    Returns
    -------
    list of N lists of Transcript
        Best first; fewer than n where there are no more.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    References
    ----------
    N. Seshadri, C.-E. Sundberg, "List Viterbi decoding algorithms", IEEE Transactions on Communications 42 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.decoding import crf_n_best
    >>> first, then = [[0.4, 0.6], [0.4, 0.6]], [[0.9, 0.1], [0.5, 0.5]]
    >>> [found.labels.tolist() for found in crf_n_best(np.log([[first, then]]), n=3)[0]]
    [[0, 0], [1, 0], [1, 1]]
    """
    array = data.real("scores", scores)
    if array.ndim != 4 or array.shape[2] != array.shape[3] or array.shape[3] == 0:
        raise ValueError(f"scores must have shape (N, T, K, K), got {array.shape}")
    n = check.positive_int("n", n)
    steps = np.full(len(array), array.shape[1]) if lengths is None else data.lengths(lengths, *array.shape[:2])
    if not (array[np.arange(array.shape[1]) < steps[:, np.newaxis]] < np.inf).all():
        raise ValueError("scores must not hold NaN or infinity")
    return [best_paths(row[:length].astype(np.float64), n) for row, length in zip(array, steps, strict=True)]


def best_paths(row: Array, n: int) -> list[Transcript]:
    """The best sequences for scores (T, K, K)."""
    if not len(row):
        return [Transcript(np.zeros(0, np.int32), 0.0)]
    labels = row.shape[-1]
    best = row[0, :1].T  # (K, B): the best sequences that end in each label, at most n
    sources = []
    for step in row[1:]:
        ranks = best.shape[1]
        ways = (best[:, :, None] + step[:, None, :]).reshape(labels * ranks, labels)  # from (label, rank) to label
        order = np.argsort(-ways, axis=0, kind="stable")[:n]
        best = np.take_along_axis(ways, order, axis=0).T
        sources.append((order.T // ranks, order.T % ranks))
    ends = np.argsort(-best, axis=None, kind="stable")[:n]
    found = []
    for end in ends:
        label, rank = (int(k) for k in np.unravel_index(end, best.shape))
        probability = float(best[label, rank])
        if np.isneginf(probability):
            break
        path = [label]
        for from_label, from_rank in reversed(sources):
            label, rank = int(from_label[label, rank]), int(from_rank[label, rank])
            path.append(label)
        found.append(Transcript(np.array(path[::-1], np.int32), probability))
    return found
