"""Optimizers and schedules: arguments, rates, configs. What they compute is compared with Keras elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnncore import optimizers
from rnncore.optimizers import schedules

ALL = [
    optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    optimizers.RMSprop(rho=0.8, momentum=0.1, centered=True, clipvalue=0.5),
    optimizers.Adam(beta_1=0.8, global_clipnorm=2.0),
    optimizers.AdamW(weight_decay=0.1),
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
    assert found["adam"].attributes() == {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
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
        (lambda: optimizers.Adam(amsgrad=True), ValueError, "amsgrad=True is not supported yet"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "only one of clipnorm, clipvalue"),
        (lambda: optimizers.Adam(use_ema=True), TypeError, "use_ema"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), ValueError, "values must be one more"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1.0, 2.0, 3.0]), ValueError, "boundaries must ascend"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps must be at least 1"),
    ],
)
def test_bad_arguments_are_named(make: object, error: type[Exception], message: str) -> None:
    assert callable(make)
    with pytest.raises(error, match=message):
        make()
