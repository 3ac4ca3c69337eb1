"""Layers whose `trainable` is switched: it counts from the next `compile` on, as in Keras."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster

from rnncore import optimizers


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_layer_rests_until_it_is_freed_and_compiled(backend: str) -> None:
    x, y = data()
    model = forecaster(optimizer=optimizers.SGD(0.1), loss="mse", backend=backend)
    model.train_on_batch(x, y)
    for frozen in (True, False):
        model.layers[0].trainable = not frozen
        model.compile(optimizers.SGD(0.1, weight_decay=0.1), "mse", backend=backend)
        before = model.get_weights()
        model.train_on_batch(x, y)
        first = len(model.layers[0].weights)
        assert first == 3
        moved = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
        assert moved == [not frozen] * first + [True] * (len(moved) - first)
        assert len(model.layers[0].trainable_weights) == (0 if frozen else first)
