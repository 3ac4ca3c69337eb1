"""DeepAR (D. Salinas et al. 2020): one network forecasts the daily sales of many items, large and small, as paths.

Sales are drawn here: each item has its level, from a few to thousands a day, its rhythm of the week and a drift, and
counts spread more than Poisson's. So the best forecast is known: the process itself, told the drift that nobody sees.

An LSTM reads sales divided by the item's scale, their mean in the past, and gives a negative binomial distribution,
whose mean is multiplied by that scale again.

Run it with ``python examples/deepar.py [--quick] [--epochs 12] [--seed 0]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from _common import arguments, figure
from rnncore import layers, losses, metrics, models, optimizers, plotting, utils

Array = npt.NDArray[Any]
ITEMS, DAYS, PAST, HORIZON, PATHS = 300, 400, 56, 28, 200


def sales(rng: np.random.Generator, item: Array, drift: Array, first: int, days: int) -> tuple[Array, Array]:
    """Counts (..., days) from a day on, and the drift after each; an item has a level and a place in the week."""
    (level, place), counts, drifts = item, [], []
    for day in range(first, first + days):
        drift = 0.98 * drift + 0.08 * rng.normal(size=drift.shape)
        mean = level * np.exp(drift) * (1 + 0.5 * np.sin(2 * np.pi * (day / 7 + place)))
        counts.append(rng.poisson(rng.gamma(10, mean / 10)))
        drifts.append(drift)
    return np.stack(counts, axis=-1), np.stack(drifts, axis=-1)


def read(counts: Array, first: Array, scale: Array) -> Array:
    """What the network reads of runs (N, T) from days (N,) on: sales, scale, 1 / scale, and the next day's weekday."""
    angle = 2 * np.pi * (first[:, np.newaxis] + np.arange(1, counts.shape[1] + 1)) / 7
    both = [np.broadcast_to(value[:, np.newaxis], counts.shape) for value in (scale, 1 / scale)]
    return np.stack([counts, *both, np.sin(angle), np.cos(angle)], axis=-1)


def build_model() -> models.Model:
    x = layers.Input((None, 5))
    scaled = layers.Concatenate()([x[..., :1] * x[..., 2:3], x[..., 3:]])
    h = layers.LSTM(40, return_sequences=True)(scaled)
    mean = layers.Dense(1, bias_initializer="ones")(h) * x[..., 1:2]
    model = models.Model(x, layers.Concatenate()([mean, layers.Dense(1)(h)]))
    model.compile(optimizers.Adam(3e-3, clipnorm=1.0), losses.NegativeBinomialNLL())
    return model


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    options = arguments(__doc__ or "", given, epochs=12, quick=6)
    utils.set_random_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    item = np.stack([rng.lognormal(4, 1.5, ITEMS), rng.random(ITEMS)])
    counts, drifts = sales(rng, item, np.zeros(ITEMS), 0, DAYS + HORIZON)
    runs = np.arange(ITEMS).repeat(4 if options.quick else 20)
    first = rng.integers(DAYS - PAST - HORIZON, size=len(runs))
    windows = counts[runs[:, np.newaxis], first[:, np.newaxis] + np.arange(PAST + HORIZON)]
    x, y = read(windows[:, :-1], first, 1 + windows[:, :PAST].mean(axis=1)), windows[:, 1:, np.newaxis]
    model = build_model()
    model.fit(x, y, epochs=options.epochs, verbose=options.verbose)

    past, came = counts[:, DAYS - PAST : DAYS], counts[:, DAYS:]
    known = read(counts[:, DAYS - PAST :], np.full(ITEMS, DAYS - PAST), 1 + past.mean(axis=1))
    future = known[:, PAST:-1, 1:]
    drawn = {"DeepAR": model.sample_paths(known[:, :PAST], HORIZON, PATHS, future=future, seed=0)[..., 0]}
    weeks = past.reshape(ITEMS, -1, 7)
    drawn["same weekday of eight weeks"] = np.tile(weeks, HORIZON // 7)
    start = np.repeat(drifts[:, DAYS - 1, np.newaxis], PATHS, axis=1)
    drawn["the process itself"] = sales(rng, item[..., np.newaxis], start, DAYS, HORIZON)[0]
    found = {}
    for name, paths in drawn.items():
        found[name] = float((metrics.crps(came, paths).mean(axis=1) / came.mean(axis=1).clip(1)).mean())
        inside = metrics.coverage(came, paths, level=0.9)
        print(f"{name:<28} CRPS {found[name]:.4f} of the mean sales, {inside:.0%} within the interval of 90 %")
    if figure() is not None:
        chosen = np.argsort(item[0])[[ITEMS // 10, -ITEMS // 10]]
        together, titles = np.moveaxis(drawn["DeepAR"][chosen], 0, -1), ["a small item, by days", "a large one"]
        file = options.output / "deepar.png"
        plotting.plot_forecast(together, past[chosen].T, came[chosen].T, titles=titles, to_file=file)
    return found


if __name__ == "__main__":
    main()
