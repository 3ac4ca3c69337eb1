"""Small data sets that come with the package."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rnncore._namespace import public

__all__ = ["sunspots"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)


def sunspots() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Load the yearly mean sunspot numbers from 1700 to 2008.

    Returns
    -------
    years : ndarray of int64, shape (309,)
    numbers : ndarray of float64, shape (309,)

    Notes
    -----
    The original series (version 1) of WDC-SILSO, formerly SIDC, at the Royal Observatory of Belgium, in the
    public domain copy of the NOAA National Geophysical Data Center.

    Examples
    --------
    >>> from rnncore.datasets import sunspots
    >>> years, numbers = sunspots()
    >>> int(years[numbers.argmax()]), float(numbers.max())
    (1957, 190.2)
    """
    with resources.files(__name__).joinpath("sunspots.csv").open(encoding="utf-8") as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=3)
    return rows[:, 0].astype(np.int64), rows[:, 1]
