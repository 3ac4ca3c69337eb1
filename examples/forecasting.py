"""Forecast the oil temperature of a power transformer a day ahead, beside forecasts that need no network.

The hourly data are those of the Electricity Transformer Dataset (Zhou et al. 2021), ``ETTh1.csv`` and ``ETTh2.csv``
of the repository zhouhaoyi/ETDataset, with the split of the literature: learn from the first twelve months, watch the
next four, measure on the four after them. Values are scaled by mean and spread of the training months.

A GRU reads 96 hours and gives the next 24. It reads and gives differences from the last known value, since the level
of a season it has never seen means nothing to it: predicting the level itself loses to repeating the last value.

Run it with ``python examples/forecasting.py --data DIR [--quick] [--epochs 10] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure, save
from rnncore import callbacks, initializers, layers, models, optimizers, utils

Array = npt.NDArray[Any]

PAST, FUTURE = 96, 24  # hours
MONTH = 30 * 24


def load(file: Path) -> Array:
    """The oil temperature of each hour (T,), the last column of the table."""
    return np.loadtxt(file, delimiter=",", skiprows=1, usecols=-1)


def split(series: Array) -> dict[str, tuple[Array, Array]]:
    """Windows for "training", "validation" and "test": what is known (N, 96) and what is asked (N, 24)."""
    mean, spread = series[: 12 * MONTH].mean(), series[: 12 * MONTH].std()
    scaled = ((series - mean) / spread).astype(np.float32)
    spans = {
        "training": scaled[: 12 * MONTH],
        # The hours before a span are known when its first hours are forecast.
        "validation": scaled[12 * MONTH - PAST : 16 * MONTH],
        "test": scaled[16 * MONTH - PAST : 20 * MONTH],
    }
    return {name: windows(span) for name, span in spans.items()}


def windows(series: Array) -> tuple[Array, Array]:
    """Every run of 96 hours, and the 24 hours after it."""
    runs = np.lib.stride_tricks.sliding_window_view(series, PAST + FUTURE)
    return runs[:, :PAST], runs[:, PAST:]


def small() -> initializers.Initializer:
    """First values of all weights, ±1/√64. With Keras's larger ones the validation months are forecast worse."""
    return initializers.RandomUniform(-0.125, 0.125)


def build_model() -> models.Sequential:
    """Differences (N, 96, 1) from the last value to those of the next day (N, 24)."""
    return models.Sequential(
        [
            layers.Input((PAST, 1)),
            layers.GRU(64, kernel_initializer=small(), recurrent_initializer=small(), bias_initializer=small()),
            layers.Dense(FUTURE, kernel_initializer=small(), bias_initializer=small()),
        ]
    )


def train(
    model: models.Model, data: dict[str, tuple[Array, Array]], epochs: int = 10, batch_size: int = 64, verbose: int = 1
) -> None:
    """Fit to the training windows and keep the weights that forecast the validation windows best."""
    (known, asked), validation = data["training"], data["validation"]
    rate = optimizers.schedules.CosineDecay(2e-3, decay_steps=epochs * -(-len(known) // batch_size))
    model.compile(optimizers.Adam(rate), "mean_squared_error")
    model.fit(
        *differences(known, asked),
        batch_size=batch_size,
        epochs=epochs,
        verbose=verbose,
        validation_data=differences(*validation),
        validation_batch_size=256,
        callbacks=callbacks.EarlyStopping(patience=epochs, restore_best_weights=True),
    )


def differences(known: Array, asked: Array) -> tuple[Array, Array]:
    """What the network reads (N, 96, 1) and gives (N, 24)."""
    last = known[:, -1:]
    return (known - last)[..., np.newaxis], asked - last


def forecast(model: models.Model, known: Array) -> Array:
    """The next 24 hours (N, 24)."""
    last = known[:, -1:]
    ahead: Array = model.predict((known - last)[..., np.newaxis], batch_size=256, verbose=0)
    return ahead + last


def evaluate(model: models.Model, windows: tuple[Array, Array]) -> float:
    """Mean squared error over all windows and hours."""
    known, asked = windows
    return float(np.mean(np.square(forecast(model, known) - asked)))


def simple_forecasts(training: tuple[Array, Array], known: Array) -> dict[str, Array]:
    """The forecasts to beat: last value, same hour of yesterday, and a linear map of the differences."""
    past, future = differences(*training)
    design = past[..., 0]
    penalty = 1.0 * np.eye(PAST)
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ future)
    last = known[:, -1:]
    return {
        "last value": np.repeat(last, FUTURE, axis=1),
        "same hour yesterday": known[:, -24:],
        "ridge regression": (known - last) @ weights + last,
    }


def draw(known: Array, asked: Array, ahead: Array, name: str, file: Path) -> None:
    """Draw four windows: the past, what came and what was forecast."""
    picture = figure(figsize=(9, 5))
    if picture is None:
        return
    picture.suptitle(f"{name}: oil temperature, scaled")
    for place, row in enumerate(np.linspace(0, len(known) - 1, 4, dtype=int)):
        axes = picture.add_subplot(2, 2, place + 1, xlabel="hours")
        axes.plot(np.arange(1 - PAST, 1), known[row], color="gray")
        axes.plot(np.arange(1, FUTURE + 1), asked[row], label="measured")
        axes.plot(np.arange(1, FUTURE + 1), ahead[row], "--", label="forecast")
    picture.axes[0].legend()
    save(picture, file)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Learn each table that is there, and compare."""
    options = arguments(__doc__ or "", given, epochs=10, quick=2, data="ett/ETTh1.csv, ett/ETTh2.csv or both")
    files = sorted((options.data / "ett").glob("ETTh?.csv"))
    if not files:
        raise SystemExit(f"there is no ETTh1.csv or ETTh2.csv in {options.data / 'ett'}")
    found = {}
    for file in files:
        utils.set_random_seed(options.seed)
        data = split(load(file))
        if options.quick:
            data["training"] = (data["training"][0][::4], data["training"][1][::4])
        model = build_model()
        train(model, data, options.epochs, verbose=options.verbose)
        known, asked = data["test"]
        ahead = forecast(model, known)
        forecasts = {"GRU": ahead, **simple_forecasts(data["training"], known)}
        print(f"{file.stem}, mean squared error of {len(known)} days that begin at every hour of the test months:")
        for name, values in forecasts.items():
            error = float(np.mean(np.square(values - asked)))
            found[f"{file.stem} {name}"] = error
            print(f"  {name:<20} {error:.4f}")
        draw(known, asked, ahead, file.stem, options.output / f"{file.stem}.png")
    return found


if __name__ == "__main__":
    main()
