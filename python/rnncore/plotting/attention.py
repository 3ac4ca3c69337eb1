"""Attention scores as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rnncore import _validation as check
from rnncore.plotting.figure import finish, new_figure


def plot_attention(
    scores: npt.ArrayLike,
    x_labels: Sequence[str] | None = None,
    y_labels: Sequence[str] | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw how much each step of a query attends to each step of a value.

    Parameters
    ----------
    scores : array_like, shape (Tq, Tv), or (heads, Tq, Tv) for one panel a head
        Of one sample.
    x_labels : sequence of Tv str, optional
        What is attended to, such as the words of a source sentence.
    y_labels : sequence of Tq str, optional
        What attends, such as the words of a translation.
    to_file : str or path, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If scores are not of rank 2 or 3, or labels do not fit.

    Examples
    --------
    >>> from rnncore.plotting import plot_attention
    >>> figure = plot_attention([[0.9, 0.1], [0.2, 0.8]], ["das", "Haus"], ["the", "house"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['the', 'house']
    """
    array = check.real_array("scores", scores)
    if array.ndim not in (2, 3):
        raise ValueError(f"scores must have shape (Tq, Tv) or (heads, Tq, Tv), got {array.shape}")
    heads = array[None] if array.ndim == 2 else array
    for argument, labels, count in (("x_labels", x_labels, heads.shape[2]), ("y_labels", y_labels, heads.shape[1])):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{argument} must be {count}, one for each step, got {len(labels)}")
    size = (1.5 + 0.35 * heads.shape[2], 1.2 + 0.35 * heads.shape[1])
    figure, panels = new_figure(1, len(heads), (min(size[0], 12.0), min(size[1], 12.0)))
    for number, (head, axes) in enumerate(zip(heads, panels, strict=True)):
        image = axes.imshow(head, vmin=0.0, cmap="viridis", aspect="auto")
        if x_labels is not None:
            axes.set_xticks(range(len(x_labels)), list(x_labels), rotation=90)
        if y_labels is not None:
            axes.set_yticks(range(len(y_labels)), list(y_labels))
        if len(heads) > 1:
            axes.set_title(f"head {number}")
    figure.colorbar(image, ax=panels)
    return finish(figure, to_file)
