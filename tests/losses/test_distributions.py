"""Losses that are densities, beside SciPy's, and in both executors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_calls import run_train
from executor_zoo import Builder
from tolerance import (
    FINITE_DIFFERENCES,
    Array,
    assert_all_close,
    assert_close,
    assert_threads_agree,
    numerical_gradient,
)

from rnncore import _core, layers, losses, models, reference, utils
from rnncore.losses.distributions import Distribution
from rnncore.program import Loss, Optimizer, Training
from rnncore.reference.losses import LOSSES

stats = pytest.importorskip("scipy.stats", reason="the oracle")

RNG = np.random.default_rng(3)
CASES: list[Distribution] = [
    losses.GaussianNLL(),
    losses.StudentTNLL(),
    losses.NegativeBinomialNLL(),
    losses.MixtureNLL(components=2),
    losses.Quantile([0.1, 0.5, 0.8]),
]
each_loss = pytest.mark.parametrize("loss", CASES, ids=lambda loss: loss.kind)


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x)) + 1e-6


def data_for(loss: Distribution, *shape: int, units: int = 2) -> tuple[Array, Array]:
    """Targets (..., U), counts where they must be, and outputs (..., P·U)."""
    target = RNG.normal(scale=2, size=(*shape, units))
    if isinstance(loss, losses.NegativeBinomialNLL):
        target = RNG.integers(0, 30, size=target.shape).astype(float)
    return target, RNG.normal(scale=1.5, size=(*shape, loss.parameters * units))


def density(loss: Distribution, y: Array, blocks: list[Array]) -> Array:
    """Minus the logarithm of SciPy's density."""
    if isinstance(loss, losses.GaussianNLL):
        return -stats.norm.logpdf(y, blocks[0], softplus(blocks[1]))
    if isinstance(loss, losses.StudentTNLL):
        return -stats.t.logpdf(y, 2 + softplus(blocks[2]), blocks[0], softplus(blocks[1]))
    if isinstance(loss, losses.NegativeBinomialNLL):
        mean, r = softplus(blocks[0]), 1 / softplus(blocks[1])
        return -stats.nbinom.logpmf(y, r, r / (r + mean))
    if isinstance(loss, losses.MixtureNLL):
        shares = np.exp(blocks[:2]) / np.exp(blocks[:2]).sum(axis=0)
        parts = [stats.norm.pdf(y, blocks[2 + k], softplus(blocks[4 + k])) for k in range(2)]
        return -np.log(sum(share * part for share, part in zip(shares, parts, strict=True)))
    assert isinstance(loss, losses.Quantile)
    costs = [np.maximum(q * (y - b), (q - 1) * (y - b)) for q, b in zip(loss.quantiles, blocks, strict=True)]
    return np.mean(costs, axis=0)


@each_loss
def test_values_are_those_of_scipy(loss: Distribution) -> None:
    target, output = data_for(loss, 40, 3)
    blocks = np.split(output, loss.parameters, axis=-1)
    np.testing.assert_allclose(loss.values(target, output), density(loss, target, blocks).mean(axis=-1), rtol=1e-9)


@each_loss
def test_gradients(loss: Distribution) -> None:
    target, output = data_for(loss, 6)
    function = LOSSES[loss.kind]
    _, gradient = function(target, output, **loss.attributes())
    slope = numerical_gradient(lambda: float(function(target, output, **loss.attributes())[0].sum()), output)
    assert_close(gradient, slope, FINITE_DIFFERENCES)


def trained(kind: Any, loss: Distribution, dtype: Any) -> list[Array]:
    """Gradients and loss of a batch with weights and padding."""
    b = Builder()
    x = b.input(None, 3)
    program = b.build(b.dense(x, 2 * loss.parameters), masks=(b.lengths_value(),))
    rng = np.random.default_rng(1)
    parameters = rng.normal(size=sum(p.size for p in program.parameters)).astype(dtype)
    gradients = np.zeros_like(parameters)
    executor = kind(program, parameters, gradients)
    description = Training((loss.describe(),), optimizer=Optimizer("sgd", {}))
    executor.configure(description, np.zeros((1, parameters.size), dtype))
    target = np.abs(np.round(rng.normal(scale=4, size=(9, 5, 2)))).astype(dtype)
    state = np.zeros(2)
    arguments: dict[str, Any] = {"batch_size": 9, "learning_rate": np.zeros(1), "step": 0, "seed": 0, "state": state}
    arguments["sample_weight"] = [rng.uniform(size=(9, 5)).astype(dtype)]
    arguments["lengths"] = np.array([5, 0, 3, 5, 1, 2, 4, 5, 3], np.int32)
    run_train(executor, [rng.normal(size=(9, 5, 3)).astype(dtype)], [target], np.arange(9), **arguments)
    return [gradients, state.astype(dtype)]


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_executors_agree(loss: Distribution, dtype: Any) -> None:
    assert_all_close(trained(_core.Executor, loss, dtype), trained(reference.Executor, loss, dtype))


@each_loss
def test_any_number_of_threads_gives_the_same_bits(loss: Distribution) -> None:
    assert_threads_agree(lambda: trained(_core.Executor, loss, np.float32))


@each_loss
def test_draws_have_the_mean_and_the_density(loss: Distribution) -> None:
    _, output = data_for(loss, 1)
    many = np.repeat(output, 40_000, axis=0)
    drawn = loss.sample(many, 0)
    assert drawn.shape == (40_000, 2)
    spread = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - loss.mean(output)[0]) < 6 * spread + 0.02).all()
    if isinstance(loss, losses.Quantile):
        found = np.quantile(drawn, loss.quantiles[1], axis=0)
        np.testing.assert_allclose(found, np.median(np.split(output[0], 3), axis=0), atol=0.1)


@each_loss
def test_draws_for_nothing_and_for_any_numbers(loss: Distribution) -> None:
    assert loss.sample(np.zeros((0, 2 * loss.parameters)), 0).shape == (0, 2)
    drawn = loss.sample(np.full((1, loss.parameters), np.nan), 0)
    assert drawn.shape == (1, 1)
    counts = losses.NegativeBinomialNLL().sample([[1e30, -40.0]] * 3, 0)  # a variance of 1e54
    np.testing.assert_allclose(counts, 1e30, rtol=0.01)


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_model_learns_mean_and_scale(backend: str) -> None:
    utils.set_random_seed(1)
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2, size=(400, 1)).astype(float)
    y = np.where(x > 0, rng.normal(3, 0.5, size=x.shape), rng.normal(-1, 2, size=x.shape))
    loss = losses.GaussianNLL()
    model = models.Sequential([layers.Input((1,)), layers.Dense(loss.parameters)])
    model.compile("adam", loss, backend=backend)
    model.optimizer.learning_rate = 0.05
    model.fit(x, y, epochs=80, verbose=0)
    found = model.predict(np.array([[0.0], [1.0]]), verbose=0)
    for row, chosen in zip(found, (y[x == 0], y[x == 1]), strict=True):
        assert row[0] == pytest.approx(chosen.mean(), abs=0.25)
        assert softplus(row[1]) == pytest.approx(chosen.std(), rel=0.15)


def test_metrics_that_compare_whole_outputs_are_refused() -> None:
    """With one number for each target, and for functions, there is nothing to refuse."""
    x = np.zeros((2, 3))
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, kernel_initializer="zeros")])
    for metric in ("mse", "r2_score", "accuracy"):
        with pytest.raises(ValueError, match=rf"metrics: '{metric}' compares .* 2 numbers for each .* 'gaussian_nll'"):
            model.compile("sgd", losses.GaussianNLL(), metrics=[metric])
    model.compile("sgd", losses.GaussianNLL(), metrics=[lambda y, output: (y - output[:, :1])[:, 0]])
    assert model.evaluate(x, [[1.0], [4.0]], verbose=0)[1] == 2.5
    model.compile("sgd", losses.Quantile([0.5]), metrics=["mse"])
    assert model.evaluate(x, [[1.0, 3.0]] * 2, verbose=0)[1] == 5.0


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"needs an output with 3 numbers for each target, got 4"):
        losses.StudentTNLL()([[1.0]], np.zeros((1, 4)))
    with pytest.raises(ValueError, match="y_true must hold counts, 0 and above"):
        losses.NegativeBinomialNLL()([[-1.0]], np.zeros((1, 2)))
    with pytest.raises(ValueError, match="quantiles must be in rising order"):
        losses.Quantile([0.5, 0.1])
    for quantiles in (None, 0.5, "0.5"):
        with pytest.raises(TypeError, match="quantiles must be a (sequence of )?number"):
            losses.Quantile(quantiles)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="quantiles must be at least one number"):
        losses.Quantile([])
    assert losses.Quantile(k / 4 for k in (1, 3)).quantiles == [0.25, 0.75]  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rng .* must be an integer, got str 'one'"):
        losses.GaussianNLL().sample([[0.0, 0.0]], "one")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="components must be"):
        losses.MixtureNLL(0)
    x = layers.Input((3,))
    model = models.Model(x, layers.Dense(3)(x))
    for backend in ("compiled", "reference"):
        model.compile("sgd", losses.GaussianNLL(), backend=backend)
        with pytest.raises(ValueError, match="needs an output with 2 numbers for each target, got 3"):
            model.fit(np.zeros((2, 3)), np.zeros((2, 1)), verbose=0)
    b = Builder()
    program = b.build(b.dense(b.input(3), 4))
    for kind in (_core.Executor, reference.Executor):
        executor = kind(program, np.zeros(16), np.zeros(16))
        wrong = Training((Loss("mixture_nll", 0, 1.0, {"components": 0}),), optimizer=Optimizer("sgd", {}))
        with pytest.raises(ValueError, match="'mixture_nll' has no parameters"):
            executor.configure(wrong, np.zeros((1, 16)))
