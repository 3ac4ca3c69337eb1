"""Layers made of other layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rnncore.layers.base import Layer
from rnncore.parameters import Weight

__all__ = ["Wrapper"]


class Wrapper(Layer):
    """Base of the layers whose weights are those of the layers inside.

    Attributes
    ----------
    inner : tuple of Layer
    """

    def __init__(self, inner: tuple[Layer, ...], **arguments: Any) -> None:
        self.inner = inner
        super().__init__(**arguments)

    def __setattr__(self, attribute: str, value: Any) -> None:
        # Freezing or thawing the whole reaches the parts; the default at construction does not.
        super().__setattr__(attribute, value)
        if attribute == "trainable" and ("built" in vars(self) or value is False):
            for layer in self.inner:
                layer.trainable = value

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Put the name of the whole before an error about a part."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name!r}: {error}") from error

    @property
    def trainable_weights(self) -> list[Weight]:
        """The weights that training changes."""
        return [weight for layer in self.inner for weight in layer.trainable_weights]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves alone."""
        return [weight for layer in self.inner for weight in layer.non_trainable_weights]
