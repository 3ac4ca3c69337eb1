"""Gradients through time as curves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.plotting.figure import finish, new_figure


def plot_gradient_flow(flow: Mapping[str, npt.ArrayLike], to_file: str | os.PathLike[str] | None = None) -> Any:
    """Draw what `inspection.gradient_flow` measured, on a logarithmic scale.

    Parameters
    ----------
    flow : dict of str to array_like, shape (T,)
        The norms of the gradient by the state after each step, by layer. Zeros are left out.
    to_file : str or path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If there is nothing to draw, or an entry is not a vector.

    Examples
    --------
    >>> from rnncore.plotting import plot_gradient_flow
    >>> figure = plot_gradient_flow({"lstm": [1e-3, 1e-2, 1e-1], "gru": [1e-2, 3e-2, 1e-1]})
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['lstm', 'gru']
    """
    if not flow:
        raise ValueError("flow must have at least one layer, got none")
    figure, (axes,) = new_figure(size=(7.0, 4.0))
    for name, norms in flow.items():
        values = check.real_array(f"flow[{name!r}]", norms)
        if values.ndim != 1:
            raise ValueError(f"flow[{name!r}] must have shape (T,), got {values.shape}")
        axes.plot(np.arange(1, len(values) + 1), np.where(values > 0, values, np.nan), label=name)
    axes.set_yscale("log")
    axes.set_xlabel("time step t")
    axes.set_ylabel("norm of dL/dh_t")
    axes.legend()
    return finish(figure, to_file)
