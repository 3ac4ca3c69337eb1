"""Layers that read sequences of one step, whose last state is all of the sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnncore import layers, models, utils

STEP = 1
UNITS = 19

CASES: dict[str, Any] = {
    "simple": lambda **said: layers.SimpleRNN(UNITS, **said),
    "lstm": lambda **said: layers.LSTM(UNITS, **said),
    "gru": lambda **said: layers.GRU(UNITS, **said),
    "gru, reset before": lambda **said: layers.GRU(UNITS, reset_after=False, **said),
    "backwards": lambda **said: layers.LSTM(UNITS, go_backwards=True, **said),
    "recurrent dropout": lambda **said: layers.GRU(UNITS, recurrent_dropout=0.3, seed=1, **said),
    "zoneout": lambda **said: layers.LSTM(UNITS, zoneout=0.2, cell_zoneout=0.3, seed=1, **said),
    "peepholes": lambda **said: layers.LSTM(UNITS, peepholes=True, **said),
    "projected": lambda **said: layers.LSTM(UNITS, projection_units=7, **said),
    "normalized": lambda **said: layers.GRU(UNITS, layer_normalization=True, **said),
    "bidirectional": lambda **said: layers.Bidirectional(layers.LSTM(UNITS, **said)),
}


def trained(layer: Any, backend: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Predictions and weights after some steps."""
    utils.set_random_seed(3)
    model = models.Sequential([layers.Input((STEP, 4)), layer(), layers.Dense(2, activation="tanh"), layers.Dense(1)])
    model.compile("adam", "mse", backend=backend)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(45, STEP, 4)), rng.normal(size=(45, 1))
    model.fit(x, y, batch_size=9, epochs=4, verbose=0)
    return model.predict(x, verbose=0), model.get_weights()


@pytest.mark.parametrize("name", CASES)
def test_training_matches_the_reference(name: str) -> None:
    predictions, weights = trained(CASES[name], "compiled")
    expected, expected_weights = trained(CASES[name], "reference")
    np.testing.assert_allclose(predictions, expected, rtol=2e-4, atol=2e-5)
    for weight, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(weight, other, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", CASES)
def test_the_state_is_the_sequence(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, STEP, 4))
    last, sequence = (
        models.Sequential([layers.Input((STEP, 4)), CASES[name](return_sequences=whole)]) for whole in (False, True)
    )
    sequence.set_weights(last.get_weights())
    np.testing.assert_array_equal(last.predict(x, verbose=0), sequence.predict(x, verbose=0)[:, 0])
