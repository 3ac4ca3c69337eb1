"""Which classes are taken for which, as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore.plotting.figure import finish, new_figure

AXES: dict[str, int | tuple[int, int]] = {"true": 1, "pred": 0, "all": (0, 1)}


def plot_confusion_matrix(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    labels: Sequence[str] | None = None,
    normalize: str | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw how often each class was predicted for each.

    Parameters
    ----------
    y_true : array_like of int, shape (N,) or (N, T)
        Class ids from 0; negative ones, as labels that are ignored, do not count.
    y_pred : array_like, shape of `y_true` with class ids, or with one axis more, of a number for each class
        What `predict` gave for a softmax; for a sigmoid, one number, class 1 where it is above 0.5.
    labels : sequence of str, optional
        The names of all classes.
    normalize : {"true", "pred", "all"}, optional
        Draw shares of each true class, of each predicted class, or of all, instead of counts.
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
        If shapes, classes or labels do not fit.

    Examples
    --------
    >>> from rnncore.plotting import plot_confusion_matrix
    >>> figure = plot_confusion_matrix([0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '0', '1', '2']
    """
    if normalize is not None and normalize not in AXES:
        raise ValueError(f"normalize must be None, 'true', 'pred' or 'all', got {normalize!r}")
    given = check.real_array("y_pred", y_pred)
    true = _ids("y_true", y_true)
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError("y_pred must hold finite numbers, got NaN or infinity")
    if given.shape == true.shape and true.ndim > 1 and true.shape[-1] == 1:
        true = true[..., 0]
    if given.shape == (*true.shape, 1):
        predicted, count = _of_one(given[..., 0]), 1
    elif given.shape[:-1] == true.shape and given.ndim == true.ndim + 1 and given.shape[-1]:
        predicted, count = given.argmax(axis=-1), given.shape[-1]
    elif given.shape == true.shape:
        predicted, count = _ids("y_pred", given), 1
    else:
        raise ValueError(f"y_pred must have shape {true.shape}, or an axis of classes more, got {given.shape}")
    kept = true >= 0
    true, predicted = true[kept], predicted[kept]
    if not true.size:
        raise ValueError("y_true must have a class that counts, got none")
    if predicted.min() < 0:
        raise ValueError(f"y_pred must hold class ids from 0, got {predicted.min()}")
    count = max(count, int(true.max()) + 1, int(predicted.max()) + 1)
    if labels is not None and len(labels) != count:
        raise ValueError(f"labels must be {count}, one for each class, got {len(labels)}")
    matrix = np.bincount(true * count + predicted, minlength=count**2).reshape(count, count)
    shown = matrix if normalize is None else matrix / np.maximum(matrix.sum(axis=AXES[normalize], keepdims=True), 1)

    side = min(1.5 + 0.55 * count, 12.0)
    figure, (axes,) = new_figure(size=(side + 0.8, side))
    image = axes.imshow(shown, vmin=0.0, cmap="Blues")
    names = [str(label) for label in (range(count) if labels is None else labels)]
    axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(count), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= 20:  # numbers that can still be read
        for (row, column), value in np.ndenumerate(shown):
            text = f"{value}" if normalize is None else f"{value:.2f}"
            color = "white" if value > shown.max() / 2 else "black"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    figure.colorbar(image, ax=axes)
    return finish(figure, to_file)


def _of_one(given: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Class ids of ids, or of probabilities of class 1."""
    if (given == np.floor(given)).all():
        return _ids("y_pred", given)
    if given.min() < 0 or given.max() > 1:
        raise ValueError(f"y_pred must lie in [0, 1] where it is one number, got {given.min()} to {given.max()}")
    return np.asarray(given > 0.5, np.int64)


def _ids(argument: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = check.real_array(argument, values)
    if array.dtype.kind == "f" and (wrong := ~np.isfinite(array) | (array != np.floor(array))).any():
        raise ValueError(f"{argument} must hold class ids, whole numbers, got {array[wrong].flat[0]}")
    return array.astype(np.int64)
