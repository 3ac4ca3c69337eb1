"""Where the windows of a table lie: its rows by group and time, the runs without a gap, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore.data import tables

if TYPE_CHECKING:
    from rnncore.data.recipe import WindowRecipe

__all__ = ["Cut", "cut"]

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cut:
    """The rows of a table (T, C), sorted by group and time, and the rows at which windows begin."""

    values: Array  # (T, C)
    places: Array  # (T,) times as numbers with even steps
    when: Array  # (T,) times as they came, or numbers of rows
    groups: Array  # (G,) labels, or tuples of them
    codes: Numbers  # (T,) which group a row belongs to
    begins: Numbers  # (N,) rows
    step: float  # between two rows
    unit: str | None


def cut(frame: Any, recipe: WindowRecipe, *, newest: bool = False) -> Cut:
    """Read a table and find its windows: all, or with `newest` the one at the end of each group."""
    found = tables.columns(frame)
    groups, codes = _groups(recipe, frame, found)
    when = _times(frame, recipe, found)
    places, unit = (np.arange(len(codes)), None) if when is None else tables.walk(when, recipe.unit)
    order = np.lexsort((places, codes)) if recipe.sort else np.argsort(codes, kind="stable")
    codes = codes[order]
    firsts = np.flatnonzero(np.r_[True, np.diff(codes) > 0])  # of the groups
    if when is None:
        places = when = np.arange(len(codes)) - firsts[codes]
    else:
        places, when = places[order], when[order]
    label = _Label(recipe, groups, codes, when, order)
    _check_rising(places, codes, label)
    step = _usual_step(places, codes) if recipe.step is None else recipe.step
    values = _values(frame, recipe, found, order, when)
    zoned = recipe.time is not None and tables.has_zone(tables.key("time", recipe.time, frame, found))
    breaks = _breaks(recipe, places, codes, step, label, zoned)
    starts = np.union1d(firsts, breaks)  # of runs without a gap
    begins = _newest(recipe, values, firsts, starts, label) if newest else _begins(recipe, values, starts, label)
    return Cut(values, places, when, groups, codes, begins, float(step), unit)


@dataclass(frozen=True, eq=False)
class _Label:
    """Tells in messages which row is meant."""

    recipe: WindowRecipe
    groups: Array
    codes: Numbers
    when: Array
    order: Numbers

    def group(self, code: int) -> str:
        return "" if self.recipe.group is None else f" of group {_plain(self.groups[code])!r}"

    def __call__(self, row: int) -> str:
        time = "" if self.recipe.time is None else f" at {self.when[row]}"
        return f"row {int(self.order[row])}{time}{self.group(int(self.codes[row]))}"


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _groups(recipe: WindowRecipe, frame: Any, found: tables.Columns) -> tuple[Array, Numbers]:
    """The labels of the groups (G,), and which one each row belongs to (T,)."""
    names = [] if recipe.group is None else recipe.group if isinstance(recipe.group, tuple) else (recipe.group,)
    rows = len(next(iter(found.values())))
    labels: list[Array] = []
    codes = np.zeros(rows, np.int64)
    for name in names:
        given = tables.key("group", name, frame, found)
        column = tables.with_none(given) if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
        for row, entry in enumerate(column if column.dtype.kind in "fOM" else ()):
            if tables.is_missing(entry):
                raise ValueError(f"group column {name!r} must name a group in each row, got {entry} in row {row}")
        try:
            unique, inverse = np.unique(column, return_inverse=True)
        except TypeError as error:
            raise TypeError(f"group column {name!r} must hold labels of one kind: {error}") from error
        labels.append(unique)
        codes = codes * len(unique) + inverse.reshape(-1)
    if not labels:
        return np.array([None]), codes
    present, codes = np.unique(codes, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    if len(labels) == 1:
        return labels[0][present], codes
    several = np.empty(len(present), object)
    parts = np.unravel_index(present, [len(unique) for unique in labels])
    several[:] = list(zip(*(unique[part].tolist() for unique, part in zip(labels, parts, strict=True)), strict=True))
    return several, codes


def _times(frame: Any, recipe: WindowRecipe, found: tables.Columns) -> Array | None:
    """The time of each row (T,); None where rows follow each other in even steps."""
    if recipe.time is None:
        return None
    return tables.times(recipe.time, tables.key("time", recipe.time, frame, found))


def _check_rising(places: Array, codes: Numbers, label: _Label) -> None:
    """ValueError where the next row of a group is not later."""
    same = np.diff(codes) == 0
    steps = np.diff(places)
    if (wrong := same & (steps == 0)).any():
        row = int(wrong.argmax())
        raise ValueError(f"time must have each time once in a group, got {label(row)} and {label(row + 1)}")
    if (wrong := same & (steps < 0)).any():
        row = int(wrong.argmax())
        raise ValueError(f"time must rise, got {label(row + 1)} after {label(row)}; sort the table, or give sort=True")


def _usual_step(places: Array, codes: Numbers) -> float:
    """The step between rows that is met most often."""
    steps = np.diff(places)[np.diff(codes) == 0]
    if not len(steps):
        return 1.0
    if steps.dtype.kind == "f":
        return float(np.median(steps))
    values, counts = np.unique(steps, return_counts=True)
    return float(values[counts.argmax()])


def _breaks(recipe: WindowRecipe, places: Array, codes: Numbers, step: float, label: _Label, zoned: bool) -> Numbers:
    """The rows that come after a gap."""
    if recipe.time is None or recipe.gaps == "ignore":
        return np.zeros(0, np.int64)
    uneven = (np.diff(codes) == 0) & ~np.isclose(np.diff(places).astype(np.float64), step, rtol=1e-6, atol=0)
    rows = np.flatnonzero(uneven) + 1
    if len(rows) and recipe.gaps == "error":
        zone = "; times with a zone are read in UTC: give them without one to take local days as even" if zoned else ""
        raise ValueError(
            f"time must rise in even steps of {_shown(step, places, recipe, label)}, got {len(rows)} that differ, the"
            f" first between {label(rows[0] - 1)} and {label(rows[0])}; give gaps='split' to cut no window across them,"
            f" or gaps='ignore' to take rows as they follow each other{zone}"
        )
    return rows


def _shown(step: float, places: Array, recipe: WindowRecipe, label: _Label) -> str:
    """A step in the units of the times."""
    if label.when.dtype.kind != "M":
        return f"{step:g}"
    if np.array_equal(places, tables.walk(label.when, "month")[0]):  # places are counted in months
        return f"{step:g} months"
    seconds = step / 1e9
    name, size = next(
        ((name, size) for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)) if seconds % size == 0),
        ("seconds", 1),
    )
    return f"{seconds / size:g} {name}"


def _values(frame: Any, recipe: WindowRecipe, found: tables.Columns, order: Numbers, when: Array) -> Array:
    """The columns, and the calendar, of each row (T, C); a view of an array that has just these columns."""
    names = recipe.columns
    if type(frame) in (np.ndarray, np.memmap) and names == list(found) and not recipe.calendar and recipe.group is None:
        in_order = not recipe.sort or np.array_equal(order, np.arange(len(order)))
        if frame.dtype.kind in "fiub" and in_order:
            return np.asanyarray(frame)
    parts = [tables.numbers(name, found[tables.known_name("frame", name, found)])[order] for name in names]
    dtype = np.result_type(np.float32, *{part.dtype for part in parts})
    values = np.empty((len(order), len(recipe.feature_names)), dtype)
    for number, part in enumerate(parts):
        values[:, number] = part
    if recipe.calendar:
        if when.dtype.kind != "M":
            raise ValueError(f"calendar needs a column of dates as time, got times of dtype {when.dtype}")
        values[:, len(names) :] = tables.calendar(recipe.calendar, when)
    return values


def _missing(values: Array) -> Array:
    """Where there is no finite number."""
    return np.asarray(~np.isfinite(values)) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _incomplete(recipe: WindowRecipe, values: Array, label: _Label) -> tuple[Array, Array]:
    """Which rows cannot be read as past, and which not as future (T,); ValueError where that is not allowed."""
    missing = _missing(values)
    for number, name in enumerate(recipe.columns):
        column = missing[:, number]
        if column.all():
            raise ValueError(f"column {name!r} must hold numbers, all of its {len(column)} are NaN or infinite")
        if column.any() and recipe.missing == "error":
            raise ValueError(
                f"column {name!r} must have a finite number in each row, {int(column.sum())} have none, the first"
                f" {label(int(column.argmax()))}; fill them, or give missing='drop' to leave out windows that need them"
            )
    targets, ahead = len(recipe.target), len(recipe.target) + len(recipe.features)
    no_future = missing[:, :targets].any(axis=1) | missing[:, ahead:].any(axis=1)
    return np.asarray(missing.any(axis=1)), np.asarray(no_future)


def _begins(recipe: WindowRecipe, values: Array, starts: Numbers, label: _Label) -> Numbers:
    """The rows (N,) at which windows begin that lie in one run and have all their numbers."""
    rows, length = len(values), recipe.length
    sizes = np.diff(np.r_[starts, rows])
    run = np.repeat(np.arange(len(starts)), sizes)
    since = np.arange(rows) - starts[run]
    possible = (since + length <= sizes[run]) & (since % recipe.stride == 0)
    no_past, no_future = _incomplete(recipe, values, label)
    if no_past.any():
        possible &= ~_within(no_past, 0, length - 1 if recipe.each_step else recipe.past)
        possible &= ~_within(no_future, recipe.past, length)
    having = np.unique(label.codes[possible])
    if recipe.short == "error" and len(having) < len(label.groups):
        code = int(np.setdiff1d(np.arange(len(label.groups)), having)[0])
        count = int((label.codes == code).sum())
        whose = label.group(code).replace(" of ", "", 1) or "the table"
        hint = "" if recipe.group is None else "; give short='drop' to leave it out"
        raise ValueError(
            f"past and future must leave room for a window in each group: {whose} has {count} rows, and no {length}"
            f" complete ones in a row{hint}"
        )
    begins = np.flatnonzero(possible)
    if not len(begins):
        raise ValueError(f"past and future must leave room for a window, no group has {length} complete rows in a row")
    return begins


def _within(flags: Array, first: int, end: int) -> Array:
    """Whether any of the rows from `first` to below `end` after a row (T,) is flagged, as far as there are rows."""
    sums = np.r_[0, np.cumsum(flags)]
    rows = np.arange(len(flags))
    return np.asarray(sums[np.minimum(rows + end, len(flags))] > sums[np.minimum(rows + first, len(flags))])


def _newest(recipe: WindowRecipe, values: Array, firsts: Numbers, starts: Numbers, label: _Label) -> Numbers:
    """The rows (G,) at which the last complete pasts of the groups begin."""
    missing = _missing(values)
    to_come = np.asarray(np.isnan(values[:, : len(recipe.target)]).all(axis=1))
    begins = []
    for code, (first, end) in enumerate(zip(firsts, np.r_[firsts[1:], len(values)], strict=True)):
        last = end - 1
        while last >= first and to_come[last]:
            last -= 1
        begin = last + 1 - recipe.past
        run = starts[np.searchsorted(starts, max(last, first), side="right") - 1]
        if begin < max(run, first):
            if recipe.short == "drop" and end - first < recipe.past:
                continue
            whose = label.group(code) or " of the table"
            raise ValueError(
                f"frame must end in {recipe.past} rows without a gap, the past of a window; the end{whose} has"
                f" {max(last + 1 - max(run, first), 0)}"
            )
        wrong = np.flatnonzero(missing[begin : last + 1].any(axis=1))
        if len(wrong):
            row = int(begin + wrong[0])
            column = recipe.feature_names[int(missing[row].argmax())]
            raise ValueError(f"column {column!r} must have a finite number in {label(row)}, got none")
        begins.append(begin)
    if not begins:
        raise ValueError(f"frame must have a group of {recipe.past} rows, the past of a window, got shorter ones alone")
    return np.array(begins, np.int64)
