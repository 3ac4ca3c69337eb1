"""Optimizers and schedules: arguments, rates, configs. What they compute is compared with Keras elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster

from rnncore import optimizers
from rnncore.optimizers import schedules

ALL = [
    optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    optimizers.RMSprop(rho=0.8, momentum=0.1, centered=True, clipvalue=0.5),
    optimizers.Adam(beta_1=0.8, global_clipnorm=2.0),
    optimizers.AdamW(weight_decay=0.1),
    optimizers.Adam(amsgrad=True, use_ema=True, ema_overwrite_frequency=5),
    optimizers.Nadam(0.1, beta_1=0.8, gradient_accumulation_steps=3),
    optimizers.Adamax(0.1, beta_2=0.8),
    optimizers.Adagrad(0.1, initial_accumulator_value=0.3),
    optimizers.Adadelta(rho=0.8),
    optimizers.Lion(beta_2=0.8),
    optimizers.SGD(schedules.CosineDecayRestarts(0.1, 4, t_mul=1.5, m_mul=0.8, alpha=0.1)),
    optimizers.SGD(schedules.PolynomialDecay(0.1, 6, power=2.0, cycle=True)),
    optimizers.SGD(schedules.InverseTimeDecay(0.1, 5, 0.5, staircase=True)),
    optimizers.SGD(schedules.CosineDecay(0.1, 10, alpha=0.1, warmup_target=0.5, warmup_steps=3)),
]


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_an_optimizer_survives_its_description(optimizer: optimizers.Optimizer) -> None:
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.describe() == optimizer.describe()
    assert np.array_equal(again.rates(20), optimizer.rates(20))


@pytest.mark.parametrize("name", ["rmsprop", "RMSprop", "RMSProp", "RMSPROP"])
def test_names_may_be_written_in_any_case(name: str) -> None:
    assert type(optimizers.get(name)) is optimizers.RMSprop


def test_defaults_are_those_of_keras() -> None:
    found = {name: optimizers.get(name) for name in ("sgd", "rmsprop", "adam", "adamw")}
    assert {name: o.learning_rate for name, o in found.items()} == {
        "sgd": 0.01,
        "rmsprop": 0.001,
        "adam": 0.001,
        "adamw": 0.001,
    }
    assert found["rmsprop"].attributes() == {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}
    assert found["adam"].attributes() == {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}
    assert found["adamw"].weight_decay == 0.004
    assert found["adam"].weight_decay is None


def test_the_rate_can_be_set_and_schedules_cannot_be_overwritten_by_numbers() -> None:
    optimizer = optimizers.Adam()
    optimizer.learning_rate = 0.5
    assert optimizer.rates(3).tolist() == [0.5, 0.5, 0.5]
    optimizer.learning_rate = schedules.ExponentialDecay(1.0, 1, 0.5)
    assert optimizer.rates(3).tolist() == [1.0, 0.5, 0.25]
    optimizer.iterations = 2
    assert optimizer.learning_rate == 0.25
    with pytest.raises(TypeError, match="follows a schedule"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = lambda step: 1.0 / (step + 1)
    assert optimizer.rates(2).tolist() == [1 / 3, 1 / 4]
    with pytest.raises(TypeError, match="plain function cannot be saved"):
        optimizer.get_config()


def test_schedules_follow_their_formulas() -> None:
    smooth, stairs = (schedules.ExponentialDecay(0.2, 5, 0.5, staircase=s) for s in (False, True))
    assert smooth(7) == pytest.approx(0.2 * 0.5**1.4)
    assert [stairs(step) for step in (0, 4, 5, 12)] == [0.2, 0.2, 0.1, 0.05]
    pieces = schedules.PiecewiseConstantDecay([2, 5], [1.0, 0.5, 0.1])
    assert [pieces(step) for step in range(7)] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.1]
    cosine = schedules.CosineDecay(0.1, 10, alpha=0.2)
    assert cosine(0) == pytest.approx(0.1)
    assert cosine(3) == pytest.approx(0.1 * (0.8 * 0.5 * (1 + math.cos(0.3 * math.pi)) + 0.2))
    assert cosine(10) == cosine(99) == pytest.approx(0.02)
    warm = schedules.CosineDecay(0.1, 10, warmup_target=0.5, warmup_steps=4)
    assert [warm(step) for step in (0, 2, 4)] == pytest.approx([0.1, 0.3, 0.5])
    assert warm(14) == pytest.approx(0.0)


def test_slots_are_kept_while_they_fit() -> None:
    optimizer = optimizers.Adam()
    slots = optimizer.build(7, np.float32)
    assert slots.shape == (2, 7)
    slots += 1
    assert optimizer.build(7, np.float32) is slots
    assert not optimizer.build(7, np.float64).any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.get("adamm"), ValueError, r"unknown optimizer 'adamm'; did you mean"),
        (lambda: optimizers.SGD("fast"), TypeError, "learning_rate must be a number, got str"),
        (lambda: optimizers.SGD(-0.1), ValueError, "learning_rate must be a finite number"),
        (lambda: optimizers.SGD(math.nan), ValueError, "learning_rate must be a finite number"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "momentum must be a finite number"),
        (lambda: optimizers.Adam(beta_1=1.0), ValueError, "beta_1 must be a finite number"),
        (lambda: optimizers.Adam(loss_scale_factor=2.0), ValueError, "loss_scale_factor=2.0 is not supported yet"),
        (lambda: optimizers.SGD(ema_momentum=1.5), ValueError, "ema_momentum must be a finite number"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=0), ValueError, "ema_overwrite_frequency must be at least 1"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), ValueError, "must be at least 2, got 1"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "only one of clipnorm, clipvalue"),
        (lambda: optimizers.Adam(use_ema=1), TypeError, "use_ema must be True or False"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), ValueError, "values must be one more"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1.0, 2.0, 3.0]), ValueError, "boundaries must ascend"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps must be at least 1"),
    ],
)
def test_bad_arguments_are_named(make: object, error: type[Exception], message: str) -> None:
    assert callable(make)
    with pytest.raises(error, match=message):
        make()


def test_the_rate_can_be_assigned_as_a_variable() -> None:
    optimizer = optimizers.SGD(0.1)
    optimizer.learning_rate.assign(0.5)
    assert optimizer.learning_rate == optimizer.learning_rate.numpy() == 0.5
    assert repr(optimizer.learning_rate) == "0.5"


@pytest.mark.parametrize("backend", BACKENDS)
def test_fit_ends_with_the_moving_average_of_the_weights(backend: str) -> None:
    x, y = data()
    plain = forecaster(optimizer=optimizers.SGD(0.1), loss="mse", backend=backend)
    model = forecaster(optimizer=optimizers.SGD(0.1, use_ema=True, ema_momentum=0.6), loss="mse", backend=backend)
    model.set_weights(plain.get_weights())
    average: list[Any] = []
    for step in range(3):
        plain.train_on_batch(x, y)
        weights = plain.get_weights()
        average = weights if step == 0 else [0.6 * a + 0.4 * w for a, w in zip(average, weights, strict=True)]
    model.fit(x, y, batch_size=len(x), epochs=3, shuffle=False, verbose=0)
    for weight, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gathered_gradients_move_like_one_large_batch(backend: str) -> None:
    x, y = data()
    plain = forecaster(optimizer=optimizers.Adam(0.01), loss="mse", backend=backend)
    gathering = optimizers.Adam(0.01, gradient_accumulation_steps=4)
    model = forecaster(optimizer=gathering, loss="mse", backend=backend)
    model.set_weights(plain.get_weights())
    plain.fit(x, y, batch_size=20, epochs=3, shuffle=False, verbose=0)
    model.fit(x, y, batch_size=5, epochs=3, shuffle=False, verbose=0)
    assert gathering.iterations == 12
    for weight, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-5)


def test_new_schedules_follow_their_formulas() -> None:
    waves = schedules.CosineDecayRestarts(0.1, 4, t_mul=2.0, m_mul=0.5, alpha=0.2)
    assert [waves(step) for step in (0, 2, 4, 8, 12)] == pytest.approx([0.1, 0.06, 0.06, 0.04, 0.04])
    line = schedules.PolynomialDecay(0.1, 4, end_learning_rate=0.02)
    assert [line(step) for step in (0, 1, 4, 9)] == pytest.approx([0.1, 0.08, 0.02, 0.02])
    again = schedules.PolynomialDecay(0.1, 4, end_learning_rate=0.02, cycle=True)
    assert [again(step) for step in (4, 6, 8)] == pytest.approx([0.02, 0.04, 0.02])
    assert [schedules.InverseTimeDecay(0.1, 4, 2.0)(step) for step in (0, 2, 4)] == pytest.approx([0.1, 0.05, 0.1 / 3])
    assert schedules.InverseTimeDecay(0.1, 4, 2.0, staircase=True)(3) == 0.1
