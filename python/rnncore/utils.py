"""Small helpers, as Keras users know them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import config
from rnncore._namespace import public
from rnncore._naming import forget_names
from rnncore.dataset import PyDataset
from rnncore.seeds import set_random_seed
from rnncore.timeseries import timeseries_dataset_from_array

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "normalize",
    "pad_sequences",
    "plot_model",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

Sequence = PyDataset  # its older name


def clear_session() -> None:
    """Let automatic names start again at `lstm`, `dense`, ..., and forget the global dtype policy, as Keras does.

    Examples
    --------
    >>> from rnncore import layers, utils
    >>> utils.clear_session()
    >>> layers.Dense(2).name, layers.Dense(2).name
    ('dense', 'dense_1')
    >>> utils.clear_session()
    >>> layers.Dense(2).name
    'dense'
    """
    forget_names()
    config.forget_policy()


def plot_model(model: Any, to_file: Any = None, show_shapes: bool = True, show_layer_names: bool = True) -> Any:
    """Draw the layers of a model: another name of `rnncore.plotting.plot_model`, with its arguments.

    Examples
    --------
    >>> from rnncore import layers, models, utils
    >>> figure = utils.plot_model(models.Sequential([layers.Input((3,)), layers.Dense(2)]), "model.png")
    """
    from rnncore import plotting

    return plotting.plot_model(model, to_file, show_shapes, show_layer_names)


def to_categorical(x: npt.ArrayLike, num_classes: int | None = None) -> npt.NDArray[np.float32]:
    """Turn class ids into one-hot rows.

    Parameters
    ----------
    x : array_like of int, shape (...) or (..., 1)
        Class ids from 0 on; a last axis of size 1 is dropped.
    num_classes : int, optional
        Number of classes; by default the largest id plus one.

    Returns
    -------
    ndarray of float32, shape (..., num_classes)

    Raises
    ------
    TypeError, ValueError
        If `x` does not hold whole numbers, or an id is negative or not below `num_classes`.

    Examples
    --------
    >>> from rnncore.utils import to_categorical
    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    labels = check.real_array("x", x)
    if not np.array_equal(labels, np.floor(labels)):
        raise ValueError("x must hold whole numbers")
    labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if not labels.size:
            raise ValueError("num_classes must be given when x is empty")
        num_classes = int(labels.max()) + 1
    classes = check.integer("num_classes", num_classes)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"x must hold ids in [0, {classes}), got {labels.min()} to {labels.max()}")
    return np.asarray(labels[..., None] == np.arange(classes), dtype=np.float32)


def normalize(x: npt.ArrayLike, axis: int = -1, order: float = 2) -> npt.NDArray[Any]:
    """Scale vectors along an axis to length 1; those of length 0 stay as they are.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
    order : float, default 2
        Of the norm, as in `numpy.linalg.norm`.

    Returns
    -------
    ndarray, shape of x, floating point

    Raises
    ------
    TypeError
        If `x` does not hold real numbers.

    Examples
    --------
    >>> from rnncore.utils import normalize
    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    values = np.atleast_1d(check.real_array("x", x))
    lengths = np.linalg.norm(values, order, check.integer("axis", axis), keepdims=True)
    return np.asarray(values / np.where(lengths == 0, 1, lengths))


def pad_sequences(
    sequences: Iterable[SequenceOf[Any] | npt.NDArray[Any]],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> npt.NDArray[Any]:
    """Bring sequences of different lengths to one length.

    Parameters
    ----------
    sequences : iterable of N sequences, each of shape (T_n,) or (T_n, ...)
    maxlen : int, optional
        The common length T; by default that of the longest sequence.
    dtype : dtype, default "int32"
        Numbers that it cannot hold are refused; give "float32" for sequences of floats.
    padding, truncating : {"pre", "post"}, default "pre"
        Where short sequences are filled and long ones are cut. With `padding="post"` the original
        lengths can be given to `fit(..., lengths=...)`, which counts leading steps.
    value : float, default 0.0
        What fills.

    Returns
    -------
    ndarray, shape (N, T) or (N, T, ...)

    Raises
    ------
    ValueError
        If an option is unknown, the sequences' steps differ in shape, or a number would be lost: 0.7, NaN or 2**31
        as integers.

    Examples
    --------
    >>> from rnncore.utils import pad_sequences
    >>> pad_sequences([[1, 2, 3], [4]], padding="post")
    array([[1, 2, 3],
           [4, 0, 0]], dtype=int32)
    """
    sides = {"pre": "pre", "post": "post"}
    check.lookup("padding", padding, sides)
    check.lookup("truncating", truncating, sides)
    rows = [np.asarray(sequence) for sequence in sequences]
    for n, row in enumerate(rows):
        if row.ndim == 0:
            raise ValueError(f"sequences[{n}] must be a sequence, got the single value {row}")
    steps = max(map(len, rows), default=0) if maxlen is None else check.positive_int("maxlen", maxlen)
    inner = next((row.shape[1:] for row in rows if len(row)), ())
    padded = np.full((len(rows), steps, *inner), check.cast("value", np.asarray(value), dtype))
    for n, row in enumerate(rows):
        if not len(row):
            continue
        if row.shape[1:] != inner:
            raise ValueError(f"sequences[{n}] must have steps of shape {inner}, got {row.shape[1:]}")
        kept = row[-steps:] if truncating == "pre" else row[:steps]
        where = slice(steps - len(kept), None) if padding == "pre" else slice(len(kept))
        padded[n, where] = check.cast(f"sequences[{n}]", kept, dtype)
    return padded
