"""What an augmentation is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore import seeds
from rnncore.augmentation.draws import Draws

Array = npt.NDArray[Any]
Lengths = npt.NDArray[np.int64]


class Augmentation:
    """Base of the augmentations: a seeded random change of sequences.

    What happens to a sample depends on the seed, the epoch and the number of the sample alone. Override `apply`.

    Parameters
    ----------
    probability : float in [0, 1], default 1.0
        The share of the samples that are changed.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.augmentation import Augmentation
    >>> class Reverse(Augmentation):
    ...     def apply(self, x, lengths, draws):
    ...         return x[:, ::-1]
    >>> Reverse()(np.array([[[1.0], [2.0]]])).ravel()
    array([2., 1.])
    """

    def __init__(self, *, probability: float = 1.0) -> None:
        self.probability = check.number("probability", probability, low=0.0)
        if self.probability > 1:
            raise ValueError(f"probability must be at most 1, got {probability}")

    def __call__(
        self,
        x: npt.ArrayLike,
        lengths: npt.ArrayLike | None = None,
        *,
        seed: int | None = None,
        epoch: int = 0,
        samples: npt.ArrayLike | None = None,
        stage: int = 0,
    ) -> Array:
        """Change a batch of sequences.

        Parameters
        ----------
        x : array_like, shape (N, T, C)
            Stays as it is; the result is a new array.
        lengths : array_like of int, shape (N,), optional
            How many leading steps of each row are valid; the others are not changed.
        seed : int, optional
            By default drawn after `utils.set_random_seed`.
        epoch : int, default 0
        samples : array_like of int, shape (N,), optional
            The numbers of the rows in the whole data; by default 0, 1, 2, ...
        stage : int, default 0
            The place in a chain, so that equal augmentations in a row differ.

        Returns
        -------
        ndarray, shape (N, T, C)
            float64 if `x` is, otherwise float32.

        Raises
        ------
        TypeError, ValueError
            If `x` is not of rank 3 or an argument does not fit.
        """
        rows = data.floating("x", x)
        if rows.ndim != 3:
            raise ValueError(f"x must have shape (N, T, C), got {rows.shape}")
        count, steps, _ = rows.shape
        real = np.full(count, steps) if lengths is None else data.lengths(lengths, count, steps).astype(np.int64)
        numbers = np.arange(count) if samples is None else np.asarray(samples, np.int64)
        if numbers.shape != (count,):
            raise ValueError(f"samples must have shape ({count},), one for each row of x, got {numbers.shape}")
        seed = seeds.next_seed() if seed is None else check.integer("seed", seed, low=0)
        if rows.size == 0:
            return rows.copy()
        draws = Draws(seed, epoch, numbers, stage)
        changed = np.asarray(self.apply(rows, real, draws))
        keep = np.arange(steps) >= real[:, None]  # (N, T)
        if self.probability < 1:
            keep |= draws.uniform(1, purpose=3) >= self.probability
        result: Array = np.where(keep[..., None], rows, changed).astype(rows.dtype, copy=False)
        return result

    def apply(self, x: Array, lengths: Lengths, draws: Draws) -> Array:
        """The changed x (N, T, C), of which the first lengths[n] steps of row n count; `x` itself must stay."""
        raise NotImplementedError(f"{type(self).__name__} must override apply")

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"
