"""Activations as functions on NumPy arrays."""

from __future__ import annotations

import numpy.typing as npt

from rnncore.activations.options import (
    CELU,
    ELU,
    GELU,
    Affine,
    Array,
    HardSigmoid,
    LeakyReLU,
    ReLU,
    ScaledTanh,
    Threshold,
    applied,
)

__all__ = [
    "affine",
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "scaled_tanh",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "threshold",
]


def linear(x: npt.ArrayLike) -> Array:
    """Return x itself.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.linear([-1.0, 2.0])
    array([-1.,  2.])
    """
    return applied("linear", x)


def affine(x: npt.ArrayLike, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """Return alpha · x + beta, elementwise.

    Parameters
    ----------
    x : array_like
    alpha : float, default 1
    beta : float, default 0

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.affine([1.0, 2.0], alpha=2.0, beta=0.5)
    array([2.5, 4.5])
    """
    return Affine(alpha, beta)(x)


def relu(
    x: npt.ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """Return max(x, 0), elementwise, or what the options make of it.

    Parameters
    ----------
    x : array_like
    negative_slope, max_value, threshold
        As for `ReLU`.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.relu([-1.0, 2.0])
    array([0., 2.])
    >>> activations.relu([-1.0, 2.0, 8.0], negative_slope=0.5, max_value=6)
    array([-0.5,  2. ,  6. ])
    """
    return ReLU(negative_slope, max_value, threshold)(x)


def leaky_relu(x: npt.ArrayLike, negative_slope: float = 0.2) -> Array:
    """Return x from zero on, negative_slope · x below, elementwise.

    Parameters
    ----------
    x : array_like
    negative_slope : float, default 0.2

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.leaky_relu([-1.0, 2.0])
    array([-0.2,  2. ])
    """
    return LeakyReLU(negative_slope)(x)


def threshold(x: npt.ArrayLike, threshold: float = 0.0, default_value: float = 0.0) -> Array:
    """Return x above the threshold, the default value up to it, elementwise.

    Parameters
    ----------
    x : array_like
    threshold, default_value : float, default 0

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.threshold([1.0, 2.0], threshold=1.0)
    array([0., 2.])
    """
    return Threshold(threshold, default_value)(x)


def sigmoid(x: npt.ArrayLike) -> Array:
    """Return 1 / (1 + exp(-x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.sigmoid([-1000.0, 0.0])
    array([0. , 0.5])
    """
    return applied("sigmoid", x)


def hard_sigmoid(x: npt.ArrayLike, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    """Return alpha · x + beta cut off at 0 and 1, elementwise; by default x / 6 + 1/2 as in Keras 3.

    Parameters
    ----------
    x : array_like
    alpha : float, default 1/6
    beta : float, default 0.5

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.hard_sigmoid([-4.0, 0.0, 4.0])
    array([0. , 0.5, 1. ])
    >>> activations.hard_sigmoid([1.0], alpha=0.2)
    array([0.7])
    """
    return HardSigmoid(alpha, beta)(x)


def tanh(x: npt.ArrayLike) -> Array:
    """Return the hyperbolic tangent, elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.tanh([0.0, 1000.0])
    array([0., 1.])
    """
    return applied("tanh", x)


def scaled_tanh(x: npt.ArrayLike, alpha: float = 1.0, beta: float = 1.0) -> Array:
    """Return alpha · tanh(beta · x), elementwise.

    Parameters
    ----------
    x : array_like
    alpha, beta : float, default 1

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.scaled_tanh([0.0, 1000.0], alpha=1.7159, beta=2 / 3)
    array([0.    , 1.7159])
    """
    return ScaledTanh(alpha, beta)(x)


def elu(x: npt.ArrayLike, alpha: float = 1.0) -> Array:
    """Return x above zero, alpha · (exp(x) - 1) below, elementwise (Clevert et al. 2015).

    Parameters
    ----------
    x : array_like
    alpha : float, default 1

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.elu([0.0, 2.0])
    array([0., 2.])
    """
    return ELU(alpha)(x)


def celu(x: npt.ArrayLike, alpha: float = 1.0) -> Array:
    """Return x above zero, alpha · (exp(x / alpha) - 1) below, elementwise (Barron 2017).

    Parameters
    ----------
    x : array_like
    alpha : float, default 1
        Above zero.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.celu([-1000.0, 2.0], alpha=0.5)
    array([-0.5,  2. ])
    """
    return CELU(alpha)(x)


def selu(x: npt.ArrayLike) -> Array:
    """Return 1.0507 · x above zero, 1.0507 · 1.6733 · (exp(x) - 1) below, elementwise (Klambauer et al. 2017).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.selu([0.0, 1.0]).round(4)
    array([0.    , 1.0507])
    """
    return applied("selu", x)


def exponential(x: npt.ArrayLike) -> Array:
    """Return exp(x), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.exponential([0.0, 1.0]).round(4)
    array([1.    , 2.7183])
    """
    return applied("exponential", x)


def softsign(x: npt.ArrayLike) -> Array:
    """Return x / (1 + abs(x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softsign([-1.0, 0.0, 3.0])
    array([-0.5 ,  0.  ,  0.75])
    """
    return applied("softsign", x)


def softplus(x: npt.ArrayLike) -> Array:
    """Return log(1 + exp(x)), elementwise.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return applied("softplus", x)


def silu(x: npt.ArrayLike) -> Array:
    """Return x · sigmoid(x), elementwise (Elfwing et al. 2017); `swish` is the same function.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    return applied("silu", x)


def gelu(x: npt.ArrayLike, approximate: bool = False) -> Array:
    """Return x · Φ(x), elementwise, with Φ the normal distribution function (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    x : array_like
    approximate : bool, default False
        Whether Φ is (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.gelu([0.0, 10.0])
    array([ 0., 10.])
    >>> activations.gelu([1.0], approximate=True).round(4)
    array([0.8412])
    """
    return GELU(approximate)(x)


def mish(x: npt.ArrayLike) -> Array:
    """Return x · tanh(log(1 + exp(x))), elementwise (Misra 2019).

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.mish([0.0, 1000.0])
    array([   0., 1000.])
    """
    return applied("mish", x)


def softmax(x: npt.ArrayLike) -> Array:
    """Return exp(x) / Σ exp(x) over the last axis.

    Examples
    --------
    >>> from rnncore import activations
    >>> activations.softmax([[1000.0, 1000.0]])
    array([[0.5, 0.5]])
    """
    return applied("softmax", x)


swish = silu
