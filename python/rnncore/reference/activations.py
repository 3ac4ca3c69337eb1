"""Activation functions. `backward` needs the output only: an activation's input is never kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._sequence_arguments import Array

__all__ = ["ACTIVATIONS", "Activation", "log_sigmoid", "log_softmax", "sigmoid", "softmax"]


class Activation(NamedTuple):
    forward: Callable[[Array], Array]  # x -> y
    backward: Callable[[Array, Array], Array]  # (y, dy) -> dx


def sigmoid(x: Array) -> Array:
    # exp of a negative number only: it cannot overflow, and both tails keep their relative accuracy
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def log_sigmoid(x: Array) -> Array:
    y: Array = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    return y


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


def relu(x: Array) -> Array:
    # maximum, unlike a product with a mask, lets NaN through
    y: Array = np.maximum(x, 0)
    return y


def hard_sigmoid(x: Array) -> Array:
    y: Array = np.clip(x + 3, 0, 6) / 6
    return y


def hard_sigmoid_backward(y: Array, dy: Array) -> Array:
    inside = y * (1 - y)  # 0 at both ends
    dx: Array = dy * np.where(inside > 0, y.dtype.type(1 / 6), inside)
    return dx


ACTIVATIONS = {
    "linear": Activation(lambda x: x, lambda y, dy: dy),
    "relu": Activation(relu, lambda y, dy: dy * np.where(y > 0, y.dtype.type(1), y)),  # of NaN, NaN
    "sigmoid": Activation(sigmoid, lambda y, dy: dy * y * (1 - y)),
    "tanh": Activation(np.tanh, lambda y, dy: dy * (1 - y * y)),
    "hard_sigmoid": Activation(hard_sigmoid, hard_sigmoid_backward),
    "softmax": Activation(softmax, lambda y, dy: y * (dy - (y * dy).sum(axis=-1, keepdims=True))),
}
