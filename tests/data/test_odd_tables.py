"""Tables unlike the usual: last days of months, masks, null, numbers as objects, times with zones, infinity."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from given_kinds import need

from rnncore import data

V = np.arange(48.0)
HOURS = np.arange("2025-03-01", "2025-03-03", dtype="datetime64[h]").astype("datetime64[ns]")
SHORT: dict[str, Any] = {"past": 2, "future": 1}


def by_hand(table: Any, past: int, future: int, stride: int, step: Any, across: bool) -> tuple[Any, Any, Any]:
    """Pasts, futures and times, row by row."""
    pasts, futures, times = [], [], []
    for _, rows in table.sort_values("t").groupby("g"):
        when, values = rows["t"].tolist(), rows[["v", "k"]].to_numpy(float)
        start = 0
        for row in range(len(rows) - past - future + 1):
            if row and not across and when[row] - when[row - 1] != step:
                start = row
            inside = when[row : row + past + future]
            if (row - start) % stride or not (across or all(b - a == step for a, b in pairwise(inside))):
                continue
            window = values[row : row + past + future]
            if not np.isnan(window[:past]).any() and not np.isnan(window[past:, 0]).any():
                pasts.append(window[:past])
                futures.append(window[past:, 0])
                times.append(inside[past])
    return pasts, futures, times


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_random_tables_are_those_of_a_plain_loop(seed: int) -> None:
    pd = need("pandas")
    rng = np.random.default_rng(seed)
    past, future, stride = (int(k) for k in rng.integers(1, 4, 3))
    tables = []
    for group in range(3):
        count = int(rng.integers(9, 40))
        table = pd.DataFrame({"t": pd.date_range("2024-02-20", periods=count, freq="D"), "g": f"s{group}"})
        table["v"] = np.where(rng.random(count) < 0.1, np.nan, rng.normal(size=count))
        table["k"] = rng.random(count) > 0.5
        tables.append(table.drop(index=rng.choice(count, 2, replace=False)))
    frame = pd.concat(tables).sample(frac=1, random_state=seed)
    arguments: dict[str, Any] = {"group": "g", "time": "t", "sort": True, "missing": "drop", "short": "drop"}
    for gaps in ("split", "ignore"):
        pasts, futures, times = by_hand(frame, past, future, stride, pd.Timedelta("1D"), gaps == "ignore")
        found = data.windows(
            frame, "v", past=past, future=future, stride=stride, gaps=gaps, dtype="float64", **arguments
        )
        assert np.array_equal(found.x, pasts)
        assert np.array_equal(found.y, futures)
        assert pd.DatetimeIndex(found.times).tolist() == times


@pytest.mark.parametrize("frequency", ["ME", "QE", "YE", "MS", "QS"])
def test_last_days_of_months_are_even(frequency: str) -> None:
    pd = need("pandas")
    days = pd.date_range("2019-10-01", periods=30, freq=frequency)
    table = {"t": days[:24], "v": V[:24]}
    windows = data.windows(table, "v", past=4, future=2, time="t", known=[], calendar="month")
    assert pd.DatetimeIndex(windows.times).equals(days[4:23])
    newest = windows.recipe.newest(table)
    assert newest.times[0] == days[24].to_datetime64()
    angle = 2 * np.pi * (days[24:26].month.to_numpy() - 1) / 12
    np.testing.assert_allclose(newest.ahead[0], np.stack([np.sin(angle), np.cos(angle)], axis=1), atol=1e-6)


@pytest.mark.parametrize("frequency", ["ME", "MS"])
@pytest.mark.parametrize("bound", ["2021-03-01", "2021-03-15", "2021-03-31", "2021-04-01"])
def test_a_bound_within_a_month_parts_the_rows_before_it(frequency: str, bound: str) -> None:
    pd = need("pandas")
    days = pd.date_range("2020-01-01", periods=36, freq=frequency)
    table = {"t": days, "v": V[:36]}
    before, after = data.windows(table, "v", time="t", scale="minmax", **SHORT).split(bound)
    assert pd.DatetimeIndex(before.times).equals(days[2:][days[2:] < bound])
    assert pd.DatetimeIndex(after.times).equals(days[2:][days[2:] >= bound])
    assert before.recipe.spread == ((days < bound).sum() - 1,)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_infinity_is_no_part_of_scales(scale: str) -> None:
    holes = np.where(V == 7, np.inf, V)
    kept = np.delete(V, 7)
    windows = data.windows({"v": holes}, "v", missing="drop", scale=scale, dtype="float64", **SHORT)
    center, spread = (kept.mean(), kept.std()) if scale == "standard" else (0, 47)
    np.testing.assert_allclose(windows.y[:, 0], (np.delete(V, [0, 1, 7, 8, 9]) - center) / spread)


def test_a_column_of_equal_numbers_keeps_its_size() -> None:
    columns = {"v": V, "same": np.full(48, 0.1)}  # whose mean is not quite 0.1
    train, _ = data.windows(columns, "v", scale="standard", **SHORT).split(30)
    assert train.recipe.spread is not None
    assert train.recipe.spread[1] == 1


def test_newest_windows_of_many_groups_come_in_batches() -> None:
    groups = np.repeat(np.arange(40), 6)
    table = {"g": groups, "v": np.tile(np.r_[:4.0, np.nan, np.nan], 40), "k": np.arange(240.0)}
    recipe = data.windows({**table, "v": table["k"]}, "v", group="g", known="k", future_inputs=True, past=3, future=2)
    newest = recipe.recipe.newest(table)
    ahead = np.arange(240.0).reshape(40, 6)[:, 4:]
    for _ in range(2):  # before and after all of it was asked for
        ((_, first),), ((_, second),) = newest[0], newest[1]
        assert np.array_equal(np.concatenate([first, second])[..., 0], ahead)
        assert np.array_equal(newest.ahead[..., 0], ahead)


def test_newest_windows_leave_out_groups_that_were_left_out() -> None:
    table = {"g": ["a"] * 40 + ["b"], "v": V[:41]}
    windows = data.windows(table, "v", group="g", short="drop", **SHORT)
    assert windows.recipe.newest(table).groups.tolist() == ["a"]
    with pytest.raises(ValueError, match="frame must have a group of 2 rows, the past of a window, got shorter ones"):
        windows.recipe.newest({"g": ["b"], "v": [1.0]})


HOLED: dict[str, Callable[[], Any]] = {  # numbers of which the one in row 7 is missing
    "list": lambda: [None if v == 7 else v for v in V.tolist()],
    "objects": lambda: np.array([None if v == 7 else Decimal(int(v)) for v in V], object),
    "masked": lambda: np.ma.array(V, mask=V == 7),
    "pandas": lambda: need("pandas").Series([None if v == 7 else v for v in V.tolist()], dtype=object),
    "pyarrow": lambda: need("pyarrow").chunked_array([[None if v == 7 else v for v in V.tolist()]]),
    "pyarrow decimal": lambda: need("pyarrow").array([None if v == 7 else Decimal(int(v)) for v in V]),
    "polars": lambda: need("polars").Series([None if v == 7 else v for v in V.tolist()]),
}


@pytest.mark.parametrize("kind", HOLED)
def test_missing_numbers_in_columns_of_all_kinds(kind: str) -> None:
    windows = data.windows({"v": HOLED[kind]()}, "v", missing="drop", **SHORT)
    assert windows.y[:, 0].tolist() == [*range(2, 7), *range(10, 48)]


def test_masked_entries_of_an_array_are_missing() -> None:
    windows = data.windows(np.ma.array(V[:, None], mask=V[:, None] == 7), 0, missing="drop", **SHORT)
    assert windows.y[:, 0].tolist() == [*range(2, 7), *range(10, 48)]


TIMES: dict[str, tuple[Callable[[], Any], Any]] = {  # a column, and the time of its third row
    "unsigned": (lambda: np.arange(48, dtype="u1"), 2),
    "objects": (lambda: np.arange(48).astype(object), 2),
    "text in UTC": (lambda: [f"{hour}Z" for hour in HOURS.astype("datetime64[s]")], HOURS[2]),
    "text with a zone": (
        lambda: [f"{hour}+02:00" for hour in HOURS.astype("datetime64[s]")],
        np.datetime64("2025-03-01"),
    ),
    "dates": (
        lambda: [date(2025, 1, day) for day in range(1, 32)] + [date(2025, 2, d) for d in range(1, 18)],
        np.datetime64("2025-01-03"),
    ),
    "periods": (lambda: need("pandas").period_range("2025-01", periods=48, freq="M"), np.datetime64("2025-03-01")),
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_all_kinds(kind: str) -> None:
    make, third = TIMES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        windows = data.windows({"t": make(), "v": V}, "v", time="t", **SHORT)
    assert windows.times[0] == third
    assert len(windows.times) == 46


def test_unsigned_times_that_fall_are_seen() -> None:
    with pytest.raises(ValueError, match="time must rise, got row 1 at 46 after row 0 at 47"):
        data.windows({"t": np.arange(48, dtype="u4")[::-1], "v": V}, "v", time="t", gaps="ignore", **SHORT)


def test_groups_and_times_in_the_index_of_pandas() -> None:
    frame = need("pandas").DataFrame({"g": ["a", "b"] * 24, "t": np.repeat(HOURS[:24], 2), "v": V})
    found = data.windows(frame.set_index(["g", "t"]), "v", group="g", time="t", **SHORT)
    assert found.y[:, 0].tolist() == [*range(4, 48, 2), *range(5, 48, 2)]
    assert found.feature_names == ["v"]


def test_an_array_of_xarray_with_one_axis_is_a_table() -> None:
    array = need("xarray").DataArray(V, dims="t", coords={"t": HOURS}, name="v")
    assert data.windows(array, "v", time="t", **SHORT).y[:, 0].tolist() == list(range(2, 48))


def masked(column: Any) -> Any:
    return np.ma.array(column, mask=V == 7)


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "dates": ({"t": HOURS}, {}, TypeError, "'t' must hold real numbers, got .* in row 0: .*, give it as time"),
    "text": ({"w": [*V[:47], "n/a"]}, {}, TypeError, "'w' must hold real numbers, got 'n/a' in row 47"),
    "one number": ({"w": 3}, {}, TypeError, "'w' must have one entry in each row, got int 3"),
    "masked times": (
        {"t": masked(HOURS)},
        {"time": "t"},
        ValueError,
        "'t' must have a time in each row, got none in row 7",
    ),
    "masked number": (
        {"t": masked(V)},
        {"time": "t"},
        ValueError,
        "'t' must have a time in each row, got none in row 7",
    ),
    "masked group": (
        {"g": masked(V)},
        {"group": "g"},
        ValueError,
        "'g' must name a group in each row, got None in row 7",
    ),
    "no date": ({"g": np.where(V == 7, np.datetime64("NaT"), HOURS)}, {"group": "g"}, ValueError, "got NaT in row 7"),
    "name": ({}, {"features": 3}, ValueError, "features: unknown column 3; known names: v"),
    "dtype": ({}, {"dtype": "foo"}, TypeError, "dtype must be one of floats, got foo"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case: str) -> None:
    columns, arguments, error, message = BAD[case]
    with pytest.raises(error, match=message):
        data.windows({"v": V, **columns}, "v", **SHORT, **arguments)


@pytest.mark.parametrize("bound", [30, True, None, "NaT", 1.0, ("2025-03-01", "2025-03-02")])
def test_bounds_of_dates_are_dates(bound: Any) -> None:
    windows = data.windows({"t": HOURS, "v": V}, "v", time="t", **SHORT)
    with pytest.raises(ValueError, match="each of bounds must be a time, as '2025-03-01', got"):
        windows.split(bound)


def test_a_bound_with_a_zone_is_read_in_utc() -> None:
    windows = data.windows({"t": HOURS, "v": V}, "v", time="t", **SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = windows.split(need("pandas").Timestamp("2025-03-02", tz="Europe/Berlin"))
    assert parts[1].times[0] == np.datetime64("2025-03-01T23")


def test_local_days_with_a_zone_are_uneven_and_told_so() -> None:
    days = need("pandas").date_range("2025-03-01", periods=48, tz="Europe/Berlin")
    with pytest.raises(
        ValueError, match="even steps of 1 days.*; times with a zone are read in UTC: give them without"
    ):
        data.windows({"t": days, "v": V}, "v", time="t", **SHORT)
    assert len(data.windows({"t": days.tz_localize(None), "v": V}, "v", time="t", **SHORT).times) == 46


def test_newest_windows_of_numbers_that_are_odd() -> None:
    recipe = data.windows({"t": np.arange(48, dtype="u1"), "v": V}, "v", time="t", **SHORT).recipe
    newest = recipe.newest({"t": np.arange(48), "v": np.r_[V[:46], np.nan, np.nan]})
    assert newest.times.dtype == np.int64
    assert newest.times.tolist() == [46]
    with pytest.raises(ValueError, match="column 'v' must have a finite number in row 47 at 47, got none"):
        recipe.newest({"t": np.arange(48), "v": np.r_[V[:47], np.inf]})  # infinity does not tell a step to come
    with pytest.raises(ValueError, match="frame: unknown column 'v'; known names: t"):
        recipe.newest({"t": np.arange(48)})


def test_names_that_are_tuples() -> None:
    frame = need("pandas").DataFrame({("load", "north"): V, ("load", "south"): -V})
    found = data.windows(frame, ("load", "south"), **SHORT)
    assert found.y[:, 0].tolist() == (-V[2:]).tolist()
    assert data.windows(frame[[("load", "north")]], **SHORT).y[:, 0].tolist() == V[2:].tolist()


def test_what_comes_later_changes_nothing_before() -> None:
    later = np.where(V < 30, V, 1e6)
    arguments: dict[str, Any] = {"time": "t", "calendar": "hour", **SHORT}
    for scale in ("standard", "minmax"):
        one, other = (data.windows({"t": HOURS, "v": v}, "v", scale=scale, **arguments) for v in (V, later))
        for (train, _), (same, _) in zip(
            [one.split(HOURS[30]), next(one.folds(3))], [other.split(HOURS[30]), next(other.folds(3))], strict=True
        ):
            assert np.array_equal(train.x, same.x)
            assert np.array_equal(train.y, same.y)
            assert train.recipe == same.recipe
