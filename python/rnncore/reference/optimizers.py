"""Update rules: (weights, gradients, slots) -> new weights and slots, all flat vectors (P,).

Epsilon stands where Keras puts it: inside the root for RMSprop, outside and not bias-corrected for Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .._sequence_arguments import Array
from ..program import Optimizer

__all__ = ["OPTIMIZERS", "clip", "update"]

CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")


def sgd(
    w: Array, g: Array, slots: Array, learning_rate: float, step: int, *, momentum: float = 0.0, nesterov: bool = False
) -> tuple[Array, Array]:
    if momentum == 0:
        return w - learning_rate * g, slots
    m = momentum * slots[0] - learning_rate * g
    move = momentum * m - learning_rate * g if nesterov else m
    return w + move, m[None]


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
) -> tuple[Array, Array]:
    """D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR (2015)."""
    m, v = slots
    t = step + 1
    alpha = learning_rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    return w - alpha * m / (np.sqrt(v) + epsilon), np.stack([m, v])


OPTIMIZERS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,  # the decoupled weight decay is common to all
}


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
        scale = global_clipnorm / max(_norm(windows), global_clipnorm)
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
    """One step. `w` (P,) and `slots` (S, P) hold the trainable parameters, `windows` their gradients."""
    attributes = dict(optimizer.attributes)
    clipping = {name: attributes.pop(name, None) for name in CLIPPING}
    weight_decay = attributes.pop("weight_decay", None)
    g = np.concatenate([w[:0], *clip(windows, **clipping)])
    if weight_decay is not None:
        w = w - w * (weight_decay * learning_rate)
    return OPTIMIZERS[optimizer.kind](w, g, slots, learning_rate, step, **attributes)


def _norm(windows: Sequence[Array]) -> float:
    return math.sqrt(sum(float(np.sum(g * g, dtype=np.float64)) for g in windows))
