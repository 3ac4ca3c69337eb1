"""How windows are cut from a table: which columns, how many steps, on which scale. It is kept with the model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.data import tables
from rnncore.data.cutting import cut
from rnncore.data.window_set import Windows
from rnncore.writing import write_whole

__all__ = ["WindowRecipe", "windows"]

Array = npt.NDArray[Any]

SCALES = ("standard", "minmax")
GAPS = ("error", "split", "ignore")
DROPS = ("error", "drop")


@dataclass(frozen=True)
class WindowRecipe:
    """What `windows` was told and what it learnt, to cut other tables in the same way: `Windows.recipe`.

    Attributes
    ----------
    target, features, known, calendar : tuple
        Names of columns; the values of a step are the targets, then the features, what is known ahead, the calendar.
    past, future, stride : int
    each_step, future_inputs : bool
    group, time : name or None
    gaps, missing, short, sort
        As `windows` describes them.
    scale : str or None
    center, spread : tuple of float
        Of the columns: a value v is given as (v - center) / spread.
    dtype : str
    step, unit
        Between the times of two rows, in "ns", "month", "month end" or numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import data
    >>> table = {"load": np.arange(30.0)}
    >>> recipe = data.windows(table, target="load", past=4, future=2, scale="standard").recipe
    >>> recipe.save("load.json")
    >>> again = data.WindowRecipe.load("load.json")
    >>> again == recipe, again.newest(table).x.shape
    (True, (1, 4, 1))
    """

    target: tuple[Any, ...]
    features: tuple[Any, ...]
    known: tuple[Any, ...]
    calendar: tuple[str, ...]
    past: int
    future: int
    stride: int = 1
    each_step: bool = False
    future_inputs: bool = False
    single: bool = True  # whether the target came as a name alone, so that y has no axis for targets
    group: Any = None
    time: Any = None
    gaps: str = "error"
    missing: str = "error"
    short: str = "error"
    sort: bool = False
    scale: str | None = None
    dtype: str = "float32"
    step: float | None = None
    unit: str | None = None
    center: tuple[float, ...] | None = None
    spread: tuple[float, ...] | None = None

    @property
    def length(self) -> int:
        """Steps of a window and of what is asked after it."""
        return self.past + self.future

    @property
    def columns(self) -> list[Any]:
        """The names of the columns that are read."""
        return [*self.target, *self.features, *self.known]

    @property
    def feature_names(self) -> list[str]:
        """The names of the values of a step."""
        return [*map(str, self.columns), *(f"{part} {wave}" for part in self.calendar for wave in ("sin", "cos"))]

    def windows(self, frame: Any, *, batch_size: int = 32) -> Windows:
        """Windows of another table, on the scales that were learnt.

        Parameters
        ----------
        frame : table
            With the same columns.
        batch_size : int, default 32

        Returns
        -------
        Windows
        """
        return Windows(self, cut(frame, self), batch_size=batch_size)

    def newest(self, frame: Any) -> Windows:
        """The last `past` steps of each group, from which the steps after the table are forecast.

        Rows at the end of a group without a value of any target are steps to come: they tell the columns `known`.

        Parameters
        ----------
        frame : table
            With the same columns.

        Returns
        -------
        Windows
            One for each group, with `x`, `ahead`, `groups` and the `times` at which forecasts begin; without `y`.
        """
        return Windows(self, cut(frame, self, newest=True), has_targets=False)

    def learnt_from(self, values: Array, rows: Array) -> WindowRecipe:
        """With the scales of these rows (T,) of the values (T, C)."""
        columns = len(self.columns)
        center, spread = np.zeros(values.shape[1]), np.ones(values.shape[1])
        if self.scale is not None:
            chosen = values[rows, :columns].astype(np.float64)
            chosen[~np.isfinite(chosen)] = np.nan
            low, high = np.nanmin(chosen, axis=0), np.nanmax(chosen, axis=0)
            if self.scale == "standard":
                center[:columns], spread[:columns] = np.nanmean(chosen, axis=0), np.nanstd(chosen, axis=0)
            else:
                center[:columns], spread[:columns] = low, high - low
            spread[:columns][low == high] = 1  # also where the mean of equal numbers is rounded
        return replace(self, center=tuple(center.tolist()), spread=tuple(spread.tolist()))

    def scaled(self, values: Array) -> Array:
        """Values (..., C) on the scales, in the dtype of the windows."""
        if self.scale is None:
            return np.asarray(values, self.dtype)
        return np.asarray((values - np.array(self.center)) / np.array(self.spread), self.dtype)

    def unscale(self, y: npt.ArrayLike, target: Any = None) -> Array:
        """Targets, or forecasts of them, in the units of the table.

        Parameters
        ----------
        y : array_like, shape (...) for one target, else (..., U)
        target : name, optional
            Where there are several targets: that of all values, in place of a last axis for each.

        Returns
        -------
        ndarray of float64, shape of y
        """
        values = check.real_array("y", y).astype(np.float64)
        if self.center is None or self.spread is None:
            return values
        names = list(self.target)
        if target is not None or len(names) == 1:
            number = 0 if target is None else names.index(tables.known_name("target", target, dict.fromkeys(names)))
            return values * self.spread[number] + self.center[number]
        if values.shape[-1:] != (len(names),):
            raise ValueError(f"y must have a last axis of {len(names)}, one for each target, got shape {values.shape}")
        return np.asarray(values * self.spread[: len(names)] + self.center[: len(names)])

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write a JSON file, whole or not at all.

        Parameters
        ----------
        filepath : str or path

        Raises
        ------
        OSError, TypeError
            If it cannot be written, or a name is neither text nor a number.
        """
        names = [*self.columns, *_several(self.group), *_several(self.time)]
        for name in names:
            if not isinstance(name, (str, int)):
                raise TypeError(f"names of columns must be text or numbers to be saved, got {name!r}")
        text = json.dumps({"rnncore windows": 1, **asdict(self)}, indent=1)
        write_whole(filepath, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, filepath: str | os.PathLike[str]) -> WindowRecipe:
        """Read a file that `save` wrote.

        Parameters
        ----------
        filepath : str or path

        Returns
        -------
        WindowRecipe

        Raises
        ------
        OSError, ValueError
            If it cannot be read, or holds something else.
        """
        with open(filepath, encoding="utf-8") as file:
            try:
                found = json.load(file)
            except ValueError as error:
                raise ValueError(f"{os.fspath(filepath)!r} must be a file that WindowRecipe.save wrote") from error
        names = {field.name for field in fields(cls)}
        if not isinstance(found, dict) or found.pop("rnncore windows", None) != 1 or set(found) != names:
            raise ValueError(f"{os.fspath(filepath)!r} must be a file that WindowRecipe.save wrote")
        arguments: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in found.items()}
        return cls(**arguments)


def _several(name: Any) -> Sequence[Any]:
    return [] if name is None else list(name) if isinstance(name, tuple) else [name]


def windows(
    frame: Any,
    target: Any = None,
    *,
    past: int,
    future: int,
    group: Any = None,
    time: Any = None,
    stride: int = 1,
    features: Any = None,
    known: Any = (),
    calendar: Any = (),
    each_step: bool = False,
    future_inputs: bool = False,
    scale: str | None = None,
    gaps: str = "error",
    missing: str = "error",
    short: str = "error",
    sort: bool = False,
    batch_size: int = 32,
    dtype: npt.DTypeLike = "float32",
) -> Windows:
    """Cut a table whose rows are times into windows: some steps of the past, and the steps to forecast after them.

    No window is copied before it is needed: the windows are rows of one table, made a batch at a time, or views.

    Parameters
    ----------
    frame : table with T rows
        A table of pandas, polars, PyArrow or xarray, a dict of arrays, a structured array, or an array (T, C), whose
        columns have numbers for names.
    target : name, or list of U names
        What is forecast; may be left out where there is one column. The past of it is read, too.
    past, future : int
        Steps of a window, and steps to forecast after it.
    group : name or list of names, optional
        Rows belong to several series that this column tells apart, in any order. No window has rows of two.
    time : name, optional
        Dates, text as in ISO 8601, or numbers: the times of the rows, which rise in even steps. "index" is the
        index of a table of pandas, whose levels have names, too. Months and years, or their last days, count as even;
        times with a zone are read in UTC. Without it rows follow each other evenly.
    stride : int, default 1
        Steps between the beginnings of windows.
    features : list of names, optional
        What is read beside the target; by default all other columns but those of group and time.
    known : list of names, optional
        What is read, and also known of the steps to forecast, as holidays are: see `Windows.ahead`.
    calendar : list of {"minute", "hour", "weekday", "day", "month", "yearday"}, optional
        Where in its round each of these parts of a time is, sine and cosine, is read and known ahead.
    each_step : bool, default False
        Whether y tells the next step at each step, as `Model.sample_paths` needs, in place of the future at once:
        windows then have `past + future - 1` steps.
    future_inputs : bool, default False
        Whether batches are ([x, ahead], y), for a model with two inputs.
    scale : {"standard", "minmax"}, optional
        Give all columns mean 0 and standard deviation 1, or least 0 and greatest 1, in the rows to train on: all, or
        those before the first bound of `Windows.split` and `Windows.folds`. The calendar stays.
    gaps : {"error", "split", "ignore"}, default "error"
        Where steps of time are uneven: refuse, cut no window across, or take rows as they follow each other.
    missing : {"error", "drop"}, default "error"
        Where numbers are NaN or infinite: refuse, or leave out the windows that need them.
    short : {"error", "drop"}, default "error"
        Where a group has no window: refuse, or leave it out.
    sort : bool, default False
        Whether to sort the rows by time rather than refuse those that are not.
    batch_size : int, default 32
    dtype : dtype, default "float32"

    Returns
    -------
    Windows
        A data set for `fit`, `evaluate` and `predict`, with the windows as arrays `x` and `y`.

    Raises
    ------
    TypeError, ValueError
        If a column is unknown, holds text or nothing but NaN, times come twice, fall or jump, or no window fits: the
        message names the column, the row, its time and its group.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import data
    >>> hours = np.arange("2025-03-01", "2025-03-11", dtype="datetime64[h]")
    >>> table = {"time": hours, "load": np.arange(240.0)}
    >>> windows = data.windows(table, "load", past=48, future=24, time="time", calendar=["hour"], scale="standard")
    >>> train, test = windows.split("2025-03-09")
    >>> train.x.shape, train.y.shape, len(test.x), train.feature_names
    ((121, 48, 3), (121, 24), 25, ['load', 'hour sin', 'hour cos'])
    >>> train.unscale(test.y[0]).round()[:3]
    array([192., 193., 194.])
    """
    found = tables.columns(frame)
    if target is None:
        if len(found) > 1:
            raise ValueError(f"target must name what to forecast, one or several of {', '.join(map(repr, found))}")
        target = next(iter(found))
    single = not isinstance(target, (list, tuple)) or (isinstance(target, tuple) and target in found)
    targets = _names("target", [target] if single else target, found)
    ahead = _names("known", known, found)
    if isinstance(group, list):
        group = group[0] if len(group) == 1 else tuple(group)
    other = {*targets, *ahead, time, *_several(group)}
    read = _names("features", [name for name in found if name not in other] if features is None else features, found)
    for name in (*read, *ahead):
        if name in targets or (name in read and name in ahead):
            raise ValueError(f"each column must be target, feature or known, only one of them, got {name!r} twice")
    if not targets:
        raise ValueError("target must name at least one column")
    if check.boolean("each_step", each_step) and check.boolean("future_inputs", future_inputs):
        raise ValueError("future_inputs must be False with each_step, where a step reads the one before")
    calendar = [] if calendar is None else [calendar] if isinstance(calendar, str) else list(calendar)
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind != "f":
        raise TypeError(f"dtype must be one of floats, got {dtype}")
    for part in calendar:
        check.lookup("calendar", part, dict.fromkeys(tables.CALENDAR))
    if calendar and time is None:
        raise ValueError("calendar needs the column of dates: give time")
    recipe = WindowRecipe(
        targets,
        read,
        ahead,
        tuple(calendar),
        check.positive_int("past", past),
        check.positive_int("future", future),
        check.positive_int("stride", stride),
        each_step,
        future_inputs,
        single,
        group,
        time,
        check.lookup("gaps", gaps, {name: name for name in GAPS}),
        check.lookup("missing", missing, {name: name for name in DROPS}),
        check.lookup("short", short, {name: name for name in DROPS}),
        check.boolean("sort", sort),
        None if scale is None else check.lookup("scale", scale, {name: name for name in SCALES}),
        kind.name,
    )
    rows = cut(frame, recipe)
    recipe = replace(recipe, step=rows.step, unit=rows.unit)
    return Windows(recipe.learnt_from(rows.values, np.ones(len(rows.values), bool)), rows, batch_size=batch_size)


def _names(argument: str, names: Any, found: tables.Columns) -> tuple[Any, ...]:
    """Names of columns that exist, each once."""
    several = isinstance(names, Iterable) and not isinstance(names, str)
    given = [] if names is None else list(names) if several else [names]
    for name in given:
        tables.known_name(argument, name, found)
    if len(set(given)) < len(given):
        raise ValueError(f"{argument} must name each column once, got {given}")
    return tuple(given)
