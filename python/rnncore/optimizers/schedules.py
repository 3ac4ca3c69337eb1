"""Learning rates that change with the step."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore._namespace import public

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)


class LearningRateSchedule(configurable.Configurable, registry="schedule"):
    """Base of the schedules: `schedule(step)` is the rate of a training step, counted from 0.

    All take a `name`, as in Keras, and make no use of it.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> schedule = optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
    >>> schedule(0), schedule(10)
    (0.1, 0.05)
    """

    _keras_arguments: ClassVar[Mapping[str, configurable.Accepts]] = {"name": configurable.anything}

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return (cls.__name__,)

    def __call__(self, step: int) -> float:
        """The learning rate of step number `step`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step)")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate · decay_rate^(step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool, default False
        Whether the exponent is rounded down, so that the rate falls in steps.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True)(19)
    0.05
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False
    ) -> None:
        self.initial_learning_rate = check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = check.positive_int("decay_steps", decay_steps)
        self.decay_rate = check.number("decay_rate", decay_rate)
        self.staircase = check.boolean("staircase", staircase)

    def __call__(self, step: int) -> float:
        exponent = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**exponent)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[k], where k counts the boundaries below the step.

    Parameters
    ----------
    boundaries : sequence of K numbers, ascending
    values : sequence of K + 1 floats

    Examples
    --------
    >>> from rnncore import optimizers
    >>> schedule = optimizers.schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    >>> schedule(10), schedule(11), schedule(21)
    (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(f"values must be one more than the {len(boundaries)} boundaries, got {len(values)}")
        self.boundaries = [check.number("each of boundaries", boundary) for boundary in boundaries]
        self.values = [check.number("each of values", value) for value in values]
        if self.boundaries != sorted(self.boundaries):
            raise ValueError(f"boundaries must ascend, got {self.boundaries}")

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


class CosineDecay(LearningRateSchedule):
    """A half cosine wave down to `alpha` · the rate it starts from, after a linear warm-up.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Steps of the wave; the rate stays at its end afterwards.
    alpha : float, default 0.0
    warmup_target : float, optional
        The rate at the end of the warm-up, from which the wave starts. No warm-up by default.
    warmup_steps : int, default 0

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR (2017).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> schedule = optimizers.schedules.CosineDecay(0.1, decay_steps=10)
    >>> schedule(0), round(schedule(5), 6), schedule(10)
    (0.1, 0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = check.positive_int("decay_steps", decay_steps)
        self.alpha = check.number("alpha", alpha)
        self.warmup_target = None if warmup_target is None else check.number("warmup_target", warmup_target)
        self.warmup_steps = check.integer("warmup_steps", warmup_steps, low=0)

    def __call__(self, step: int) -> float:
        start, waited = self.initial_learning_rate, 0
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return start + (self.warmup_target - start) * step / self.warmup_steps
            start, waited = self.warmup_target, self.warmup_steps
        done = min(step - waited, self.decay_steps) / self.decay_steps
        wave = 0.5 * (1 + math.cos(math.pi * done))
        return start * ((1 - self.alpha) * wave + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves, each longer and lower than the one before by fixed factors.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
        Steps of the first wave.
    t_mul : float, default 2.0
        How many times as long the next wave is; at least 1.
    m_mul : float, default 1.0
        How many times as high it starts.
    alpha : float, default 0.0
        The end of each wave, as a share of `initial_learning_rate`.

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR (2017).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> schedule = optimizers.schedules.CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
    >>> schedule(0), round(schedule(5), 6), schedule(10)
    (0.1, 0.05, 0.05)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial_learning_rate = check.number("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = check.positive_int("first_decay_steps", first_decay_steps)
        self.t_mul = check.number("t_mul", t_mul, low=1.0)
        self.m_mul = check.number("m_mul", m_mul, low=0.0)
        self.alpha = check.number("alpha", alpha)

    def __call__(self, step: int) -> float:
        start, length, height = 0.0, float(self.first_decay_steps), 1.0
        while step >= start + length:
            start, length, height = start + length, length * self.t_mul, height * self.m_mul
        wave = 0.5 * height * (1 + math.cos(math.pi * (step - start) / length))
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another along (1 − step / decay_steps)^power.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    end_learning_rate : float, default 0.0001
    power : float, default 1.0
    cycle : bool, default False
        Whether `decay_steps` is doubled, tripled, ... when the step passes it; otherwise the rate stays.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> schedule = optimizers.schedules.PolynomialDecay(0.1, 10, end_learning_rate=0.0, power=2.0)
    >>> schedule(0), schedule(5), schedule(99)
    (0.1, 0.025, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial_learning_rate = check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = check.positive_int("decay_steps", decay_steps)
        self.end_learning_rate = check.number("end_learning_rate", end_learning_rate)
        self.power = check.number("power", power, low=0.0)
        self.cycle = check.boolean("cycle", cycle)

    def __call__(self, step: int) -> float:
        length = self.decay_steps
        if self.cycle:
            length *= max(1, math.ceil(step / length))
        left = 1 - min(step, length) / length
        return float((self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate)


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate · step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool, default False
        Whether step / decay_steps is rounded down.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.schedules.InverseTimeDecay(0.1, 10, 1.0)(10)
    0.05
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False
    ) -> None:
        self.initial_learning_rate = check.number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = check.positive_int("decay_steps", decay_steps)
        self.decay_rate = check.number("decay_rate", decay_rate, low=0.0)
        self.staircase = check.boolean("staircase", staircase)

    def __call__(self, step: int) -> float:
        time = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * time)


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """Describe a schedule as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore.optimizers import schedules
    >>> schedules.serialize(schedules.CosineDecay(0.1, 100))["class_name"]
    'CosineDecay'
    """
    return configurable.serialize(schedule)


def deserialize(config: dict[str, Any]) -> LearningRateSchedule:
    """Make a schedule from what `serialize` gave.

    Examples
    --------
    >>> from rnncore.optimizers import schedules
    >>> schedules.deserialize(schedules.serialize(schedules.CosineDecay(0.1, 100)))(0)
    0.1
    """
    return configurable.find(LearningRateSchedule, config)
