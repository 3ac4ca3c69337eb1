"""Shorter names, arguments and running metrics that Keras has, with the values that Keras 3.15 gives on JAX."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

from rnncore import layers, losses, metrics, models, optimizers
from rnncore.optimizers import schedules

SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
}


@pytest.mark.parametrize("module", [losses, metrics])
@pytest.mark.parametrize("short", [*SHORT, *map(str.upper, SHORT)])
def test_short_names_are_the_functions(module: Any, short: str) -> None:
    function = getattr(module, short)
    assert function is getattr(losses, SHORT[short.lower()])
    assert module.get(function).kind == module.get(short).kind == function.__name__
    assert short in module.__all__


def test_further_names_of_one_loss() -> None:
    assert losses.cce is losses.categorical_crossentropy
    assert losses.logcosh is losses.log_cosh
    assert losses.kullback_leibler_divergence is losses.kl_divergence
    assert type(losses.get(losses.ctc)) is losses.CTC
    # Of the nine pairs of three classes, three say 1 alone.
    found = losses.ctc([[1, 0], [1, 0]], np.zeros((2, 2, 3)))
    np.testing.assert_allclose(found, [math.log(3)] * 2, rtol=1e-6)


def test_options_of_a_function_may_be_given_by_place() -> None:
    logits = np.log([[0.2, 0.5, 0.3]])
    assert losses.sparse_categorical_crossentropy([1], logits, True)[0] == pytest.approx(math.log(2), rel=1e-6)
    assert losses.huber([[0.0]], [[3.0]], 2.0)[0] == 4.0
    assert metrics.top_k_categorical_accuracy([[0, 1, 0]], [[0.5, 0.3, 0.2]], 2)[0] == 1.0
    assert metrics.binary_accuracy([[1.0]], [[0.4]], 0.3)[0] == 1.0
    with pytest.raises(ValueError, match="argument"):
        metrics.binary_accuracy([[1.0]], [[0.4]], 0.3, 2)


def test_a_loss_without_a_metric_class_is_one_as_a_function() -> None:
    metric = metrics.get(losses.binary_focal_crossentropy)
    metric.update_state([[1.0]], [[0.5]])
    assert metric.result() == pytest.approx(0.25 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("make", [losses.BinaryCrossentropy, losses.MeanSquaredError, metrics.CosineSimilarity])
def test_what_holds_anyway_may_be_said(make: Callable[..., Any]) -> None:
    for arguments in ({"dtype": "float32"}, {"dtype": None, "axis": -1}):
        assert make(**arguments).get_config() == make().get_config()
    with pytest.raises(ValueError, match="axis of .* must be -1 here, got 1"):
        make(axis=1)
    with pytest.raises(ValueError, match="dtype of .* must be None or 'float32' or 'float64' here, got 'float16'"):
        make(dtype="float16")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Huber(dleta=1.0), "Huber got an unknown argument 'dleta'; did you mean 'delta'"),  # type: ignore[call-arg]
        (lambda: metrics.Precision(treshold=1.0), "unknown argument 'treshold'"),  # type: ignore[call-arg]
        (lambda: optimizers.Adam(lr=0.1), "lr of Adam is not there; give learning_rate"),  # type: ignore[call-arg]
        (lambda: optimizers.SGD(decay=0.1), "decay of SGD is not there; give learning_rate a schedule"),  # type: ignore[call-arg]
        (lambda: schedules.CosineDecay(0.1, steps=3), "CosineDecay got an unknown argument 'steps'"),  # type: ignore[call-arg]
    ],
)
def test_an_argument_that_is_not_there_meets_advice(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


class OwnMetric(metrics.Metric):
    def __init__(self, name: str = "own", **options: Any) -> None:
        super().__init__(name=name, **options)


def test_a_subclass_may_pass_keras_arguments_on() -> None:
    assert OwnMetric(dtype="float32").name == "own"


# Running metrics: values of Keras's


@pytest.mark.parametrize(
    ("cls", "updates", "expected"),
    [
        (metrics.Mean, [([1.0, 3.0, 5.0, 7.0], None)], 4.0),
        (metrics.Mean, [([1.0, 3.0, 5.0, 7.0], [1, 1, 0, 0])], 2.0),
        (metrics.Mean, [(2.0, None), (5, None)], 3.5),
        (metrics.Mean, [(np.arange(6.0).reshape(2, 3), [1, 0])], 1.0),
        (metrics.Mean, [(np.arange(6.0).reshape(2, 3), [[1], [0]])], 1.0),
        (metrics.Mean, [(np.ones((2, 3)), None), (np.zeros((1, 9)), None)], 2 / 3),
        (metrics.Mean, [(np.arange(6.0).reshape(2, 3), [[1, 2, 0], [0, 0, 1]])], 7 / 4),
        (metrics.Mean, [], 0.0),
        (metrics.Sum, [([1.0, 3.0, 5.0, 7.0], None)], 16.0),
        (metrics.Sum, [(np.arange(6.0).reshape(2, 3), [1, 2])], 27.0),
        (metrics.Sum, [(2.0, None), (3.0, None)], 5.0),
        (metrics.Sum, [], 0.0),
    ],
)
def test_running_metrics(cls: type[metrics.Mean], updates: list[Any], expected: float) -> None:
    metric = cls()
    for values, weight in updates:
        metric.update_state(values, sample_weight=weight)
    assert metric.result() == pytest.approx(expected, rel=1e-12)
    metric.reset_state()
    assert metric.result() == 0.0


def test_running_metrics_are_not_for_compile() -> None:
    assert metrics.get("mean").name == "mean"
    assert metrics.Sum("total").name == "total"
    model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    for metric in ("mean", metrics.Sum()):
        with pytest.raises(ValueError, match="takes values, not targets and outputs"):
            model.compile("sgd", "mse", metrics=[metric])
    with pytest.raises(ValueError, match="sample_weight must have the leading axes of values"):
        metrics.Mean().update_state([1.0, 2.0], [1.0, 2.0, 3.0])


def test_accuracy_compares_classes() -> None:
    metric = metrics.Accuracy()
    metric.update_state([[1], [2], [3], [4]], [[0], [2], [3], [4]], sample_weight=[1, 1, 0, 0])
    assert metric.result() == 0.5
    assert metric.name == "accuracy"
    assert type(metrics.get("Accuracy")) is metrics.Accuracy


# Labels that are ignored

PROBABILITIES = np.array([[0.1, 0.9], [0.3, 0.7], [0.6, 0.4]])
LABELS = [1, 0, -1]
COUNTED = [-math.log(0.9), -math.log(0.3)]


def test_ignored_labels_add_nothing_to_the_metric() -> None:
    """Keras: all positions count without weights, those that are not ignored with them."""
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    metric.update_state(LABELS, PROBABILITIES)
    assert metric.result() == pytest.approx(0.43644443, rel=1e-6)
    assert metric.result() == pytest.approx(sum(COUNTED) / 3, rel=1e-6)
    metric.reset_state()
    metric.update_state(LABELS, PROBABILITIES, sample_weight=[1.0, 2.0, 3.0])
    assert metric.result() == pytest.approx(0.83776873, rel=1e-6)
    assert metric.result() == pytest.approx((COUNTED[0] + 2 * COUNTED[1]) / 3, rel=1e-6)
    with pytest.raises(ValueError, match=r"y_true must lie in \[0, 1\], got 2"):
        metric.update_state([2, -1, 0], PROBABILITIES)
    assert metrics.deserialize(metrics.serialize(metric)).get_config() == metric.get_config()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("own", [False, True], ids=["of_the_loss", "its_own"])
def test_ignored_labels_in_a_model(backend: str, from_logits: bool, own: bool) -> None:
    x = layers.Input((2,))
    model = models.Model(x, layers.Activation("linear")(x))
    ignored = {"ignore_class": -1} if own else {}
    metric = metrics.SparseCategoricalCrossentropy("ce", from_logits=from_logits, **ignored)
    weighted = metrics.SparseCategoricalCrossentropy("wce", from_logits=from_logits, **ignored)
    loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class=-1)
    model.compile("sgd", loss, metrics=[metric], weighted_metrics=[weighted], backend=backend)
    output = np.log(PROBABILITIES) if from_logits else PROBABILITIES
    found = model.evaluate(output, LABELS, verbose=0, return_dict=True)
    assert found == pytest.approx({"loss": sum(COUNTED) / 2, "ce": sum(COUNTED) / 3, "wce": sum(COUNTED) / 3}, rel=1e-5)
    found = model.evaluate(output, LABELS, sample_weight=[1.0, 2.0, 3.0], verbose=0, return_dict=True)
    assert found["ce"] == pytest.approx(sum(COUNTED) / 3, rel=1e-5)
    assert found["wce"] == pytest.approx((COUNTED[0] + 2 * COUNTED[1]) / 3, rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ignored_labels_beside_padding(backend: str) -> None:
    """A mask is a weight: of three real steps the two that are not ignored count."""
    x = layers.Input((3, 2))
    model = models.Model(x, layers.Masking(9.0)(x))
    metric = metrics.SparseCategoricalCrossentropy("ce", ignore_class=-1)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model.compile("sgd", loss, metrics=[metric], backend=backend)
    output = np.stack([PROBABILITIES, np.full((3, 2), 9.0)])
    found = model.evaluate(output, [LABELS, [0, 0, 0]], verbose=0, return_dict=True)
    assert found["ce"] == pytest.approx(sum(COUNTED) / 2, rel=1e-5)


# Optimizers


def test_lr_is_the_learning_rate() -> None:
    optimizer = optimizers.Adam(0.25)
    assert optimizer.lr == 0.25
    optimizer.lr = 0.5
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rate_may_be_a_function_of_nothing(backend: str) -> None:
    rates = iter([0.5, 0.25, 0.125])
    model = models.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizers.SGD(lambda: next(rates)), "mae", backend=backend)  # the gradient is -1 below the target
    model.fit([[1.0]] * 3, [[9.0]] * 3, batch_size=1, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(0.875)


def test_rates_may_be_called_in_any_way() -> None:
    assert optimizers.SGD(lambda step: 0.5 / (step + 1)).rates(2).tolist() == [0.5, 0.25]
    assert optimizers.SGD(lambda *steps: 0.5).rates(2).tolist() == [0.5, 0.5]
    assert optimizers.SGD(lambda step=7: step / 10).rates(2).tolist() == [0.0, 0.1]


def test_boundaries_may_lie_between_steps() -> None:
    pieces = schedules.PiecewiseConstantDecay([1.5, 3.0], [1.0, 0.5, 0.25])
    assert [pieces(step) for step in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_description_of_keras_makes_the_schedule() -> None:
    config = {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {
            "initial_learning_rate": 0.1,
            "decay_steps": 10,
            "decay_rate": 0.5,
            "staircase": False,
            "name": "ExponentialDecay",
        },
        "registered_name": None,
    }
    assert schedules.deserialize(config)(10) == pytest.approx(0.05)
    assert optimizers.SGD.from_config({"name": "sgd", "learning_rate": config}).learning_rate == pytest.approx(0.1)
