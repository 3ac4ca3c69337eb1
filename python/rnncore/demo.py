"""The main job from end to end: learn to forecast the yearly sunspot number, and compare.

The split is the classic one: learn from the years up to 1920, forecast each year from 1921 to 1955 from the
years before it. Window, size and penalty were chosen on the years up to 1920 alone.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnncore import callbacks, layers, models, optimizers, regularizers, utils
from rnncore.datasets import sunspots
from rnncore.plotting.figure import finish

__all__ = ["run"]

Array = npt.NDArray[np.float64]

LAST_TRAINING_YEAR = 1920
LAST_TEST_YEAR = 1955
WINDOW = 24  # years the network reads: about two solar cycles
ORDER = 9  # years the autoregression reads: the classic choice for this series
EPOCHS = 40
BATCH_SIZE = 8


def run(folder: Path | str = ".", *, seed: int = 0, verbose: int = 1) -> dict[str, float]:
    """Train a GRU on the sunspot numbers up to 1920 and forecast 1921 to 1955, one year ahead each.

    Prints the errors and those of simpler forecasts, saves the model, loads it again, checks that it gives the
    same bits, and draws the forecast.

    Parameters
    ----------
    folder : path, default "."
        Where `sunspots.rnn` and, when matplotlib is installed, `sunspots.png` are written; made when missing.
    seed : int, default 0
        Seed of the initial weights and the shuffling.
    verbose : int, default 1
        1 shows how the loss falls, 0 prints the result only.

    Returns
    -------
    dict
        Mean squared error of each forecast divided by the variance of the test years, by name.

    Raises
    ------
    RuntimeError
        If the loaded model forecasts anything else than the saved one.

    Examples
    --------
    >>> import tempfile
    >>> from rnncore import demo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     errors = demo.run(folder, verbose=0)  # doctest: +ELLIPSIS
    Forecasts of 1921-1955...
    >>> errors["GRU"] < min(errors["AR(9)"], errors["persistence"])
    True
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    utils.set_random_seed(seed)
    years, numbers = sunspots()
    training = years <= LAST_TRAINING_YEAR
    test = (years > LAST_TRAINING_YEAR) & (years <= LAST_TEST_YEAR)

    # Square roots even out the spread of counts; the scale is learnt from the training years alone.
    roots = np.sqrt(numbers)
    mean, spread = roots[training].mean(), roots[training].std()
    scaled = (roots - mean) / spread
    past = windows(scaled, WINDOW)[..., None]  # (years - WINDOW, WINDOW, 1): the years before each year
    known, wanted = training[WINDOW:], test[WINDOW:]

    model = build(steps=EPOCHS * math.ceil(known.sum() / BATCH_SIZE))
    if verbose:
        print(f"Learning from {known.sum()} windows of {WINDOW} years in {EPOCHS} passes.")
    progress = callbacks.LambdaCallback(on_epoch_end=report) if verbose else None
    model.fit(past[known], scaled[WINDOW:][known], batch_size=BATCH_SIZE, epochs=EPOCHS, callbacks=progress, verbose=0)
    forecast = model.predict(past[wanted], verbose=0)

    file = folder / "sunspots.rnn"
    model.save(file)
    if not np.array_equal(models.load_model(file).predict(past[wanted], verbose=0), forecast):
        raise RuntimeError("the loaded model does not forecast what the saved one did")

    forecasts = {
        "GRU": np.square(np.maximum(forecast[:, 0] * spread + mean, 0.0)),
        f"AR({ORDER})": autoregression(numbers, training, ORDER)[test],
        f"AR({ORDER}) of roots": np.square(autoregression(roots, training, ORDER)[test]),
        "persistence": numbers[np.flatnonzero(test) - 1],
    }
    observed = numbers[test]
    print(f"Forecasts of {LAST_TRAINING_YEAR + 1}-{LAST_TEST_YEAR}, one year ahead, learnt up to {LAST_TRAINING_YEAR}:")
    print(f"{'':<16} {'RMSE':>6} {'MSE/variance':>13}")
    errors = {}
    for name, values in forecasts.items():
        error = float(np.mean(np.square(values - observed)))
        errors[name] = error / float(observed.var())
        print(f"{name:<16} {math.sqrt(error):6.1f} {errors[name]:13.3f}")
    print("RMSE: the usual size of an error, in sunspots. MSE/variance: 0 is perfect, 1 is no better than the mean.")
    print(f"GRU: the network. AR({ORDER}): a linear forecast from {ORDER} years, or from their square roots.")
    print("persistence: each year is like the one before.")
    print(f"Saved to {file}; loaded again it forecasts the same bits.")
    draw(years[test], observed, forecasts["GRU"], folder / "sunspots.png")
    print("Next: read rnncore/demo.py and docs/tour.md, or ask help(rnncore.layers.GRU), to use your own data.")
    return errors


def report(epoch: int, logs: dict[str, float] | None) -> None:
    """Print the loss after the first and every tenth pass."""
    if logs and (epoch == 0 or (epoch + 1) % 10 == 0):
        print(f"  after pass {epoch + 1:2}: loss {logs['loss']:.3f}")


def build(steps: int) -> models.Sequential:
    """A small GRU with a penalty on its weights, as two hundred windows are few, to be trained for `steps` steps."""
    penalty = regularizers.L2(3e-3)
    model = models.Sequential(
        [
            layers.Input((WINDOW, 1)),
            layers.GRU(16, kernel_regularizer=penalty, recurrent_regularizer=penalty),
            layers.Dense(1, kernel_regularizer=penalty),
        ]
    )
    rate = optimizers.schedules.CosineDecay(5e-3, decay_steps=steps)
    model.compile(optimizer=optimizers.Adam(rate), loss="mean_squared_error")
    return model


def windows(series: Array, length: int) -> Array:
    """Row t holds the `length` values before ``series[length + t]``: shape (len(series) - length, length)."""
    return np.lib.stride_tricks.sliding_window_view(series, length)[:-1]


def autoregression(series: Array, training: npt.NDArray[np.bool_], order: int) -> Array:
    """One-step forecasts of an AR(`order`) fitted by least squares: shape (len(series),), NaN before they begin."""
    past = windows(series, order)
    design = np.column_stack([past, np.ones(len(past))])
    known = training[order:]
    weights = np.linalg.lstsq(design[known], series[order:][known], rcond=None)[0]
    return np.concatenate([np.full(order, np.nan), design @ weights])


def draw(years: npt.NDArray[np.int64], observed: Array, forecast: Array, file: Path) -> None:
    """Draw both series to `file`, or on the terminal when matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print(text_plot(years, observed, forecast))
        return
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="year", ylabel="sunspot number")
    axes.plot(years, observed, "o-", label="observed")
    axes.plot(years, forecast, "s--", label="forecast one year ahead")
    axes.legend()
    figure.set_dpi(120)
    finish(figure, file)
    print(f"Drawn to {file}.")


def text_plot(years: npt.NDArray[np.int64], observed: Array, forecast: Array, height: int = 14) -> str:
    """Plot both series in characters, two columns a year."""
    top = max(observed.max(), forecast.max())
    canvas = [[" "] * (2 * len(years)) for _ in range(height)]
    for series, mark in ((observed, "o"), (forecast, "x")):
        for column, value in enumerate(series):
            row = canvas[height - 1 - round(float(value / top) * (height - 1))]
            row[2 * column] = mark if row[2 * column] == " " else "*"
    lines = [f"{top * (height - 1 - i) / (height - 1):5.0f} |{''.join(row)}" for i, row in enumerate(canvas)]
    axis = f"{'':5} +{'-' * (2 * len(years))}"
    ends = f"{'':7}{years[0]}{years[-1]:>{2 * len(years) - 4}}"
    return "\n".join([*lines, axis, ends, f"{'':7}o observed   x forecast   * both"])
