"""Metrics from sums over samples, and those that are Python functions, beside Keras and beside the executors' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import arrays
from small_models import BACKENDS

from rnncore import callbacks, layers, metrics, models, utils

GOLDEN = arrays("keras_scores")
CASES = [key.removesuffix("/about") for key in GOLDEN if key.endswith("/about")]


def made(case: str) -> metrics.Metric:
    options = json.loads(GOLDEN[f"{case}/about"].tobytes())
    return getattr(metrics, case.split("-")[1])(**options)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["value", "weighted"])
def test_values_are_those_of_keras(case: str, kind: str) -> None:
    data = case.split("-")[0]
    target, output, weights = GOLDEN[f"data/{data}/target"], GOLDEN[f"data/{data}/output"], GOLDEN["data/weights"]
    metric = made(case)
    for rows in (slice(0, 12), slice(12, None)):
        metric.update_state(target[rows], output[rows], None if kind == "value" else weights[rows])
    np.testing.assert_allclose(metric.result(), GOLDEN[f"{case}/{kind}"], rtol=2e-5)
    metric.reset_state()
    assert not np.any(metric.result())


@pytest.mark.parametrize("case", CASES)
def test_they_survive_their_description(case: str) -> None:
    metric = made(case)
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def squared_error(y_true: Any, y_pred: Any) -> Any:
    return np.mean((y_true - y_pred) ** 2, axis=-1)


def is_right(y_true: Any, y_pred: Any) -> Any:
    return y_true == y_pred.argmax(axis=-1)


def two_headed(backend: str, stateful: bool) -> models.Model:
    """Masked, noisy, normalized, perhaps stateful; every metric that executors know beside one made of a function."""
    x = layers.Input(batch_shape=(8, 6)) if stateful else layers.Input((6,))
    h = layers.Embedding(10, 4, mask_zero=True)(x)
    h = layers.GRU(5, return_sequences=True, dropout=0.3, recurrent_dropout=0.2, stateful=stateful)(h)
    h = layers.BatchNormalization()(h)
    a, b = layers.Dense(2, name="a")(h), layers.Dense(3, "softmax", name="b")(h)
    model = models.Model(x, [a, b])
    model.compile(
        "adam",
        {"a": "mse", "b": "sparse_categorical_crossentropy"},
        metrics={"a": ["mse", squared_error], "b": ["acc", is_right]},
        weighted_metrics={"a": [metrics.MeanSquaredError("known"), metrics.MeanMetricWrapper(squared_error, "own")]},
        backend=backend,
        dtype_policy="float64",
    )
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stateful", [False, True])
def test_functions_see_what_the_step_sees(backend: str, stateful: bool) -> None:
    utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    x = rng.integers(0, 10, (24, 6))
    y = {"a": rng.normal(size=(24, 6, 2)), "b": rng.integers(0, 3, (24, 6))}
    weights = {"a": rng.uniform(size=24), "b": rng.uniform(size=(24, 6))}
    model = two_headed(backend, stateful)
    logs = model.fit(x, y, 8, 3, 0, sample_weight=weights, validation_data=(x, y)).history
    for known, own in (("a_mse", "a_squared_error"), ("b_acc", "b_is_right"), ("a_known", "a_own")):
        np.testing.assert_allclose(logs[known], logs[own], rtol=1e-9)
        np.testing.assert_allclose(logs[f"val_{known}"], logs[f"val_{own}"], rtol=1e-9)
    assert logs["a_known"] != logs["a_mse"]


@pytest.mark.parametrize("truncate", [None, 2])
def test_functions_change_nothing_in_training(truncate: int | None) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 5, 2)), rng.normal(size=(20, 5, 1))
    lengths = rng.integers(1, 6, 20)
    found = []
    for wanted in ([], [squared_error]):
        utils.set_random_seed(1)
        inner = [layers.GRU(4, return_sequences=True, dropout=0.2)]
        inner += [layers.BatchNormalization()] if truncate is None else []
        model = models.Sequential([layers.Input((5, 2)), *inner, layers.Dense(1)])
        model.compile("adam", "mse", metrics=[*wanted, "mse"])
        history = model.fit(x, y, 8, 2, 0, lengths=lengths, truncate=truncate).history
        found.append((model.get_weights(), history))
    (weights, logs), (others, more) = found
    assert all(np.array_equal(w, other) for w, other in zip(weights, others, strict=True))
    assert {key: more[key] for key in logs} == logs
    np.testing.assert_allclose(more["squared_error"], logs["mse"], rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_beside_an_output_without_a_loss(backend: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 2)), {"a": rng.normal(size=(20, 1)), "b": rng.normal(size=(20, 1))}
    source = layers.Input((2,))
    h = layers.BatchNormalization()(source)
    model = models.Model(source, [layers.Dense(1, name="a")(h), layers.Dense(1, name="b")(h)])
    wanted = {"a": [squared_error], "b": [squared_error]}
    weights = {"a": rng.uniform(size=20), "b": rng.uniform(size=20)}
    model.compile("sgd", {"a": None, "b": "mse"}, metrics=wanted, backend=backend, dtype_policy="float64")
    outputs = model.predict(x, verbose=0)
    logs = model.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0)
    for name, output in zip("ab", outputs, strict=True):
        assert logs[f"{name}_squared_error"] == pytest.approx(np.mean((output - y[name]) ** 2))
    assert logs["loss"] == pytest.approx(np.mean(weights["b"] * ((outputs[1] - y["b"]) ** 2)[:, 0]))
    model.fit(x, y, 8, 1, 0, sample_weight=weights)


def test_a_number_for_a_batch_counts_once() -> None:
    metric = metrics.get(lambda y_true, y_pred: np.sqrt(np.mean((y_true - y_pred) ** 2)))
    metric.update_state(np.zeros((3, 1)), np.full((3, 1), 2.0))
    metric.update_state(np.zeros((1, 1)), np.full((1, 1), 4.0))
    assert metric.result() == 3.0
    assert metric.name == "<lambda>"


def test_options_reach_the_function() -> None:
    metric = metrics.MeanMetricWrapper(lambda y_true, y_pred, power: np.abs(y_true - y_pred) ** power, "error", power=3)
    metric.update_state([[0.0]], [[2.0]])
    assert metric.result() == 8.0


def test_functions_of_the_module_are_those_that_executors_know() -> None:
    model = models.Sequential([layers.Input((2,)), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.categorical_accuracy, metrics.mean_squared_error])
    assert model.metrics_names == ["loss", "categorical_accuracy", "mean_squared_error"]
    y = np.eye(3)[[0, 1, 2, 1]]
    values = model.evaluate(x := np.random.default_rng(0).normal(size=(4, 2)), y, verbose=0)
    output = model.predict(x, verbose=0)
    assert values[1] == pytest.approx(metrics.categorical_accuracy(y, output).mean())
    assert values[2] == pytest.approx(metrics.mean_squared_error(y, output).mean())
    top = metrics.top_k_categorical_accuracy(y, output, k=2)
    assert np.array_equal(top, metrics.sparse_top_k_categorical_accuracy(y.argmax(axis=1), output, k=2))


def test_values_of_several_outputs_in_the_logs(tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((2,)), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.F1Score(), metrics.Precision([0.2, 0.4])])
    x, y = np.random.default_rng(0).normal(size=(9, 2)), np.eye(3)[np.arange(9) % 3]
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(x, y, epochs=2, verbose=2, callbacks=log, validation_data=(x, y)).history
    assert [np.shape(value) for value in history["f1_score"]] == [(3,), (3,)]
    assert np.shape(history["val_precision"][0]) == (2,)
    assert (tmp_path / "log.csv").read_text().count("\n") == 3
    stop = callbacks.EarlyStopping("val_f1_score", mode="max")
    with pytest.raises(ValueError, match=r"monitor 'val_f1_score' must be one number, got \(3,\) of them"):
        model.fit(x, y, verbose=0, callbacks=stop, validation_data=(x, y))
    # Keras saves each of them, with a warning.
    save = callbacks.ModelCheckpoint(tmp_path / "{epoch}.rnn", "val_f1_score", save_best_only=True)
    with pytest.warns(UserWarning, match=r"got 'val_f1_score' of shape \(3,\): every model is saved"):
        model.fit(x, y, epochs=3, verbose=0, callbacks=save, validation_data=(x, y))
    assert sorted(path.name for path in tmp_path.glob("*.rnn")) == ["1.rnn", "2.rnn", "3.rnn"]


def test_a_model_is_saved_without_its_functions(tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", squared_error, metrics.R2Score()])
    with pytest.warns(UserWarning, match="metric 'squared_error' is made of Python code and is not saved"):
        model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    assert again.metrics_names == ["loss", "mae", "r2_score"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: metrics.R2Score("mean"), ValueError, "unknown class_aggregation 'mean'"),
        (lambda: metrics.F1Score("samples"), ValueError, "unknown average 'samples'"),
        (lambda: metrics.FBetaScore(beta=0.0), ValueError, "beta must be above 0"),
        (lambda: metrics.F1Score(threshold=0.0), ValueError, "threshold must be above 0"),
        (lambda: metrics.Precision([]), ValueError, "thresholds must name at least one"),
        (lambda: metrics.AUC(num_labels=3), ValueError, "num_labels needs multi_label=True, got 3"),
        (lambda: metrics.AUC(label_weights=[1.0]), ValueError, "label_weights needs multi_label=True"),
        (
            lambda: metrics.AUC(multi_label=True, num_labels=3, label_weights=[1.0]),
            ValueError,
            "label_weights must be num_labels=3 numbers",
        ),
        (
            lambda: metrics.AUC(multi_label=True, num_labels=3).update_state([[0, 1]], [[0.2, 0.6]]),
            ValueError,
            "y_pred of 'auc' must have 3 outputs, got 2",
        ),
        (lambda: metrics.AUC(summation_method="middle"), ValueError, "unknown summation_method 'middle'"),
        (lambda: metrics.RecallAtPrecision(1.5), ValueError, "precision must be a finite number"),
        (lambda: metrics.MeanMetricWrapper("mse"), TypeError, "fn must be callable, got str"),
    ],
)
def test_bad_options(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_bad_batches() -> None:
    with pytest.raises(ValueError, match="top_k must be at most 2, the number of outputs, got 3"):
        metrics.Precision(top_k=3).update_state([[0, 1]], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="class_id must be below 2, the number of outputs, got 2"):
        metrics.Recall(class_id=2).update_state([[0, 1]], [[0.5, 0.5]])
    score = metrics.R2Score()
    score.update_state(np.ones((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"y_pred must have as many units as before, got shape \(2, 2\)"):
        score.update_state(np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"metric 'three' must give a number, or one for each of the 2 samples"):
        metrics.MeanMetricWrapper(lambda t, p: np.ones(3), "three").update_state(np.ones((2, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"metric 'one' must give a value for each of the positions \(2,\)"):
        metrics.MeanMetricWrapper(lambda t, p: 1.0, "one").update_state(np.ones((2, 1)), np.ones((2, 1)), [1, 2])
    with pytest.raises(TypeError, match="the value of metric 'text' must hold real numbers"):
        metrics.MeanMetricWrapper(lambda t, p: "x", "text").update_state(np.ones((2, 1)), np.ones((2, 1)))
