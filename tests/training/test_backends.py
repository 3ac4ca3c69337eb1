"""Whole models on both executors: training agrees, and any number of threads gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import Array, same
from tolerance import assert_all_close, assert_close

import rnncore
from rnncore import layers, models, optimizers, utils

# Steps with a small gradient divided by its own size let rounding grow: this is for weights after training.
AFTER_TRAINING = {"float64": 1e-8, "float32": 2e-3}

RECURRENT: list[Callable[..., layers.Layer]] = [
    lambda units, **a: layers.SimpleRNN(units, **a),
    lambda units, **a: layers.SimpleRNN(units, activation="relu", recurrent_regularizer="l2", **a),
    lambda units, **a: layers.LSTM(units, **a),
    lambda units, **a: layers.LSTM(units, go_backwards=True, use_bias=False, **a),
    lambda units, **a: layers.GRU(units, **a),
    lambda units, **a: layers.GRU(units, reset_after=False, kernel_regularizer="l1", **a),
]

# Loss, activation of the output, metrics, and targets for a shape (N, ..., U).
HEADS: dict[str, tuple[str, str, list[str], Callable[[np.random.Generator, tuple[int, ...]], Array]]] = {
    "mse": ("mse", "linear", ["mae", "rmse"], lambda rng, shape: rng.normal(size=shape)),
    "mae": ("mae", "tanh", ["mse"], lambda rng, shape: rng.normal(size=shape)),
    "huber": ("huber", "linear", [], lambda rng, shape: 2 * rng.normal(size=shape)),
    "binary": (
        "binary_crossentropy",
        "sigmoid",
        ["binary_accuracy", "precision", "recall", "auc"],
        lambda rng, shape: rng.integers(0, 2, size=shape),
    ),
    "categorical": (
        "categorical_crossentropy",
        "softmax",
        ["accuracy", "top_k_categorical_accuracy"],
        lambda rng, shape: np.eye(shape[-1])[rng.integers(0, shape[-1], size=shape[:-1])],
    ),
    "sparse": (
        "sparse_categorical_crossentropy",
        "softmax",
        ["accuracy"],
        lambda rng, shape: rng.integers(0, shape[-1], size=shape[:-1]),
    ),
}

OPTIMIZERS: list[Callable[[], optimizers.Optimizer]] = [
    lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=0.5),
    lambda: optimizers.RMSprop(0.01, centered=True, clipvalue=0.1),
    lambda: optimizers.Adam(0.01),
    lambda: optimizers.AdamW(0.01, global_clipnorm=0.5),
]


def trained(
    plan: dict[str, Any], backend: str, dtype: str = "float64"
) -> tuple[models.Model, dict[str, list[float]], Array]:
    """Build, train and apply the model of a plan: the model, its history and its predictions."""
    utils.set_random_seed(plan["seed"])
    rng = np.random.default_rng(plan["seed"])
    rows, steps, sequences = plan["rows"], plan["steps"], plan["sequences"]
    chain: list[Any] = []
    if plan["embedding"]:
        x: Array = rng.integers(0, 9, size=(rows, steps))
        chain += [layers.Input((None,), dtype="int32"), layers.Embedding(9, 3)]
    else:
        x = rng.normal(size=(rows, steps, 3))
        chain += [layers.Input((None, 3))]
    if plan["dropout"]:
        chain += [layers.Dropout(0.3)]
    cells = plan["cells"]
    for number, (cell, units) in enumerate(cells):
        chain += [RECURRENT[cell](units, return_sequences=sequences or number + 1 < len(cells))]
    loss, activation, metrics, targets = HEADS[plan["head"]]
    outputs = plan["outputs"]
    model = models.Sequential([*chain, layers.Dense(outputs, activation=activation)])
    y = targets(rng, (rows, steps, outputs) if sequences else (rows, outputs))
    model.set_weights([rng.normal(scale=0.4, size=w.shape) for w in model.get_weights()])
    model.compile(OPTIMIZERS[plan["optimizer"]](), loss, metrics=metrics, backend=backend, dtype_policy=dtype)
    lengths = rng.integers(0, steps + 1, size=rows) if plan["lengths"] else None
    weights = rng.uniform(0.1, 2.0, size=rows) if plan["weights"] else None
    history = model.fit(
        x, y, batch_size=5, epochs=2, validation_split=0.3, lengths=lengths, sample_weight=weights, verbose=0
    )
    return model, history.history, model.predict(x, batch_size=4, lengths=lengths, verbose=0)


PLANS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "rows": st.integers(5, 17),
        "steps": st.integers(1, 6),
        "sequences": st.booleans(),
        "embedding": st.booleans(),
        "dropout": st.booleans(),
        "cells": st.lists(st.tuples(st.integers(0, len(RECURRENT) - 1), st.integers(1, 19)), min_size=1, max_size=3),
        "head": st.sampled_from(sorted(HEADS)),
        "outputs": st.integers(2, 7),
        "optimizer": st.integers(0, len(OPTIMIZERS) - 1),
        "lengths": st.booleans(),
        "weights": st.booleans(),
    }
)


@settings(max_examples=60)
@given(PLANS)
def test_both_executors_train_alike(plan: dict[str, Any]) -> None:
    (a, history_a, y_a), (b, history_b, y_b) = (trained(plan, backend) for backend in ("compiled", "reference"))
    assert_all_close(a.get_weights(), b.get_weights(), AFTER_TRAINING["float64"])
    assert_close(y_a, y_b, AFTER_TRAINING["float64"])
    assert history_a.keys() == history_b.keys()
    for key, values in history_a.items():
        np.testing.assert_allclose(values, history_b[key], rtol=1e-7, atol=1e-9, err_msg=key)


@settings(max_examples=15)
@given(PLANS)
def test_single_precision_stays_near_double(plan: dict[str, Any]) -> None:
    single, double = (trained(plan, "compiled", dtype)[0] for dtype in ("float32", "float64"))
    assert_all_close(single.get_weights(), double.get_weights(), AFTER_TRAINING["float32"])


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_weights_set_before_the_first_run_keep_their_digits(backend: str) -> None:
    model = models.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
    model.set_weights([np.full((1, 1), 1 / 3), np.zeros(1)])
    assert model.predict(np.ones((1, 1)), verbose=0).item() == 1 / 3


@pytest.mark.parametrize("cell", range(len(RECURRENT)))
def test_any_number_of_threads_trains_the_same_bits(cell: int) -> None:
    rng = np.random.default_rng(cell)
    x, y = rng.normal(size=(70, 20, 3)), rng.normal(size=(70, 20, 2))
    found = []
    for count in (1, 2, 3, 8):
        rnncore.set_num_threads(count)
        utils.set_random_seed(1)
        model = models.Sequential(
            [
                layers.Input((None, 3)),
                RECURRENT[cell](37, return_sequences=True),
                layers.Dropout(0.2),
                RECURRENT[cell](24, return_sequences=True),
                layers.Dense(2),
            ]
        )
        model.compile(optimizers.Adam(0.01, global_clipnorm=1.0), "mse", backend="compiled")
        history = model.fit(x, y, batch_size=33, epochs=2, verbose=0).history
        found.append(([*model.get_weights(), model.predict(x, verbose=0)], history))
    for arrays, history in found[1:]:
        assert same(arrays, found[0][0])
        assert history == found[0][1]
