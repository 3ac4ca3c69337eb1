"""Losses of the reference: gradients against finite differences, tails, weights and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerance import FINITE_DIFFERENCES, assert_close, numerical_gradient

from rnncore.reference.activations import log_sigmoid, log_softmax, sigmoid, softmax
from rnncore.reference.distributions import DISTRIBUTIONS
from rnncore.reference.losses import LOSSES, weighted_loss

CASES: list[tuple[str, dict[str, Any]]] = [
    ("mean_squared_error", {}),
    ("mean_absolute_error", {}),
    ("huber", {"delta": 0.6}),
    ("mean_absolute_percentage_error", {}),
    ("mean_squared_logarithmic_error", {}),
    ("log_cosh", {}),
    ("poisson", {}),
    ("cosine_similarity", {}),
    ("hinge", {}),
    ("squared_hinge", {}),
    ("categorical_hinge", {}),
    ("kl_divergence", {}),
    ("binary_focal_crossentropy", {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}),
    ("binary_focal_crossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("categorical_focal_crossentropy", {"alpha": 0.7, "label_smoothing": 0.2}),
    ("categorical_focal_crossentropy", {"from_logits": True, "gamma": 0.5}),
    ("sparse_categorical_crossentropy", {"ignore_class": 2}),
    ("binary_crossentropy", {"label_smoothing": 0.2}),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("categorical_crossentropy", {"label_smoothing": 0.2}),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("sparse_categorical_crossentropy", {}),
    ("sparse_categorical_crossentropy", {"from_logits": True}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
@pytest.mark.parametrize("weights", [None, (4,), (4, 3)], ids=str)
def test_gradients(kind: str, options: dict[str, Any], weights: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(1)
    output = rng.uniform(0.1, 0.9, size=(4, 3, 5))  # as good for numbers and logits as for probabilities
    target = rng.integers(5, size=(4, 3)) if kind.startswith("sparse") else rng.uniform(size=(4, 3, 5))
    weight = None if weights is None else rng.uniform(size=weights)

    def loss() -> float:
        return weighted_loss(*LOSSES[kind](target, output, **options), weight)[0]

    value, gradient = LOSSES[kind](target, output, **options)
    assert value.shape == (4, 3)
    assert_close(weighted_loss(value, gradient, weight)[1], numerical_gradient(loss, output), FINITE_DIFFERENCES)


def test_every_loss_is_tested() -> None:
    assert {kind for kind, _ in CASES} | set(DISTRIBUTIONS) == set(LOSSES)  # distributions have tests of their own


def test_weighted_loss_divides_by_the_count() -> None:
    value, gradient = np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2, 3))
    loss, slope, divisor = weighted_loss(value, gradient, np.array([1.0, 0.5]))
    assert divisor == 4
    assert loss == (1 + 2 + 0.5 * 3 + 0.5 * 4) / 4
    np.testing.assert_array_equal(slope, np.array([1, 0.5])[:, None, None] / 4 * gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails(dtype: Any) -> None:
    logits = np.array([[1e4, -1e4, 0.0]], dtype)
    bits = np.array([[0.0, 1.0, 1.0]], dtype)
    value, gradient = LOSSES["binary_crossentropy"](bits, logits, from_logits=True)
    assert_close(value, np.array([(2e4 + np.log(2)) / 3], dtype))
    np.testing.assert_array_equal(gradient, np.array([[1, -1, -0.5]], dtype) / 3)
    value, gradient = LOSSES["sparse_categorical_crossentropy"](np.array([1]), logits, from_logits=True)
    np.testing.assert_array_equal(value, [2e4])
    np.testing.assert_array_equal(gradient, [[1, -1, 0]])
    probabilities = np.array([[1.0, 0.0, 0.5]], dtype)
    value, gradient = LOSSES["binary_crossentropy"](bits, probabilities)
    assert_close(value, (-np.log(1 - dtype(1 - 1e-7)) - np.log(dtype(1e-7)) + np.log(dtype(2)))[None] / 3)
    assert not gradient[0, :2].any()
    x = np.array([-50.0, 0.0, 50.0], dtype)
    assert_close(np.log(sigmoid(x)), np.array([-50, -np.log(2), 0]))
    assert_close(log_sigmoid(x), np.array([-50, -np.log(2), 0]))
    assert_close(softmax(20 * x), np.array([0, 0, 1]).astype(dtype))
    assert_close(log_softmax(20 * x), np.array([-2000, -1000, 0]).astype(dtype))


@pytest.mark.parametrize("label", [-1, 5])
def test_labels_out_of_range(label: int) -> None:
    with pytest.raises(ValueError, match=r"targets: expected labels from 0 to 4"):
        LOSSES["sparse_categorical_crossentropy"](np.array([0, label]), np.ones((2, 5)))
