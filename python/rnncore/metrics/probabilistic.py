"""How good drawn forecasts are, and how sure they may be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array
from rnncore._quiet import quiet

__all__ = ["coverage", "crps"]


@quiet
def crps(y_true: npt.ArrayLike, paths: npt.ArrayLike) -> Array:
    """The continuous ranked probability score of drawn forecasts, E|X - y| - E|X - X'| / 2: less is better.

    For a single draw it is the absolute error, in whose units it is.

    Parameters
    ----------
    y_true : array_like, shape (N, ...)
    paths : array_like, shape (N, P, ...)
        P draws of each number, as `Model.sample_paths` gives them.

    Returns
    -------
    ndarray, shape (N, ...)

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit.

    References
    ----------
    T. Gneiting, A. Raftery, "Strictly proper scoring rules, prediction, and estimation", Journal of the American
    Statistical Association 102 (2007).

    Examples
    --------
    >>> from rnncore import metrics
    >>> metrics.crps([0.0], [[-1.0, 1.0]])
    array([0.5])
    """
    target, drawn = _checked(y_true, paths)
    count = drawn.shape[1]
    ranked = np.sort(drawn, axis=1)
    # The mean of |X - X'| over all pairs, from the ranks.
    share = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, *[1] * (target.ndim - 1))
    spread = 2 * np.sum(share * ranked, axis=1) / count**2
    return np.asarray(np.abs(drawn - target[:, np.newaxis]).mean(axis=1) - spread / 2)


def coverage(y_true: npt.ArrayLike, paths: npt.ArrayLike, level: float = 0.9) -> float:
    """How many numbers lie within the central interval of their draws; `level` would be right.

    Parameters
    ----------
    y_true : array_like, shape (N, ...)
    paths : array_like, shape (N, P, ...)
        P draws of each number, as `Model.sample_paths` gives them.
    level : float, default 0.9
        The share of draws in the interval, above 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import metrics
    >>> rng = np.random.default_rng(0)
    >>> round(metrics.coverage(rng.normal(size=500), rng.normal(size=(500, 400)), level=0.8), 1)
    0.8
    """
    target, drawn = _checked(y_true, paths)
    level = check.number("level", level, low=0.0, high=1.0)
    if not 0 < level < 1:
        raise ValueError(f"level must be above 0 and below 1, got {level}")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return float(np.mean((low <= target) & (target <= high)))


def _checked(y_true: npt.ArrayLike, paths: npt.ArrayLike) -> tuple[Array, Array]:
    """Both as float64."""
    target = data.floating("y_true", y_true).astype(np.float64)
    drawn = data.floating("paths", paths).astype(np.float64)
    if target.ndim < 1 or drawn.ndim != target.ndim + 1 or drawn.shape[:1] + drawn.shape[2:] != target.shape:
        raise ValueError(
            "paths must have the shape of y_true with an axis of draws behind the first, got"
            f" {drawn.shape} and {target.shape}"
        )
    if drawn.shape[1] == 0:
        raise ValueError(f"paths must hold at least one draw, got shape {drawn.shape}")
    return target, drawn
