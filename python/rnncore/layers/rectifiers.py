"""Rectified linear units and their kin as layers."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore import activations
from rnncore.layers.activation import AppliesActivation
from rnncore.layers.arguments import LayerArguments, Unpack

__all__ = ["ELU", "LeakyReLU", "ReLU"]


class _Rectifier(AppliesActivation):
    """Base of the layers with the options of the activation of their name."""

    @property
    def _as_activation(self) -> activations.Kept:
        options: activations.Kept = getattr(activations, type(self).__name__)(**self._own_arguments())
        return options


class ReLU(_Rectifier):
    """`max_value` where x reaches it, x from `threshold` on, negative_slope · (x - threshold) below.

    Parameters
    ----------
    max_value : float, optional
        Not negative; by default there is no limit.
    negative_slope, threshold : float, default 0
        Not negative.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.ReLU(max_value=6)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _function = "relu"

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        self.max_value = None if max_value is None else check.number("max_value", max_value, low=0.0)
        self.negative_slope = check.number("negative_slope", negative_slope, low=0.0)
        self.threshold = check.number("threshold", threshold, low=0.0)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        attributes = super()._attributes()
        if self.max_value is not None:
            attributes["max_value"] = self.max_value
        if self.negative_slope:
            attributes["negative_slope"] = self.negative_slope
        if self.threshold:
            attributes["threshold"] = self.threshold
        return attributes


class LeakyReLU(_Rectifier):
    """x from zero on, negative_slope · x below.

    Parameters
    ----------
    negative_slope : float, default 0.3
        Not negative.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.LeakyReLU()(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _function = "leaky_relu"
    _node_arguments = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.negative_slope = check.number("negative_slope", negative_slope, low=0.0)


class ELU(_Rectifier):
    """x from zero on, alpha · (exp(x) - 1) below.

    Parameters
    ----------
    alpha : float, default 1
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.ELU()(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _function = "elu"
    _node_arguments = ("alpha",)

    def __init__(self, alpha: float = 1.0, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.alpha = check.number("alpha", alpha)
