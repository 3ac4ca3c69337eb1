"""Regularizers: penalties, names, configs and errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from goldens import Golden, load
from small_models import BACKENDS, Array
from tolerance import assert_all_close, assert_close, assert_threads_agree

from rnncore import layers, models, program, regularizers, utils
from rnncore.reference.penalties import penalty


def test_penalties() -> None:
    w = np.random.default_rng(0).normal(size=(4, 5))
    l1, l2 = np.abs(w).sum(), (w**2).sum()
    assert regularizers.L1(0.3)(w) == pytest.approx(0.3 * l1, rel=1e-12)
    assert regularizers.L2(0.7)(w) == pytest.approx(0.7 * l2, rel=1e-12)
    assert regularizers.L1L2(0.3, 0.7)(w) == pytest.approx(0.3 * l1 + 0.7 * l2, rel=1e-12)


@pytest.mark.parametrize("golden", load("keras_regularizers"), ids=str)
def test_orthogonality_of_keras(golden: Golden) -> None:
    regularizer = regularizers.OrthogonalRegularizer(**golden.options)
    w = golden.arrays["w"]
    assert regularizer(w) == pytest.approx(float(golden.arrays["penalty"]), rel=1e-6)
    np.testing.assert_allclose(penalty(regularizer.describe(), w)[1], golden.arrays["gradient"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_orthogonality_by_finite_differences(mode: str) -> None:
    w = np.random.default_rng(1).normal(size=(4, 5))
    about = program.Regularizer(0, l1=0.1, l2=0.2, orthogonal=0.7, columns=mode == "columns")
    numeric = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-6
        numeric[place] = (penalty(about, w + step)[0] - penalty(about, w - step)[0]) / 2e-6
    np.testing.assert_allclose(penalty(about, w)[1], numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["rows", "columns"])
@pytest.mark.parametrize("zero", [False, True])
def test_executors_agree_on_orthogonality(zero: bool, mode: str, dtype: str) -> None:
    """On a wide and a narrow matrix, beside another penalty; a vector of zeros for a step, for then it is tiny.

    The matrices start away from orthogonal ones, where rounding decides the sign of the gradient.
    """
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(12, 5, 3)), rng.normal(size=(12, 2))
    found = []
    for backend in BACKENDS:
        utils.set_random_seed(4)
        regularizer = regularizers.OrthogonalRegularizer(0.5, mode)
        gru = layers.GRU(
            7,
            recurrent_initializer="glorot_uniform",
            recurrent_regularizer=regularizer,
            kernel_regularizer=regularizer,
        )
        model = models.Sequential([layers.Input((5, 3)), gru, layers.Dense(2, kernel_regularizer="l2")])
        if zero:
            gru.kernel = gru.kernel * (np.arange(3) != 1)[:, None]
        model.compile("sgd", "mse", backend=backend, dtype_policy=dtype)
        losses = model.fit(x, y, 12 if zero else 4, 1 if zero else 3, 0, shuffle=False).history["loss"]
        value = losses[-1] if zero else model.evaluate(x, y, verbose=0)
        found.append((model.get_weights(), losses, value))
    (weights, losses, value), (others, other_losses, other_value) = found
    assert_all_close(weights, others)
    np.testing.assert_allclose([*losses, value], [*other_losses, other_value], rtol=1e-5)
    assert np.ptp([w.sum() for w in weights]) > 0


def test_threads_do_not_change_the_bits_of_orthogonality() -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 6, 37)), np.ones((8, 1))

    def run() -> list[Array]:
        utils.set_random_seed(1)
        regularizer = regularizers.OrthogonalRegularizer(0.5, "columns")
        lstm = layers.LSTM(33, recurrent_regularizer=regularizer)
        model = models.Sequential([layers.Input((6, 37)), lstm, layers.Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(x, y, 4, 2, 0)
        return [np.array(history.history["loss"]), *model.get_weights()]

    assert_threads_agree(run)


def test_orthogonality_with_a_loss_that_is_a_function() -> None:
    def squares(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        return np.mean((y_pred - y_true) ** 2), 2 * (y_pred - y_true) / y_pred.size

    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.ones((8, 4))
    found = []
    for loss in ("mse", squares):
        utils.set_random_seed(1)
        dense = layers.Dense(4, kernel_regularizer=regularizers.OrthogonalRegularizer(0.5))
        model = models.Sequential([layers.Input((3,)), dense])
        model.compile("sgd", loss)
        model.fit(x, y, epochs=3, verbose=0)
        found.append([model.evaluate(x, y, verbose=0), dense.kernel.copy()])
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert_close(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("identifier", "config"),
    [
        ("l1", {"l1": 0.01}),
        ("L1", {"l1": 0.01}),
        ("l2", {"l2": 0.01}),
        ("l1_l2", {"l1": 0.0, "l2": 0.0}),
        ("l1l2", {"l1": 0.0, "l2": 0.0}),
        (regularizers.L2, {"l2": 0.01}),
        (regularizers.l1(0.5), {"l1": 0.5}),
        ("orthogonal_regularizer", {"factor": 0.01, "mode": "rows"}),
        (regularizers.l1_l2(0.5, 0.25), {"l1": 0.5, "l2": 0.25}),
    ],
)
def test_names_and_configs(identifier: Any, config: dict[str, float]) -> None:
    regularizer = regularizers.get(identifier)
    assert regularizer is not None
    assert regularizer.get_config() == config
    description = json.loads(json.dumps(regularizers.serialize(regularizer)))
    again = regularizers.get(description)
    assert type(again) is type(regularizer)
    assert again.get_config() == config
    assert regularizers.deserialize(description).get_config() == config


def test_none_stays_none() -> None:
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regularizers.get("l3"), ValueError, "unknown regularizer 'l3'; did you mean 'l.' or 'l.'"),
        (lambda: regularizers.get(0.1), TypeError, "regularizer must be given by name or object, got float 0.1"),
        (lambda: regularizers.L1(-0.1), ValueError, "l1 must be a finite number in \\[0.0, inf\\], got -0.1"),
        (lambda: regularizers.L1L2(l2=float("inf")), ValueError, "l2 must be a finite number"),
        (lambda: regularizers.L2("0.1"), TypeError, "l2 must be a number, got str"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), ValueError, "unknown mode 'row'; did you mean 'rows'"),
        (
            lambda: regularizers.OrthogonalRegularizer()(np.ones(3)),
            ValueError,
            r"x must be a matrix for an OrthogonalRegularizer, got shape \(3,\)",
        ),
        (
            lambda: layers.Dense(2, bias_regularizer="OrthogonalRegularizer", name="d").build((None, 3)),
            ValueError,
            r"'d': bias must be a matrix for an OrthogonalRegularizer, got shape \(2,\)",
        ),
        (
            lambda: layers.Dense(2, activity_regularizer="OrthogonalRegularizer"),
            ValueError,
            "activity_regularizer must be L1, L2 or L1L2",
        ),
        (lambda: regularizers.L2(0.1)([1j]), TypeError, "x must hold real numbers, got dtype complex128"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
