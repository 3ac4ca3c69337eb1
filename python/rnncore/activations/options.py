"""Activations with options, as objects."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._configurable import Configurable, anything
from rnncore._quiet import quiet

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "Affine",
    "Array",
    "HardSigmoid",
    "LeakyReLU",
    "Parametrized",
    "ReLU",
    "ScaledTanh",
    "Threshold",
    "applied",
]

Array = npt.NDArray[Any]


@quiet
def applied(name: str, x: npt.ArrayLike, **options: Any) -> Array:
    """The reference's activation `name` of x."""
    from rnncore.reference.activations import ACTIVATIONS  # here, so that describing a layer does not load the oracle

    array = check.real_array("x", x)
    if name == "softmax" and array.ndim == 0:
        raise ValueError("x must have at least one axis, got a single number")
    floating = array if array.dtype.kind == "f" else array.astype(np.float64)
    return np.asarray(ACTIVATIONS[name].forward(floating, **options))


class Parametrized(Configurable, registry="activation"):
    """Base of the activations with options: what a layer takes in place of a name, and a function of arrays."""

    _function: ClassVar[str]
    # Of Keras's layers of these names, which may stand where an activation does.
    _keras_arguments = dict.fromkeys(("name", "trainable", "dtype"), anything)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Apply the activation to an array, elementwise."""
        return applied(self._function, x, **self.get_config())


class Affine(Parametrized):
    """alpha · x + beta.

    Parameters
    ----------
    alpha : float, default 1
    beta : float, default 0

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.SimpleRNN(4, activation=activations.Affine(alpha=0.5))
    >>> activations.Affine(2.0, 0.5)([1.0, 2.0])
    array([2.5, 4.5])
    """

    _function = "affine"

    def __init__(self, alpha: float = 1.0, beta: float = 0.0) -> None:
        self.alpha = check.number("alpha", alpha)
        self.beta = check.number("beta", beta)


class ReLU(Parametrized):
    """`max_value` where x reaches it, x from `threshold` on, negative_slope · (x - threshold) below.

    Parameters
    ----------
    negative_slope : float, default 0
        Not negative.
    max_value : float, optional
        Not negative; by default there is no limit.
    threshold : float, default 0
        Not negative.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.GRU(4, activation=activations.ReLU(max_value=6))
    >>> activations.ReLU(max_value=6)([-1.0, 2.0, 8.0])
    array([0., 2., 6.])
    """

    _function = "relu"

    def __init__(self, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> None:
        self.negative_slope = check.number("negative_slope", negative_slope, low=0.0)
        self.max_value = None if max_value is None else check.number("max_value", max_value, low=0.0)
        self.threshold = check.number("threshold", threshold, low=0.0)


class LeakyReLU(Parametrized):
    """x from zero on, negative_slope · x below.

    Parameters
    ----------
    negative_slope : float, default 0.2
        Not negative.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.SimpleRNN(4, activation=activations.LeakyReLU(0.01))
    >>> activations.LeakyReLU(0.5)([-1.0, 2.0])
    array([-0.5,  2. ])
    """

    _function = "leaky_relu"

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = check.number("negative_slope", negative_slope, low=0.0)


class Threshold(Parametrized):
    """x above the threshold, the default value up to it; ThresholdedRelu in ONNX.

    Parameters
    ----------
    threshold, default_value : float, default 0

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.SimpleRNN(4, activation=activations.Threshold(1.0))
    >>> activations.Threshold(1.0)([1.0, 2.0])
    array([0., 2.])
    """

    _function = "threshold"

    def __init__(self, threshold: float = 0.0, default_value: float = 0.0) -> None:
        self.threshold = check.number("threshold", threshold)
        self.default_value = check.number("default_value", default_value)


class HardSigmoid(Parametrized):
    """alpha · x + beta cut off at 0 and 1.

    The default is Keras 3's; alpha = 0.2 is that of older Keras and of ONNX.

    Parameters
    ----------
    alpha : float, default 1/6
    beta : float, default 0.5

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.LSTM(4, recurrent_activation=activations.HardSigmoid(alpha=0.2, beta=0.5))
    >>> activations.HardSigmoid(alpha=0.2)([-3.0, 0.0, 1.0])
    array([0. , 0.5, 0.7])
    """

    _function = "hard_sigmoid"

    def __init__(self, alpha: float = 1 / 6, beta: float = 0.5) -> None:
        self.alpha = check.number("alpha", alpha)
        self.beta = check.number("beta", beta)


class ScaledTanh(Parametrized):
    """alpha · tanh(beta · x).

    Parameters
    ----------
    alpha, beta : float, default 1

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.LSTM(4, activation=activations.ScaledTanh(1.7159, 2 / 3))
    >>> activations.ScaledTanh(1.7159, 2 / 3)([0.0, 1000.0])
    array([0.    , 1.7159])
    """

    _function = "scaled_tanh"

    def __init__(self, alpha: float = 1.0, beta: float = 1.0) -> None:
        self.alpha = check.number("alpha", alpha)
        self.beta = check.number("beta", beta)


class ELU(Parametrized):
    """x above zero, alpha · (exp(x) - 1) below (Clevert et al. 2015).

    Parameters
    ----------
    alpha : float, default 1

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.GRU(4, activation=activations.ELU(0.5))
    >>> activations.ELU(0.5)([-1000.0, 2.0])
    array([-0.5,  2. ])
    """

    _function = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check.number("alpha", alpha)


class CELU(Parametrized):
    """x above zero, alpha · (exp(x / alpha) - 1) below (Barron 2017).

    Parameters
    ----------
    alpha : float, default 1
        Above zero.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.GRU(4, activation=activations.CELU(0.5))
    >>> activations.CELU(0.5)([-1000.0, 2.0])
    array([-0.5,  2. ])
    """

    _function = "celu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = check.number("alpha", alpha, low=sys.float_info.min)


class GELU(Parametrized):
    """x · Φ(x), with Φ the normal distribution function (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    approximate : bool, default False
        Whether Φ is (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import activations, layers
    >>> layer = layers.SimpleRNN(4, activation=activations.GELU(approximate=True))
    >>> activations.GELU(approximate=True)([1.0]).round(4)
    array([0.8412])
    """

    _function = "gelu"

    def __init__(self, approximate: bool = False) -> None:
        self.approximate = check.boolean("approximate", approximate)
