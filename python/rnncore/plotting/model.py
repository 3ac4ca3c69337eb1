"""The graph of a model as a picture."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rnncore import _validation as check
from rnncore.plotting.figure import finish, new_figure

if TYPE_CHECKING:
    from rnncore.layers.symbolic import Call
    from rnncore.models import Model

WIDTH, LINE = 2.8, 0.16  # inches of a box and of a line of text
GAP = 0.4


def plot_model(
    model: Model,
    to_file: str | os.PathLike[str] | None = None,
    show_shapes: bool = True,
    show_layer_names: bool = True,
) -> Any:
    """Draw the layers of a model as boxes, inputs on top, with arrows along the data.

    Parameters
    ----------
    model : Model
        Built.
    to_file : str or path, optional
        Where to write the picture; the ending says the format.
    show_shapes : bool, default True
        Whether boxes tell the shapes of their outputs.
    show_layer_names : bool, default True

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        If the model is not built.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> from rnncore.plotting import plot_model
    >>> model = models.Sequential([layers.Input((None, 3), name="x"), layers.GRU(4, name="gru")])
    >>> figure = plot_model(model)
    >>> [text.get_text().split()[0] for text in figure.axes[0].texts if text.get_text()]
    ['x', 'gru']
    """
    show_shapes = check.boolean("show_shapes", show_shapes)
    show_layer_names = check.boolean("show_layer_names", show_layer_names)
    model._require_built("it is drawn")
    figure, _ = new_figure()  # first of all, for its word where matplotlib is missing
    from matplotlib.patches import Rectangle

    places = _places(model._calls())
    labels = {call: _label(call, show_shapes, show_layer_names) for call in places}
    height = LINE * (1 + max(label.count("\n") + 1 for label in labels.values()))
    columns = max(column for _, column in places.values()) + 1
    ranks = max(rank for rank, _ in places.values()) + 1
    around = any(places[call][0] - places[value.call][0] > 1 for call in places for value in call.inputs)
    margin = 0.75 if around else 0.5  # arrows past boxes need room, and the boxes stay in the middle
    figure, (axes,) = new_figure(size=((WIDTH + GAP) * (columns - 1 + 2 * margin), (height + GAP) * ranks))
    axes.set_xlim(-margin * (WIDTH + GAP), (columns - 1 + margin) * (WIDTH + GAP))
    axes.set_ylim(-(ranks - 0.5) * (height + GAP), 0.5 * (height + GAP))
    axes.set_axis_off()
    for call, (rank, column) in places.items():
        x, y = column * (WIDTH + GAP), -rank * (height + GAP)
        box: dict[str, Any] = {"facecolor": "#eef3fa", "edgecolor": "#33517a", "zorder": 2}
        axes.add_patch(Rectangle((x - WIDTH / 2, y - height / 2), WIDTH, height, **box))
        axes.text(x, y, labels[call], ha="center", va="center", fontsize=8, zorder=3)
        for source in dict.fromkeys(value.call for value in call.inputs):
            source_rank, source_column = places[source]
            source_x, source_y = source_column * (WIDTH + GAP), -source_rank * (height + GAP)
            start, end, bend = (source_x, source_y - height / 2), (x, y + height / 2), 0.0
            if rank - source_rank > 1:  # past the boxes between, on their right
                start, end, bend = (source_x + WIDTH / 2, source_y), (x + WIDTH / 2, y), -0.3
            arrow: dict[str, Any] = {"arrowstyle": "->", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
            arrow["connectionstyle"] = f"arc3,rad={bend}"
            axes.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=1)
    return finish(figure, to_file)


def _places(calls: list[Call]) -> dict[Call, tuple[int, float]]:
    """Rank (the longest way from an input) and column of each call; each rank is centred."""
    ranks: dict[Call, int] = {}
    for call in calls:  # in the order of the graph
        ranks[call] = max((ranks[value.call] + 1 for value in call.inputs), default=0)
    rows: dict[int, list[Call]] = {}
    for call, rank in ranks.items():
        rows.setdefault(rank, []).append(call)
    widest = max(map(len, rows.values()))
    return {
        call: (rank, number + (widest - len(row)) / 2) for rank, row in rows.items() for number, call in enumerate(row)
    }


def _label(call: Call, show_shapes: bool, show_layer_names: bool) -> str:
    kind = type(call.layer).__name__
    lines = [f"{call.layer.name} ({kind})" if show_layer_names else kind]
    if show_shapes:
        shapes = call.layer.output_shape
        lines += [str(shape) for shape in (shapes if isinstance(shapes, list) else [shapes])]
    return "\n".join(lines)
