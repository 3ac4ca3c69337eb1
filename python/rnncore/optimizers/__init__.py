"""How weights follow gradients. An optimizer describes its update; executors perform it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore import program
from rnncore.optimizers import schedules
from rnncore.optimizers.schedules import LearningRateSchedule

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize"]

Rate = float | Callable[[int], float] | dict[str, Any]


class Optimizer(configurable.Configurable):
    """Base of the optimizers.

    Parameters
    ----------
    learning_rate : float, schedule, or callable of the step
        A number can be changed at any time, also by a callback between two batches.
    weight_decay : float, optional
        Before each update, weights shrink by w · weight_decay · learning_rate.
    clipnorm : float, optional
        Largest norm of the gradient of each weight array.
    clipvalue : float, optional
        Largest size of each element of the gradient.
    global_clipnorm : float, optional
        Largest norm of all gradients together. At most one of the three may be given.
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

    kind: ClassVar[str]

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
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
        self.name = self.kind if name is None else name
        self.iterations = 0
        self.slots: npt.NDArray[Any] | None = None

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return self._rate_at(self.iterations)

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        rate = _rate(value)
        if callable(self._learning_rate) and not callable(rate):
            raise TypeError("learning_rate follows a schedule and cannot be set to a number; give another schedule")
        self._learning_rate = rate

    def _rate_at(self, step: int) -> float:
        if not callable(self._learning_rate):
            return self._learning_rate
        return check.number("learning_rate(step)", float(self._learning_rate(step)))

    def rates(self, count: int) -> npt.NDArray[np.float64]:
        """The rates of the next `count` steps."""
        if not callable(self._learning_rate):
            return np.full(count, self._learning_rate)
        return np.array([self._rate_at(self.iterations + k) for k in range(count)], np.float64)

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know of this kind of update."""
        return {}

    def describe(self) -> program.Optimizer:
        """Describe this update rule as the executors read it."""
        common = {name: getattr(self, name) for name in ("clipvalue", "clipnorm", "global_clipnorm", "weight_decay")}
        return program.Optimizer(self.kind, {**self.attributes(), **common})

    def build(self, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The slots for `size` weight elements: those there are, or new ones of zeros."""
        shape = (self.describe().slot_count(), size)
        if self.slots is None or self.slots.shape != shape or self.slots.dtype != dtype:
            self.slots = np.zeros(shape, dtype)
        return self.slots

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            config["learning_rate"] = schedules.serialize(rate)
        elif callable(rate):
            raise TypeError("a learning_rate that is a plain function cannot be saved; derive a LearningRateSchedule")
        return config


class SGD(Optimizer):
    """Gradient descent: w ← w − learning_rate · g, or with momentum m ← momentum · m − learning_rate · g; w ← w + m.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.01
    momentum : float in [0, 1], default 0.0
    nesterov : bool, default False
        Whether the step looks ahead: w ← w + momentum · m − learning_rate · g.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As for every `Optimizer`.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.SGD(0.1, momentum=0.9, nesterov=True).momentum
    0.9
    """

    kind = "sgd"

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum = check.number("momentum", momentum, low=0.0, high=1.0)
        self.nesterov = check.boolean("nesterov", nesterov)

    def attributes(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient: w ← w − learning_rate · g / √(v + epsilon).

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    rho : float in [0, 1], default 0.9
        Memory of the mean square v ← rho · v + (1 − rho) · g².
    momentum : float in [0, 1], default 0.0
    epsilon : float, default 1e-7
        Stands inside the root.
    centered : bool, default False
        Whether the square of the mean gradient is subtracted from v.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As for every `Optimizer`.

    References
    ----------
    G. Hinton, "Neural networks for machine learning", lecture 6 (2012).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.RMSprop(rho=0.95).rho
    0.95
    """

    kind = "rmsprop"

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho = check.number("rho", rho, low=0.0, high=1.0)
        self.momentum = check.number("momentum", momentum, low=0.0, high=1.0)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)
        self.centered = check.boolean("centered", centered)

    def attributes(self) -> dict[str, Any]:
        return {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}


class Adam(Optimizer):
    """Steps from running means of the gradient m and of its square v, both corrected for their start at zero.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Memories of m and v.
    epsilon : float, default 1e-7
        Added to √v, which is not corrected: the paper's epsilon hat.
    amsgrad : bool, default False
        Not supported yet: True is refused.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As for every `Optimizer`.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Adam(0.01, global_clipnorm=1.0).global_clipnorm
    1.0
    """

    kind = "adam"

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        check.unsupported(type(self).__name__, amsgrad=amsgrad)
        self.amsgrad = False
        self.beta_1 = check.number("beta_1", beta_1, low=0.0, high=np.nextafter(1.0, 0.0))
        self.beta_2 = check.number("beta_2", beta_2, low=0.0, high=np.nextafter(1.0, 0.0))
        self.epsilon = check.number("epsilon", epsilon, low=0.0)

    def attributes(self) -> dict[str, Any]:
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon, amsgrad
        As for `Adam`.
    clipnorm, clipvalue, global_clipnorm, name
        As for every `Optimizer`.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR (2019).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.AdamW(weight_decay=0.01).weight_decay
    0.01
    """

    kind = "adamw"

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            check.number("weight_decay", weight_decay, low=0.0),
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
        )


def _rate(value: Rate) -> float | Callable[[int], float]:
    if isinstance(value, dict):
        return schedules.deserialize(value)
    if callable(value):
        return value
    return check.number("learning_rate", value, low=0.0)


def _optional(argument: str, value: float | None) -> float | None:
    return None if value is None else check.number(argument, value, low=0.0)


_CLASSES: tuple[type[Optimizer], ...] = (SGD, RMSprop, Adam, AdamW)

_TABLE: dict[str, type[Optimizer]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{cls.__name__.lower(): cls for cls in _CLASSES},
}


def get(identifier: Any) -> Optimizer:
    """Find an optimizer by name in upper or lower case, class or description; an optimizer stays itself.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.get("rmsprop").learning_rate
    0.001
    """
    if isinstance(identifier, str) and identifier.lower() in _TABLE:
        identifier = identifier.lower()
    return configurable.find("optimizer", identifier, Optimizer, _TABLE)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Describe an optimizer, without its state, as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.serialize(optimizers.SGD(0.5))["config"]["learning_rate"]
    0.5
    """
    return configurable.serialize(optimizer)


def deserialize(config: dict[str, Any]) -> Optimizer:
    """Make an optimizer, without state, from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.deserialize({"class_name": "SGD", "config": {"learning_rate": 0.5}}).learning_rate
    0.5
    """
    return get(config)
