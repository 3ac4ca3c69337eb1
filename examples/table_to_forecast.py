"""From an hourly table to a forecast that says how sure it is, saved here and used in another process.

The table holds the load and the oil temperature of a power transformer for each hour: ``ETTh1.csv`` of the Electricity
Transformer Dataset (Zhou et al. 2021, repository zhouhaoyi/ETDataset), with the split of the literature: learn from the
first twelve months, watch the next four, measure on the four after them.

`rnncore.data.windows` reads the temperature and the hour of the day, parts them by time and learns the scales of the
training months. A GRU reads 96 hours and gives the 5 %, 50 % and 95 % quantiles of each of the next 24. It reads and
gives differences from the last hour, since the level of a season it has never seen means nothing to it. The model and
the recipe of the windows are saved; a new process loads both and forecasts the day after the end of the table.

Run it with ``python examples/table_to_forecast.py --data DIR [--quick] [--epochs 6] [--seed 0]``.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import callbacks, data, initializers, layers, losses, models, optimizers, utils

Array = npt.NDArray[Any]

PAST, FUTURE = 96, 24  # hours
BOUNDS = ("2017-06-26", "2017-10-24", "2018-02-21")  # of training, validation and test
QUANTILES = (0.05, 0.5, 0.95)


def load(file: Path) -> dict[str, Any]:
    """The columns of the table: text in "date", numbers in all others."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] if name == "date" else float(row[name]) for row in rows] for name in rows[0]}


def split(table: dict[str, Any], batch_size: int = 64) -> list[data.Windows]:
    """Windows to train on, to validate with and to test."""
    windows = data.windows(
        table,
        "OT",
        past=PAST,
        future=FUTURE,
        time="date",
        features=[],
        calendar=["hour"],
        scale="standard",
        batch_size=batch_size,
    )
    return windows.split(*BOUNDS)[:3]


def small() -> initializers.Initializer:
    """First values of all weights, as in ``forecasting.py``."""
    return initializers.RandomUniform(-0.125, 0.125)


def build_model(features: int) -> models.Model:
    """From hours (N, 96, F), of which the first number is the target, to quantiles (N, 3·24)."""
    hours = layers.Input((PAST, features))
    changes = hours - hours[:, -1:, :]
    read = layers.GRU(48, kernel_initializer=small(), recurrent_initializer=small(), bias_initializer=small())(changes)
    ahead = layers.Dense(len(QUANTILES) * FUTURE, kernel_initializer=small(), bias_initializer=small())(read)
    return models.Model(hours, ahead + hours[:, -1, :1])


def train(
    model: models.Model, training: data.Windows, validation: data.Windows, epochs: int = 6, verbose: int = 1
) -> None:
    """Fit, and keep the weights that forecast the validation months best."""
    rate = optimizers.schedules.CosineDecay(2e-3, decay_steps=epochs * len(training))
    model.compile(optimizers.Adam(rate), losses.Quantile(QUANTILES))
    best = callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
    model.fit(training, epochs=epochs, validation_data=validation, callbacks=best, verbose=verbose)


def quantiles(model: models.Model, windows: data.Windows) -> Array:
    """The quantiles (3, N, 24) of the hours after windows, in the units of the table."""
    found = model.predict(windows, verbose=0).reshape(-1, len(QUANTILES), FUTURE)
    return np.sort(windows.unscale(found), axis=1).swapaxes(0, 1)


def evaluate(model: models.Model, windows: data.Windows) -> dict[str, float]:
    """Mean absolute errors in degrees, and how many hours lie within the interval of 90 %."""
    low, middle, high = quantiles(model, windows)
    actual, last = windows.unscale(windows.y), windows.unscale(windows.x[:, -1:, 0])
    return {
        "error": float(np.abs(middle - actual).mean()),
        "error of the last value": float(np.abs(last - actual).mean()),
        "within": float(((low <= actual) & (actual <= high)).mean()),
        "width": float((high - low).mean()),
    }


def forecast(folder: Path, file: Path) -> None:
    """What the other process does: load what was saved, and print the day after the end of a table."""
    model, recipe = models.load_model(folder / "model.rnn"), data.WindowRecipe.load(folder / "windows.json")
    newest = recipe.newest(load(file))
    hours = newest.times[0] + np.arange(FUTURE) * np.timedelta64(1, "h")
    for hour, low, middle, high in zip(hours, *quantiles(model, newest)[:, 0], strict=True):
        print(f"{str(hour)[:16]}  {middle:5.1f} °C, with 90 % between {low:.1f} and {high:.1f}")


def draw(model: models.Model, windows: data.Windows, file: Path) -> None:
    """Draw four days that were forecast, each with what came."""
    picture = figure(figsize=(9, 5))
    if picture is None:
        return
    picture.suptitle("Oil temperature in °C: measured, and forecast with 90 %")
    low, middle, high = quantiles(model, windows)
    past, actual = windows.unscale(windows.x[:, -48:, 0]), windows.unscale(windows.y)
    ahead = np.arange(1, FUTURE + 1)
    for place, row in enumerate(np.linspace(0, len(actual) - 1, 4, dtype=int)):
        axes = picture.add_subplot(2, 2, place + 1, xlabel=f"hours from {str(windows.times[row])[:13]}")
        axes.plot(np.arange(-47, 1), past[row], color="gray")
        axes.plot(ahead, actual[row], color="gray", label="measured")
        axes.plot(ahead, middle[row], "--", label="forecast")
        axes.fill_between(ahead, low[row], high[row], alpha=0.3)
    picture.axes[0].legend()
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Learn, measure, save, and let another process forecast."""
    options = arguments(__doc__ or "", given, epochs=6, quick=2, data="ett/ETTh1.csv")
    file = options.data / "ett" / "ETTh1.csv"
    if not file.is_file():
        raise SystemExit(f"there is no {file}")
    utils.set_random_seed(options.seed)
    training, validation, test = split(load(file), batch_size=256 if options.quick else 64)
    model = build_model(len(training.feature_names))
    train(model, training, validation, options.epochs, verbose=options.verbose)
    found = evaluate(model, test)
    print(f"{test.rows} days that begin at every hour of the test months:")
    print(f"  mean absolute error {found['error']:.2f} °C; of the last value {found['error of the last value']:.2f} °C")
    print(f"  {found['within']:.0%} of hours within the interval of 90 %, which is {found['width']:.1f} °C wide")
    draw(model, test, options.output / "table_to_forecast.png")
    model.save(options.output / "model.rnn")
    training.recipe.save(options.output / "windows.json")
    print("Another process loads both and forecasts the day after the table:", flush=True)
    subprocess.run([sys.executable, __file__, "forecast", options.output, file], check=True)
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["forecast"]:
        forecast(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
