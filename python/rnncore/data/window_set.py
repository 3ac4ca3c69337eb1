"""Windows of a table as a data set: batches of them, arrays, and parts by time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.data import tables
from rnncore.data.rows import Array, Dataset, Numbers

if TYPE_CHECKING:
    from rnncore.data.cutting import Cut
    from rnncore.data.recipe import WindowRecipe

__all__ = ["Windows"]


class Windows(Dataset):
    """Windows of a table, made by `rnncore.data.windows`: a data set for `fit`, `evaluate` and `predict`.

    Attributes
    ----------
    recipe : WindowRecipe
        How they were cut, and the scales; it cuts other tables, and is kept with the model.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import data, layers, models
    >>> table = {"load": np.sin(np.arange(300.0) / 4), "shop": np.repeat(["a", "b"], 150)}
    >>> windows = data.windows(table, "load", past=20, future=5, group="shop")
    >>> windows
    <Windows of 252 samples, batches of 32: 20 steps of 1 values, 5 ahead>
    >>> model = models.Sequential([layers.Input((20, 1)), layers.GRU(8), layers.Dense(5)])
    >>> model.compile("adam", "mse")
    >>> history = model.fit(windows, epochs=2, verbose=0)
    >>> model.predict(windows.recipe.newest(table), verbose=0).shape
    (2, 5)
    """

    def __init__(
        self, recipe: WindowRecipe, cut: Cut, *, batch_size: int = 32, has_targets: bool = True, scaled: Any = None
    ) -> None:
        super().__init__(len(cut.begins), batch_size)
        self.recipe = recipe
        self._cut = cut
        self._has_targets = has_targets
        self._scaled = _Scaled(recipe, cut.values) if scaled is None else scaled

    def __repr__(self) -> str:
        steps, values = self._steps, len(self.feature_names)
        return f"{super().__repr__()[:-1]}: {steps} steps of {values} values, {self.recipe.future} ahead>"

    @property
    def _steps(self) -> int:
        """Steps of x."""
        recipe = self.recipe
        return recipe.length - 1 if recipe.each_step and self._has_targets else recipe.past

    @property
    def feature_names(self) -> list[str]:
        """The names of the values of a step, the last axis of x."""
        return self.recipe.feature_names

    @property
    def x(self) -> Array:
        """What is read, (N, past, C): a view where windows lie in one run of rows, to be read only."""
        return self._strips(0, self._steps, slice(None))

    @property
    def y(self) -> Array:
        """What is forecast, (N, future), or (N, future, U) if targets came as a list; with `each_step` at each step."""
        if not self._has_targets:
            raise ValueError("the newest windows have no y: what comes after them is not known")
        recipe = self.recipe
        first, steps = (1, self._steps) if recipe.each_step else (recipe.past, recipe.future)
        return self._strips(first, steps, 0 if recipe.single else slice(0, len(recipe.target)))

    @property
    def ahead(self) -> Array:
        """What is known of the steps to forecast, the columns `known` and the calendar: (N, future, K)."""
        if not self._has_targets:
            return self._ahead_of_newest
        return self._strips(self.recipe.past, self.recipe.future, self._known)

    @property
    def groups(self) -> Array:
        """The group of each window (N,), a tuple where several columns tell it."""
        return self._cut.groups[self._cut.codes[self._cut.begins]]

    @property
    def times(self) -> Array:
        """The time of the first step that each window forecasts (N,), or its row in the group."""
        cut = self._cut
        if self._has_targets:
            return cut.when[cut.begins + self.recipe.past]
        return self._later(1)[:, 0]

    def samples(self, numbers: Numbers) -> Any:
        """X and y of the windows with these numbers (n,)."""
        part = copy.copy(self)
        part.__dict__.pop("_ahead_of_newest", None)
        part._cut, part.rows = replace(self._cut, begins=self._cut.begins[numbers]), len(numbers)
        x = [part.x, part.ahead] if self.recipe.future_inputs else part.x
        return (x, part.y) if self._has_targets else (x,)

    def unscale(self, y: npt.ArrayLike, target: Any = None) -> Array:
        """Targets, or forecasts of them, in the units of the table: as `WindowRecipe.unscale`."""
        return self.recipe.unscale(y, target)

    # Parts by time

    def split(self, *bounds: Any) -> list[Windows]:
        """Parts whose forecasts lie between bounds of time, on scales learnt from the rows before the first one.

        Windows whose forecasts reach across a bound are in no part. What windows read may come from the part before:
        it is known by then.

        Parameters
        ----------
        *bounds : times, rising, or float in (0, 1)
            A part begins at its bound: a date as the table has them, or as text; a number where times are numbers or,
            without a column of times, the row within its group. A float in (0, 1) is the share of times before.

        Returns
        -------
        list of Windows
            One more than bounds.

        Raises
        ------
        TypeError, ValueError
            If a bound is no time, bounds do not rise, or a part has no window.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import data
        >>> windows = data.windows({"load": np.arange(100.0)}, past=8, future=2)
        >>> train, validation, test = windows.split(60, 80)
        >>> train.y[-1], validation.y[0], validation.y[-1], test.y[0]
        (array([58., 59.], dtype=float32), array([60., 61.], dtype=float32), array([78., 79.], dtype=float32),
         array([80., 81.], dtype=float32))
        """
        places = [self._place(bound) for bound in bounds]
        if not places or any(later <= earlier for earlier, later in pairwise(places)):
            raise ValueError(f"bounds must be at least one time, and rise, got {bounds}")
        firsts, lasts = self._forecast
        edges = [-np.inf, *places, np.inf]
        chosen = [np.flatnonzero((firsts >= begin) & (lasts < end)) for begin, end in pairwise(edges)]
        for number, part in enumerate(chosen):
            if not len(part):
                raise ValueError(f"bounds must leave windows in each part, got none in part {number} of {bounds}")
        return self._parts(places[0], chosen)

    def folds(self, n_splits: int = 5, gap: int = 0) -> Iterator[tuple[Windows, Windows]]:
        """Pairs to train on and to validate with, each a later part of time than the one before.

        As scikit-learn's `TimeSeriesSplit`, on the times at which forecasts begin: the last `n_splits` parts of equal
        size are validated, each after training on all that lies before. No forecast to train on reaches into the
        validated part, and each pair has scales of its own, learnt from what is trained on.

        Parameters
        ----------
        n_splits : int, default 5
        gap : int, default 0
            Steps between the last that is trained on and the first that is validated.

        Yields
        ------
        (Windows, Windows)

        Raises
        ------
        TypeError, ValueError
            If there are too few times.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import data
        >>> windows = data.windows({"load": np.arange(20.0)}, past=3, future=1)
        >>> [(len(train.x), int(validation.y[0, 0])) for train, validation in windows.folds(3)]
        [(5, 8), (9, 12), (13, 16)]
        """
        count = check.positive_int("n_splits", n_splits)
        distance = check.integer("gap", gap, low=0) * self._cut.step
        firsts, lasts = self._forecast
        begins = np.unique(firsts)
        size = len(begins) // (count + 1)
        if size == 0:
            raise ValueError(f"n_splits must be below the {len(begins)} times at which forecasts begin, got {count}")
        for number in range(count):
            start = len(begins) - (count - number) * size
            first, last = begins[start], begins[start + size - 1]
            train = np.flatnonzero(lasts + distance < first)
            if not len(train):
                raise ValueError(f"n_splits and gap must leave windows to train on, got none in fold {number}")
            train_part, validation = self._parts(
                lasts[train].max() + self._cut.step, [train, np.flatnonzero((firsts >= first) & (firsts <= last))]
            )
            yield train_part, validation

    def _parts(self, end: float, chosen: list[Numbers]) -> list[Windows]:
        """Windows by their numbers, on the scales of the rows before a place."""
        cut = self._cut
        recipe = self.recipe.learnt_from(cut.values, cut.places < end)
        scaled = _Scaled(recipe, cut.values)
        return [
            Windows(recipe, replace(cut, begins=cut.begins[part]), batch_size=self.batch_size, scaled=scaled)
            for part in chosen
        ]

    @property
    def _forecast(self) -> tuple[Array, Array]:
        """The places of the first and the last step that each window forecasts (N,)."""
        begins, places = self._cut.begins, self._cut.places
        return places[begins + self.recipe.past], places[begins + self.recipe.length - 1]

    def _place(self, bound: Any) -> float:
        """A bound on the line of times."""
        if isinstance(bound, (float, np.floating)) and 0 < bound < 1:
            begins = np.unique(self._forecast[0])
            return float(begins[int(bound * len(begins))])
        if self._cut.when.dtype.kind != "M":
            return check.number("each of bounds", bound)
        try:
            when = tables.moments(np.nan if isinstance(bound, Number) else bound)
            if when.shape or np.isnat(when):
                raise ValueError
        except (TypeError, ValueError):
            raise ValueError(f"each of bounds must be a time, as '2025-03-01', got {bound!r}") from None
        place, unit = tables.walk(when.reshape(1), self._cut.unit)
        is_later = unit != "ns" and when > tables.in_month(place, unit, self._cut.when)[0]
        return float(place[0] + is_later)

    # Arrays

    @property
    def _known(self) -> slice:
        """The values of a step that are known ahead."""
        return slice(len(self.recipe.target) + len(self.recipe.features), None)

    def _strips(self, first: int, steps: int, values: Any) -> Array:
        """Values of so many rows from the first one after each begin, (N, steps, ...)."""
        begins = self._cut.begins + first
        if len(begins) > 2 and len(strides := np.unique(np.diff(begins))) == 1 and strides[0] > 0:
            rows = self._scaled.rows(slice(begins[0], begins[-1] + steps))[:, values]
            every = np.lib.stride_tricks.sliding_window_view(rows, steps, axis=0)[:: strides[0]]
            return every.swapaxes(1, 2) if every.ndim == 3 else every
        return self._scaled.rows(begins[:, None] + np.arange(steps))[..., values]

    @cached_property
    def _ahead_of_newest(self) -> Array:
        """As `ahead`, after the last rows with targets: columns of rows without, and the calendar of later times."""
        recipe, cut = self.recipe, self._cut
        columns = len(recipe.target) + len(recipe.features)
        found = np.zeros((self.rows, recipe.future, len(self.feature_names)))
        if recipe.known:
            rows = cut.begins[:, None] + np.arange(recipe.past, recipe.length)
            inside = rows < len(cut.values)
            rows = np.where(inside, rows, 0)
            found[...] = cut.values[rows]
            inside &= cut.codes[rows] == cut.codes[cut.begins][:, None]
            inside &= np.isfinite(found[..., columns:]).all(axis=2)
            if not inside.all():
                row, step = (int(k) for k in np.argwhere(~inside)[0])
                raise ValueError(
                    f"frame must have rows with {', '.join(map(repr, recipe.known))} for the {recipe.future} steps to"
                    f" forecast, without targets, got {step} for group {self.groups[row]!r}"
                )
        if recipe.calendar:
            later = self._later(recipe.future)
            parts = tables.calendar(recipe.calendar, later.reshape(-1))
            found[..., len(recipe.columns) :] = parts.reshape(*later.shape, -1)
        return recipe.scaled(found)[..., columns:]

    def _later(self, steps: int) -> Array:
        """The times (N, steps) after the last rows of the past."""
        cut = self._cut
        last = cut.when[cut.begins + self.recipe.past - 1][:, None]
        ahead = np.arange(1, steps + 1)
        if cut.when.dtype.kind != "M":
            is_whole = cut.when.dtype.kind in "iu" and cut.step == int(cut.step)
            return np.asarray(last.astype(np.int64) + ahead * int(cut.step) if is_whole else last + ahead * cut.step)
        if cut.unit != "ns":
            months = last.astype("datetime64[M]").astype(np.int64) + ahead * int(cut.step)
            return tables.in_month(months, str(cut.unit), cut.when)
        return np.asarray(last + (ahead * int(cut.step)).astype("timedelta64[ns]"))


class _Scaled:
    """The rows of a table on the scales of a recipe: all at once, or of a file those that are asked for."""

    def __init__(self, recipe: WindowRecipe, values: Array) -> None:
        self._recipe = recipe
        self._values = values

    def rows(self, rows: Any) -> Array:
        if isinstance(self._values, np.memmap):
            return self._recipe.scaled(self._values[rows])
        return np.asarray(self._all[rows])

    @cached_property
    def _all(self) -> Array:
        return self._recipe.scaled(self._values)
