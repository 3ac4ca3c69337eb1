"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore._configurable import passed_on
from rnncore.optimizers.base import Optimizer, Rate, memory

__all__ = ["Adam", "AdamW", "Adamax", "Nadam"]


class _Moments(Optimizer):
    """Base of those with running means of the gradient and of its size."""

    def __init__(self, *, beta_1: float, beta_2: float, epsilon: float, **common: Any) -> None:
        super().__init__(**common)
        self.beta_1 = memory("beta_1", beta_1)
        self.beta_2 = memory("beta_2", beta_2)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)


class Adam(_Moments):
    """Steps from running means of the gradient m and of its square v, both corrected for their start at zero.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Memories of m and v.
    epsilon : float, default 1e-7
        Added to √v, which is not corrected: the paper's epsilon hat.
    amsgrad : bool, default False
        Whether the largest v so far takes the place of v.
    weight_decay, clipnorm, ..., name
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
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(**passed_on(locals(), "amsgrad"))
        self.amsgrad = check.boolean("amsgrad", amsgrad)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon, amsgrad
        As for `Adam`.
    clipnorm, ..., name
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
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        weight_decay = check.number("weight_decay", weight_decay, low=0.0)
        super().__init__(**passed_on(locals()))


class Nadam(_Moments):
    """Adam with Nesterov momentum, whose share of the step grows with time.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Memories of the mean gradient and of the mean square.
    epsilon : float, default 1e-7
        Added to the root.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Nadam(0.01).learning_rate
    0.01
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
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
        super().__init__(**passed_on(locals()))


class Adamax(_Moments):
    """Adam with the largest faded gradient in the place of the root mean square.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.999
        Memories of the mean gradient and of the largest size.
    epsilon : float, default 1e-7
        Added to the largest size.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    References
    ----------
    D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015), section 7.1.

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Adamax(beta_1=0.8).beta_1
    0.8
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
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
        super().__init__(**passed_on(locals()))
