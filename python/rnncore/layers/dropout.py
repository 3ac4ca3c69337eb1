"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.program import Shape

__all__ = ["Dropout", "SpatialDropout1D"]


class Dropout(Layer):
    """In training, set a random part of the elements to zero and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        The part that is dropped, from 0 up to but not including 1.
    noise_shape : tuple of int or None, optional
        Shape of the random mask, batch first: 1 where all elements along an axis have one fate, the input's size or
        None elsewhere. (None, 1, None) drops whole features of a sequence. Axes after the time go together.
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

    _op = "dropout"
    _acts_per_step = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**arguments)
        self.rate = check.number("rate", rate, low=0.0)
        if self.rate >= 1:
            raise ValueError(f"rate must be below 1, got {rate}")
        self.seed = None if seed is None else check.integer("seed", seed, low=0)
        self.noise_shape = None if noise_shape is None else check.shape("noise_shape", noise_shape)
        self.shared_axes = [axis for axis, size in enumerate(self.noise_shape or ()) if size == 1]
        self._treats_steps_as_samples = not self.shared_axes

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless `noise_shape` fits."""
        if self.noise_shape is None:
            return
        fits = len(self.noise_shape) == len(shape) and all(
            noise in (1, None) or size in (noise, None) for noise, size in zip(self.noise_shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"noise_shape of {self.name!r} must fit its input, got {self.noise_shape} for {shape}")
        inner = [axis in self.shared_axes for axis in range(2, len(shape))]
        if any(inner) and not all(inner):
            raise ValueError(
                f"noise_shape of {self.name!r}: all or none of the axes from 2 on may be 1, got {self.noise_shape}"
            )

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        attributes: dict[str, Any] = {"rate": self.rate, "seed": self.seed or 0}
        return {**attributes, "shared_axes": self.shared_axes} if self.shared_axes else attributes


class SpatialDropout1D(Dropout):
    """In training, drop whole features of a sequence (N, T, C) and scale the others by 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        The part that is dropped, from 0 up to but not including 1.
    seed : int, optional
        Added to the seed of the run.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For a bad argument or an input of another rank.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.SpatialDropout1D(0.5)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _fixed = ("noise_shape",)

    def __init__(self, rate: float, seed: int | None = None, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(rate, (None, 1, None), seed, **arguments)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, C)."""
        check.sequence_shape(self.name, shape, "channels")
