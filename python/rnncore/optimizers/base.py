"""What all optimizers share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _data as data
from rnncore import _validation as check
from rnncore import program
from rnncore._keras_names import OPTIMIZER, PointsElsewhere
from rnncore._overrides import NoIgnoredOverrides, is_own
from rnncore.optimizers import schedules
from rnncore.optimizers.schedules import LearningRateSchedule

Rate = float | Callable[[int], float] | Callable[[], float] | dict[str, Any]


class LearningRate(float):
    """The rate of an optimizer: a number that knows where it came from."""

    optimizer: Optimizer

    def assign(self, value: Rate) -> None:
        """Give the optimizer another rate."""
        self.optimizer.learning_rate = value

    def numpy(self) -> float:
        """The number alone."""
        return float(self)


class Optimizer(NoIgnoredOverrides, PointsElsewhere, configurable.Configurable, registry="optimizer"):
    """Base of the optimizers.

    Parameters
    ----------
    learning_rate : float, schedule, or callable of the step or of nothing
        A number can be changed at any time, also by a callback between two batches. A callable is asked for the rate of
        each step when an epoch begins, and again before each step where callbacks look on. `lr` is the same attribute.
    weight_decay : float, optional
        Before each update, weights shrink by w · weight_decay · learning_rate.
    clipnorm : float, optional
        Largest norm of the gradient of each weight array.
    clipvalue : float, optional
        Largest size of each element of the gradient.
    global_clipnorm : float, optional
        Largest norm of all gradients together. At most one of the three may be given.
    use_ema : bool, default False
        Whether a moving average of the weights is kept, which takes their place when `fit` ends.
    ema_momentum : float in [0, 1], default 0.99
        Memory of the average: a ← ema_momentum · a + (1 − ema_momentum) · w.
    ema_overwrite_frequency : int, optional
        After so many updates each, the average takes the place of the weights.
    loss_scale_factor : None
        Not supported: a ValueError unless None.
    gradient_accumulation_steps : int, optional
        At least 2: the weights follow the mean of the gradients of so many batches.
    name : str, optional

    Attributes
    ----------
    iterations : int
        Steps done so far.
    slots : ndarray, shape (S, P), or None
        What the update remembers of each of the P weight elements; None before the first step.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or range.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizer = optimizers.get("adam")
    >>> optimizer.learning_rate = 0.01
    >>> optimizer.learning_rate, optimizer.iterations
    (0.01, 0)
    """

    _elsewhere = OPTIMIZER
    _ignored = frozenset(
        {
            "apply",
            "apply_gradients",
            "apply_grads",
            "build",
            "call",
            "clip_gradients",
            "clip_grads",
            "compute_gradients",
            "finalize_variable_values",
            "get_gradients",
            "get_updates",
            "minimize",
            "stateless_apply",
            "step",
            "update_step",
        }
    )
    _instead = (
        "the engine updates the weights by the rules there are; change learning_rate, or train in a loop of your own"
        " with model.forward, model.backward and model.set_weights"
    )

    kind: ClassVar[str]  # what the executors call it: the name of the class in lower case
    _keras_arguments: ClassVar[Mapping[str, configurable.Accepts]] = {
        "lr": configurable.instead("give learning_rate"),
        "decay": configurable.instead("give learning_rate a schedule such as schedules.InverseTimeDecay"),
    }

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        return cls.__name__, cls.kind

    def __init_subclass__(cls, **options: Any) -> None:
        if is_own(cls):
            cls.kind = cls.__name__.lower()
        super().__init_subclass__(**options)

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        self._learning_rate = _rate(learning_rate)
        self.weight_decay = _optional("weight_decay", weight_decay)
        self.clipnorm = _optional("clipnorm", clipnorm)
        self.clipvalue = _optional("clipvalue", clipvalue)
        self.global_clipnorm = _optional("global_clipnorm", global_clipnorm)
        clips = [clip for clip in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, clip) is not None]
        if len(clips) > 1:
            raise ValueError(f"only one of clipnorm, clipvalue and global_clipnorm may be given, got {clips}")
        self.use_ema = check.boolean("use_ema", use_ema)
        self.ema_momentum = check.number("ema_momentum", ema_momentum, low=0.0, high=1.0)
        self.ema_overwrite_frequency = _steps("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        check.unsupported(type(self).__name__, loss_scale_factor=loss_scale_factor)
        self.loss_scale_factor = None
        self.gradient_accumulation_steps = _steps("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        self._require_kind()
        self.name = self.kind if name is None else check.name("name", name)
        self.iterations = 0
        self.slots: npt.NDArray[Any] | None = None

    @property
    def learning_rate(self) -> LearningRate:
        """The rate of the next step; to be set, or changed with `learning_rate.assign(value)`."""
        rate = LearningRate(self._rate_at(self.iterations))
        rate.optimizer = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        rate = _rate(value)
        if callable(self._learning_rate) and not callable(rate):
            raise TypeError("learning_rate follows a schedule and cannot be set to a number; give another schedule")
        self._learning_rate = rate

    lr = learning_rate  # its older name

    @property
    def is_scheduled(self) -> bool:
        """Whether the rate follows from the step."""
        return callable(self._learning_rate)

    def _rate_at(self, step: int) -> float:
        if not callable(self._learning_rate):
            return self._learning_rate
        return check.number("learning_rate(step)", float(self._learning_rate(step)))

    def rates(self, count: int) -> npt.NDArray[np.float64]:
        """The rates of the next `count` steps."""
        if not callable(self._learning_rate):
            rates = np.empty(count)
            rates.fill(self._learning_rate)
            return rates
        return np.array([self._rate_at(self.iterations + k) for k in range(count)], np.float64)

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know of this kind of update."""
        return self._own_arguments()

    def describe(self) -> program.Optimizer:
        """Describe this update rule as the executors read it."""
        common = {name: getattr(self, name) for name in ("clipvalue", "clipnorm", "global_clipnorm", "weight_decay")}
        if self.use_ema:
            common |= {"use_ema": True, "ema_momentum": self.ema_momentum}
            common |= {"ema_overwrite_frequency": self.ema_overwrite_frequency}
        if self.gradient_accumulation_steps is not None:
            common["gradient_accumulation_steps"] = self.gradient_accumulation_steps
        return program.Optimizer(self.kind, {**self.attributes(), **common})

    def build(self, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The slots for `size` weight elements: those there are, or new ones of zeros."""
        shape = (self.describe().slot_count(), size)
        if self.slots is None or self.slots.shape != shape or self.slots.dtype != dtype:
            self.slots = np.zeros(shape, dtype)
        self.slots = data.writable(self.slots)
        return self.slots

    @property
    def average(self) -> npt.NDArray[Any] | None:
        """The moving average of all weight elements (P,), or None without one or before the first step."""
        return self.slots[-1] if self.use_ema and self.slots is not None and self.iterations else None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            config["learning_rate"] = schedules.serialize(rate)
        elif callable(rate):
            raise TypeError("a learning_rate that is a plain function cannot be saved; derive a LearningRateSchedule")
        return config


def _rate(value: Rate) -> float | Callable[[int], float]:
    if isinstance(value, dict):
        return schedules.deserialize(value)
    if callable(value):
        return cast("Callable[[int], float]", value) if _takes_step(value) else _Stepless(value)
    return check.number("learning_rate", value, low=0.0)


class _Stepless:
    """A rate that a function without arguments gives, as a function of the step."""

    def __init__(self, function: Callable[..., float]) -> None:
        self.function = function

    def __call__(self, step: int) -> float:
        return self.function()


def _takes_step(function: Callable[..., float]) -> bool:
    """Whether a function can be called with the step; those that do not tell their arguments are."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return True
    try:
        signature.bind(0)
    except TypeError:
        return False
    return True


def memory(argument: str, value: float) -> float:
    """A number in [0, 1), the share of what was in a running mean."""
    return check.number(argument, value, low=0.0, high=np.nextafter(1.0, 0.0))


def _optional(argument: str, value: float | None) -> float | None:
    return None if value is None else check.number(argument, value, low=0.0)


def _steps(argument: str, value: int | None, low: int) -> int | None:
    return None if value is None else check.integer(argument, value, low=low)
