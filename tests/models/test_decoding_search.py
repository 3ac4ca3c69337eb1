"""Greedy and beam search against all sequences of a tiny vocabulary; sampling against its probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnncore.decoding import Hypothesis, beam_search, greedy_search, sample

Array = npt.NDArray[Any]
VOCABULARY, END, LIMIT = 4, 3, 4


class Model:
    """A random model whose probabilities depend on all tokens so far, which its state holds."""

    def __init__(self, seed: int, spread: float = 1.5) -> None:
        self.seed, self.spread = seed, spread

    def log_probs(self, row: int, tokens: tuple[int, ...]) -> Array:
        code = sum((token + 1) * 7**place for place, token in enumerate(tokens))
        x = np.random.default_rng((self.seed, row, code)).normal(scale=self.spread, size=VOCABULARY)
        normalised: Array = x - np.log(np.exp(x).sum())
        return normalised

    def start(self, rows: int) -> dict[str, Any]:
        return {"row": np.arange(rows), "history": (np.full((rows, LIMIT + 1), -1), [np.zeros(rows, int)])}

    def step(self, tokens: Array, state: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        history, (count,) = state["history"]
        history = history.copy()
        history[np.arange(len(tokens)), count] = tokens
        found = [self.log_probs(row, tuple(past[past >= 0])) for row, past in zip(state["row"], history, strict=True)]
        return np.array(found), {"row": state["row"], "history": (history, [count + 1])}

    def all(self, row: int, start: int, penalty: float) -> Iterator[tuple[float, tuple[int, ...], bool]]:
        """Score, tokens without the end, and whether they are complete, of all sequences."""
        for length in range(1, LIMIT + 1):
            for tokens in itertools.product(range(VOCABULARY), repeat=length):
                is_complete = tokens[-1] == END
                if END in tokens[:-1] or (not is_complete and length < LIMIT):
                    continue
                total = sum(self.log_probs(row, (start, *tokens[:k]))[tokens[k]] for k in range(length))
                yield total / ((5 + length) / 6) ** penalty, tokens[:-1] if is_complete else tokens, is_complete


@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed: int, penalty: float) -> None:
    model, starts, width = Model(seed), [0, 2, 1], VOCABULARY**LIMIT
    found = beam_search(
        model.step, model.start(3), starts, end=END, max_length=LIMIT, beam_width=width, length_penalty=penalty
    )
    for row, (hypotheses, start) in enumerate(zip(found, starts, strict=True)):
        expected = sorted(model.all(row, start, penalty), key=lambda item: -item[0])
        for hypothesis, (score, tokens, is_complete) in zip(hypotheses[:10], expected, strict=False):
            assert tuple(hypothesis.tokens) == tokens
            assert hypothesis.is_complete == is_complete
            np.testing.assert_allclose(hypothesis.score, score, rtol=1e-12)


def plain_beam(model: Model, row: int, start: int, width: int) -> list[tuple[float, tuple[int, ...], bool]]:
    """The search written for one row with lists, without an early stop."""
    beam: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[tuple[float, tuple[int, ...], bool]] = []
    for _ in range(LIMIT):
        grown = [
            (total + value, (*tokens, token))
            for total, tokens in beam
            for token, value in enumerate(model.log_probs(row, (start, *tokens)))
        ]
        finished += [(total, tokens[:-1], True) for total, tokens in grown if tokens[-1] == END]
        beam = sorted((item for item in grown if item[1][-1] != END), key=lambda item: -item[0])[:width]
    finished += [(total, tokens, False) for total, tokens in beam]
    return sorted(finished, key=lambda item: -item[0])[:width]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(8))
def test_a_narrow_beam_does_what_a_plain_one_does(seed: int, width: int) -> None:
    model, starts = Model(seed), [0, 2, 1, 1]
    found = beam_search(model.step, model.start(4), starts, end=END, max_length=LIMIT, beam_width=width)
    for row, (hypotheses, start) in enumerate(zip(found, starts, strict=True)):
        expected = plain_beam(model, row, start, width)
        assert [(tuple(h.tokens), h.is_complete) for h in hypotheses] == [(t, c) for _, t, c in expected]
        np.testing.assert_allclose([h.log_probability for h in hypotheses], [total for total, _, _ in expected])


def test_greedy_takes_the_best_token_of_each_step() -> None:
    model = Model(3)
    for row, found in enumerate(greedy_search(model.step, model.start(6), [0] * 6, end=END, max_length=LIMIT)):
        tokens: tuple[int, ...] = ()
        while len(tokens) < LIMIT and END not in tokens:
            tokens = (*tokens, int(model.log_probs(row, (0, *tokens)).argmax()))
        assert tuple(found.tokens) == tuple(token for token in tokens if token != END)
        assert found.is_complete == (END in tokens)


def test_without_an_end_all_sequences_have_the_full_length() -> None:
    model = Model(1)
    for found in beam_search(model.step, model.start(2), [0, 0], max_length=3, beam_width=2):
        assert [len(hypothesis.tokens) for hypothesis in found] == [3, 3]


def frequencies(**options: Any) -> Array:
    model, rows = Model(2), 4000

    def step(tokens: Array, state: Any) -> tuple[Array, Any]:
        return np.tile(model.log_probs(0, ()), (len(tokens), 1)), state

    drawn = [found.tokens[0] for found in sample(step, None, [0] * rows, max_length=1, seed=5, **options)]
    counts: Array = np.bincount(drawn, minlength=VOCABULARY) / rows
    return counts


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 2])
def test_samples_have_the_probabilities_of_the_model(temperature: float, top_k: int | None) -> None:
    expected = np.exp(Model(2).log_probs(0, ()) / temperature)
    if top_k is not None:
        expected[np.argsort(expected)[:-top_k]] = 0
    expected /= expected.sum()
    found = frequencies(temperature=temperature, top_k=top_k)
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert (found[expected == 0] == 0).all()


def test_samples_of_temperature_zero_are_greedy_and_rows_are_independent() -> None:
    model = Model(4)
    greedy = greedy_search(model.step, model.start(5), [0] * 5, end=END, max_length=LIMIT)
    cold = sample(model.step, model.start(5), [0] * 5, end=END, max_length=LIMIT, temperature=0)
    for one, other in zip(greedy, cold, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probability, other.log_probability)
    several = sample(model.step, model.start(5), [0] * 5, end=END, max_length=LIMIT, seed=2)
    alone = sample(model.step, model.start(1), [0], end=END, max_length=LIMIT, seed=2)
    np.testing.assert_array_equal(several[0].tokens, alone[0].tokens)
    assert isinstance(alone[0], Hypothesis)


def test_bad_arguments_are_named() -> None:
    model = Model(0)
    for search in (greedy_search, beam_search, sample):
        with pytest.raises(ValueError, match="max_length must be at least 1"):
            search(model.step, model.start(1), [0], max_length=0)
        with pytest.raises(ValueError, match="start must be a vector"):
            search(model.step, model.start(1), [[0]], max_length=2)
        with pytest.raises(ValueError, match="arrays of the state must have 2 rows"):
            search(model.step, model.start(1), [0, 1], max_length=2)
        with pytest.raises(ValueError, match="step must return log probabilities of shape"):
            search(lambda tokens, state: (np.zeros(3), state), None, [0], max_length=2)
        with pytest.raises(ValueError, match="numbers below infinity"):
            search(lambda tokens, state: (np.full((len(tokens), 3), np.nan), state), None, [0], max_length=2)
    with pytest.raises(ValueError, match="end must be below the 4 tokens"):
        beam_search(model.step, model.start(1), [0], max_length=2, end=4)
    with pytest.raises(ValueError, match="beam_width must be at least 1"):
        beam_search(model.step, model.start(1), [0], max_length=2, beam_width=0)
    with pytest.raises(ValueError, match="temperature must be"):
        sample(model.step, model.start(1), [0], max_length=2, temperature=-1)
