"""All functions of the ops `dense`, `conv1d` and `activation`: those of the cells and softmax, and further ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._sequence_arguments import Array
from .activations import ACTIVATIONS, sigmoid
from .magnitude import product

__all__ = ["FUNCTIONS", "Function", "function_of"]

SELU_ALPHA, SELU_SCALE = 1.67326324235437728481, 1.05070098735548049342


class Function(NamedTuple):
    forward: Callable[..., Array]  # (x, **options) -> y
    backward: Callable[..., Array]  # (x, y, dy, **options) -> dx
    options: tuple[str, ...] = ()


def lifted(name: str) -> Function:
    """A function whose derivative follows from its output."""
    activation = ACTIVATIONS[name]
    return Function(activation.forward, lambda x, y, dy: activation.backward(y, dy))


def leaky_relu(
    x: Array, *, negative_slope: float = 0.2, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    dtype = x.dtype.type
    y = np.where(x < threshold, product(x - dtype(threshold), dtype(negative_slope)), x)
    return y if max_value is None else np.where(x >= max_value, dtype(max_value), y)


def leaky_relu_backward(
    x: Array, y: Array, dy: Array, *, negative_slope: float = 0.2, max_value: float | None = None, threshold: float = 0
) -> Array:
    inside = 1.0 if max_value is None else (x < max_value).astype(x.dtype)
    slope = np.where(x < threshold, x.dtype.type(negative_slope), inside).astype(x.dtype)
    dx: Array = dy * np.where(np.isnan(x), x, slope)
    return dx


def relu(x: Array, **options: Any) -> Array:
    return leaky_relu(x, **{"negative_slope": 0.0, **options}) if options else ACTIVATIONS["relu"].forward(x)


def relu_backward(x: Array, y: Array, dy: Array, **options: Any) -> Array:
    if not options:
        return ACTIVATIONS["relu"].backward(y, dy)
    return leaky_relu_backward(x, y, dy, **{"negative_slope": 0.0, **options})


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    y: Array = np.where(x < 0, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)), x)
    return y


def elu_backward(x: Array, y: Array, dy: Array, *, alpha: float = 1.0) -> Array:
    dx: Array = dy * np.where(x > 0, x.dtype.type(1), y + x.dtype.type(alpha))
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


def normal_probability(x: Array) -> Array:
    """Φ(x), the probability that a standard normal number is below x."""
    values = [0.5 * math.erfc(-number / math.sqrt(2)) for number in x.ravel().tolist()]
    return np.array(values, x.dtype).reshape(x.shape)


def gelu_backward(x: Array, y: Array, dy: Array) -> Array:
    density = np.exp(-x * x / 2) / x.dtype.type(math.sqrt(2 * math.pi))
    dx: Array = dy * (normal_probability(x) + product(x, density))
    return dx


def silu_backward(x: Array, y: Array, dy: Array) -> Array:
    s = sigmoid(x)
    dx: Array = dy * product(1 + product(x, 1 - s), s)
    return dx


def mish_backward(x: Array, y: Array, dy: Array) -> Array:
    t = np.tanh(softplus(x))  # y = x · t
    dx: Array = dy * (t + product(x, (1 - t * t) * sigmoid(x)))
    return dx


FUNCTIONS: dict[str, Function] = {
    **{name: lifted(name) for name in ACTIVATIONS},
    "relu": Function(relu, relu_backward, ("negative_slope", "max_value", "threshold")),
    "leaky_relu": Function(leaky_relu, leaky_relu_backward, ("negative_slope",)),
    "elu": Function(elu, elu_backward, ("alpha",)),
    "selu": Function(selu, selu_backward),
    "exponential": Function(np.exp, lambda x, y, dy: dy * y),
    "softsign": Function(softsign, lambda x, y, dy: dy * (1 - np.abs(y)) ** 2),
    "softplus": Function(softplus, lambda x, y, dy: dy * sigmoid(x)),
    "silu": Function(lambda x: product(x, sigmoid(x)), silu_backward),
    "gelu": Function(lambda x: product(x, normal_probability(x)), gelu_backward),
    "mish": Function(lambda x: product(x, np.tanh(softplus(x))), mish_backward),
}


def function_of(attributes: dict[str, Any], attribute: str) -> tuple[Function, dict[str, Any]]:
    """The function that a node's attribute names, and its options among the attributes."""
    function = FUNCTIONS[attributes.get(attribute) or "linear"]
    return function, {name: attributes[name] for name in function.options if name in attributes}
