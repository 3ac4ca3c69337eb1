"""Noise in training."""

from __future__ import annotations

from typing import Any, ClassVar

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer

__all__ = ["AlphaDropout", "GaussianDropout", "GaussianNoise"]


def dropout_rate(rate: float) -> float:
    """A number from 0 to below 1."""
    number = check.number("rate", rate, low=0.0)
    if number >= 1:
        raise ValueError(f"rate must be below 1, got {rate}")
    return number


class Noise(Layer, registered=False):
    """Base of the layers of this file; a subclass sets `kind`."""

    _op = "noise"
    _acts_per_step = _treats_steps_as_samples = True
    _kind: ClassVar[str]

    def __init__(self, seed: int | None, arguments: LayerArguments) -> None:
        super().__init__(**arguments)
        self.seed = None if seed is None else check.integer("seed", seed, low=0)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"kind": self._kind, "seed": self.seed or 0, **super()._attributes()}


class GaussianNoise(Noise):
    """In training, add normal random numbers.

    Parameters
    ----------
    stddev : float
        Their standard deviation, not negative.
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
    >>> layers.GaussianNoise(0.1)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _kind = "gaussian_noise"
    _node_arguments = ("stddev",)

    def __init__(self, stddev: float, seed: int | None = None, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(seed, arguments)
        self.stddev = check.number("stddev", stddev, low=0.0)


class GaussianDropout(Noise):
    """In training, multiply by normal random numbers of mean 1 and variance rate / (1 - rate).

    Mean and variance are those of `Dropout` (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float
        From 0 up to but not including 1.
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
    >>> layers.GaussianDropout(0.3)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _kind = "gaussian_dropout"
    _node_arguments = ("rate",)

    def __init__(self, rate: float, seed: int | None = None, **arguments: Unpack[LayerArguments]) -> None:
        super().__init__(seed, arguments)
        self.rate = dropout_rate(rate)


class AlphaDropout(Noise):
    """In training, drop a random part of the elements to the least value of selu, keeping mean and variance.

    For networks with the activation selu (Klambauer et al. 2017).

    Parameters
    ----------
    rate : float
        The part that is dropped, from 0 up to but not including 1.
    noise_shape : None
        Not supported: a ValueError unless None.
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
    >>> layers.AlphaDropout(0.1)(layers.Input((5, 3))).shape
    (None, 5, 3)
    """

    _kind = "alpha_dropout"
    _node_arguments = ("rate",)

    def __init__(
        self, rate: float, noise_shape: None = None, seed: int | None = None, **arguments: Unpack[LayerArguments]
    ) -> None:
        check.unsupported("AlphaDropout", noise_shape=noise_shape)
        super().__init__(seed, arguments)
        self.rate = dropout_rate(rate)
