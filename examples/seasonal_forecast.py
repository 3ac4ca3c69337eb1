"""Forecast the load of a power transformer a day ahead, with intervals, beside SARIMAX and ETS from statsmodels.

The hourly data are those of the Electricity Transformer Dataset (Zhou et al. 2021), column HUFL of ``ETTh1.csv`` in the
repository zhouhaoyi/ETDataset: a strong rhythm of the day, a weaker one of the week. Learn from the first twelve
months, watch the next four, and measure on the four after them: each day is forecast at midnight, as 200 paths.

A GRU reads 168 hours and gives a Student's t for each next hour. It reads and gives differences from the mean of the
same hour on the seven days before, since the level of the load moves. What it reads besides is known ahead: hour and
weekday, and the differences a day and a week before.

SARIMAX, with the rhythm of the week as regressors, and ETS read the four weeks before each day, and are fitted to the
four weeks before each month; a whole year would take them very long. The orders of SARIMAX are those of five tried that
foretell the watched months best. "Same hour yesterday" adds to the last day what such a guess was wrong by on days of
the first twelve months. Without statsmodels the two are left out.

Run it with ``python examples/seasonal_forecast.py --data DIR [--quick] [--epochs 20] [--seed 0]``.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure
from rnncore import callbacks, layers, losses, metrics, models, optimizers, plotting, utils

Array = npt.NDArray[Any]
Forecaster = Callable[[int], Array]  # from the hour of a forecast to paths (200, 24)

DAY, WEEK, MONTH = 24, 168, 30 * 24  # hours
PATHS = 200
FITTED = 4 * WEEK  # what statsmodels reads


def load(file: Path) -> Array:
    """The load of each hour (T,); the first is an hour after midnight of a Friday."""
    return np.loadtxt(file, delimiter=",", skiprows=1, usecols=1)


def before(values: Array, hours: int) -> Array:
    """The values so many hours before; 0 before the first."""
    return np.concatenate([np.zeros(hours), values[:-hours]])


def usual(series: Array) -> Array:
    """The mean of the same hour on the seven days before (T,)."""
    return np.asarray(np.mean([before(series, days * DAY) for days in range(1, 8)], axis=0))


def known_ahead(differences: Array) -> Array:
    """What each hour tells of itself before it comes (T, 10): its time, and the difference a day and a week before."""
    hours = np.arange(len(differences))
    angles = 2 * np.pi * np.stack([hours / DAY, 2 * hours / DAY, hours / WEEK, 2 * hours / WEEK])
    return np.stack([*np.sin(angles), *np.cos(angles), before(differences, DAY), before(differences, WEEK)], axis=-1)


def windows(differences: Array, first: int, last: int, every: int) -> tuple[Array, Array]:
    """Runs of eight days: x (N, 192, 11), differences and what is known of the next hour; y (N, 192, 1), the next."""
    ahead = known_ahead(differences)
    starts = np.arange(max(first, 2 * WEEK), last - WEEK - DAY, every)[:, np.newaxis]
    steps = starts + np.arange(WEEK + DAY)
    x = np.concatenate([differences[steps, np.newaxis], ahead[steps + 1]], axis=-1)
    return x.astype(np.float32), differences[steps + 1, np.newaxis].astype(np.float32)


def build_model() -> models.Sequential:
    """The parameters of the next difference's distribution after each hour (N, T, 3)."""
    loss = losses.StudentTNLL()
    model = models.Sequential(
        [
            layers.Input((None, 11)),
            layers.GRU(32, return_sequences=True),
            layers.Dropout(0.1),
            layers.Dense(loss.parameters),
        ]
    )
    model.compile(optimizers.Adam(3e-3), loss)
    return model


def train(model: models.Model, differences: Array, epochs: int, every: int, verbose: int) -> None:
    """Fit to the first twelve months and keep the weights that foretell the next four best."""
    x, y = windows(differences, 0, 12 * MONTH, every)
    stop = callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    halve = callbacks.ReduceLROnPlateau(factor=0.5, patience=1)
    held_back = windows(differences, 12 * MONTH, 16 * MONTH, DAY)
    model.fit(x, y, epochs=epochs, validation_data=held_back, callbacks=[halve, stop], verbose=verbose)


def network(model: models.Model, series: Array, differences: Array, spread: float) -> Forecaster:
    level, ahead = usual(series), known_ahead(differences)

    def paths(hour: int) -> Array:
        past = slice(hour - WEEK, hour)
        x = np.concatenate([differences[past, np.newaxis], ahead[hour - WEEK + 1 : hour + 1]], axis=-1)
        future = ahead[hour + 1 : hour + DAY]
        drawn = model.sample_paths(x[np.newaxis], DAY, PATHS, future=future[np.newaxis], seed=hour)
        return np.asarray(level[hour : hour + DAY] + drawn[0, :, :, 0] * spread)

    return paths


def same_hour_yesterday(series: Array) -> Forecaster:
    """The last day, and how wrong such a guess was on other days."""
    errors = (series[DAY : 12 * MONTH] - series[: 12 * MONTH - DAY]).reshape(-1, DAY)

    def paths(hour: int) -> Array:
        return np.asarray(series[hour - DAY : hour] + np.random.default_rng(hour).choice(errors, PATHS))

    return paths


def week(hours: Array) -> Array:
    """The rhythm of the week as regressors (T, 4)."""
    angles = 2 * np.pi * np.outer(hours, [1, 2]) / WEEK
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def sarimax(series: Array, fitted: int) -> Forecaster:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    def over(first: int, last: int) -> Any:
        exog = week(np.arange(first, last))
        return SARIMAX(series[first:last], exog, order=(2, 0, 0), seasonal_order=(1, 1, 1, DAY))

    @cache
    def parameters(month: int) -> Array:
        return np.asarray(over(month * MONTH - fitted, month * MONTH).fit(disp=False).params)

    def paths(hour: int) -> Array:
        state = over(hour - fitted, hour).filter(parameters(hour // MONTH))
        ahead = state.get_forecast(DAY, exog=week(np.arange(hour, hour + DAY)))
        return normal(ahead.predicted_mean, ahead.se_mean, hour)

    return paths


def ets(series: Array, fitted: int) -> Forecaster:
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    def over(first: int, last: int) -> Any:
        return ETSModel(
            pd.Series(series[first:last]),
            error="add",
            seasonal="add",
            seasonal_periods=DAY,
            initialization_method="heuristic",  # to estimate 25 first states too takes minutes
        )

    @cache
    def parameters(month: int) -> Array:
        return np.asarray(over(month * MONTH - fitted, month * MONTH).fit(disp=False).params)

    def paths(hour: int) -> Array:
        state = over(hour - fitted, hour).smooth(parameters(hour // MONTH))
        ahead = state.get_prediction(fitted, fitted + DAY - 1)
        return normal(ahead.predicted_mean, np.sqrt(ahead.forecast_variance), hour)

    return paths


def normal(mean: Array, deviation: Array, seed: int) -> Array:
    """Draws (200, 24) of what statsmodels tells of each hour."""
    return np.random.default_rng(seed).normal(mean, deviation, size=(PATHS, DAY))


def forecasters(series: Array, fitted: int) -> dict[str, Callable[[], Forecaster]]:
    """What makes those that need no network, statsmodels' where it is installed."""
    found: dict[str, Callable[[], Forecaster]] = {"same hour yesterday": lambda: same_hour_yesterday(series)}
    try:
        importlib.import_module("statsmodels.tsa.statespace.sarimax")  # which also sets what happens to its warnings
    except ModuleNotFoundError:
        print("SARIMAX and ETS are left out: statsmodels is not installed (pip install statsmodels).")
        return found
    return found | {"SARIMAX": lambda: sarimax(series, fitted), "ETS": lambda: ets(series, fitted)}


def judged(came: Array, drawn: Array, scale: float) -> dict[str, float]:
    """Scores of paths (N, 200, 24) for what came (N, 24); `scale` is the error of a guess that is always at hand."""
    return {
        "CRPS": float(metrics.crps(came, drawn).mean()),
        "50 %": metrics.coverage(came, drawn, level=0.5),
        "90 %": metrics.coverage(came, drawn, level=0.9),
        "MASE": float(np.abs(np.median(drawn, axis=1) - came).mean() / scale),
    }


def draw(series: Array, hour: int, drawn: dict[str, Array], file: Path) -> None:
    if figure() is None:
        return
    together = np.stack(list(drawn.values()), axis=-1)
    times = np.arange(-3 * DAY, DAY)
    past, came = series[hour - 3 * DAY : hour], series[hour : hour + DAY]
    count = len(drawn)
    plotting.plot_forecast(
        together,
        np.repeat(past[:, np.newaxis], count, axis=1),
        np.repeat(came[:, np.newaxis], count, axis=1),
        times=times,
        titles=[f"{name}: load by hours from midnight" for name in drawn],
        to_file=file,
    )
    print(f"Drawn to {file}.")


def main(given: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Learn, forecast each day of the test months, and compare."""
    options = arguments(__doc__ or "", given, epochs=20, quick=6, data="ett/ETTh1.csv")
    utils.set_random_seed(options.seed)
    series = load(options.data / "ett" / "ETTh1.csv")
    training = series[: 12 * MONTH]
    scale = float(np.abs(training[DAY:] - training[:-DAY]).mean())  # of the same hour yesterday
    spread = training.std()
    differences = (series - usual(series)) / spread
    nights = range(16 * MONTH, 17 * MONTH, 3 * DAY) if options.quick else range(16 * MONTH, 20 * MONTH, DAY)
    came = np.stack([series[hour : hour + DAY] for hour in nights])

    def learnt() -> Forecaster:
        model = build_model()
        train(model, differences, options.epochs, 24 if options.quick else 6, options.verbose)
        return network(model, series, differences, spread)

    found, shown = {}, {}
    fitted = WEEK if options.quick else FITTED
    others = forecasters(series, fitted)
    for name, make in {"GRU": learnt, **others}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of statsmodels, which looks for better first values
            forecaster = make()
            drawn = np.stack([forecaster(hour) for hour in nights])
        found[name] = judged(came, drawn, scale)
        shown[name] = drawn[len(nights) // 2]
    print(f"{len(nights)} days; less is better, but for the shares within the intervals of 50 % and 90 %:")
    print(f"{'':<20} {'CRPS':>6} {'MASE':>6} {'50 %':>6} {'90 %':>6}")
    for name, scores in found.items():
        print(f"{name:<20} {scores['CRPS']:6.3f} {scores['MASE']:6.3f} {scores['50 %']:6.2f} {scores['90 %']:6.2f}")
    draw(series, nights[len(nights) // 2], shown, options.output / "seasonal_forecast.png")
    return found


if __name__ == "__main__":
    main()
