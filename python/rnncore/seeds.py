"""Where random numbers begin."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from rnncore import _validation as check

__all__ = ["drawn_from", "generator", "next_seed", "set_random_seed"]

_seeds = np.random.default_rng()
_own: ContextVar[np.random.Generator | None] = ContextVar("own", default=None)


def set_random_seed(seed: int) -> None:
    """Make everything random that follows repeatable: initial weights, shuffling, dropout.

    Python's `random` and NumPy's global generator are seeded too.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    TypeError, ValueError
        If `seed` is not an integer in that range.

    Examples
    --------
    >>> from rnncore import initializers, utils
    >>> utils.set_random_seed(7)
    >>> a = initializers.GlorotUniform()((2, 3))
    >>> utils.set_random_seed(7)
    >>> b = initializers.GlorotUniform()((2, 3))
    >>> bool((a == b).all())
    True
    """
    global _seeds
    seed = check.integer("seed", seed, low=0)
    if seed >= 2**32:
        raise ValueError(f"seed must be below 2**32, got {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (users' own data often comes from it)
    _seeds = np.random.default_rng(seed)


@contextmanager
def drawn_from(own: np.random.Generator) -> Iterator[None]:
    """Let seeds come from a generator, in this thread alone."""
    token = _own.set(own)
    try:
        yield
    finally:
        _own.reset(token)


def generator() -> np.random.Generator:
    """What seeds are drawn from in this thread."""
    return _own.get() or _seeds


def next_seed() -> int:
    """Draw the seed of one random thing from the sequence that `set_random_seed` starts."""
    return int(generator().integers(2**32))
