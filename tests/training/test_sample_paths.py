"""Futures drawn from a model, and what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

from rnncore import layers, losses, metrics, models, utils
from rnncore.losses.distributions import Distribution

stats = pytest.importorskip("scipy.stats", reason="the oracle")


def walker(loss: Distribution, backend: str = "compiled", features: int = 1) -> models.Model:
    """The next number is the last one and a step of its own; written down, not learned."""
    x = layers.Input((None, features))
    model = models.Model(x, layers.Dense(loss.parameters)(x))
    model.compile("sgd", loss, backend=backend, dtype_policy="float64")
    kernel = np.zeros((features, loss.parameters))
    kernel[:, 0] = 1  # the mean: the last number, and what else is known
    model.set_weights([kernel, np.array([0.0, np.log(np.expm1(0.5))])])
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_random_walk_spreads_as_it_should(backend: str) -> None:
    past = np.array([[[0.0], [3.0]], [[5.0], [-2.0]]])
    drawn = walker(losses.GaussianNLL(), backend).sample_paths(past, 9, 4000, seed=0)
    assert drawn.shape == (2, 4000, 9, 1)
    time = np.arange(1, 10)
    np.testing.assert_allclose(drawn.mean(axis=1)[..., 0], [[3.0] * 9, [-2.0] * 9], atol=0.12)
    np.testing.assert_allclose(drawn.std(axis=1)[..., 0], np.tile(0.5 * np.sqrt(time), (2, 1)), rtol=0.06)
    steps = np.diff(drawn[0, :, :, 0], axis=1)
    assert abs(np.corrcoef(steps[:, 0], steps[:, 1])[0, 1]) < 0.06
    again = walker(losses.GaussianNLL(), backend).sample_paths(past, 9, 4000, seed=0)
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize("given", [[losses.GaussianNLL()], {"out": losses.GaussianNLL()}, "gaussian_nll"])
def test_a_loss_may_be_given_in_any_way(given: Any) -> None:
    """A single step needs nothing known ahead; seeds are those of `set_random_seed`."""
    x = layers.Input((None, 2))
    model = models.Model(x, layers.Dense(2, name="out")(x))
    model.compile("sgd", given)
    model.set_weights([np.zeros((2, 2)), np.array([7.0, -40.0])])
    drawn = []
    for _ in range(2):
        utils.set_random_seed(5)
        drawn.append(model.sample_paths(np.zeros((1, 3, 2)), 1, 4))
    np.testing.assert_array_equal(*drawn)
    np.testing.assert_allclose(drawn[0], np.full((1, 4, 1, 1), 7.0), rtol=1e-5)


def test_what_is_known_ahead_is_read_in_its_step() -> None:
    past = np.array([[[1.0, 10.0]]])
    future = np.array([[[20.0], [30.0]]])
    model = walker(losses.GaussianNLL(), features=2)
    model.set_weights([model.get_weights()[0], np.array([0.0, -40.0])])  # nearly certain
    drawn = model.sample_paths(past, 3, 2, future=future, seed=1)
    np.testing.assert_allclose(drawn[0, :, :, 0], [[11.0, 31.0, 61.0]] * 2, atol=1e-4)


def test_the_past_is_read_as_predict_reads_it() -> None:
    utils.set_random_seed(2)
    loss = losses.StudentTNLL()
    model = models.Sequential([layers.Input((None, 2)), layers.LSTM(5, return_sequences=True), layers.Dense(6)])
    model.compile("adam", loss)
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype("float32")
    drawn = model.sample_paths(x, 2, 1, seed=3)
    rng = np.random.default_rng(3)
    first = loss.sample(model.predict(x, verbose=0)[:, -1], rng)
    np.testing.assert_allclose(drawn[:, 0, 0], first, rtol=1e-5)
    longer = np.concatenate([x, drawn[:, 0, :1]], axis=1)
    second = loss.sample(model.predict(longer, verbose=0)[:, -1], rng)
    np.testing.assert_allclose(drawn[:, 0, 1], second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"horizon": 0}, ValueError, "horizon must be"),
        ({"paths": 0}, ValueError, "paths must be"),
        ({"x": np.zeros((3, 4, 3))}, ValueError, r"x must have shape \(any, any, 1\)"),
        ({"future": np.zeros((1, 4, 2))}, ValueError, "future"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"x": np.zeros((1, 4, 1)), "horizon": 5, "paths": 3} | change
    with pytest.raises(error, match=message):
        walker(losses.GaussianNLL()).sample_paths(**arguments)


def test_models_that_give_no_distribution() -> None:
    model = models.Sequential([layers.Input((None, 1)), layers.GRU(2, return_sequences=True), layers.Dense(2)])
    with pytest.raises(RuntimeError, match="needs a compiled model"):
        model.sample_paths(np.zeros((1, 4, 1)), 2)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"as losses.GaussianNLL, got 'mean_squared_error'"):
        model.sample_paths(np.zeros((1, 4, 1)), 2)
    model.compile("sgd", lambda y_true, y_pred: (0.0, np.zeros_like(y_pred)))
    with pytest.raises(ValueError, match="got a function"):
        model.sample_paths(np.zeros((1, 4, 1)), 2)
    with pytest.raises(ValueError, match="future must hold the features"):
        walker(losses.GaussianNLL(), features=2).sample_paths(np.zeros((1, 4, 2)), 2)


def test_the_score_of_a_normal_forecast() -> None:
    """Gneiting and Raftery give it in closed form."""
    rng = np.random.default_rng(0)
    y = np.array([0.0, 1.0, -2.5])
    found = metrics.crps(y, rng.normal(size=(3, 40_000)))
    expected = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(found, expected, atol=0.01)
    few = rng.normal(size=(3, 6))
    pairs = np.abs(few[:, :, None] - few[:, None]).mean(axis=(1, 2))
    np.testing.assert_allclose(metrics.crps(y, few), np.abs(few - y[:, None]).mean(axis=1) - pairs / 2)


def test_bad_draws() -> None:
    with pytest.raises(ValueError, match="the shape of y_true with an axis of draws"):
        metrics.crps([1.0], [1.0])
    with pytest.raises(ValueError, match="at least one draw"):
        metrics.crps([1.0], np.zeros((1, 0)))
    with pytest.raises(ValueError, match="level must be"):
        metrics.coverage([1.0], [[1.0]], level=1.0)
