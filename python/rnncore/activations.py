"""Activation functions, by name or as functions on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check

__all__ = ["get", "hard_sigmoid", "linear", "relu", "serialize", "sigmoid", "softmax", "tanh"]

Array = npt.NDArray[Any]
Function = Callable[[npt.ArrayLike], Array]


def _apply(name: str, x: npt.ArrayLike) -> Array:
    """The reference's activation `name` of x."""
    from rnncore.reference.activations import ACTIVATIONS  # here, so that describing a layer does not load the oracle

    array = check.real_array("x", x)
    if name == "softmax" and array.ndim == 0:
        raise ValueError("x must have at least one axis, got a single number")
    return np.asarray(ACTIVATIONS[name].forward(array))


def linear(x: npt.ArrayLike) -> Array:
    """Return x itself.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.linear([-1.0, 2.0])
    array([-1.,  2.])
    """
    return _apply("linear", x)


def relu(x: npt.ArrayLike) -> Array:
    """Return max(x, 0), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.relu([-1.0, 2.0])
    array([0., 2.])
    """
    return _apply("relu", x)


def sigmoid(x: npt.ArrayLike) -> Array:
    """Return 1 / (1 + exp(-x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.sigmoid([-1000.0, 0.0])
    array([0. , 0.5])
    """
    return _apply("sigmoid", x)


def tanh(x: npt.ArrayLike) -> Array:
    """Return the hyperbolic tangent, elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.tanh([0.0, 1000.0])
    array([0., 1.])
    """
    return _apply("tanh", x)


def hard_sigmoid(x: npt.ArrayLike) -> Array:
    """Return x / 6 + 1/2 cut off at 0 and 1, elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.hard_sigmoid([-4.0, 0.0, 4.0])
    array([0. , 0.5, 1. ])
    """
    return _apply("hard_sigmoid", x)


def softmax(x: npt.ArrayLike) -> Array:
    """Return exp(x) / Σ exp(x) over the last axis.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softmax([[1000.0, 1000.0]])
    array([[0.5, 0.5]])
    """
    return _apply("softmax", x)


_TABLE: dict[str, Function] = {
    function.__name__: function for function in (linear, relu, sigmoid, tanh, hard_sigmoid, softmax)
}


def get(identifier: str | Function | None) -> Function:
    """Find an activation function by name; None is `linear`, one of these functions is itself.

    Raises
    ------
    TypeError
        For another function: the engine runs its own activations only.
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.get("tanh") is activations.tanh
    True
    """
    if identifier is None:
        return linear
    if callable(identifier):
        if identifier not in _TABLE.values():
            raise TypeError(f"activation must be a name or a function of rnncore.activations, got {identifier!r}")
        return identifier
    return check.lookup("activation", identifier, _TABLE)


def serialize(identifier: str | Function | None) -> str:
    """Name an activation that `get` finds.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.serialize(activations.relu)
    'relu'
    """
    return get(identifier).__name__
