"""Dropout."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.base import Layer

__all__ = ["Dropout"]


class Dropout(Layer):
    """In training, set a random part of the elements to zero and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        The part that is dropped, from 0 up to but not including 1.
    noise_shape : None
        Not supported yet: a ValueError unless None.
    seed : int, optional
        Added to the seed of the run.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Dropout(0.5)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    op = "dropout"
    acts_per_step = True

    def __init__(self, rate: float, noise_shape: None = None, seed: int | None = None, **arguments: Any) -> None:
        check.unsupported("Dropout", noise_shape=noise_shape)
        super().__init__(**arguments)
        self.rate = check.number("rate", rate, low=0.0)
        if self.rate >= 1:
            raise ValueError(f"rate must be below 1, got {rate}")
        self.seed = None if seed is None else check.integer("seed", seed, low=0)

    def attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"rate": self.rate, "seed": self.seed or 0}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
