"""Conditional random fields in the compiled executor against the reference, and in models."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS
from tolerance import Array, assert_all_close, assert_threads_agree

from rnncore import _core, layers, losses, metrics, models, reference, utils
from rnncore.decoding import crf_viterbi
from rnncore.program import Node, Parameter, Program, Value

LABELS, STEPS, SAMPLES = 5, 7, 11
LENGTHS = np.array([7, 1, 0, 5, 7, 2, 3, 6, 4, 1, 7], np.int32)


def passes(kind: Any, dtype: Any, scale: float = 1.0) -> list[Array]:
    """Output and gradients of the op with a mask of any pattern."""
    rng = np.random.default_rng(2)
    values = (
        Value("x", (None, None, LABELS)),
        Value("mask", (None, None), "int"),
        Value("y", (None,) * 4),
    )
    parameters = (
        Parameter("transitions", (LABELS, LABELS), 0),
        Parameter("start", (LABELS,), LABELS**2),
        Parameter("end", (LABELS,), LABELS**2 + LABELS),
    )
    program = Program(values, parameters, (Node("crf", "crf", (0, 1), (2,), (0, 1, 2)),), (0, 1), (2,))
    weights = (scale * rng.normal(size=LABELS**2 + 2 * LABELS)).astype(dtype)
    gradients = np.zeros_like(weights)
    executor = kind(program, weights, gradients)
    x = (scale * rng.normal(size=(SAMPLES, STEPS, LABELS))).astype(dtype)
    mask = rng.integers(0, 2, size=(SAMPLES, STEPS), dtype=np.int32)
    (y,) = executor.forward([x, mask], training=True)
    dx, _ = executor.backward([rng.normal(size=y.shape).astype(dtype)])
    return [np.array(y), dx, gradients]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # factors of transitions overflow and underflow
def test_both_executors_agree(dtype: Any, scale: float) -> None:
    assert_all_close(passes(_core.Executor, dtype, scale), passes(reference.Executor, dtype, scale))


def test_any_number_of_threads_gives_the_same_bits() -> None:
    assert_threads_agree(lambda: passes(_core.Executor, np.float32))


def tagger(backend: str = "compiled") -> models.Model:
    """Ids to labels; id 0 is padding."""
    utils.clear_session()
    utils.set_random_seed(3)
    model = models.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            layers.GRU(6, return_sequences=True),
            layers.Dense(LABELS),
            layers.CRF(),
        ]
    )
    model.compile("adam", losses.CRF(), weighted_metrics=[metrics.ViterbiAccuracy()], backend=backend)
    return model


def sentences() -> tuple[Array, Array]:
    rng = np.random.default_rng(6)
    words = rng.integers(1, 9, size=(SAMPLES, STEPS))
    words[np.arange(STEPS) >= np.maximum(LENGTHS, 1)[:, None]] = 0
    return words, (words + np.roll(words, 1, axis=1)) % LABELS


@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_does_not_matter(backend: str) -> None:
    words, labels = sentences()
    model = tagger(backend)
    weight = np.linspace(0.5, 2, SAMPLES)
    whole = model.evaluate(words, labels, sample_weight=weight, verbose=0)
    labels[words == 0] = 3
    assert model.evaluate(words, labels, sample_weight=weight, verbose=0) == whole
    longer = [np.pad(array, ((0, 0), (0, 4))) for array in (words, labels)]
    assert model.evaluate(*longer, sample_weight=weight, verbose=0) == pytest.approx(whole, rel=1e-6)
    alone = [
        model.evaluate(words[n : n + 1, :length], labels[n : n + 1, :length], verbose=0)[0]
        for n, length in enumerate(np.maximum(LENGTHS, 1))
    ]
    assert whole[0] == pytest.approx(np.mean(weight * alone), rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_learns_a_grammar(backend: str) -> None:
    """A label that the words do not tell follows from the one before: a chain gets right what single steps cannot."""
    rng = np.random.default_rng(7)
    labels = np.cumsum(rng.integers(1, 3, size=(60, 12)), axis=1) % 3  # never the same twice
    seen = np.where(rng.uniform(size=labels.shape) < 0.5, labels + 1, 0)  # half of them, the others read 0
    utils.set_random_seed(1)
    model = models.Sequential([layers.Input((None, 4)), layers.Dense(3), layers.CRF(use_boundary=False)])
    model.compile("adam", losses.CRF(), backend=backend)
    model.optimizer.learning_rate = 0.05
    x = np.eye(4)[seen]
    history = model.fit(x, labels, epochs=40, batch_size=20, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    transitions = model.layers[-1].transitions
    assert np.diag(transitions).max() < transitions[~np.eye(3, dtype=bool)].min() - 2
    found = np.array([best.labels for best in crf_viterbi(model.predict(x, verbose=0))])
    assert (found[:, 1:] != found[:, :-1]).all()
    assert (found == labels)[seen > 0].all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda y: y + LABELS, "y must lie in [0, 4], got 5"),
        (lambda y: y[:, :-1], "shape"),
        (lambda y: y - 10, "y must lie in [0, 4], got -10"),
    ],
)
def test_bad_labels(backend: str, wrong: Callable[[Array], Array], message: str) -> None:
    words, labels = sentences()
    model = tagger(backend)
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(words, wrong(labels), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_other_outputs_and_metrics_are_refused() -> None:
    x = layers.Input((None, 3))
    model = models.Model(x, layers.Dense(3)(x))
    model.compile("sgd", losses.CRF())
    with pytest.raises(ValueError, match="as the layer CRF makes"):
        model.fit(np.zeros((2, 3, 3)), np.zeros((2, 3)), verbose=0)
    model = tagger()
    model.compile("adam", losses.CRF(), metrics=["accuracy"])
    words, labels = sentences()
    with pytest.raises(ValueError, match="takes no metrics"):
        model.fit(words, labels, verbose=0)
    model.compile("adam", losses.CRF())
    with pytest.raises(ValueError, match="class_weight must be None with the loss 'crf'"):
        model.fit(words, labels, class_weight={0: 2.0}, verbose=0)
