"""Curves of training runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.callbacks.base import History
from rnncore.plotting.figure import finish, new_figure


def plot_history(history: Any, keys: Sequence[str] | None = None, to_file: str | os.PathLike[str] | None = None) -> Any:
    """Draw the losses and metrics of training runs by epoch, training and validation in one panel.

    Parameters
    ----------
    history : History or dict
        What `fit` returned, or its `history`: lists of numbers by key. Or a dict of several such runs by name, to
        compare them.
    keys : sequence of str, optional
        Which to draw, without `val_`; by default all.
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
        If there is nothing to draw, a key is unknown, or a run is none.

    Examples
    --------
    >>> from rnncore.plotting import plot_history
    >>> figure = plot_history({"loss": [0.9, 0.4, 0.3], "val_loss": [0.8, 0.5, 0.5], "mae": [0.7, 0.5, 0.4]})
    >>> [axes.get_title() for axes in figure.axes]
    ['loss', 'mae']
    """
    runs = history if isinstance(history, Mapping) and any(map(_is_run, history.values())) else {"": history}
    logs = {name: run.history if isinstance(run, History) else run for name, run in runs.items()}
    for name, run in logs.items():
        if not isinstance(run, Mapping) and not hasattr(run, "keys"):
            what = "history" if name == "" else f"history[{name!r}]"
            raise TypeError(f"{what} must be what fit returned, or a dict of lists by key, got {type(run).__name__}")
    known = list(dict.fromkeys(key.removeprefix("val_") for run in logs.values() for key in run))
    chosen = known if keys is None else list(keys)
    unknown = [key for key in chosen if key not in known]
    if unknown or not chosen:
        raise ValueError(f"keys must be some of {known}, got {chosen}")
    figure, panels = new_figure(1, len(chosen))
    from matplotlib.ticker import MaxNLocator

    for key, axes in zip(chosen, panels, strict=True):
        for number, (run, found) in enumerate(logs.items()):
            for part, (name, style) in enumerate(((key, "-"), (f"val_{key}", "--"))):
                if name in found:
                    color = f"C{number if run else part}"  # one for each run, or each part of the only run
                    label = f"{run}: {name}" if run else name
                    values = check.real_array(f"history[{name!r}]", found[name])
                    if values.ndim == 0:
                        raise ValueError(f"history[{name!r}] must be a list, one number for each epoch, got {values}")
                    at = runs[run].epochs_of(name) if isinstance(runs[run], History) else range(len(values))
                    axes.plot(np.asarray(at) + 1, values, style, color=color, marker=".", label=label)
        axes.set_title(key)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return finish(figure, to_file)


def _is_run(value: Any) -> bool:
    return isinstance(value, (History, Mapping))
