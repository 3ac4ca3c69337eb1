"""CTC decoding against all paths there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnncore.decoding import ctc_beam, ctc_greedy


def collapse(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_brute_force(logits: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """The probability of every labelling of (T, C) logits."""
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        labels = collapse(path, blank)
        found[labels] = found.get(labels, 0.0) + float(np.prod(p[np.arange(len(p)), path]))
    return found


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_beam_finds_all_labellings_and_their_probabilities(blank: int) -> None:
    logits = np.random.default_rng(blank).normal(scale=2, size=(3, 5, 3))
    lengths = [5, 3, 0]
    found = ctc_beam(logits, lengths, beam_width=1000, top_paths=1000, blank=blank)
    for row, length, transcripts in zip(logits, lengths, found, strict=True):
        expected = by_brute_force(row[:length], blank)
        assert {tuple(t.labels.tolist()) for t in transcripts} == set(expected)
        for transcript in transcripts:
            assert np.exp(transcript.log_probability) == pytest.approx(expected[tuple(transcript.labels.tolist())])
        assert [t.log_probability for t in transcripts] == sorted(
            (t.log_probability for t in transcripts), reverse=True
        )


def test_a_narrow_beam_keeps_what_is_best_so_far() -> None:
    logits = np.random.default_rng(4).normal(scale=3, size=(20, 6, 4))
    for row, (best,) in zip(logits, ctc_beam(logits, beam_width=25), strict=True):
        expected = by_brute_force(row, 0)
        assert tuple(best.labels.tolist()) == max(expected, key=lambda labels: expected[labels])
        assert best.labels.dtype == np.int32


def test_greedy_takes_the_best_path() -> None:
    logits = np.random.default_rng(5).normal(size=(8, 7, 4))
    for blank, length in ((0, 7), (3, 4)):
        for row, found in zip(logits, ctc_greedy(logits, [length] * 8, blank=blank), strict=True):
            path = row[:length].argmax(axis=-1)
            assert tuple(found.labels.tolist()) == collapse(tuple(path.tolist()), blank)
            log_p = row[:length] - np.log(np.exp(row[:length]).sum(axis=-1, keepdims=True))
            assert found.log_probability == pytest.approx(log_p.max(axis=-1).sum())


def test_impossible_classes_are_never_read() -> None:
    with np.errstate(divide="ignore"):
        scores = np.log(np.array([[[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]]))
    found = {tuple(t.labels.tolist()): t.log_probability for t in ctc_beam(scores, top_paths=9)[0]}
    assert found == pytest.approx({(1,): np.log(0.5), (2, 1): np.log(0.5)})


def test_bad_arguments_are_named() -> None:
    good = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"scores must have shape \(N, T, C\), got \(3, 4\)"):
        ctc_greedy(good[0])
    with pytest.raises(ValueError, match="blank must be one of the 4 classes, got 4"):
        ctc_beam(good, blank=4)
    with pytest.raises(ValueError, match="top_paths must be at most beam_width = 3, got 5"):
        ctc_beam(good, beam_width=3, top_paths=5)
    with pytest.raises(ValueError, match=r"lengths must lie in \[0, 3\], got 4"):
        ctc_greedy(good, [4, 1])
    with pytest.raises(ValueError, match="scores must not hold NaN"):
        ctc_greedy(good * np.nan)
    with pytest.raises(ValueError, match="leave each step a possible class"):
        ctc_greedy(good - np.inf)
