"""The gradient of every step's state, against suffixes of the sequence run by the compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import data, forecaster, same

from rnncore import functional, inspection, layers, losses, models, utils

CELLS = {"simple_rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_equals_the_gradient_of_the_initial_state_of_the_steps_that_follow(kind: str, backwards: bool) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 6, 2)), rng.normal(size=(4, 6, 3))
    utils.set_random_seed(2)
    model = models.Sequential(
        [layers.Input((6, 2)), CELLS[kind](3, return_sequences=True, go_backwards=backwards, name="rnn")]
    )
    model.compile(loss="mse", dtype_policy="float64")
    flow = inspection.gradient_flow(model, x, y, per_sample=True)["rnn"]
    weights = model.get_weights()
    dy = 2 * (model.predict(x, verbose=0) - y) / (4 * 6 * 3)  # of the mean over everything, in order of processing
    call = getattr(functional, kind)
    ordered = x[:, ::-1] if backwards else x
    for k in range(6):
        total = dy[:, k]
        if k < 5:
            state = call(ordered[:, : k + 1], *weights).state
            rest = call(ordered[:, k + 1 :], *weights, initial_state=state, training=True)
            total = total + functional.backward(rest.tape, dy[:, k + 1 :]).initial_state[0]
        time = 5 - k if backwards else k
        np.testing.assert_allclose(flow[:, time], np.linalg.norm(total, axis=1), rtol=1e-10)


def test_padding_has_no_gradient_and_the_model_stays() -> None:
    x, y = data()
    lengths = np.arange(20) % 7
    model = forecaster(optimizer="adam", loss="mse")
    before = model.get_weights()
    rows = inspection.gradient_flow(model, x, y, lengths, per_sample=True)
    mean = inspection.gradient_flow(model, x, y, lengths)
    assert len(rows) == 2
    for name, norms in rows.items():
        assert norms.shape == (20, 6)
        assert np.array_equal(norms > 0, np.arange(6) < lengths[:, None])
        np.testing.assert_allclose(mean[name], norms.mean(axis=0))
    assert same(before, model.get_weights())
    assert model.optimizer.iterations == 0


def test_a_loss_of_ones_own_gives_what_the_built_in_one_gives() -> None:
    def mse(y_true: Any, y_pred: Any) -> tuple[float, Any]:
        difference = y_pred - y_true
        return float((difference**2).mean()), 2 * difference / difference.size

    x, y = data()
    model = forecaster(loss=losses.MeanSquaredError(), dtype_policy="float64")
    expected = inspection.gradient_flow(model, x, y)
    model.compile(loss=mse, dtype_policy="float64")
    found = inspection.gradient_flow(model, x, y)
    for name, norms in expected.items():
        np.testing.assert_allclose(found[name], norms, rtol=1e-12)


def test_wrong_models() -> None:
    x, y = data()
    plain = models.Sequential([layers.Input((6, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="must be compiled"):
        inspection.gradient_flow(plain, x, y)
    plain.compile(loss="mse")
    with pytest.raises(ValueError, match="model must have a recurrent layer"):
        inspection.gradient_flow(plain, x, y)
