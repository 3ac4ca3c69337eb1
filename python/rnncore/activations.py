"""Activation functions, by name or as functions on NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._namespace import public
from rnncore._quiet import quiet

__all__ = [
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

Array = npt.NDArray[Any]
Function = Callable[[npt.ArrayLike], Array]


@quiet
def _apply(name: str, x: npt.ArrayLike) -> Array:
    """The reference's activation `name` of x."""
    from rnncore.reference.functions import FUNCTIONS  # here, so that describing a layer does not load the oracle

    array = check.real_array("x", x)
    if name == "softmax" and array.ndim == 0:
        raise ValueError("x must have at least one axis, got a single number")
    return np.asarray(FUNCTIONS[name].forward(array if array.dtype.kind == "f" else array.astype(np.float64)))


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


def elu(x: npt.ArrayLike) -> Array:
    """Return x above zero, exp(x) - 1 below, elementwise (Clevert et al. 2015).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.elu([0.0, 2.0])
    array([0., 2.])
    """
    return _apply("elu", x)


def selu(x: npt.ArrayLike) -> Array:
    """Return 1.0507 · x above zero, 1.0507 · 1.6733 · (exp(x) - 1) below, elementwise (Klambauer et al. 2017).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.selu([0.0, 1.0]).round(4)
    array([0.    , 1.0507])
    """
    return _apply("selu", x)


def exponential(x: npt.ArrayLike) -> Array:
    """Return exp(x), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.exponential([0.0, 1.0]).round(4)
    array([1.    , 2.7183])
    """
    return _apply("exponential", x)


def softsign(x: npt.ArrayLike) -> Array:
    """Return x / (1 + abs(x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softsign([-1.0, 0.0, 3.0])
    array([-0.5 ,  0.  ,  0.75])
    """
    return _apply("softsign", x)


def softplus(x: npt.ArrayLike) -> Array:
    """Return log(1 + exp(x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return _apply("softplus", x)


def leaky_relu(x: npt.ArrayLike) -> Array:
    """Return x above zero, 0.2 · x below, elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.leaky_relu([-1.0, 2.0])
    array([-0.2,  2. ])
    """
    return _apply("leaky_relu", x)


def silu(x: npt.ArrayLike) -> Array:
    """Return x · sigmoid(x), elementwise (Elfwing et al. 2017); `swish` is the same function.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    return _apply("silu", x)


def gelu(x: npt.ArrayLike) -> Array:
    """Return x · Φ(x), elementwise, with Φ the normal distribution function (Hendrycks and Gimpel 2016).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.gelu([0.0, 10.0])
    array([ 0., 10.])
    """
    return _apply("gelu", x)


def mish(x: npt.ArrayLike) -> Array:
    """Return x · tanh(log(1 + exp(x))), elementwise (Misra 2019).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.mish([0.0, 1000.0])
    array([   0., 1000.])
    """
    return _apply("mish", x)


def softmax(x: npt.ArrayLike) -> Array:
    """Return exp(x) / Σ exp(x) over the last axis.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softmax([[1000.0, 1000.0]])
    array([[0.5, 0.5]])
    """
    return _apply("softmax", x)


swish = silu


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


_TABLE: dict[str, Function] = {name: globals()[name] for name in __all__ if name not in ("get", "serialize")}
