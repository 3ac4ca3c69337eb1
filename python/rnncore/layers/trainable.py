"""Which weights a model trains: what `compile` found, until the next one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rnncore.parameters import Weight

if TYPE_CHECKING:
    from rnncore.layers.base import Layer

__all__ = ["TrainableState", "parts"]


def parts(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Layers and the layers inside them."""
    for layer in layers:
        yield layer
        yield from parts(layer._inner)


class TrainableState:
    """What `trainable` of a model, its layers and their weights was when it was compiled.

    Parameters
    ----------
    trainable : bool, default True
        Of the model.
    layers : iterable of Layer
    """

    def __init__(self, trainable: bool = True, layers: Iterable[Layer] = ()) -> None:
        self._model = trainable
        self._layers: dict[Layer, bool] = {}
        self._weights: dict[Weight, bool] = {}
        self._unchanged_at = Weight.times_set
        self.complete(layers)

    def complete(self, layers: Iterable[Layer]) -> None:
        """Take in layers that were added since, and weights that were made since: by what their layer was."""
        for layer in reversed(list(parts(layers))):  # the innermost first: weights are theirs
            known = layer in self._layers
            was = self._layers.setdefault(layer, layer.trainable)
            for weight in layer.weights:
                self._weights.setdefault(weight, was and not weight.statistic if known else weight.trainable)

    def trains(self, weight: Weight) -> bool:
        """Whether a weight is trained."""
        return self._model and self._weights.get(weight, weight.trainable)

    def of_layer(self, layer: Layer) -> bool:
        """What `trainable` of a layer was."""
        return self._layers.get(layer, layer.trainable)

    def changes(self, trainable: bool) -> list[str]:
        """Whose `trainable` is another now: "the model", or layers by their names."""
        if self._unchanged_at == Weight.times_set:
            return []
        if trainable != self._model:
            return ["the model"]
        changed = [
            repr(layer.name)
            for layer, was in self._layers.items()
            if layer.trainable != was
            or any(weight.trainable != self._weights.get(weight, weight.trainable) for weight in layer.weights)
        ]
        if not changed:
            self._unchanged_at = Weight.times_set
        return changed

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_unchanged_at": -1}  # the count is that of one process
