"""Layers as descriptions, and from them."""

from __future__ import annotations

from typing import Any

from rnncore import _configurable
from rnncore.layers.base import Layer

__all__ = ["deserialize", "serialize"]


def serialize(layer: Layer) -> dict[str, Any]:
    """Describe a layer, without its weights, as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.serialize(layers.Flatten(name="flat"))
    {'class_name': 'Flatten', 'config': {'name': 'flat', 'trainable': True}}
    """
    return _configurable.serialize(layer)


def deserialize(config: dict[str, Any]) -> Layer:
    """Make a layer, without weights, from what `serialize` gave.

    Raises
    ------
    ValueError
        For an unknown class; the message offers the nearest names.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.deserialize(layers.serialize(layers.Dense(3, name="head")))
    <Dense 'head', not built>
    """
    layer: Layer = _configurable.make("layer", config, Layer, Layer._registry)
    return layer
