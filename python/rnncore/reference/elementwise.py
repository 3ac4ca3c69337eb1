"""y = function(x) for functions that are no activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["FUNCTIONS", "backward", "forward"]


def power(x: Array, *, exponent: float) -> Array:
    return np.asarray(x ** x.dtype.type(exponent))


def power_backward(x: Array, *, exponent: float) -> Array:
    if exponent == 0:
        return np.zeros_like(x)
    return np.asarray(x.dtype.type(exponent) * x ** x.dtype.type(exponent - 1))


def clip(x: Array, *, min_value: float | None = None, max_value: float | None = None) -> Array:
    low, high = (None if bound is None else x.dtype.type(bound) for bound in (min_value, max_value))
    return x if low is None and high is None else np.clip(x, low, high)


def clip_backward(x: Array, *, min_value: float | None = None, max_value: float | None = None) -> Array:
    inside = clip(x, min_value=min_value, max_value=max_value) == x
    return np.where(np.isnan(x), x, inside.astype(x.dtype))


# y, and its derivative; both take the options as keywords.
FUNCTIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "abs": (np.abs, np.sign),
    "clip": (clip, clip_backward),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "power": (power, power_backward),
    "sin": (np.sin, np.cos),
    "sqrt": (np.sqrt, lambda x: x.dtype.type(0.5) / np.sqrt(x)),
    "square": (np.square, lambda x: 2 * x),
}


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    options = {name: value for name, value in attributes.items() if name != "function"}
    function, derivative = FUNCTIONS[attributes["function"]]
    with np.errstate(all="ignore"):
        return [function(x, **options)], (derivative, x, options)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    derivative, x, options = saved
    (dy,) = doutputs
    with np.errstate(all="ignore"):
        return [dy * derivative(x, **options)], []
