"""CTC in the reference: PyTorch's values, all paths there are, finite differences, and what does not fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from goldens import load
from tolerance import FINITE_DIFFERENCES, assert_close, numerical_gradient

from rnncore.reference.ctc import check_labels, ctc


def test_values_and_gradients_of_pytorch() -> None:
    (golden,) = load("torch_ctc")
    arrays = golden.arrays
    real = np.arange(9) < arrays["lengths"][:, None]
    value, gradient = ctc(arrays["target"], arrays["output"], real)
    assert_close(value, arrays["value"])
    assert_close(gradient, arrays["gradient"])


def test_all_paths_are_summed() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 5, 3))
    p = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
    for labels in ([], [1], [2, 2], [1, 2], [2, 1, 2], [1, 1, 1]):
        target = np.array([[*labels, *[0] * (3 - len(labels))]], np.int32)
        probability = sum(
            np.prod(p[np.arange(5), path])
            for path in itertools.product(range(3), repeat=5)
            if [k for k, _ in itertools.groupby(path) if k] == labels
        )
        assert ctc(target, logits)[0][0] == pytest.approx(-np.log(probability), rel=1e-12)


def test_gradients_with_any_mask() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3, 7, 4))
    target = np.array([[1, 3, 0], [2, 2, 0], [0, 0, 0]], np.int32)
    real = np.array([[1, 0, 1, 1, 0, 1, 1], [0, 1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0]], bool)
    _, gradient = ctc(target, logits, real)
    assert_close(
        gradient, numerical_gradient(lambda: float(ctc(target, logits, real)[0].sum()), logits), FINITE_DIFFERENCES
    )
    assert not gradient[~real].any()


def test_single_precision_sums_in_double() -> None:
    logits = np.random.default_rng(2).normal(scale=3, size=(2, 300, 5)).astype(np.float32)
    target = np.random.default_rng(3).integers(1, 5, size=(2, 100)).astype(np.int32)
    value, gradient = ctc(target, logits)
    exact, exact_gradient = ctc(target, logits.astype(np.float64))
    assert value.dtype == gradient.dtype == np.float32
    assert_close(value, exact)
    assert_close(gradient, exact_gradient)


def test_labels_that_do_not_fit() -> None:
    value, gradient = ctc(np.array([[1, 1]], np.int32), np.zeros((1, 2, 3)))
    assert np.isinf(value[0])
    assert not gradient.any()
    for target, message in (
        ([[1, 2, 3], [1, 1, 0]], "labels of sample 1 need 3 steps .*, the output has 2"),
        ([[1, 2, 3], [0, 1, 0]], "sample 1 has labels after the padding"),
        ([[1, 2, 4], [1, 0, 0]], "expected labels from 1 to 3, .* got 1 to 4 in sample 0"),
    ):
        with pytest.raises(ValueError, match=message):
            check_labels(np.array(target), 4, np.array([3, 2]))
