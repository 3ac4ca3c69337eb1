"""Steps that adapt to sums of gradients, or to their signs."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore._configurable import passed_on
from rnncore.optimizers.base import Optimizer, Rate, memory

__all__ = ["Adadelta", "Adagrad", "Lion"]


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    initial_accumulator_value : float, default 0.1
        What the sum starts from.
    epsilon : float, default 1e-7
        Added within the root.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12 (2011).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Adagrad(0.1).initial_accumulator_value
    0.1
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
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
        super().__init__(**passed_on(locals(), "initial_accumulator_value", "epsilon"))
        self.initial_accumulator_value = check.number("initial_accumulator_value", initial_accumulator_value, low=0.0)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)


class Adadelta(Optimizer):
    """Steps in the unit of the weights: gradients times the ratio of two running root mean squares.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    rho : float in [0, 1], default 0.95
        Memory of the mean squares of gradients and of steps.
    epsilon : float, default 1e-7
        Added within the roots.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    References
    ----------
    M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Adadelta(rho=0.9).rho
    0.9
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
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
        super().__init__(**passed_on(locals(), "rho", "epsilon"))
        self.rho = check.number("rho", rho, low=0.0, high=1.0)
        self.epsilon = check.number("epsilon", epsilon, low=0.0)


class Lion(Optimizer):
    """Steps of one size, along the sign of a mixture of the gradient and its running mean.

    Parameters
    ----------
    learning_rate : float, schedule, or callable, default 0.001
    beta_1, beta_2 : float in [0, 1), default 0.9 and 0.99
        The share of the running mean in the step, and its memory.
    weight_decay, clipnorm, ..., name
        As for every `Optimizer`.

    References
    ----------
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS (2023).

    Examples
    --------
    >>> from rnncore import optimizers
    >>> optimizers.Lion(1e-4).beta_2
    0.99
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        super().__init__(**passed_on(locals(), "beta_1", "beta_2"))
        self.beta_1 = memory("beta_1", beta_1)
        self.beta_2 = memory("beta_2", beta_2)
