"""RMSprop."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore._configurable import passed_on
from rnncore.optimizers.base import Optimizer, Rate

__all__ = ["RMSprop"]


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
    weight_decay, clipnorm, ..., name
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
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(**passed_on(locals(), "rho", "momentum", "epsilon", "centered"))
        self.rho = check.number("rho", rho, low=0.0, high=1.0)
        self.momentum = check.number("momentum", momentum, low=0.0, high=1.0)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)
        self.centered = check.boolean("centered", centered)
