"""Conditional random fields: every sequence of labels by itself, and finite differences."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from single_nodes import MASK, check_gradients, one_node
from tolerance import FINITE_DIFFERENCES, Array, assert_close, numerical_gradient

from rnncore.decoding import crf_n_best, crf_viterbi
from rnncore.program import Program
from rnncore.reference import Executor
from rnncore.reference.crf_loss import crf_loss

LABELS, STEPS = 3, 4
RNG = np.random.default_rng(4)
X = RNG.normal(size=(len(MASK), STEPS, LABELS))


def program(slot: str = "mask", boundary: bool = True) -> Program:
    shapes: dict[str, tuple[None, ...]] = {"mask": (None, None), "lengths": (None,), "absent": ()}
    weights = [(LABELS, LABELS), *[(LABELS,)] * (2 * boundary)]
    return one_node("crf", [("x", (None, None, LABELS), "float"), (slot, shapes[slot], "int")], 1, weights, {})


def every_sequence(x: Array, weights: Array) -> dict[tuple[int, ...], float]:
    """The log-probability of each sequence of labels for scores (T, K), from its definition."""
    transitions, start, end = np.split(weights, [LABELS**2, LABELS**2 + LABELS])
    scores = {}
    for labels in itertools.product(range(LABELS), repeat=len(x)):
        score = start[labels[0]] + end[labels[-1]] + sum(step[label] for step, label in zip(x, labels, strict=True))
        score += sum(transitions[i * LABELS + j] for i, j in itertools.pairwise(labels))
        scores[labels] = float(score)
    total = np.logaddexp.reduce(list(scores.values()))
    return {labels: score - float(total) for labels, score in scores.items()}


def outputs(given: Program, inputs: list[Array], lengths: Array | None = None) -> tuple[Array, Array]:
    weights = np.random.default_rng(5).normal(size=sum(parameter.size for parameter in given.parameters))
    (y,) = Executor(given, weights, np.zeros_like(weights)).forward(inputs, lengths)
    return y, weights


def test_the_steps_say_what_all_sequences_say() -> None:
    y, weights = outputs(program("mask"), [X, MASK])
    for n, real in enumerate(MASK != 0):
        assert not y[n, ~real].any()
        if not real.any():
            continue
        expected = every_sequence(X[n, real], weights)
        for labels, probability in expected.items():
            before = (0, *labels[:-1])
            found = sum(y[n, t, i, j] for t, i, j in zip(np.flatnonzero(real), before, labels, strict=True))
            assert found == pytest.approx(probability, abs=1e-12)
        target = np.zeros(STEPS, int)
        target[real] = labels = np.array(min(expected))
        (value,), _ = crf_loss(target[None], y[n][None], real[None])
        assert value == pytest.approx(-expected[tuple(labels)], abs=1e-12)
        best = sorted(expected, key=lambda labels: -expected[labels])[:5]
        found_best = crf_n_best(y[n][real][None], n=5)[0]
        assert [tuple(found.labels.tolist()) for found in found_best] == best
        assert [found.log_probability for found in found_best] == pytest.approx([expected[labels] for labels in best])


def test_labels_end_with_their_row() -> None:
    lengths = np.array([4, 2, 0, 1, 3, 4], np.int32)
    y, weights = outputs(program("lengths"), [X], lengths)
    for n, (found, length) in enumerate(zip(crf_viterbi(y, lengths), lengths, strict=True)):
        expected = every_sequence(X[n, :length], weights) if length else {(): 0.0}
        assert tuple(found.labels.tolist()) == max(expected, key=lambda labels: expected[labels])


@pytest.mark.parametrize("boundary", [True, False])
def test_gradients(boundary: bool) -> None:
    check_gradients(program("mask", boundary), [X, MASK])
    check_gradients(program("absent", boundary), [X])


def test_gradients_of_the_loss() -> None:
    output = RNG.normal(size=(2, STEPS, LABELS, LABELS))
    target, real = np.array([[0, 2, 1, 1], [2, 2, 0, 1]]), np.array([[1, 1, 1, 1], [0, 1, 0, 1]], bool)
    _, gradient = crf_loss(target, output, real)
    slope = numerical_gradient(lambda: float(crf_loss(target, output, real)[0].sum()), output)
    assert_close(gradient, slope, FINITE_DIFFERENCES)


def test_transitions_that_cannot_be() -> None:
    given = program("absent")
    weights = np.zeros(LABELS**2 + 2 * LABELS)
    weights[1] = -1e4  # from label 0 to label 1
    (y,) = Executor(replace(given), weights, np.zeros_like(weights)).forward([X])
    assert np.isfinite(y).all()
    assert (y[:, 1:, 0, 1] < -9e3).all()


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (np.zeros((1, 2, 3)), {}, "scores must have shape (N, T, K, K), got (1, 2, 3)"),
        (np.zeros((1, 2, 3, 4)), {}, "scores must have shape (N, T, K, K), got (1, 2, 3, 4)"),
        (np.full((1, 2, 3, 3), np.nan), {}, "scores must not hold NaN or infinity"),
        (np.full((1, 2, 3, 3), np.inf), {"lengths": [1]}, "scores must not hold NaN or infinity"),
        (np.zeros((1, 2, 3, 3)), {"n": 0}, "n must be"),
    ],
)
def test_bad_scores(scores: Array, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        crf_n_best(scores, **options)


def test_labels_that_cannot_be() -> None:
    """One sequence is left, then none; what is behind the lengths may be anything."""
    never = -np.inf
    first, then = [[-1.0, -2.0]] * 2, [[never, never], [never, -3.0]]
    scores = np.array([[first, then, np.full((2, 2), np.nan)]])
    (found,) = crf_n_best(scores, [2], n=5)
    assert [(best.labels.tolist(), best.log_probability) for best in found] == [([1, 1], -5.0)]
    scores[0, 1, 1, 1] = never
    assert crf_n_best(scores, [2]) == [[]]
    with pytest.raises(ValueError, match="scores of row 0 must allow some labels"):
        crf_viterbi(scores, [2])
