"""Layers made of other layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import Self
from rnncore.layers.base import Layer

__all__ = ["Wrapper"]


class Wrapper(Layer, registered=False):
    """Base of the layers whose weights are those of the layers inside.

    Attributes
    ----------
    inner : tuple of Layer
    """

    def __init__(self, inner: tuple[Layer, ...], **arguments: Any) -> None:
        self._inner = inner
        super().__init__(**arguments)
        if not self.trainable:
            self.trainable = False  # reaches the layers inside; the default at construction does not

    @classmethod
    def _restored(cls, config: dict[str, Any]) -> Self:
        """Make a layer from a config whose layers are made already, each with the `trainable` of its own."""
        layer = cls(**{**config, "trainable": True})
        layer._trainable = check.boolean("trainable", config.get("trainable", True))
        return layer

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Put the name of the whole before an error about a part."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name!r}: {error}") from error
