"""Update rules: (weights, gradients, slots) -> new weights and slots, all flat vectors (P,).

Epsilon stands where Keras puts it: inside the root for RMSprop, outside and not bias-corrected for Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .._sequence_arguments import Array
from ..program import Optimizer
from .magnitude import norm

__all__ = ["OPTIMIZERS", "clip", "update"]

Function = Callable[..., tuple[Array, Array]]

OPTIMIZERS: dict[str, Function] = {}

CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")


def optimizer(function: Function) -> Function:
    """Enter an update by its name: a function of weights, gradients and slots gives new weights and slots."""
    OPTIMIZERS[function.__name__] = function
    return function


@optimizer
def sgd(
    w: Array, g: Array, slots: Array, learning_rate: float, step: int, *, momentum: float = 0.0, nesterov: bool = False
) -> tuple[Array, Array]:
    if momentum == 0:
        return w - learning_rate * g, slots
    m = momentum * slots[0] - learning_rate * g
    move = momentum * m - learning_rate * g if nesterov else m
    return w + move, m[None]


@optimizer
def rmsprop(
    w: Array,
    g: Array,
    slots: Array,
    learning_rate: float,
    step: int,
    *,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
) -> tuple[Array, Array]:
    """G. Hinton, "Neural networks for machine learning", lecture 6 (2012); centred: A. Graves (2013)."""
    velocity, m, average = slots
    velocity = rho * velocity + (1 - rho) * g * g
    variance = velocity
    if centered:
        average = rho * average + (1 - rho) * g
        variance = velocity - average * average
    move = learning_rate * g / np.sqrt(variance + epsilon)
    if momentum > 0:
        move = m = momentum * m + move
    return w - move, np.stack([velocity, m, average])


@optimizer
def adam(
    w: Array,
    g: Array,
    slots: Array,
    learning_rate: float,
    step: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
) -> tuple[Array, Array]:
    """D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015).

    With `amsgrad` the largest v so far divides (S. Reddi et al., ICLR 2018).
    """
    m, v = slots[:2]
    t = step + 1
    alpha = learning_rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    if amsgrad:
        largest = np.maximum(slots[2], v)
        return w - alpha * m / (np.sqrt(largest) + epsilon), np.stack([m, v, largest])
    return w - alpha * m / (np.sqrt(v) + epsilon), np.stack([m, v])


OPTIMIZERS["adamw"] = adam  # the decoupled weight decay is common to all


@optimizer
def nadam(
    w: Array,
    g: Array,
    slots: Array,
    learning_rate: float,
    step: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array]:
    """T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016)."""
    m, v = slots
    t = step + 1
    u = beta_1 * (1 - 0.5 * 0.96 ** np.arange(1.0, t + 2))  # momenta of the steps up to the next one
    product = float(np.prod(u[:-1]))
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    ahead = float(u[-1] / (1 - product * u[-1])) * m + float((1 - u[-2]) / (1 - product)) * g
    return w - learning_rate * ahead / (np.sqrt(v / (1 - beta_2**t)) + epsilon), np.stack([m, v])


@optimizer
def adagrad(
    w: Array,
    g: Array,
    slots: Array,
    learning_rate: float,
    step: int,
    *,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
) -> tuple[Array, Array]:
    """J. Duchi et al., JMLR 12 (2011). The slot holds what was added to the initial value."""
    added = slots[0] + g * g
    return w - learning_rate * g / np.sqrt(added + (initial_accumulator_value + epsilon)), added[None]


@optimizer
def adadelta(
    w: Array, g: Array, slots: Array, learning_rate: float, step: int, *, rho: float = 0.95, epsilon: float = 1e-7
) -> tuple[Array, Array]:
    """M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012)."""
    squares, moves = slots
    squares = rho * squares + (1 - rho) * g * g
    move = -np.sqrt(moves + epsilon) * g / np.sqrt(squares + epsilon)
    return w + learning_rate * move, np.stack([squares, rho * moves + (1 - rho) * move * move])


@optimizer
def adamax(
    w: Array,
    g: Array,
    slots: Array,
    learning_rate: float,
    step: int,
    *,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array]:
    """Section 7.1 of the paper of Adam."""
    m, largest = slots
    m = m + (g - m) * (1 - beta_1)
    largest = np.maximum(beta_2 * largest, np.abs(g))
    return w - learning_rate / (1 - beta_1 ** (step + 1)) * m / (largest + epsilon), np.stack([m, largest])


@optimizer
def lion(
    w: Array, g: Array, slots: Array, learning_rate: float, step: int, *, beta_1: float = 0.9, beta_2: float = 0.99
) -> tuple[Array, Array]:
    """X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS (2023)."""
    m = slots[0]
    w = w - learning_rate * np.sign(beta_1 * m + (1 - beta_1) * g)
    return w, (beta_2 * m + (1 - beta_2) * g)[None]


def clip(
    windows: Sequence[Array],
    clipvalue: float | None = None,
    clipnorm: float | None = None,
    global_clipnorm: float | None = None,
) -> list[Array]:
    """Clip the gradients of each parameter: by its norm, by the norm of all together, or by value."""
    if clipnorm:
        return [g * (clipnorm / max(_norm([g]), clipnorm)) for g in windows]
    if global_clipnorm:
        total = _norm(windows)
        scale = global_clipnorm / max(total, global_clipnorm) if math.isfinite(total) else math.nan  # as in Keras
        return [g * scale for g in windows]
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in windows]
    return list(windows)


def update(
    optimizer: Optimizer,
    w: Array,
    windows: Sequence[Array],
    slots: Array,
    learning_rate: float,
    step: int,
) -> tuple[Array, Array]:
    """One step. `w` (P,) and `slots` (S, P) hold the trainable parameters, `windows` their gradients.

    After the slots of the rule come the gradients gathered since the last update and the average of the weights,
    where the optimizer has them.
    """
    attributes = dict(optimizer.attributes)
    clipping = {name: attributes.pop(name, None) for name in CLIPPING}
    weight_decay = attributes.pop("weight_decay", None)
    gathering = attributes.pop("gradient_accumulation_steps", None) or 1
    averages = attributes.pop("use_ema", False)
    momentum = attributes.pop("ema_momentum", 0.99)
    every = attributes.pop("ema_overwrite_frequency", None)
    slots = slots.copy()
    own = slots[: len(slots) - (gathering > 1) - averages]
    updates = step // gathering
    if gathering > 1:
        gathered = slots[len(own)]
        gathered += np.concatenate([w[:0], *(g.reshape(-1) for g in windows)])
        ends = np.cumsum([g.size for g in windows])
        windows = np.split(gathered / w.dtype.type(gathering), ends[:-1])
    if (step + 1) % gathering == 0:
        g = np.concatenate([w[:0], *clip(windows, **clipping)])
        if weight_decay is not None:
            w = w - w * (weight_decay * learning_rate)
        w, own[...] = OPTIMIZERS[optimizer.kind](w, g, own, learning_rate, updates, **attributes)
        if gathering > 1:
            gathered[...] = 0
    if averages:
        momentum = momentum if updates else 0.0
        slots[-1] = momentum * slots[-1] + (1 - momentum) * w
        if every and (updates + 1) % every == 0:
            w = slots[-1].copy()
    return w, slots


def _norm(windows: Sequence[Array]) -> float:
    return float(norm(np.array([norm(g).item() for g in windows])).item())
