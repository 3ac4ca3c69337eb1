"""The activation functions of cells, `dense`, `conv1d` and `activation`: one table."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from ..program import option_attribute
from .magnitude import product

__all__ = [
    "ACTIVATIONS",
    "SELU_ALPHA",
    "SELU_SCALE",
    "Activation",
    "activation_of",
    "elementwise_of",
    "is_option",
    "log_sigmoid",
    "log_softmax",
    "option_names",
    "sigmoid",
    "softmax",
]

SELU_ALPHA, SELU_SCALE = 1.67326324235437728481, 1.05070098735548049342


class Activation(NamedTuple):
    """In the table both take an activation's options as keywords; `activation_of` gives them these."""

    forward: Callable[..., Array]  # x -> y
    backward: Callable[..., Array]  # (x, y, dy) -> dx


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


def relu(x: Array, *, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    if negative_slope == 0 and max_value is None and threshold == 0:
        return np.asarray(np.maximum(x, 0))  # unlike a product with a mask, lets NaN through
    dtype = x.dtype.type
    y = np.where(x < threshold, product(x - dtype(threshold), dtype(negative_slope)), x)
    return y if max_value is None else np.where(x >= max_value, dtype(max_value), y)


def relu_backward(
    x: Array,
    y: Array,
    dy: Array,
    *,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Array:
    if negative_slope == 0 and max_value is None and threshold == 0:
        return np.asarray(dy * np.where(y > 0, y.dtype.type(1), y))  # of NaN, NaN
    inside = 1.0 if max_value is None else (x < max_value).astype(x.dtype)
    slope = np.where(x < threshold, x.dtype.type(negative_slope), inside).astype(x.dtype)
    dx: Array = dy * np.where(np.isnan(x), x, slope)
    return dx


def leaky_relu(x: Array, *, negative_slope: float = 0.2) -> Array:
    return np.where(x < 0, product(x, x.dtype.type(negative_slope)), x)


def leaky_relu_backward(x: Array, y: Array, dy: Array, *, negative_slope: float = 0.2) -> Array:
    slope = np.where(x < 0, x.dtype.type(negative_slope), x.dtype.type(1))
    dx: Array = dy * np.where(np.isnan(x), x, slope)
    return dx


def threshold(x: Array, *, threshold: float = 0.0, default_value: float = 0.0) -> Array:
    return np.where(x <= threshold, x.dtype.type(default_value), x)


def threshold_backward(x: Array, y: Array, dy: Array, *, threshold: float = 0.0, default_value: float = 0.0) -> Array:
    dx: Array = dy * np.where(np.isnan(x), x, (x > threshold).astype(x.dtype))
    return dx


def hard_sigmoid(x: Array, *, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    if (alpha, beta) == (1 / 6, 0.5):
        return np.asarray(np.clip(x + 3, 0, 6) / 6)
    return np.clip(affine(x, alpha=alpha, beta=beta), 0, 1)


def hard_sigmoid_backward(x: Array, y: Array, dy: Array, *, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    inside = y * (1 - y)  # 0 at both ends
    dx: Array = dy * np.where(inside > 0, y.dtype.type(alpha), inside)
    return dx


def affine(x: Array, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    y: Array = x * x.dtype.type(alpha) + x.dtype.type(beta)
    return y


def scaled_tanh(x: Array, *, alpha: float = 1.0, beta: float = 1.0) -> Array:
    y: Array = x.dtype.type(alpha) * np.tanh(x * x.dtype.type(beta))
    return y


def scaled_tanh_backward(x: Array, y: Array, dy: Array, *, alpha: float = 1.0, beta: float = 1.0) -> Array:
    t = np.tanh(x * x.dtype.type(beta))
    dx: Array = dy * (x.dtype.type(alpha * beta) * (1 - t * t))
    return dx


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    y: Array = np.where(x < 0, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)), x)
    return y


def elu_backward(x: Array, y: Array, dy: Array, *, alpha: float = 1.0) -> Array:
    dx: Array = dy * np.where(x > 0, x.dtype.type(1), y + x.dtype.type(alpha))
    return dx


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    y: Array = np.where(x < 0, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0) / x.dtype.type(alpha)), x)
    return y


def celu_backward(x: Array, y: Array, dy: Array, *, alpha: float = 1.0) -> Array:
    dx: Array = dy * np.where(x > 0, x.dtype.type(1), np.exp(np.minimum(x, 0) / x.dtype.type(alpha)))
    return dx


def selu(x: Array) -> Array:
    y: Array = x.dtype.type(SELU_SCALE) * elu(x, alpha=SELU_ALPHA)
    return y


def selu_backward(x: Array, y: Array, dy: Array) -> Array:
    scale, bound = x.dtype.type(SELU_SCALE), x.dtype.type(SELU_SCALE * SELU_ALPHA)
    dx: Array = dy * np.where(x > 0, scale, y + bound)
    return dx


def softplus(x: Array) -> Array:
    y: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return y


def softsign(x: Array) -> Array:
    limits = np.finfo(x.dtype)
    finite = np.clip(x, limits.min, limits.max)
    y: Array = finite / (1 + np.abs(finite))
    return y


def silu_backward(x: Array, y: Array, dy: Array) -> Array:
    s = sigmoid(x)
    dx: Array = dy * product(1 + product(x, 1 - s), s)
    return dx


def normal_probability(x: Array) -> Array:
    """Φ(x), the probability that a standard normal number is below x."""
    values = [0.5 * math.erfc(-number / math.sqrt(2)) for number in x.ravel().tolist()]
    return np.array(values, x.dtype).reshape(x.shape)


def logistic_argument(x: Array) -> tuple[Array, Array]:
    """V = √(8/π) · (x + 0.044715 x³), of which the sigmoid is nearly Φ(x), and its slope; x within ±100."""
    near, factor = np.clip(x, -100, 100), x.dtype.type(math.sqrt(8 / math.pi))
    square = near * near
    return factor * near * (1 + x.dtype.type(0.044715) * square), factor * (1 + x.dtype.type(3 * 0.044715) * square)


def gelu(x: Array, *, approximate: bool = False) -> Array:
    return product(x, sigmoid(logistic_argument(x)[0]) if approximate else normal_probability(x))


def gelu_backward(x: Array, y: Array, dy: Array, *, approximate: bool = False) -> Array:
    if approximate:
        v, slope = logistic_argument(x)
        s = sigmoid(v)
        return np.asarray(dy * (s + product(x * slope, s * sigmoid(-v))))
    density = np.exp(-x * x / 2) / x.dtype.type(math.sqrt(2 * math.pi))
    dx: Array = dy * (normal_probability(x) + product(x, density))
    return dx


def mish_backward(x: Array, y: Array, dy: Array) -> Array:
    t = np.tanh(softplus(x))  # y = x · t
    dx: Array = dy * (t + product(x, (1 - t * t) * sigmoid(x)))
    return dx


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, lambda x, y, dy: dy),
    "affine": Activation(affine, lambda x, y, dy, *, alpha=1.0, beta=0.0: dy * y.dtype.type(alpha)),
    "relu": Activation(relu, relu_backward),
    "leaky_relu": Activation(leaky_relu, leaky_relu_backward),
    "threshold": Activation(threshold, threshold_backward),
    "sigmoid": Activation(sigmoid, lambda x, y, dy: dy * y * (1 - y)),
    "hard_sigmoid": Activation(hard_sigmoid, hard_sigmoid_backward),
    "tanh": Activation(lambda x: np.tanh(x), lambda x, y, dy: dy * (1 - y * y)),
    "scaled_tanh": Activation(scaled_tanh, scaled_tanh_backward),
    "elu": Activation(elu, elu_backward),
    "celu": Activation(celu, celu_backward),
    "selu": Activation(selu, selu_backward),
    "exponential": Activation(lambda x: np.exp(x), lambda x, y, dy: dy * y),
    "softsign": Activation(softsign, lambda x, y, dy: dy * (1 - np.abs(y)) ** 2),
    "softplus": Activation(softplus, lambda x, y, dy: dy * sigmoid(x)),
    "silu": Activation(lambda x: product(x, sigmoid(x)), silu_backward),
    "gelu": Activation(gelu, gelu_backward),
    "mish": Activation(lambda x: product(x, np.tanh(softplus(x))), mish_backward),
    "softmax": Activation(softmax, lambda x, y, dy: y * (dy - (y * dy).sum(axis=-1, keepdims=True))),
}


@functools.cache
def option_names(name: str) -> tuple[str, ...]:
    """The options of an activation."""
    parameters = inspect.signature(ACTIVATIONS[name].forward).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def activation_of(attributes: dict[str, Any], attribute: str) -> Activation:
    """The activation that a node's attribute names, with its options, which are attributes too."""
    name = attributes.get(attribute) or "linear"
    if name not in ACTIVATIONS:
        raise ValueError(f"{attribute}: unknown activation {name!r}")
    given = {option: attributes.get(option_attribute(attribute, option)) for option in option_names(name)}
    options = {option: value for option, value in given.items() if value is not None}
    if not options:
        return ACTIVATIONS[name]
    forward, backward = ACTIVATIONS[name]
    return Activation(functools.partial(forward, **options), functools.partial(backward, **options))


def elementwise_of(attributes: dict[str, Any], attribute: str) -> Activation:
    """The same for a cell, in which no activation mixes the units."""
    if attributes[attribute] == "softmax":
        raise ValueError(f"{attribute}: expected an elementwise activation, got 'softmax'")
    return activation_of(attributes, attribute)


def is_option(attribute: str) -> bool:
    """Whether an attribute of a recurrent node is an option of an activation."""
    return any(attribute.removeprefix("recurrent_") in option_names(name) for name in ACTIVATIONS)
