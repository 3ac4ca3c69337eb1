"""Metrics on arrays, batch by batch, and as executors are told of them."""

from __future__ import annotations

import numpy as np
import pytest

from rnncore import metrics

RNG = np.random.default_rng(5)
SCORES = RNG.uniform(size=(40, 6))
IDS = RNG.integers(0, 6, size=40)
ONE_HOT = np.eye(6)[IDS]
BINARY = RNG.integers(0, 2, size=(40, 1))
PROBABILITIES = np.clip(0.4 * BINARY + 0.6 * RNG.uniform(size=(40, 1)), 0.01, 0.99)

CASES = {
    "mean_squared_error": (metrics.MeanSquaredError(), ONE_HOT, SCORES, np.mean((ONE_HOT - SCORES) ** 2)),
    "root_mean_squared_error": (
        metrics.RootMeanSquaredError(),
        ONE_HOT,
        SCORES,
        np.sqrt(np.mean((ONE_HOT - SCORES) ** 2)),
    ),
    "mean_absolute_error": (metrics.MeanAbsoluteError(), ONE_HOT, SCORES, np.mean(np.abs(ONE_HOT - SCORES))),
    "binary_crossentropy": (
        metrics.BinaryCrossentropy(),
        BINARY,
        PROBABILITIES,
        -np.mean(np.log(np.where(BINARY, PROBABILITIES, 1 - PROBABILITIES))),
    ),
    "categorical_crossentropy": (
        metrics.CategoricalCrossentropy(from_logits=True),
        ONE_HOT,
        SCORES,
        np.mean(np.log(np.exp(SCORES).sum(axis=1)) - SCORES[np.arange(40), IDS]),
    ),
    "sparse_categorical_crossentropy": (
        metrics.SparseCategoricalCrossentropy(from_logits=True),
        IDS,
        SCORES,
        np.mean(np.log(np.exp(SCORES).sum(axis=1)) - SCORES[np.arange(40), IDS]),
    ),
    "binary_accuracy": (
        metrics.BinaryAccuracy(threshold=0.3),
        BINARY,
        PROBABILITIES,
        np.mean((PROBABILITIES > 0.3) == BINARY),
    ),
    "categorical_accuracy": (metrics.CategoricalAccuracy(), ONE_HOT, SCORES, np.mean(SCORES.argmax(axis=1) == IDS)),
    "sparse_categorical_accuracy": (
        metrics.SparseCategoricalAccuracy(),
        IDS,
        SCORES,
        np.mean(SCORES.argmax(axis=1) == IDS),
    ),
    "top_k_categorical_accuracy": (
        metrics.TopKCategoricalAccuracy(k=2),
        ONE_HOT,
        SCORES,
        np.mean((np.argsort(SCORES, axis=1)[:, -2:] == IDS[:, None]).any(axis=1)),
    ),
    "sparse_top_k_categorical_accuracy": (
        metrics.SparseTopKCategoricalAccuracy(k=2),
        IDS,
        SCORES,
        np.mean((np.argsort(SCORES, axis=1)[:, -2:] == IDS[:, None]).any(axis=1)),
    ),
    "precision": (metrics.Precision(), BINARY, PROBABILITIES, BINARY[PROBABILITIES > 0.5].mean()),
    "recall": (metrics.Recall(0.6), BINARY, PROBABILITIES, (PROBABILITIES > 0.6)[BINARY == 1].mean()),
    "mean_absolute_percentage_error": (
        metrics.MeanAbsolutePercentageError(),
        SCORES + 1,
        ONE_HOT,
        100 * np.mean(np.abs((SCORES + 1 - ONE_HOT) / (SCORES + 1))),
    ),
    "mean_squared_logarithmic_error": (
        metrics.MeanSquaredLogarithmicError(),
        SCORES,
        SCORES[::-1],
        np.mean((np.log(1 + SCORES) - np.log(1 + SCORES[::-1])) ** 2),
    ),
    "logcosh": (metrics.LogCoshError(), ONE_HOT, SCORES, np.mean(np.log(np.cosh(SCORES - ONE_HOT)))),
    "poisson": (metrics.Poisson(), ONE_HOT, SCORES, np.mean(SCORES - ONE_HOT * np.log(SCORES + 1e-7))),
    "kl_divergence": (
        metrics.KLDivergence(),
        SCORES,
        SCORES[::-1],
        np.mean(np.sum(SCORES * np.log(SCORES / SCORES[::-1]), axis=1)),
    ),
    "hinge": (metrics.Hinge(), ONE_HOT, SCORES, np.mean(np.maximum(1 - (2 * ONE_HOT - 1) * SCORES, 0))),
    "squared_hinge": (
        metrics.SquaredHinge(),
        ONE_HOT,
        SCORES,
        np.mean(np.maximum(1 - (2 * ONE_HOT - 1) * SCORES, 0) ** 2),
    ),
    "categorical_hinge": (
        metrics.CategoricalHinge(),
        ONE_HOT,
        SCORES,
        np.mean(np.maximum(1 + ((1 - ONE_HOT) * SCORES).max(axis=1) - (ONE_HOT * SCORES).sum(axis=1), 0)),
    ),
    "cosine_similarity": (
        metrics.CosineSimilarity(),
        ONE_HOT,
        SCORES,
        np.mean(SCORES[np.arange(40), IDS] / np.linalg.norm(SCORES, axis=1)),
    ),
    "true_positives": (metrics.TruePositives(), BINARY, PROBABILITIES, np.sum((PROBABILITIES > 0.5) & (BINARY == 1))),
    "false_positives": (metrics.FalsePositives(), BINARY, PROBABILITIES, np.sum((PROBABILITIES > 0.5) & (BINARY == 0))),
    "false_negatives": (
        metrics.FalseNegatives(0.6),
        BINARY,
        PROBABILITIES,
        np.sum((PROBABILITIES <= 0.6) & (BINARY == 1)),
    ),
    "true_negatives": (metrics.TrueNegatives(), BINARY, PROBABILITIES, np.sum((PROBABILITIES <= 0.5) & (BINARY == 0))),
    # The exact area is the chance that a positive scores above a negative.
    "auc": (
        metrics.AUC(5000),
        BINARY,
        PROBABILITIES,
        np.mean(PROBABILITIES[BINARY == 1][:, None] > PROBABILITIES[BINARY == 0]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_value_follows_the_definition_however_the_batches_are_cut(name: str) -> None:
    metric, target, output, expected = CASES[name]
    assert metric.name == name
    metric.reset_state()
    assert metric.result() == 0.0
    metric.update_state(target[:7], output[:7])
    part = metric.result()
    metric.update_state(target[7:], output[7:])
    assert metric.result() == pytest.approx(expected, rel=1e-6, abs=1e-3 if name == "auc" else 0)
    assert metric.result() != part
    metric.reset_state()
    assert metric.result() == 0.0


@pytest.mark.parametrize("name", CASES)
def test_weights_count_samples(name: str) -> None:
    metric, target, output, _ = CASES[name]
    weights = np.random.default_rng(1).integers(0, 4, size=40)
    metric.reset_state()
    metric.update_state(target, output, sample_weight=weights)
    weighted = metric.result()
    metric.reset_state()
    metric.update_state(np.repeat(target, weights, axis=0), np.repeat(output, weights, axis=0))
    assert weighted == pytest.approx(metric.result(), rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_metric_survives_its_description(name: str) -> None:
    metric = CASES[name][0]
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.describe(2, True) == metric.describe(2, True)
    assert type(metrics.get(name)) is type(metric)


def test_area_under_the_precision_recall_curve() -> None:
    """Three positives above two negatives above one positive, worked out by hand between the points."""
    metric = metrics.AUC(num_thresholds=3, curve="PR")
    metric.update_state([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.2])
    # Thresholds below all, 0.5, above all: (tp, tp + fp) is (3, 4), (2, 3), (0, 0).
    upper = 2 / 3 * 2  # slope 2 / 3 through the origin
    lower = 1 * (1 + (2 - 3) * np.log(4 / 3))
    assert metric.result() == pytest.approx((upper + lower) / 3)


def test_accuracy_is_chosen_by_output_and_loss() -> None:
    assert type(metrics.resolve("accuracy", (None, 1), sparse=False)) is metrics.BinaryAccuracy
    assert type(metrics.resolve("acc", (None, 3), sparse=False)) is metrics.CategoricalAccuracy
    assert type(metrics.resolve("accuracy", (None, 7, 3), sparse=True)) is metrics.SparseCategoricalAccuracy
    assert metrics.resolve("acc", (None, 3), sparse=False).name == "acc"


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown metric 'acuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="unknown curve 'roc'"):
        metrics.AUC(curve="roc")
    with pytest.raises(ValueError, match="num_thresholds must be at least 2"):
        metrics.AUC(1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        metrics.TopKCategoricalAccuracy(k=0)
    with pytest.raises(ValueError, match=r"y_true must lie in \[0, 5\], got 6"):
        metrics.SparseCategoricalAccuracy().update_state([6], SCORES[:1])
