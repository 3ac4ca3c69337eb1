"""An activation function as a layer."""

from __future__ import annotations

from typing import Any

from rnncore import activations
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer

__all__ = ["Activation", "AppliesActivation"]


class AppliesActivation(Layer, registered=False):
    """Base of the layers that apply a function; a subclass, or its constructor, says which."""

    _op = "activation"
    _acts_per_step = _treats_steps_as_samples = True
    _function: activations.Kept

    @property
    def _as_activation(self) -> activations.Kept:
        """What the layer is where an argument asks for an activation."""
        return self._function

    def _attributes(self) -> dict[str, Any]:
        return {**activations.attributes("function", self._function), **super()._attributes()}


class Activation(AppliesActivation):
    """Apply an activation function; softmax goes over the last axis.

    Parameters
    ----------
    activation : str, function or object of `rnncore.activations`
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For an unknown activation; the message offers the nearest names.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Activation("relu")(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    def __init__(self, activation: activations.Identifier, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(**arguments)
        self.activation = self._function = activations.kept(activation)
        self._mixes_features = self.activation == "softmax"
