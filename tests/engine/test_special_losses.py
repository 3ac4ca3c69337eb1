"""Losses and metrics at NaN, infinity and huge numbers, at every level and in the reference, against mathematics.

A NaN output makes the loss and its own gradient NaN; 0·log 0 is 0; a mean is finite when its terms are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from executor_calls import run_test, run_train
from program_builder import Builder
from special_numbers import DTYPES, EXECUTORS, Array, assert_numbers, executor_of

from rnncore import layers, losses, metrics, models
from rnncore.program import Loss, Metric, Optimizer, Program, Training
from rnncore.utils import set_random_seed

NAN, INF = math.nan, math.inf
EPSILON = 1e-7  # of Keras: probabilities, norms and logarithms stay this far from 0
LOG_EPSILON = -math.log(EPSILON)

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

# Loss, options, output, target: value, gradient. A string is a magnitude: "huge" has a square beyond the dtype.
HUGE = {"float32": 1e30, "float64": 1e200}
CASES: list[tuple[str, dict[str, Any], list[Any], list[float], Any, list[Any]]] = [
    ("mean_squared_error", {}, [NAN, 1], [0, 0], NAN, [NAN, 1]),
    ("mean_squared_error", {}, [INF, 1], [0, 0], INF, [INF, 1]),
    ("mean_absolute_error", {}, [NAN, 1], [0, 0], NAN, [NAN, 0.5]),
    ("mean_absolute_error", {}, [NAN], [0], NAN, [NAN]),
    ("mean_absolute_error", {}, [-INF, 1], [0, 0], INF, [-0.5, 0.5]),
    ("mean_absolute_error", {}, ["max", "max"], [0, 0], "max", [0.5, 0.5]),
    ("mean_absolute_percentage_error", {}, [NAN, 1], [1, 1], NAN, [NAN, 0]),
    ("mean_absolute_percentage_error", {}, [1, 0], [0, 0], 50 / EPSILON, [50 / EPSILON, 0]),
    ("mean_squared_logarithmic_error", {}, [NAN, 1], [0, 0], NAN, [NAN, math.log(2) / 2]),
    ("mean_squared_logarithmic_error", {}, [-5, 0], [0, 0], 0, [0, 0]),
    ("huber", {"delta": 1.0}, [NAN, 2], [0, 0], NAN, [NAN, 0.5]),
    ("huber", {"delta": 1.0}, [INF, -INF], [0, 0], INF, [0.5, -0.5]),
    ("huber", {"delta": 1.0}, ["huge", 0.5], [0, 0], "half huge", [0.5, 0.25]),
    ("log_cosh", {}, [NAN, 0], [0, 0], NAN, [NAN, 0]),
    ("log_cosh", {}, [-INF, 1e4], [0, 0], INF, [-0.5, 0.5]),
    ("log_cosh", {}, [1e4, -1e4], [0, 0], 1e4 - math.log(2), [0.5, -0.5]),
    ("log_cosh", {}, ["huge", 0], [0, 0], "half huge", [0.5, 0]),
    ("poisson", {}, [NAN, 1], [1, 1], NAN, [NAN, 0]),
    ("poisson", {}, [0, 0], [1, 0], LOG_EPSILON / 2, [0.5 * (1 - 1 / EPSILON), 0.5]),
    ("cosine_similarity", {}, [0, 0], [1, 0], 0, [-1 / EPSILON, 0]),
    ("cosine_similarity", {}, [3, 4], [0, 0], 0, [0, 0]),
    ("cosine_similarity", {}, ["huge", "huge"], [1, 1], -1, [0, 0]),
    ("cosine_similarity", {}, [1, 1], ["huge", "huge"], -1, [0, 0]),
    ("cosine_similarity", {}, ["huge", "huge"], ["huge", "-huge"], 0, ["-0.7/huge", "0.7/huge"]),
    ("cosine_similarity", {}, ["1/huge", 0], [1, 0], 0, [-1 / EPSILON, 0]),
    ("cosine_similarity", {}, [NAN, 1], [1, 1], NAN, [NAN, NAN]),
    ("hinge", {}, [NAN, 0.5], [1, 1], NAN, [NAN, -0.5]),
    ("hinge", {}, [NAN], [0], NAN, [NAN]),
    ("hinge", {}, [INF, -INF], [1, 0], 0, [0, 0]),
    ("hinge", {}, [-INF, INF], [1, 0], INF, [-0.5, 0.5]),
    ("squared_hinge", {}, [NAN, 0.5], [1, 1], NAN, [NAN, -0.5]),
    ("squared_hinge", {}, [INF, -INF], [1, 0], 0, [0, 0]),
    ("categorical_hinge", {}, [NAN, 0, 1], [0, 1, 0], NAN, [NAN, NAN, NAN]),
    ("categorical_hinge", {}, [1, 0, NAN], [0, 1, 0], NAN, [NAN, NAN, NAN]),
    ("categorical_hinge", {}, [5, 0, 1], [1, 0, 0], 0, [0, 0, 0]),
    ("binary_crossentropy", {}, [NAN, 0.5], [1, 1], NAN, [NAN, -1]),
    ("binary_crossentropy", {}, [0, 1], [1, 0], "saturated", [0, 0]),
    ("binary_crossentropy", {}, [0, 1], [0, 1], "right", [0, 0]),
    ("binary_crossentropy", {"from_logits": True}, [NAN, 0], [1, 1], NAN, [NAN, -0.25]),
    ("binary_crossentropy", {"from_logits": True}, [INF, -INF], [1, 0], 0, [0, 0]),
    ("binary_crossentropy", {"from_logits": True}, [INF, -INF], [0, 1], INF, [0.5, -0.5]),
    ("binary_crossentropy", {"from_logits": True}, [-1e4, 1e4], [1, 0], 1e4, [-0.5, 0.5]),
    ("categorical_crossentropy", {}, [NAN, 0.5], [0, 1], NAN, [NAN, NAN]),
    ("categorical_crossentropy", {}, [0, 1], [1, 0], LOG_EPSILON, [0, 0]),
    ("categorical_crossentropy", {"from_logits": True}, [NAN, 0], [0, 1], NAN, [NAN, NAN]),
    ("categorical_crossentropy", {"from_logits": True}, [-INF, 0, 0], [0, 1, 0], math.log(2), [0, -0.5, 0.5]),
    ("categorical_crossentropy", {"from_logits": True}, [-INF, 0, 0], [1, 0, 0], INF, [-1, 0.5, 0.5]),
    ("categorical_crossentropy", {"from_logits": True}, [INF, 0], [0, 1], NAN, [NAN, NAN]),
    ("categorical_crossentropy", {"from_logits": True}, [-INF, -INF], [0, 1], NAN, [NAN, NAN]),
    ("categorical_crossentropy", {"from_logits": True}, [-1e30, 1e30], [1, 0], 2e30, [-1, 1]),
    ("sparse_categorical_crossentropy", {"from_logits": True}, [-INF, 0, 0], [1], math.log(2), [0, -0.5, 0.5]),
    ("sparse_categorical_crossentropy", {"from_logits": True}, [-INF, 0, 0], [0], INF, [-1, 0.5, 0.5]),
    ("sparse_categorical_crossentropy", {"from_logits": True}, [NAN, 0, 0], [1], NAN, [NAN, NAN, NAN]),
    ("sparse_categorical_crossentropy", {}, [0, 1, 0], [1], "right", [0, 0, 0]),
    ("sparse_categorical_crossentropy", {}, [0, 1, 0], [0], LOG_EPSILON, [0, 0, 0]),
    ("kl_divergence", {}, [NAN, 0.5], [1, 0.5], NAN, [NAN, -1]),
    ("kl_divergence", {}, [0.5, 0], [1, 0], math.log(2), [-2, 0]),
    ("binary_focal_crossentropy", {}, [NAN, 0.5], [1, 1], NAN, [NAN, -0.125 * (2 + 4 * math.log(2))]),
    ("binary_focal_crossentropy", {}, [0, 1], [1, 0], "saturated", None),
    ("binary_focal_crossentropy", {"from_logits": True}, [INF, -INF], [1, 0], 0, [0, 0]),
    ("binary_focal_crossentropy", {"from_logits": True}, [60, -60], [0, 1], "saturated above", [0, 0]),
    ("categorical_focal_crossentropy", {}, [NAN, 0.5], [1, 0], NAN, [NAN, NAN]),
    ("categorical_focal_crossentropy", {}, [0, 1], [1, 0], LOG_EPSILON / 4 * (1 - EPSILON) ** 2, [0, 0]),
    ("categorical_focal_crossentropy", {"from_logits": True}, [-INF, 0], [0, 1], 0, [0, 0]),
]


def number(value: Any, dtype: str) -> float:
    """A number of a case. The largest probability below 1 is that of the dtype nearest to 1 - EPSILON."""
    huge, most = HUGE[dtype], float(np.finfo(dtype).max)
    rest = 1 - float(np.array(1 - EPSILON, dtype))
    named = {
        "huge": huge,
        "-huge": -huge,
        "1/huge": 1 / huge,
        "half huge": huge / 2,
        "-0.7/huge": -(0.5**0.5) / huge / 2**0.5,
        "0.7/huge": (0.5**0.5) / huge / 2**0.5,
        "max": most / (1 if dtype == "float32" else 2.1),  # float64 holds a sum of two
        "right": -math.log1p(-rest),
        "saturated": (LOG_EPSILON - math.log(rest)) / 2,
        "saturated above": (LOG_EPSILON - math.log(rest)) / 2,
    }
    return named[value] if isinstance(value, str) else value


def outputs_of_weights(units: int) -> Program:
    """A Program whose outputs for x = 1 are its weights, whose gradients are therefore those of its outputs."""
    b = Builder()
    return b.build(b.dense(b.input(1), units, bias=False))


def evaluated(kind: Any, loss: Loss, y: Array, target: Array, weight: Array | None = None) -> tuple[float, Array]:
    """The loss of one sample, and its gradient."""
    program = outputs_of_weights(y.size)
    gradients = np.zeros_like(y)
    executor = kind(program, y.copy(), gradients)
    training = Training((loss,), optimizer=Optimizer("sgd"))
    executor.configure(training, np.zeros((1, y.size), y.dtype))
    state = np.zeros(2)
    run_train(
        executor,
        [np.ones((1, 1), y.dtype)],
        [target],
        np.array([0]),
        batch_size=1,
        learning_rate=np.zeros(1),
        step=0,
        seed=0,
        state=state,
        sample_weight=[weight],
    )
    return state[0], gradients


@each_executor
@each_dtype
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}-{case[3]}")
def test_values_and_gradients(executor: str, dtype: str, case: tuple[Any, ...]) -> None:
    name, attributes, output, target, value, gradient = case
    y = np.array([number(v, dtype) for v in output], dtype)
    sparse = name.startswith("sparse")
    t = np.array(target, np.int32) if sparse else np.array([[number(v, dtype) for v in target]], dtype)
    with executor_of(executor) as kind:
        found, slope = evaluated(kind, Loss(name, attributes=attributes), y, t)
    relative = 4e-6 if dtype == "float32" else 4e-9  # of a logarithm of 1 - (1 - 1e-7)
    assert_numbers(np.array([found]), np.array([number(value, dtype)]), relative, 1e-6 if dtype == "float32" else 1e-9)
    if gradient is not None:
        expected = np.array([number(v, dtype) for v in gradient])
        assert_numbers(
            slope, expected, relative, 1e-6 * (np.max(np.abs(expected[np.isfinite(expected)]), initial=0) or 1)
        )


@each_executor
@each_dtype
def test_a_weight_of_0_does_not_hide_nan(executor: str, dtype: str) -> None:
    """As in Keras, where 0 · NaN is NaN."""
    y, t, none = np.array([NAN], dtype), np.zeros((1, 1), dtype), np.zeros(1, dtype)
    with executor_of(executor) as kind:
        found, slope = evaluated(kind, Loss("mean_squared_error"), y, t, none)
    assert math.isnan(found)
    assert np.isnan(slope).all()


@each_executor
@pytest.mark.parametrize(
    ("metric", "output", "target", "value"),
    [
        ("categorical_accuracy", [1, NAN, 2], [0, 0, 1], 0),  # the first NaN is the greatest, as to NumPy and JAX
        ("categorical_accuracy", [1, NAN, NAN], [0, 1, 0], 1),
        ("sparse_categorical_accuracy", [2, NAN], [0], 0),
        ("sparse_categorical_accuracy", [NAN, 2], [0], 1),
        ("sparse_categorical_accuracy", [NAN, NAN], [1], 0),
        ("sparse_categorical_accuracy", [-INF, -INF], [0], 1),
        ("sparse_top_k_categorical_accuracy", [NAN, 2, 1], [0], 0),  # NaN is the lowest score, as to Keras
        ("sparse_top_k_categorical_accuracy", [NAN, -INF, 1], [0], 1),
        ("top_k_categorical_accuracy", [3, 2, NAN], [0, 0, 1], 0),
        ("binary_accuracy", [NAN, 1], [0, 1], 1),
    ],
)
def test_metrics(executor: str, metric: str, output: list[float], target: list[float], value: float) -> None:
    sparse = metric.startswith("sparse")
    y = np.array(output)
    t = np.array(target, np.int32) if sparse else np.array([target], float)
    attributes = {"k": 2} if "top_k" in metric else {}
    with executor_of(executor) as kind:
        made = kind(outputs_of_weights(y.size), y, np.zeros_like(y))
        training = Training((), (Metric(metric, attributes=attributes),))
        made.configure(training, np.zeros((0, y.size)))
        state = np.zeros(4)
        run_test(made, [np.ones((1, 1))], [t], np.array([0]), batch_size=1, state=state)
    assert state[2] / state[3] == value


def test_functions_and_objects_do_not_warn() -> None:
    y = [[NAN, 1.0], [INF, -INF], [1e308, -1e308]]
    t = [[0.0, 1.0]] * 3
    for function in losses.functions.FUNCTIONS:
        if function in (losses.ctc, losses.crf):  # which take sequences
            continue
        function([0, 1, 1] if "sparse" in function.__name__ else t, y)
    for metric in (metrics.R2Score(), metrics.F1Score(), metrics.MeanSquaredError(), metrics.CosineSimilarity()):
        metric.update_state(t, y)
        metric.result()


# Steps that are not real hold NaN, which reaches nothing: not through 0 · NaN either.


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: [layers.SimpleRNN(5, activation="relu", return_sequences=True)],
        lambda: [layers.LSTM(5, return_sequences=True)],
        lambda: [layers.GRU(5, return_sequences=True, go_backwards=True)],
        lambda: [layers.GRU(5, reset_after=False, return_sequences=True)],
        lambda: [layers.LSTM(5, layer_normalization=True, return_sequences=True)],
        lambda: [layers.LSTM(5, projection_units=2, return_sequences=True)],
        lambda: [layers.LSTM(5, zoneout=0.3, recurrent_dropout=0.3, return_sequences=True, seed=1)],
        lambda: [layers.Bidirectional(layers.GRU(3, return_sequences=True))],
        lambda: [layers.Conv1D(4, 3, padding="causal")],
        lambda: [layers.AveragePooling1D(2, padding="same")],
        lambda: [layers.MaxPooling1D(2, padding="same")],
        lambda: [layers.GlobalAveragePooling1D()],
        lambda: [layers.GlobalMaxPooling1D()],
        lambda: [layers.BatchNormalization(), layers.LSTM(4)],
    ],
)
def test_steps_that_are_not_real_may_be_nan(layer: Any, dtype: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([4, 1, 6, 3])
    x = rng.normal(size=(4, 6, 3))
    padded = np.arange(6)[None, :] >= lengths[:, None]
    found = []
    for filling in (0.0, NAN):
        set_random_seed(0)
        model = models.Sequential([layers.Input((6, 3)), *layer(), layers.Dense(2)])
        model.compile("sgd", "mse", backend=backend, dtype_policy=dtype)
        weights = np.random.default_rng(1)
        model.set_weights([weights.uniform(0.1, 0.5, w.shape) for w in model.get_weights()])
        inputs = np.where(padded[..., None], filling, x)
        shape = model.predict(np.zeros_like(x), verbose=0).shape
        y = np.random.default_rng(2).normal(size=shape)
        history = model.fit(inputs, y, epochs=2, batch_size=2, shuffle=False, verbose=0, lengths=lengths)
        found.append((history.history["loss"], *model.get_weights()))
    for clean, with_nan in zip(*found, strict=True):
        assert np.isfinite(np.asarray(with_nan)).all()
        np.testing.assert_array_equal(clean, with_nan)
