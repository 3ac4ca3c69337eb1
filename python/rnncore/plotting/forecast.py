"""Forecasts with their uncertainty as bands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.plotting.figure import finish, new_figure


def plot_forecast(
    forecast: npt.ArrayLike | Mapping[float, npt.ArrayLike],
    past: npt.ArrayLike | None = None,
    future: npt.ArrayLike | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    times: npt.ArrayLike | None = None,
    titles: Sequence[str] | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw the forecast of a series: its middle, intervals around it, what was known and what came.

    Parameters
    ----------
    forecast : array_like, shape (P, H) or (P, H, U), or dict of float to array_like, shape (H,) or (H, U)
        P paths of H steps, as one row of `Model.sample_paths`; or forecasts by quantile, such as
        `{0.05: low, 0.5: middle, 0.95: high}`, the ends of each interval among them. For U series, U panels,
        in two columns from four on.
    past : array_like, shape (T,) or (T, U), optional
        The series up to where the forecast begins.
    future : array_like, shape (H,) or (H, U), optional
        What came.
    levels : sequence of float, default (0.5, 0.9)
        The shares that the intervals are to hold, each above 0 and below 1: 0.9 is from the quantile 0.05 to 0.95.
    times : array_like, shape (T + H,), optional
        Numbers or dates of the steps; by default they are counted from the end of the past.
    titles : sequence of U str, optional
    to_file : str or path, optional
        Where to write the picture; the ending says the format.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If shapes do not fit, or a quantile is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.plotting import plot_forecast
    >>> paths = np.random.default_rng(0).normal(size=(100, 12)).cumsum(axis=1)
    >>> figure = plot_forecast(paths, past=[0.3, -0.2, 0.0], levels=[0.8])
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['past', '80 %', 'median']
    """
    if not np.iterable(levels):
        raise TypeError(f"levels must be a list of shares, got {levels!r}")
    shares = sorted((check.number("each of levels", level) for level in levels), reverse=True)
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"each of levels must be above 0 and below 1, got {list(levels)}")
    ends = [((1 - share) / 2, (1 + share) / 2) for share in shares]
    asked = [quantile for pair in ends for quantile in pair]
    found = _by_quantile(forecast) if isinstance(forecast, Mapping) else _of_paths(forecast, [0.5, *asked])
    middle = _at(found, 0.5)
    horizon, units = middle.shape
    bands = [(_at(found, low), _at(found, high)) for low, high in ends]
    before = None if past is None else _columns("past", past, units)
    came = None if future is None else _columns("future", future, units, horizon)
    known = 0 if before is None else len(before)
    to_timestamp = getattr(times, "to_timestamp", lambda: times)  # of periods of pandas
    steps = np.arange(1 - known, horizon + 1) if times is None else np.asarray(to_timestamp())
    if steps.shape != (known + horizon,):
        raise ValueError(f"times must have shape {(known + horizon,)}, as past and forecast, got {steps.shape}")
    if titles is not None and len(titles) != units:
        raise ValueError(f"titles must be {units}, one for each series, got {len(titles)}")

    columns = 1 if units < 4 else 2
    figure, panels = new_figure(-(-units // columns), columns, (7.0, 3.2))
    for spare in panels[units:]:
        spare.set_axis_off()
    for unit, axes in enumerate(panels[:units]):
        if before is not None:
            axes.plot(steps[:known], before[:, unit], color="#444444", label="past")
        for number, (share, (low, high)) in enumerate(zip(shares, bands, strict=True)):
            shade: dict[str, Any] = {"color": "#2a6fb0", "linewidth": 0, "alpha": 0.18 + 0.14 * number / len(bands)}
            axes.fill_between(steps[known:], low[:, unit], high[:, unit], label=f"{100 * share:g} %", **shade)
        axes.plot(steps[known:], middle[:, unit], color="#2a6fb0", label="median")
        if came is not None:
            axes.plot(steps[known:], came[:, unit], color="#444444", linestyle="--", label="what came")
        if titles is not None:
            axes.set_title(titles[unit])
    panels[0].legend()
    return finish(figure, to_file)


Quantiles = dict[float, npt.NDArray[Any]]


def _of_paths(forecast: npt.ArrayLike, asked: Sequence[float]) -> Quantiles:
    """Quantiles (H, U) over the paths."""
    paths = check.real_array("forecast", forecast)
    if paths.ndim not in (2, 3) or 0 in paths.shape:
        raise ValueError(f"forecast must have shape (paths, steps) or (paths, steps, series), got {paths.shape}")
    paths = paths if paths.ndim == 3 else paths[..., np.newaxis]
    return dict(zip(asked, np.quantile(paths, asked, axis=0), strict=True))


def _by_quantile(forecast: Mapping[float, npt.ArrayLike]) -> Quantiles:
    found: Quantiles = {}
    for quantile, values in forecast.items():
        array = check.real_array(f"forecast[{quantile!r}]", values)
        first = next(iter(found.values()), None)
        array = array[:, np.newaxis] if array.ndim == 1 else array
        if array.ndim != 2 or (first is not None and array.shape != first.shape):
            raise ValueError(f"each of forecast must have shape (steps,) or (steps, series), got {np.shape(values)}")
        found[check.number("each quantile of forecast", quantile, low=0.0, high=1.0)] = array
    return found


def _at(found: Quantiles, quantile: float) -> npt.NDArray[Any]:
    for known, values in found.items():
        if abs(known - quantile) < 1e-9:
            return values
    raise ValueError(
        f"forecast must hold the quantile {quantile:g}, got {', '.join(f'{q:g}' for q in found) or 'none'}"
    )


def _columns(argument: str, values: npt.ArrayLike, units: int, rows: int | None = None) -> npt.NDArray[Any]:
    """(T, U)."""
    array = check.real_array(argument, values)
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != units or (rows is not None and len(array) != rows):
        expected = f"({rows or 'steps'},{f' {units}' if units > 1 else ''})"
        raise ValueError(f"{argument} must have shape {expected}, as the forecast, got {np.shape(values)}")
    return array
