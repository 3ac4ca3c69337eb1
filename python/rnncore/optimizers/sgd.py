"""Gradient descent."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore._configurable import passed_on
from rnncore.optimizers.base import Optimizer, Rate

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent: w ← w − learning_rate · g, or with momentum m ← momentum · m − learning_rate · g; w ← w + m.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.01
    momentum : float in [0, 1], default 0.0
    nesterov : bool, default False
        Whether the step looks ahead: w ← w + momentum · m − learning_rate · g.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.SGD(0.1, momentum=0.9, nesterov=True).momentum
    0.9
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        super().__init__(**passed_on(locals(), "momentum", "nesterov"))
        self.momentum = check.number("momentum", momentum, low=0.0, high=1.0)
        self.nesterov = check.boolean("nesterov", nesterov)
