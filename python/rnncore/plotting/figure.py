"""A figure to draw on, without a window or global state."""

from __future__ import annotations

import os
from typing import Any


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (5.0, 3.5)) -> tuple[Any, list[Any]]:
    """A figure of so many axes, each of `size` in inches, and the axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def finish(figure: Any, to_file: str | os.PathLike[str] | None) -> Any:
    """Write the figure where asked, and hand it back."""
    if to_file is not None:
        figure.savefig(to_file)
    return figure
