"""The series that come with the package are whole, and have the values of their sources."""

from __future__ import annotations

import numpy as np

from rnncore import datasets


def test_co2_has_the_months_and_gaps_of_the_record() -> None:
    months, ppm = datasets.co2()
    assert months.dtype == np.dtype("datetime64[M]")
    assert (str(months[0]), str(months[-1])) == ("1958-03", "2001-12")
    np.testing.assert_array_equal(np.diff(months), np.timedelta64(1, "M"))
    assert months.shape == ppm.shape == (526,)
    missing = {str(month) for month in months[np.isnan(ppm)]}
    assert missing == {"1958-06", "1958-10", "1964-02", "1964-03", "1964-04"}
    np.testing.assert_allclose(ppm[0], 316.1)  # the only week of that March
    # The weeks of May 2001 in the record: 373.7, 373.9, 373.7 and 373.9.
    np.testing.assert_allclose(ppm[months == np.datetime64("2001-05")], 373.8, atol=0.006)


def test_el_nino_has_61_years() -> None:
    months, degrees = datasets.el_nino()
    assert months.shape == degrees.shape == (732,)
    assert (str(months[0]), str(months[-1])) == ("1950-01", "2010-12")
    assert float(degrees[0]) == 23.11
    assert float(degrees[months == np.datetime64("1998-03")][0]) == 29.24  # the strong El Niño
    assert np.isfinite(degrees).all()
