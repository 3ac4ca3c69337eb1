"""Windows of tables: where they lie, what they hold, how they are parted, and what is wrong with a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from given_kinds import need
from small_models import same

from rnncore import data, layers, losses, models, utils

HOURS = np.arange("2025-02-27", "2025-03-03", dtype="datetime64[h]").astype("datetime64[ns]")  # 96 of them
RNG = np.random.default_rng(0)
TABLE: dict[str, Any] = {"time": HOURS, "load": RNG.normal(50, 9, 96), "heat": RNG.normal(size=96).astype("f")}
GROUPED = {  # two series whose rows alternate, of 40 and 56 rows
    "shop": np.array(["b", "a"] * 40 + ["a"] * 16),
    "day": np.r_[np.repeat(np.arange(40), 2), np.arange(40, 56)],
    "sold": np.arange(96.0),
}

TABLES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "dict": lambda columns: columns,
    "lists": lambda columns: {name: column.tolist() for name, column in columns.items()},
    "structured": lambda columns: np.rec.fromarrays(list(columns.values()), names=list(columns)),
    "pandas": lambda columns: need("pandas").DataFrame(columns),
    "pandas nullable": lambda columns: need("pandas").DataFrame(columns).convert_dtypes(),
    "polars": lambda columns: need("polars").DataFrame(columns),
    "pyarrow": lambda columns: need("pyarrow").table(columns),
    "xarray": lambda columns: need("xarray").Dataset({name: ("row", column) for name, column in columns.items()}),
}


def changed(**columns: Any) -> dict[str, Any]:
    return {**TABLE, **columns}


def with_entry(name: str, row: int, value: Any) -> dict[str, Any]:
    column = TABLE[name].copy()
    column[row] = value
    return changed(**{name: column})


@pytest.mark.parametrize("kind", TABLES)
def test_windows_of_every_kind_of_table(kind: str) -> None:
    columns = {**TABLE, "time": HOURS.astype(str)} if kind == "lists" else TABLE
    found = data.windows(TABLES[kind](columns), "load", past=5, future=2, time="time", stride=3, features=["heat"])
    values = np.stack([TABLE["load"], TABLE["heat"]], axis=1).astype("f")
    every = np.lib.stride_tricks.sliding_window_view(values, 7, axis=0).swapaxes(1, 2)[::3]
    assert np.array_equal(found.x, every[:, :5])
    assert np.array_equal(found.y, every[:, 5:, 0])
    assert np.array_equal(found.times, HOURS[5:-1:3])
    assert found.feature_names == ["load", "heat"]


@pytest.mark.parametrize("kind", TABLES)
def test_groups_in_any_order(kind: str) -> None:
    columns = {**GROUPED, "day": GROUPED["day"]}
    found = data.windows(TABLES[kind](columns), ["sold"], past=3, future=2, group="shop", time="day")
    a, b = (GROUPED["sold"][GROUPED["shop"] == shop] for shop in "ab")
    expected = [series[k : k + 5] for series in (a, b) for k in range(len(series) - 4)]
    assert np.array_equal(np.concatenate([found.x, found.y], axis=1)[..., 0], expected)
    assert found.groups.tolist() == ["a"] * 52 + ["b"] * 36
    assert found.times.tolist() == [*range(3, 55), *range(3, 39)]


def test_several_columns_tell_groups_and_rows_are_sorted() -> None:
    order = np.random.default_rng(1).permutation(96)
    mixed = {name: column[order] for name, column in GROUPED.items()}
    mixed["land"] = np.full(96, "x")
    with pytest.raises(ValueError, match=r"time must rise, got row \d+ at \d+ of group \('x', 'a'\) after row"):
        data.windows(mixed, "sold", past=3, future=2, group=["land", "shop"], time="day")
    found = data.windows(mixed, "sold", past=3, future=2, group=["land", "shop"], time="day", sort=True)
    expected = data.windows(GROUPED, "sold", past=3, future=2, group="shop", time="day")
    assert same([found.x, found.y], [expected.x, expected.y])
    assert found.groups[-1] == ("x", "b")


def test_no_window_is_copied() -> None:
    table = np.arange(200.0, dtype="f").reshape(100, 2)
    found = data.windows(table, 0, past=8, future=4, stride=2)
    assert np.shares_memory(found.x, table)
    assert np.shares_memory(found.y, table)
    assert not found.x.flags.writeable
    assert np.shares_memory(found.split(60)[1].x, table)


def test_the_table_as_read_by_numbers_or_by_one_name() -> None:
    for frame in ({"v": np.arange(9.0)}, need("pandas").Series(np.arange(9.0), name="v"), np.arange(9.0)[:, None]):
        assert data.windows(frame, past=3, future=1).y.ravel().tolist() == [3, 4, 5, 6, 7, 8]
    frame = need("pandas").DataFrame({"load": TABLE["load"]}, index=HOURS)
    by_index = data.windows(frame, "load", past=3, future=1, time="index", calendar="hour")
    by_column = data.windows(TABLE, "load", past=3, future=1, time="time", calendar="hour", features=[])
    assert np.array_equal(by_index.x, by_column.x)


def test_gaps_are_not_crossed() -> None:
    kept = np.delete(np.arange(96), [30, 31, 60])
    holes = {name: column[kept] for name, column in TABLE.items()}
    arguments: dict[str, Any] = {"past": 4, "future": 2, "time": "time"}
    with pytest.raises(ValueError, match=r"of 1 hours, got 2 that differ, the first between row 29 at 2025-02-28"):
        data.windows(holes, "load", **arguments)
    found = data.windows(holes, "load", gaps="split", **arguments)
    whole = data.windows(TABLE, "load", **arguments)
    clear = [k for k in range(91) if not {30, 31, 60} & set(range(k, k + 6))]
    assert same([found.x, found.y], [whole.x[clear], whole.y[clear]])
    ignored = data.windows(holes, "load", gaps="ignore", **arguments)
    assert len(ignored.x) == 93 - 5


def test_months_and_years_are_even() -> None:
    months = np.arange("2020-01", "2023-01", dtype="datetime64[M]").astype("datetime64[D]")
    found = data.windows({"t": months, "v": np.arange(36.0)}, "v", past=12, future=1, time="t", calendar="month")
    assert np.allclose(found.x[0, :, 1], np.sin(2 * np.pi * np.arange(12) / 12), atol=1e-7)
    newest = found.recipe.newest({"t": months, "v": np.arange(36.0)})
    assert newest.times == np.datetime64("2023-01-01")
    with pytest.raises(ValueError, match="even steps of 1 months, got 1 that differ"):
        data.windows({"t": np.delete(months, 20), "v": np.arange(35.0)}, "v", past=12, future=1, time="t")


def test_the_calendar_is_that_of_pandas() -> None:
    pd = need("pandas")
    times = pd.Series(pd.date_range("2023-11-29 22:30", periods=3000, freq="7h30min"))
    parts = ["minute", "hour", "weekday", "day", "month", "yearday"]
    found = data.windows({"t": times, "v": np.zeros(3000)}, "v", past=2999, future=1, time="t", calendar=parts)
    when = times.dt
    of_day = (when.hour + when.minute / 60) / 24
    length = np.where(when.is_leap_year, 366, 365)
    days = when.days_in_month
    shares = [when.minute / 60, of_day, when.day_of_week / 7, (when.day - 1) / days, (when.month - 1) / 12]
    shares.append((when.day_of_year - 1) / length)
    for number, share in enumerate(shares):
        angle = 2 * np.pi * np.asarray(share)
        expected = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        np.testing.assert_allclose(found.x[0, :, 1 + 2 * number : 3 + 2 * number], expected[:-1], atol=1e-6)
        np.testing.assert_allclose(found.ahead[0, 0, 2 * number : 2 * number + 2], expected[-1], atol=1e-6)


def test_times_with_a_zone_are_read_in_utc() -> None:
    pd, pl = need("pandas"), need("polars")
    times = pd.date_range("2025-03-29", periods=60, freq="h", tz="Europe/Berlin")  # with the hour that is left out
    for frame in (pd.DataFrame({"t": times, "v": range(60)}), pl.DataFrame({"t": pl.Series(times), "v": range(60)})):
        found = data.windows(frame, "v", past=5, future=1, time="t")
        assert found.times[0] == np.datetime64("2025-03-29T04")


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_scales_know_the_training_rows_alone(scale: str) -> None:
    windows = data.windows(TABLE, "load", past=6, future=3, time="time", scale=scale, calendar="hour", dtype="float64")
    train, test = windows.split("2025-03-02")
    seen = np.stack([TABLE["load"], TABLE["heat"]], axis=1)[np.datetime64("2025-03-02") > HOURS]
    center = seen.mean(axis=0) if scale == "standard" else seen.min(axis=0)
    spread = seen.std(axis=0) if scale == "standard" else seen.max(axis=0) - center
    after = np.stack([TABLE["load"], TABLE["heat"]], axis=1)[np.datetime64("2025-03-02") <= HOURS]
    np.testing.assert_allclose(test.x[6:, 0, :2], ((after - center) / spread)[:-8], rtol=1e-6)
    np.testing.assert_allclose(test.unscale(test.y[0]), after[:3, 0], rtol=1e-12)
    np.testing.assert_allclose(train.unscale(train.y[-1]), seen[-3:, 0], rtol=1e-12)
    assert np.array_equal(train.x[..., 2:], windows.x[: len(train.x), :, 2:])


def test_parts_of_time_do_not_overlap() -> None:
    windows = data.windows(GROUPED, "sold", past=3, future=4, group="shop", time="day")
    parts = windows.split(20, 30)
    for part, low, high in zip(parts, (0, 20, 30), (20, 30, 56), strict=True):
        assert part.times.min() >= low
        assert part.times.max() + 3 < high
    assert [len(part.x) for part in parts] == [2 * 14, 2 * 7, 23 + 7]
    half = windows.split(0.5)
    assert half[1].times.min() == 3 + 50 // 2


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("future", [1, 3])
def test_folds_are_those_of_scikit_learn(future: int, gap: int) -> None:
    split = need("sklearn.model_selection").TimeSeriesSplit(4, gap=gap + future - 1)
    windows = data.windows(TABLE, "load", past=5, future=future, time="time", features=["heat"])
    pairs = list(split.split(windows.x))
    for (train, validation), (first, second) in zip(windows.folds(4, gap), pairs, strict=True):
        assert np.array_equal(train.times, windows.times[first])
        assert np.array_equal(validation.times, windows.times[second])
    scaled = data.windows(TABLE, "load", past=5, future=1, time="time", scale="standard", dtype="float64").folds(2)
    for train, _ in scaled:
        rows = train.times[-1] >= HOURS
        assert train.recipe.center == pytest.approx([TABLE["load"][rows].mean(), TABLE["heat"][rows].mean()])


def test_what_is_known_ahead_and_the_newest_windows() -> None:
    promo = np.arange(100.0)
    table = {
        "time": np.arange("2025-02-27", "2025-03-03T04", dtype="datetime64[h]"),
        "load": np.r_[TABLE["load"], [np.nan] * 4],
        "promo": promo,
    }
    known = {name: column[:96] for name, column in table.items()}
    windows = data.windows(known, "load", past=5, future=4, time="time", known=["promo"], calendar="hour")
    assert windows.feature_names == ["load", "promo", "hour sin", "hour cos"]
    assert np.array_equal(windows.ahead[7, :, 0], promo[12:16])
    assert np.array_equal(windows.ahead[7], windows.x[12, :4, 1:])
    newest = windows.recipe.newest(table)
    assert np.array_equal(newest.x[0, :, 0], TABLE["load"][91:].astype("f"))
    assert np.array_equal(newest.ahead[0, :, 0], promo[96:])
    angle = 2 * np.pi * np.arange(4) / 24
    np.testing.assert_allclose(newest.ahead[0, :, 1:], np.stack([np.sin(angle), np.cos(angle)], axis=1), atol=1e-6)
    assert newest.times.tolist() == [np.datetime64("2025-03-03T00", "ns").astype(int)]
    with pytest.raises(ValueError, match="frame must have rows with 'promo' for the 4 steps to forecast.*, got 0"):
        _ = windows.recipe.newest(known).ahead
    with pytest.raises(ValueError, match="the newest windows have no y"):
        _ = newest.y


def test_each_group_has_a_newest_window() -> None:
    recipe = data.windows(GROUPED, "sold", past=3, future=2, group="shop", time="day").recipe
    newest = recipe.newest(GROUPED)
    assert newest.groups.tolist() == ["a", "b"]
    assert newest.x[..., 0].tolist() == [[93, 94, 95], [74, 76, 78]]
    assert newest.times.tolist() == [56, 40]
    early = {"shop": ["b", "a", "a", "a"], "day": [0, 1, 2, 3], "sold": [0, 1, 2, 3]}
    with pytest.raises(ValueError, match="frame must end in 3 rows without a gap.* the end of group 'b' has 1"):
        recipe.newest(early)


def test_a_recipe_goes_through_a_file(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"known": ["heat"], "calendar": ["hour", "weekday"], "scale": "standard"}
    windows = data.windows(TABLE, ["load"], past=5, future=2, time="time", **arguments).split(0.7)[0]
    windows.recipe.save(tmp_path / "w.json")
    again = data.WindowRecipe.load(tmp_path / "w.json")
    assert again == windows.recipe
    assert same([again.windows(TABLE).x[:9]], [windows.x[:9]])
    (tmp_path / "w.json").write_text('{"rnncore windows": 1}')
    with pytest.raises(ValueError, match=r"w\.json' must be a file that WindowRecipe.save wrote"):
        data.WindowRecipe.load(tmp_path / "w.json")


def model(outputs: int = 2, **last: Any) -> models.Sequential:
    utils.set_random_seed(1)
    made = models.Sequential([layers.Input((None, 2)), layers.GRU(4, **last), layers.Dense(outputs)])
    made.compile("sgd", "mse")
    return made


def test_a_model_learns_the_same_from_batches_as_from_arrays() -> None:
    windows = data.windows(TABLE, "load", past=5, future=2, time="time", scale="standard", batch_size=16)
    train, test = windows.split(0.8)
    one, other = model(), model()
    for shuffle in (False, True):
        utils.set_random_seed(3)
        one.fit(train, epochs=2, verbose=0, shuffle=shuffle, validation_data=test)
        utils.set_random_seed(3)
        other.fit(train.x, train.y, batch_size=16, epochs=2, verbose=0, shuffle=shuffle)
        assert same(one.get_weights(), other.get_weights())
    assert np.array_equal(one.predict(test, verbose=0), one.predict(test.x, verbose=0))
    assert one.evaluate(test, verbose=0) == pytest.approx(one.evaluate(test.x, test.y, verbose=0), rel=1e-6)


def test_two_inputs_and_each_step() -> None:
    windows = data.windows(TABLE, "load", past=5, future=2, time="time", known=["heat"], future_inputs=True)
    past, ahead = layers.Input((5, 2)), layers.Input((2, 1))
    joined = layers.Concatenate()([layers.GRU(3)(past), layers.Flatten()(ahead)])
    both = models.Model([past, ahead], layers.Dense(2)(joined))
    both.compile("sgd", "mse")
    assert len(both.fit(windows, verbose=0).history["loss"]) == 1
    expected = both.predict([windows.x, windows.ahead], verbose=0)
    assert np.array_equal(both.predict(windows, verbose=0), expected)
    steps = data.windows(TABLE, "load", past=5, future=3, time="time", known=["heat"], each_step=True)
    assert np.array_equal(steps.y, data.windows(TABLE, "load", past=1, future=7, time="time").y)
    network = model(2, return_sequences=True)
    network.compile("sgd", losses.GaussianNLL())
    network.fit(steps, verbose=0)
    newest = steps.recipe.newest({**TABLE, "load": np.r_[TABLE["load"][:-3], [np.nan] * 3]})
    paths = network.sample_paths(newest.x, 3, 10, future=newest.ahead[:, :-1], seed=0)
    assert paths.shape == (1, 10, 3, 1)


def test_numbers_that_are_missing() -> None:
    holes = with_entry("heat", 40, np.nan)
    with pytest.raises(
        ValueError, match="'heat' must have a finite number in each row, 1 have none, the first row 40 at"
    ):
        data.windows(holes, "load", past=4, future=2, time="time")
    found = data.windows(holes, "load", past=4, future=2, time="time", missing="drop")
    whole = data.windows(TABLE, "load", past=4, future=2, time="time")
    clear = [k for k in range(91) if 40 not in range(k, k + 4)]  # the future is asked for its load alone
    assert same([found.x, found.y], [whole.x[clear], whole.y[clear]])
    clear = [k for k in range(91) if 40 not in range(k, k + 6)]
    found = data.windows(with_entry("load", 40, np.inf), "load", past=4, future=2, time="time", missing="drop")
    assert same([found.x, found.y], [whole.x[clear], whole.y[clear]])


BAD: dict[str, tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = {
    "a name": (lambda: TABLE, {"target": "laod"}, ValueError, "target: unknown column 'laod'; did you mean 'load'?"),
    "a feature": (
        lambda: TABLE,
        {"features": ["Heat"]},
        ValueError,
        "unknown column 'Heat'; did you mean 'heat'",
    ),
    "a group": (
        lambda: TABLE,
        {"group": "shop"},
        ValueError,
        "unknown column 'shop'; known names: heat",
    ),
    "a time": (lambda: TABLE, {"time": "tim"}, ValueError, "time: unknown column 'tim'; did you mean 'time'?"),
    "no target": (lambda: TABLE, {"target": None}, ValueError, "target must name what to forecast, one or several of"),
    "twice": (lambda: TABLE, {"known": ["load"]}, ValueError, "only one of them, got 'load' twice"),
    "text": (
        lambda: changed(heat=np.full(96, "warm")),
        {},
        TypeError,
        "'heat' must hold real numbers, got 'warm' in row 0",
    ),
    "NaN": (
        lambda: changed(heat=np.full(96, np.nan)),
        {},
        ValueError,
        "'heat' must hold numbers, all of its 96 are NaN",
    ),
    "unsorted": (
        lambda: with_entry("time", 7, HOURS[3] + np.timedelta64(1, "m")),
        {},
        ValueError,
        "time must rise, got row 7 at 2025-02-27T03:01:00.000000000 after row 6",
    ),
    "a time twice": (
        lambda: with_entry("time", 8, HOURS[7]),
        {},
        ValueError,
        "each time once in a group, got row 7",
    ),
    "no time": (
        lambda: with_entry("time", 8, "NaT"),
        {},
        ValueError,
        "a time in each row, got none in row 8",
    ),
    "no date": (
        lambda: changed(time=[*HOURS[:9].astype(str), "soon", *HOURS[10:].astype(str)]),
        {},
        ValueError,
        "column 'time' must hold times, as '2025-03-01 06:00', got 'soon' in row 9",
    ),
    "short": (
        lambda: {**GROUPED, "shop": np.array(["b"] * 92 + ["a"] * 4), "day": np.r_[:92, :4]},
        {"target": "sold", "group": "shop", "time": "day"},
        ValueError,
        "a window in each group: group 'a' has 4 rows, and no 6 complete ones in a row; give short='drop'",
    ),
    "too short": (lambda: TABLE, {"past": 96}, ValueError, "the table has 96 rows, and no 98 complete ones"),
    "no group": (lambda: changed(shop=["a"] * 95 + [None]), {"group": "shop"}, ValueError, "got None in row 95"),
    "lengths": (lambda: changed(heat=np.zeros(5)), {}, ValueError, "the same number of rows: 'time' has 96"),
    "a number": (lambda: 3, {}, TypeError, "frame must be a table with named columns, or an array (T, C), got int"),
    "a scale": (lambda: TABLE, {"scale": "standart"}, ValueError, "unknown scale 'standart'; did you mean 'standard'?"),
    "a part": (lambda: TABLE, {"calendar": ["hours"]}, ValueError, "unknown calendar 'hours'; did you mean 'hour'?"),
    "no dates": (
        lambda: changed(time=np.arange(96)),
        {"calendar": "hour"},
        ValueError,
        "needs a column of dates",
    ),
    "steps": (lambda: TABLE, {"past": 0}, ValueError, "past must be at least 1, got 0"),
    "whole numbers": (lambda: TABLE, {"dtype": "int32"}, TypeError, "dtype must be one of floats, got int32"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_table_is_named(case: str) -> None:
    make, arguments, error, message = BAD[case]
    with pytest.raises(error) as caught:
        data.windows(make(), **{"target": "load", "past": 4, "future": 2, "time": "time", **arguments})
    assert message in str(caught.value)


def test_short_groups_may_be_left_out() -> None:
    table = {"shop": ["b"] * 92 + ["a"] * 4, "sold": np.arange(96.0)}
    found = data.windows(table, "sold", past=4, future=2, group="shop", short="drop")
    assert set(found.groups) == {"b"}


def test_names_that_come_twice_and_parts_without_windows() -> None:
    pd = need("pandas")
    with pytest.raises(ValueError, match="one column of each name, got several named 'a'"):
        data.windows(pd.DataFrame(np.ones((9, 2)), columns=["a", "a"]), past=2, future=1)
    windows = data.windows(TABLE, "load", past=4, future=2, time="time")
    for bounds, message in (
        (("2024-01-01",), "got none in part 0"),
        (("2025-03-01", "2025-02-28"), "bounds must be at least one time, and rise"),
        (("soon",), "each of bounds must be a time, as '2025-03-01', got 'soon'"),
    ):
        with pytest.raises(ValueError, match=message):
            windows.split(*bounds)
    with pytest.raises(ValueError, match="n_splits must be below the 91 times at which forecasts begin, got 91"):
        next(windows.folds(91))
