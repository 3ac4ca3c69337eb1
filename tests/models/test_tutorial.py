"""The textbook network: RNNModel, train and predict."""

from __future__ import annotations

import re

import numpy as np
import pytest
from small_models import same

from rnncore import RNNModel, layers, losses, models, optimizers, predict, train, utils


@pytest.fixture
def model() -> RNNModel:
    utils.set_random_seed(1)
    return RNNModel(n_input=2, n_hidden=6, n_output=3)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 5, 2))
EVERY = RNG.integers(0, 2, size=(10, 5, 3))
LAST = RNG.integers(0, 2, size=(10, 3))


def equations(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Probabilities of every step, as in the textbook."""
    w_ih, w_hh, b_h, w_hy, b_y = (w.astype(np.float64) for w in weights)
    h = np.zeros((len(x), len(w_hh)))
    outputs = []
    for t in range(x.shape[1]):
        h = np.maximum(x[:, t] @ w_ih + h @ w_hh + b_h, 0)
        outputs.append(1 / (1 + np.exp(-(h @ w_hy + b_y))))
    return np.stack(outputs, axis=1)


def test_predict_follows_the_equations(model: RNNModel) -> None:
    model.set_weights([RNG.normal(size=w.shape) for w in model.get_weights()])
    np.testing.assert_allclose(predict(model, X), equations(model.get_weights(), X), atol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-model(X))), predict(model, X), atol=1e-6)


@pytest.mark.parametrize("y", [EVERY, LAST], ids=["every step", "last step"])
def test_train_prints_the_loss_of_each_epoch_and_lowers_it(
    model: RNNModel, y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    p = equations(model.get_weights(), X).reshape(10, 5, 3)
    p = p if y.ndim == 3 else p[:, -1]
    first = -np.mean(np.log(np.where(y == 1, p, 1 - p)))
    train(model, X, y, learning_rate=0.02, epochs=30)
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"Epoch (\d+): Loss (\d+\.\d{6})", line) for line in lines]
    assert [int(match[1]) for match in found if match] == list(range(1, 31))
    values = [float(match[2]) for match in found if match]
    assert values[0] == pytest.approx(first, abs=2e-6)
    assert values[-1] < 0.9 * values[0]
    assert predict(model, X).shape == y.shape
    np.testing.assert_allclose(model(X)[:, -1].shape, (10, 3))


def test_train_is_adam_on_all_samples_at_once(model: RNNModel) -> None:
    same_by_layers = models.Sequential(
        [
            layers.Input((None, 2)),
            layers.SimpleRNN(6, activation="relu", return_sequences=True),
            layers.Dense(3),
        ]
    )
    same_by_layers.set_weights(model.get_weights())
    same_by_layers.compile(optimizers.Adam(0.02), losses.BinaryCrossentropy(from_logits=True))
    for _ in range(4):
        same_by_layers.train_on_batch(X, EVERY)
    train(model, X, EVERY, learning_rate=0.02, epochs=4)
    assert same(model.get_weights(), same_by_layers.get_weights())


def test_flat_targets_are_those_of_the_last_step() -> None:
    x = np.random.default_rng(3).normal(size=(12, 5, 2))
    y = x.sum(axis=(1, 2)) > 0
    pair = [RNNModel(2, 4, 1) for _ in range(2)]
    pair[1].set_weights(pair[0].get_weights())
    train(pair[0], x, y, learning_rate=0.01, epochs=2)
    train(pair[1], x, y[:, None], learning_rate=0.01, epochs=2)
    assert np.array_equal(predict(pair[0], x), predict(pair[1], x))
    assert predict(pair[0], x).shape == (12, 1)


def test_both_kinds_of_targets_train_the_same_weights(model: RNNModel) -> None:
    before = model.get_weights()
    train(model, X, LAST, learning_rate=0.1, epochs=1)
    after_last = model.get_weights()
    assert not same(before, after_last)
    train(model, X, EVERY, learning_rate=0.1, epochs=1)
    assert not same(after_last, model.get_weights())
    assert predict(model, X).shape == (10, 5, 3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[..., :1], EVERY, r"x must have shape \(any, any, 2\), got \(10, 5, 1\)"),
        (X[0], EVERY, r"x must have shape \(any, any, 2\), got \(5, 2\)"),
        (X, EVERY[:, :4], r"y must have shape \(any, 5, 3\), got \(10, 4, 3\)"),
        (X, EVERY[:9], "same number of rows: x has 10, y has 9"),
        (X, LAST[:, :2], r"y must have shape \(any, 3\), got \(10, 2\)"),
        (X[:0], EVERY[:0], "x must have at least one row"),
        (X[:, :0], EVERY[:, :0], "no empty axis"),
    ],
)
def test_bad_data_is_refused_and_the_model_unchanged(
    model: RNNModel, x: np.ndarray, y: np.ndarray, message: str
) -> None:
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        train(model, x, y, learning_rate=0.1, epochs=1)
    assert same(model.get_weights(), before)


def test_bad_arguments_are_named(model: RNNModel) -> None:
    with pytest.raises(ValueError, match="n_hidden must be at least 1, got 0"):
        RNNModel(1, 0, 1)
    with pytest.raises(TypeError, match="n_input must be an integer, got float"):
        RNNModel(1.5, 2, 1)
    with pytest.raises(TypeError, match="model must be an RNNModel, got NoneType"):
        train(None, X, EVERY, 0.1, 1)
    with pytest.raises(TypeError, match="model must be an RNNModel, got str"):
        predict("model", X)
    with pytest.raises(ValueError, match="epochs must be at least 0, got -1"):
        train(model, X, EVERY, 0.1, -1)
    with pytest.raises(ValueError, match="learning_rate must be a finite number"):
        train(model, X, EVERY, -0.1, 1)
