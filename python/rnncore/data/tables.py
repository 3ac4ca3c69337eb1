"""Tables as people have them, read column by column: dicts of arrays, pandas, polars, PyArrow, xarray, NumPy."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from decimal import Decimal
from numbers import Number, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._arrays import as_array

__all__ = ["Columns", "calendar", "columns", "in_month", "key", "known_name", "moments", "numbers", "times", "walk"]

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
    elif hasattr(frame, "to_dataset") and getattr(frame, "ndim", 0) == 1:  # of xarray
        frame = frame.to_dataset(name=0 if frame.name is None else frame.name)
    if isinstance(frame, np.ndarray):
        found = _of_array(frame)
    elif (names := _names(frame)) is not None:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"frame must have one column of each name, got several named {twice[0]!r}")
        found = {name: frame[name] for name in names}
    else:
        raise TypeError(f"frame must be a table with named columns, or an array (T, C), got {type(frame).__name__}")
    for name, column in found.items():
        if not hasattr(column, "__len__") or isinstance(column, str):
            raise TypeError(f"column {name!r} must have one entry in each row, got {type(column).__name__} {column!r}")
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
        return [name for name, column in frame.variables.items() if column.ndim > 0]
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


def key(argument: str, name: Any, frame: Any, found: Columns) -> Any:
    """The column of groups or times with this name, which may be in the index of a table of pandas."""
    index: Any = getattr(frame, "index", None)
    if name not in found and hasattr(index, "get_level_values"):
        if name == "index" and index.nlevels == 1:
            return index
        if name is not None and name in index.names:
            return index.get_level_values(name)
    return found[known_name(argument, name, found)]


def is_missing(entry: Any) -> bool:
    """Whether an entry is None, NaN, NaT, NA of pandas, or masked."""
    return entry is None or entry is np.ma.masked or type(entry).__name__ == "NAType" or bool(entry != entry)


def numbers(name: Any, column: Any) -> Array:
    """A column of real numbers (T,), missing ones as NaN; TypeError that names it and shows what else it holds."""
    array = _entries(column)
    if array is None:
        array = as_array(f"column {name!r}", column)
    if array.ndim != 1:
        hint = ": make it a table by to_dataframe().reset_index()" if hasattr(column, "dims") else ""
        raise ValueError(f"column {name!r} must have one number in each row, got shape {array.shape}{hint}")
    if array.dtype.kind in "fiub":
        return array
    row = 0
    if array.dtype == object:
        if not (wrong := np.array([not _is_number(entry) for entry in array])).any():
            return np.array([np.nan if is_missing(entry) else float(entry) for entry in array])
        row = int(wrong.argmax())
    hint = ", give it as time" if array.dtype.kind == "M" else ""
    raise TypeError(
        f"column {name!r} must hold real numbers, got {_plain(array[row])!r} in row {row}: name the features to"
        f" read{hint}, or turn it into numbers"
    )


def with_none(column: np.ma.MaskedArray[Any, Any]) -> Array:
    """The entries as Python objects, None where they are masked."""
    found: Array = column.data.astype(object)
    found[np.ma.getmaskarray(column)] = None
    return found


def _entries(column: Any) -> Array | None:
    """A column of Python objects, or one with a mask; None of others."""
    if isinstance(column, np.ma.MaskedArray):
        return with_none(column) if column.dtype.kind in "fiubO" else column.data
    if isinstance(column, (list, tuple)) or str(getattr(column, "dtype", "object")) in ("object", "Object"):
        try:
            array = np.asarray(column)
            array = np.asarray(column, object) if array.dtype.kind == "U" else array
        except (ValueError, RuntimeError, TypeError):
            return None
        return array if array.dtype == object and array.ndim == 1 else None
    return None


def _is_number(entry: Any) -> bool:
    return is_missing(entry) or isinstance(entry, (Real, Decimal, np.bool_))


def _plain(entry: Any) -> Any:
    return entry.item() if isinstance(entry, np.generic) else entry


def times(name: Any, column: Any) -> Array:
    """A column of times (T,): datetime64, or numbers. Text is read as ISO 8601, times with a zone in UTC.

    Raises
    ------
    TypeError, ValueError
        If it holds something else, or a time is missing.
    """
    if isinstance(column, np.ma.MaskedArray):
        column = with_none(column) if np.ma.is_masked(column) else column.data
    dtype = getattr(column, "dtype", None)
    if str(dtype).startswith("period["):  # of pandas
        column = getattr(column, "dt", column).to_timestamp()
    array = np.asarray(column, "datetime64[ns]") if getattr(dtype, "tz", None) is not None else np.asarray(column)
    if array.dtype == object and isinstance(array[0], Number):
        array = np.array([np.nan if is_missing(entry) else entry for entry in array])
    if array.dtype.kind in "OUT":
        array = _parsed(name, array)
    if array.dtype.kind not in "Miuf" or array.ndim != 1:
        raise TypeError(f"column {name!r} must hold times or numbers, got dtype {array.dtype}")
    if array.dtype.kind in "Mf" and (missing := np.isnan(array)).any():
        raise ValueError(f"column {name!r} must have a time in each row, got none in row {int(missing.argmax())}")
    return array


def has_zone(column: Any) -> bool:
    """Whether the times of a column of pandas, polars or PyArrow have a zone."""
    dtype = getattr(column, "dtype", getattr(column, "type", None))
    return (getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None)) is not None


def moments(given: Any) -> Array:
    """Dates, or text, as times; those with a zone in UTC."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="no explicit representation of timezones")
        return np.asarray(given).astype("datetime64[us]")


def _parsed(name: Any, array: Array) -> Array:
    try:
        return moments(array)
    except (ValueError, TypeError):
        for row, entry in enumerate(array):
            try:
                moments(entry)
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"column {name!r} must hold times, as '2025-03-01 06:00', got {_plain(entry)!r} in row {row}"
                ) from error
        raise


def walk(when: Array, unit: str | None = None) -> tuple[Array, str]:
    """Times as numbers (T,) on a line where steps are even, and their unit.

    It is "" for numbers, "month" for times on the same day and hour of months, "month end" for those on last days,
    which are counted in months since these differ in days, and else "ns"; unless it is told.
    """
    if when.dtype.kind != "M":
        return (when if when.dtype.kind == "f" else when.astype(np.int64)), ""
    months = when.astype("datetime64[M]")
    if unit is None:
        numbers = months.astype(np.int64)
        unit = next((u for u in ("month end", "month") if (in_month(numbers, u, when) == when).all()), "ns")
    if unit != "ns":
        return months.astype(np.int64), unit
    return when.astype("datetime64[ns]").astype(np.int64), unit


def in_month(months: Array, unit: str, like: Array) -> Array:
    """The times in months that are numbers, as far from the beginning, or from the end, as the first of `like`."""
    begins, first = months.astype("datetime64[M]"), like.reshape(-1)[:1]
    if unit == "month":
        return np.asarray(begins.astype(like.dtype) + (first - first.astype("datetime64[M]")))
    last = (begins + 1).astype("datetime64[D]") - 1
    return np.asarray(last + (first - first.astype("datetime64[D]")))


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
