"""Which weights a model trains: what `compile` found, until the next one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnncore.layers.base import Layer
    from rnncore.parameters import Weight

__all__ = ["TrainableState", "parts"]


def parts(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Layers and the layers inside them."""
    for layer in layers:
        yield layer
        yield from parts(layer.inner)


class TrainableState:
    """What `trainable` of a model, its layers and their weights was at one moment.

    A layer or weight made later counts by what it says when it is asked.

    Parameters
    ----------
    trainable : bool, default True
        Of the model.
    layers : iterable of Layer
    """

    def __init__(self, trainable: bool = True, layers: Iterable[Layer] = ()) -> None:
        self._model = trainable
        self._layers = {layer: layer.trainable for layer in parts(layers)}
        self._weights = {weight: weight.trainable for layer in self._layers for weight in layer.weights}

    def trains(self, layer: Layer, weight: Weight) -> bool:
        """Whether a weight of `layer` is trained."""
        if weight in self._weights:
            trained = self._weights[weight]
        elif layer in self._layers:
            trained = self._layers[layer] and not weight.statistic
        else:
            trained = weight.trainable
        return self._model and trained

    def of_layer(self, layer: Layer) -> bool:
        """What `trainable` of a layer was."""
        return self._layers.get(layer, layer.trainable)

    def changes(self, trainable: bool) -> list[str]:
        """The names of the layers whose `trainable`, or that of a weight, is another now; all if the model's is."""
        return [
            layer.name
            for layer, was in self._layers.items()
            if layer.trainable != was
            or trainable != self._model
            or any(weight.trainable != self._weights.get(weight, weight.trainable) for weight in layer.weights)
        ]
