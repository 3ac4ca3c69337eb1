"""A figure to draw on, without a window or global state."""

from __future__ import annotations

import os
from typing import Any

from rnncore.writing import write_whole


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (5.0, 3.5)) -> tuple[Any, list[Any]]:
    """A figure of so many axes, each of `size` in inches, and the axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'rnncore[plot]'") from error
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def finish(figure: Any, to_file: str | os.PathLike[str] | None) -> Any:
    """Write the figure where asked, in the format that the ending says, and hand it back."""
    if to_file is not None:
        path = os.fsdecode(to_file)
        kind = os.path.splitext(path)[1][1:].lower()
        if not kind:
            kind = figure.canvas.get_default_filetype()
            path = f"{path}.{kind}"
        write_whole(path, lambda file: figure.savefig(file, format=kind))
    return figure
