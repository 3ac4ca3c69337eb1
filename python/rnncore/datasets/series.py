"""Time series that come with the package; the files beside this one say where they are from."""

from __future__ import annotations

from importlib import resources

import numpy as np
import numpy.typing as npt

__all__ = ["co2", "el_nino", "sunspots"]

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]


def _rows(name: str) -> Floats:
    """The numbers of a file; NaN where it has none."""
    with resources.files("rnncore.datasets").joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return np.array([[float(cell or "nan") for cell in line.strip().split(",")] for line in lines[1:]])


def _by_month(name: str) -> tuple[Dates, Floats]:
    """The months and values of a file that has a row for each year."""
    rows = _rows(name)
    months = np.datetime64(f"{int(rows[0, 0])}-01", "M") + np.arange(12 * len(rows))
    return months, rows[:, 1:].ravel()


def sunspots() -> tuple[npt.NDArray[np.int64], Floats]:
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
    rows = _rows("sunspots")
    return rows[:, 0].astype(np.int64), rows[:, 1]


def co2() -> tuple[Dates, Floats]:
    """Load the monthly mean carbon dioxide in the air at Mauna Loa, March 1958 to December 2001: trend and season.

    Returns
    -------
    months : ndarray of datetime64[M], shape (526,)
    ppm : ndarray of float64, shape (526,)
        Parts per million by volume; NaN in the five months that have no value.

    Notes
    -----
    Means of the weekly values of C. D. Keeling and T. P. Whorf (Scripps Institution of Oceanography; Carbon Dioxide
    Information Analysis Center, 2004), in the copy of statsmodels. Public domain.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.datasets import co2
    >>> months, ppm = co2()
    >>> str(months[np.nanargmax(ppm)]), round(float(np.nanmax(ppm)), 1)
    ('2001-05', 373.8)
    """
    months, ppm = _by_month("co2")
    return months[2:], ppm[2:]  # the first row begins in March


def el_nino() -> tuple[Dates, Floats]:
    """Load the monthly mean temperature of the sea surface off Peru from 1950 to 2010, which shows El Niño.

    Returns
    -------
    months : ndarray of datetime64[M], shape (732,)
    degrees : ndarray of float64, shape (732,)
        Degrees Celsius, between 0 and 10 degrees south and 80 and 90 degrees west.

    Notes
    -----
    The series Niño 1+2 of ERSST V3b, Climate Prediction Center of the NOAA, in the copy of statsmodels. Public domain.

    Examples
    --------
    >>> from rnncore.datasets import el_nino
    >>> months, degrees = el_nino()
    >>> str(months[degrees.argmax()]), float(degrees.max())
    ('1998-03', 29.24)
    """
    return _by_month("el_nino")
