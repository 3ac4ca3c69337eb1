"""Tables as people have them, read column by column: dicts of arrays, pandas, polars, PyArrow, xarray, NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._arrays import as_array

__all__ = ["Columns", "calendar", "columns", "known_name", "numbers", "times", "walk"]

Array = npt.NDArray[Any]
Columns = dict[Any, Any]


def columns(frame: Any) -> Columns:
    """The columns of a table by name, as they are; those of an array (T, C) have numbers for names.

    Raises
    ------
    TypeError, ValueError
        If `frame` is no table, names come twice, or columns differ in length.
    """
    if hasattr(frame, "to_frame") and not hasattr(frame, "columns"):
        frame = frame.to_frame()
    if isinstance(frame, np.ndarray):
        found = _of_array(frame)
    elif (names := _names(frame)) is not None:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"frame must have one column of each name, got several named {twice[0]!r}")
        found = {name: frame[name] for name in names}
    else:
        raise TypeError(f"frame must be a table with named columns, or an array (T, C), got {type(frame).__name__}")
    sizes = {name: len(column) for name, column in found.items()}
    if not sizes or not max(sizes.values()):
        raise ValueError("frame must have at least one row and one column")
    if len(set(sizes.values())) > 1:
        came = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
        raise ValueError(f"all columns of frame must have the same number of rows: {came}")
    return found


def _of_array(frame: Array) -> Columns:
    if frame.dtype.names:
        return {name: frame[name] for name in frame.dtype.names}
    if frame.ndim != 2:
        raise ValueError(f"frame must have shape (T, C) where it is an array, got {frame.shape}")
    return dict(enumerate(frame.T))


def _names(frame: Any) -> list[Any] | None:
    """The names of the columns; None if it is no table."""
    if hasattr(frame, "column_names"):  # PyArrow
        return list(frame.column_names)
    if hasattr(frame, "data_vars"):  # xarray
        return [name for name, column in frame.variables.items() if column.ndim == 1]
    if hasattr(frame, "collect"):
        raise TypeError(f"frame must be a table, got a {type(frame).__name__}: give the result of its collect()")
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        return list(frame.columns)
    return list(frame) if isinstance(frame, Mapping) else None


def known_name(argument: str, name: Hashable, found: Columns) -> Any:
    """The name, which must be that of a column; ValueError that offers the nearest names."""
    if not isinstance(name, Hashable):
        raise TypeError(f"{argument} must name a column, got {type(name).__name__}")
    if name in found:
        return name
    texts = [str(known) for known in found]
    raise ValueError(f"{argument}: unknown column {name!r}; {check.nearest(str(name), texts)}")


def numbers(name: Any, column: Any) -> Array:
    """A column of real numbers (T,), missing ones as NaN; TypeError that names it and shows what else it holds."""
    array = as_array(f"column {name!r}", column)
    if array.dtype.kind in "fiub" and array.ndim == 1:
        return array
    if array.ndim != 1:
        raise ValueError(f"column {name!r} must have one number in each row, got shape {array.shape}")
    raise TypeError(
        f"column {name!r} must hold real numbers, got {_plain(array.flat[0])!r} in row 0: name the features to"
        " read, or turn it into numbers"
    )


def _plain(entry: Any) -> Any:
    return entry.item() if isinstance(entry, np.generic) else entry


def times(name: Any, column: Any) -> Array:
    """A column of times (T,): datetime64, or numbers. Text is read as ISO 8601, times with a zone in UTC.

    Raises
    ------
    TypeError, ValueError
        If it holds something else, or a time is missing.
    """
    zone = getattr(getattr(column, "dtype", None), "tz", None)
    array = np.asarray(column, "datetime64[ns]") if zone is not None else np.asarray(column)
    if array.dtype.kind in "OUT":
        array = _parsed(name, array)
    if array.dtype.kind not in "Miuf" or array.ndim != 1:
        raise TypeError(f"column {name!r} must hold times or numbers, got dtype {array.dtype}")
    if array.dtype.kind in "Mf" and (missing := np.isnan(array)).any():
        raise ValueError(f"column {name!r} must have a time in each row, got none in row {int(missing.argmax())}")
    return array


def _parsed(name: Any, array: Array) -> Array:
    try:
        return array.astype("datetime64[us]")
    except (ValueError, TypeError):
        for row, entry in enumerate(array):
            try:
                np.datetime64(entry, "us")
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"column {name!r} must hold times, as '2025-03-01 06:00', got {_plain(entry)!r} in row {row}"
                ) from error
        raise


def walk(when: Array, unit: str | None = None) -> tuple[Array, str]:
    """Times as numbers (T,) on a line where steps are even, and their unit: "ns", "month", or "" for numbers.

    Months and years differ in days: times on the same day and hour of months are counted in months, unless told.
    """
    if when.dtype.kind != "M":
        return when, ""
    months = when.astype("datetime64[M]")
    within = when - months
    if unit == "month" or (unit is None and (within == within[:1]).all()):
        return months.astype(np.int64), "month"
    return when.astype("datetime64[ns]").astype(np.int64), "ns"


CALENDAR = ("minute", "hour", "weekday", "day", "month", "yearday")


def calendar(parts: Iterable[str], when: Array) -> Array:
    """Sine and cosine of where in its round each part of a time is: (T, 2·parts)."""
    rows = [np.zeros((0, len(when)))]
    day, month, year = (when.astype(f"datetime64[{unit}]") for unit in "DMY")
    of_day = (when - day) / np.timedelta64(1, "D")
    for part in parts:
        if part == "minute":
            share = of_day * 24 % 1
        elif part == "hour":
            share = of_day
        elif part == "weekday":
            share = (day.astype(np.int64) + 3) % 7 / 7
        elif part == "day":
            share = (day - month.astype("datetime64[D]")) / ((month + 1).astype("datetime64[D]") - month)
        elif part == "month":
            share = (month - year.astype("datetime64[M]")).astype(np.int64) / 12
        else:
            share = (day - year.astype("datetime64[D]")) / ((year + 1).astype("datetime64[D]") - year)
        angle = 2 * np.pi * share
        rows += [np.sin(angle)[None], np.cos(angle)[None]]
    return np.concatenate(rows).T
