"""Norms of the gradients of single samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import assert_all_equal

from rnncore import layers, models

N, T = 6, 5


def small_model(backend: str, **arguments: Any) -> models.Model:
    model = models.Sequential([layers.Input((T, 3)), layers.LSTM(4, **arguments), layers.Dense(2)])
    model.compile("adam", "mse", backend=backend, dtype_policy="float64")
    return model


def rows(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, T, 3)), rng.normal(size=(N, 2))


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("lengths", [None, [5, 0, 3, 1, 4, 5]], ids=["full", "lengths"])
def test_norms_are_those_of_single_rows(backend: str, lengths: Any) -> None:
    model, (x, y) = small_model(backend, kernel_regularizer="l2"), rows()
    weights = np.linspace(0.0, 2.0, N)
    before = model.get_weights()
    norms = model.per_sample_gradient_norms(x, y, weights, lengths=lengths)
    assert norms.shape == (N,)
    assert norms.dtype == np.float64
    assert_all_equal(before, model.get_weights())
    for n in range(N):
        given = None if lengths is None else lengths[n : n + 1]
        output = model.forward(x[n : n + 1], given, training=True)
        model.backward(weights[n] * (output - y[n]))  # of the mean over two outputs of the squared error
        expected = np.sqrt(sum(np.sum(gradient**2) for gradient in model.gradients))
        np.testing.assert_allclose(norms[n], expected, rtol=1e-12)


def test_frozen_weights_do_not_count() -> None:
    model, (x, y) = small_model("compiled"), rows()
    model.layers[-2].trainable = False
    model.compile("adam", "mse", dtype_policy="float64")
    output = model.forward(x, training=True)
    residual = output - y
    norms = model.per_sample_gradient_norms(x, y)
    for n in range(N):
        model.forward(x[n : n + 1], training=True)
        model.backward(residual[n : n + 1])
        np.testing.assert_allclose(norms[n], np.sqrt(sum(np.sum(g**2) for g in model.gradients)), rtol=1e-12)
    assert len(model.gradients) == 2


def test_functions_are_refused() -> None:
    model, (x, y) = small_model("compiled"), rows()
    model.compile("sgd", lambda wanted, made: (0.0, made - wanted))
    with pytest.raises(ValueError, match="per_sample_gradient_norms needs a loss that rnncore knows"):
        model.per_sample_gradient_norms(x, y)
