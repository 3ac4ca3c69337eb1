"""Updates, clipping, penalties and constraints at NaN, infinity and huge numbers.

At every level and in the reference, against mathematics.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from executor_calls import run_test, run_train
from program_builder import Builder
from special_numbers import DTYPES, EXECUTORS, Array, executor_of

from rnncore import constraints, layers, models, reference, regularizers
from rnncore.inspection import gradient_flow
from rnncore.program import Constraint, Loss, Optimizer, Program, Regularizer, Training

NAN, INF = math.nan, math.inf
HUGE = {"float32": 1e30, "float64": 1e200}  # whose square is beyond the dtype

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

RULES = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "adam": {},
    "amsgrad": {"amsgrad": True},
    "adamw": {"weight_decay": 0.1},
    "nadam": {},
    "adagrad": {},
    "adadelta": {"rho": 0.95},
    "adamax": {},
    "lion": {"beta_2": 0.99},
    "average": {"use_ema": True},
    "gathered": {"gradient_accumulation_steps": 2},
}
KINDS = {"momentum": "sgd", "nesterov": "sgd", "amsgrad": "adam", "average": "adam", "gathered": "adam"}


def two_weights(*sizes: int) -> Program:
    b = Builder()
    x = b.input(1)
    return b.build(*(b.dense(x, size, bias=False) for size in sizes))


def updated(
    kind: Any, optimizer: Optimizer, weights: Array, gradients: list[Array], sizes: tuple[int, ...] | None = None
) -> tuple[Array, Array]:
    """Weights and slots after one step for each gradient."""
    w, g = weights.copy(), np.zeros_like(weights)
    executor = kind(two_weights(*(sizes or (w.size,))), w, g)
    slots = np.zeros((optimizer.slot_count(), w.size), w.dtype)
    executor.configure(Training((), optimizer=optimizer), slots)
    for step, gradient in enumerate(gradients):
        g[:] = gradient
        executor.apply_gradients(0.1, step)
    return w, slots


@each_executor
@each_dtype
@pytest.mark.parametrize("rule", RULES)
def test_nan_reaches_its_weight_and_no_other(executor: str, dtype: str, rule: str) -> None:
    optimizer = Optimizer(KINDS.get(rule, rule), dict(RULES[rule]))
    size = 37
    w, g = np.ones(size, dtype), np.linspace(-1, 1, size).astype(dtype)
    g[5], g[30] = NAN, NAN
    with executor_of(executor) as kind:
        found, slots = updated(kind, optimizer, w, [g, np.ones_like(g)])
        clean, _ = updated(kind, optimizer, w, [np.nan_to_num(g), np.ones_like(g)])
    assert np.isnan(found[[5, 30]]).all()
    assert np.isnan(slots[:, [5, 30]]).any(axis=0).all() or not slots.size or rule in ("sgd", "average")
    others = np.setdiff1d(np.arange(size), [5, 30])
    np.testing.assert_array_equal(found[others], clean[others])


@each_dtype
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [1, 37])
def test_executors_agree_on_infinities_and_extremes(dtype: str, rule: str, size: int) -> None:
    optimizer = Optimizer(KINDS.get(rule, rule), dict(RULES[rule]))
    limits = np.finfo(dtype)
    extremes = [INF, -INF, limits.tiny, -limits.smallest_subnormal, 0.0, -0.0, 1e19]
    with np.errstate(all="ignore"):
        for number in extremes:
            w, g = np.ones(size, dtype), np.full(size, number, dtype)
            expected, _ = updated(reference.Executor, optimizer, w, [g, g])
            for executor in EXECUTORS[:-1]:
                with executor_of(executor) as kind:
                    found, _ = updated(kind, optimizer, w, [g, g])
                np.testing.assert_allclose(found, expected, 1e-5, 1e-6, err_msg=f"{executor}, {number}")


# Clipping by norm is g · clipnorm / norm, whatever size the norm has.


@each_executor
@each_dtype
@pytest.mark.parametrize("clipping", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("gathering", [None, 2])
def test_norms_do_not_overflow(executor: str, dtype: str, clipping: str, gathering: int | None) -> None:
    attributes: dict[str, Any] = {clipping: 2.0}
    if gathering:
        attributes["gradient_accumulation_steps"] = gathering
    g = np.array([3, 4], dtype) * np.array(HUGE[dtype], dtype)
    with executor_of(executor) as kind:
        w, _ = updated(kind, Optimizer("sgd", attributes), np.zeros(2, dtype), [g] * (gathering or 1))
    np.testing.assert_allclose(w, [-0.1 * 2 * 0.6, -0.1 * 2 * 0.8], 1e-6)


@each_executor
@each_dtype
def test_norms_of_several_weights(executor: str, dtype: str) -> None:
    """As in Keras: an infinite gradient makes all of a global norm NaN, of its own norm zeros and NaN."""
    g = np.array([1, INF, 3, 4], dtype)
    with executor_of(executor) as kind:
        apart, _ = updated(kind, Optimizer("sgd", {"clipnorm": 1.0}), np.zeros(4, dtype), [g], (2, 2))
        together, _ = updated(kind, Optimizer("sgd", {"global_clipnorm": 1.0}), np.zeros(4, dtype), [g], (2, 2))
        huge = np.array([3, 0, 0, 4], dtype) * np.array(HUGE[dtype], dtype)
        shared, _ = updated(kind, Optimizer("sgd", {"global_clipnorm": 1.0}), np.zeros(4, dtype), [huge], (2, 2))
    np.testing.assert_allclose(apart, [0, NAN, -0.06, -0.08], 1e-6)
    assert np.isnan(together).all()
    np.testing.assert_allclose(shared, [-0.06, 0, 0, -0.08], 1e-6)


@each_executor
@each_dtype
def test_clipvalue(executor: str, dtype: str) -> None:
    g = np.array([NAN, INF, -INF, 0.5, HUGE[dtype]], dtype)
    with executor_of(executor) as kind:
        w, _ = updated(kind, Optimizer("sgd", {"clipvalue": 1.0}), np.zeros(5, dtype), [g])
    np.testing.assert_allclose(w, [NAN, -0.1, 0.1, -0.05, -0.1], 1e-6)


# Penalties: l1·Σ|w| + l2·Σw², a part with the factor 0 being 0.


def penalised(kind: Any, w: Array, l1: float, l2: float) -> tuple[float, Array]:
    """The penalty of weights, and its gradient, in a step whose loss is 0."""
    parameters = np.append(w, w.dtype.type(0))
    gradients = np.zeros_like(parameters)
    executor = kind(two_weights(w.size, 1), parameters, gradients)
    loss = Loss("mean_absolute_error", output=1)
    training = Training((loss,), regularizers=(Regularizer(0, l1, l2),), optimizer=Optimizer("sgd"))
    executor.configure(training, np.zeros((1, parameters.size), w.dtype))
    state = np.zeros(2)
    run_train(
        executor,
        [np.zeros((1, 1), w.dtype)],
        [np.zeros((1, w.size), w.dtype), np.zeros((1, 1), w.dtype)],
        np.array([0]),
        batch_size=1,
        learning_rate=np.zeros(1),
        step=0,
        seed=0,
        state=state,
    )
    return state[0], gradients[:-1]


@each_executor
@each_dtype
def test_penalties(executor: str, dtype: str) -> None:
    with executor_of(executor) as kind:
        value, slope = penalised(kind, np.array([INF, -1], dtype), 0.5, 0)
        assert value == INF
        np.testing.assert_allclose(slope, [0.5, -0.5])
        value, slope = penalised(kind, np.array([INF, -1], dtype), 0, 0.5)
        assert value == INF
        np.testing.assert_allclose(slope, [INF, -1])
        for factors in ((0.5, 0), (0, 0.5), (0.5, 0.5)):
            value, slope = penalised(kind, np.array([NAN, 0], dtype), *factors)
            assert math.isnan(value)
            np.testing.assert_allclose(slope, [NAN, 0])
        huge = 1e30
        value, slope = penalised(kind, np.array([huge, 0], dtype), 0, 0.5)  # a float64 in both dtypes
        np.testing.assert_allclose(value, 0.5e60, 1e-6)
        np.testing.assert_allclose(slope, [huge, 0], 1e-6)


def test_regularizers_on_arrays() -> None:
    assert regularizers.L2(0.5)(np.array([1e30], np.float32)) == pytest.approx(0.5e60, rel=1e-6)
    assert regularizers.L1(0.5)([INF]) == INF
    assert regularizers.L1L2(0.5, 0.5)([NAN, 1.0]) != regularizers.L1L2(0.5, 0.5)([NAN, 1.0])
    assert regularizers.OrthogonalRegularizer(1.0)([[1e200, 1e200], [1e200, 0.0]]) == pytest.approx(0.5**0.5)


# Constraints.


def constrained(kind: Any, w: Array, constraint: Constraint) -> Array:
    w = w.copy()
    executor = kind(two_weights(w.size), w, np.zeros_like(w))
    training = Training((), optimizer=Optimizer("sgd"), constraints=(constraint,))
    executor.configure(training, np.zeros((1, w.size), w.dtype))
    executor.apply_gradients(0.0, 0)
    return w


@each_executor
@each_dtype
def test_constraints(executor: str, dtype: str) -> None:
    bound = Constraint(0, "norm", {"min_value": 0.0, "max_value": 2.0, "rate": 1.0, "axes": [0, 1]})
    with executor_of(executor) as kind:
        huge = np.array([3, 4], dtype) * np.array(HUGE[dtype], dtype)
        np.testing.assert_allclose(constrained(kind, huge, bound), [1.2, 1.6], 1e-6)
        assert np.isnan(constrained(kind, np.array([NAN, 4], dtype), bound)).all()
        found = constrained(kind, np.array([NAN, -INF, INF, -1, 2], dtype), Constraint(0, "non_negative", {}))
    np.testing.assert_array_equal(found, [NAN, 0, INF, 0, 2])


def test_constraints_on_arrays() -> None:
    w = np.array([[3e30], [4e30]], np.float32)
    np.testing.assert_allclose(constraints.UnitNorm()(w), [[0.6], [0.8]], 1e-6)
    np.testing.assert_allclose(constraints.MaxNorm(1)(w * np.float64(1e200)), [[0.6], [0.8]], 1e-6)
    assert np.isnan(constraints.NonNeg()([NAN, -1.0])[0])


# What is measured of gradients.


def test_measured_norms_do_not_overflow() -> None:
    model = models.Sequential([layers.Input((2, 1)), layers.SimpleRNN(1, activation="linear"), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.zeros(1), np.full((1, 1), 1e15), np.zeros(1)])
    x, y = np.ones((1, 2, 1)), np.zeros((1, 1))
    # h is 1 and 2, the output 2e15, dL/doutput 4e15 and dL/dh 4e30 at both steps: its square is beyond float32.
    flow = gradient_flow(model, x, y)
    np.testing.assert_allclose(next(iter(flow.values())), [4e30, 4e30], 1e-5)
    # Of the kernel x·4e30 + x·4e30, of the recurrent kernel 1·4e30, of the bias 4e30 + 4e30.
    np.testing.assert_allclose(model.per_sample_gradient_norms(x, y), [12e30], 1e-5)


@each_executor
def test_a_training_loss_goes_on_where_float32_ends(executor: str) -> None:
    program = two_weights(1)
    with executor_of(executor) as kind:
        made = kind(program, np.array([1e19], np.float32), np.zeros(1, np.float32))
        made.configure(Training((Loss("mean_absolute_error"),)), np.zeros((0, 1), np.float32))
        state = np.zeros(2)
        x, y = np.full((4, 1), 3e19, np.float32), np.zeros((4, 1), np.float32)
        run_test(made, [x], [y], np.arange(4), batch_size=4, state=state)
    assert state[0] / state[1] == pytest.approx(3e38, rel=1e-6)
