"""What users give as X, read as sequences: (N, T, C), and how many leading steps of each are valid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import validate_data

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._arrays import as_array, masked_entries, readable_rows
from rnncore._data import Array
from rnncore.utils import pad_sequences

LAYOUTS = {"NTC": 1, "NCT": 2, "NC": None}  # the axis of the time steps in three-dimensional data
DTYPES = [np.float64, np.float32]


@dataclass(frozen=True)
class Sequences:
    """N sequences of C features, padded at their ends to T steps."""

    values: Array  # (N, T, C); NaN where padding is
    lengths: npt.NDArray[np.int32] | None  # None: all have T steps
    flat: bool = False  # whether they came without an axis for the steps or one for the features

    def __getitem__(self, rows: Any) -> Sequences:
        lengths = None if self.lengths is None else self.lengths[rows]
        return replace(self, values=self.values[rows], lengths=lengths)

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Which steps (N, T) are no padding."""
        rows, steps = self.values.shape[:2]
        lengths = np.full(rows, steps) if self.lengths is None else self.lengths
        return np.asarray(np.arange(steps) < lengths[:, None])

    def filled(self, dtype: npt.DTypeLike) -> Array:
        """The values with zeros for padding."""
        values = self.values if self.lengths is None else np.where(self.valid[..., None], self.values, 0)
        return check.cast("X", values, dtype)


def read(
    estimator: Any, X: Any, y: Any = "no_validation", *, lengths: Any = None, reset: bool = False, **of_y: Any
) -> tuple[Sequences, Any]:
    """X as sequences, and y checked as scikit-learn does; with `reset` the estimator notes what it has seen.

    Of two-dimensional data it notes the columns, else the features of a step.
    """
    axis = check.lookup("layout", estimator.layout, LAYOUTS)
    X, y = joined(readable(X), axis), readable(y)
    rank = len(X.shape) if hasattr(X, "shape") else np.ndim(np.asarray(X))
    if axis is None and rank > 2:
        raise ValueError(f"X must have two axes (N, C) with layout='NC', got {rank}")
    by_columns = rank < 3 and (reset or estimator._by_columns)
    options = {**of_y, "dtype": DTYPES, "ensure_all_finite": "allow-nan", "allow_nd": True}
    found = validate_data(estimator, X, y, reset=reset, ensure_2d=by_columns or rank < 2, **options)
    X, y = found if isinstance(found, tuple) else (found, y)
    if X.ndim > 3:
        raise ValueError(f"X must have two or three axes, got {X.ndim}")
    if flat := X.ndim == 2:
        X = X[:, None, :] if axis is None else X[:, :, None]
    elif axis == 2:
        X = X.swapaxes(1, 2)
    if 0 in X.shape[1:]:
        raise ValueError(f"X must have at least one step and one feature in each sequence, got shape {X.shape}")
    if reset:
        estimator._by_columns = by_columns
        if not by_columns:
            estimator.n_features_in_ = X.shape[2]
    expected = 1 if estimator._by_columns and axis is not None else estimator.n_features_in_
    if X.shape[2] != expected:
        raise ValueError(
            f"X has {X.shape[2]} features, but {type(estimator).__name__} is expecting {expected} features as input"
        )
    return Sequences(X, valid_steps(X, lengths), flat), y


def readable(X: Any) -> Any:
    """X, or y, as scikit-learn reads it: masked entries become NaN, and tensors arrays."""
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.filled(X.astype(np.result_type(X, np.float32)), np.nan) if masked_entries(X) else X.data
    is_tensor = hasattr(X, "requires_grad") or (hasattr(X, "__dlpack__") and not hasattr(X, "__array__"))
    return as_array("X", X) if is_tensor else readable_rows("X", X)


def joined(X: Any, axis: int | None = 1) -> Any:
    """One array padded with NaN of a list of arrays, or of rows of different lengths; all else stays."""
    is_list = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)
    if not is_list or axis is None:
        return X
    try:
        rows = [np.asarray(row) for row in X]
    except ValueError:  # ragged inside
        return X
    strange = [row for row in rows if row.ndim not in (1, 2) or row.dtype.kind not in "fiub"]
    if len({row.shape for row in rows}) < 2:
        if strange or not all(isinstance(row, np.ndarray) for row in X):
            return X  # as a table that is a list of lists
    elif strange:
        raise ValueError(
            "each sequence of X must be an array (T, C) or (T,) of real numbers, got one of shape"
            f" {strange[0].shape} and dtype {strange[0].dtype}"
        )
    rows = [row[:, None] if row.ndim == 1 else row.T if axis == 2 else row for row in rows]
    if len(features := {row.shape[1] for row in rows}) > 1:
        raise ValueError(f"all sequences of X must have the same features, got {sorted(features)}")
    dtype = np.float32 if all(row.dtype == np.float32 for row in rows) else np.float64
    padded = pad_sequences(rows, padding="post", dtype=dtype, value=np.nan)
    return padded.swapaxes(1, 2) if axis == 2 else padded


def valid_steps(X: Array, lengths: Any) -> npt.NDArray[np.int32] | None:
    """How many steps of each sequence (N, T, C) are valid, None for all; ValueError for NaN among these."""
    rows, steps = X.shape[:2]
    missing: Array = np.isnan(X)
    if lengths is not None:
        found = data.lengths(lengths, rows, steps)
    elif missing.any():
        ends = np.asarray(missing.all(axis=2))
        found = (steps - ends[:, ::-1].argmin(axis=1)).astype(np.int32)
        found[ends.all(axis=1)] = 0
    else:
        return None
    if (empty := found == 0).any():
        raise ValueError(
            f"each sequence of X must have at least one step that is no padding, got none in row {int(empty.argmax())}"
            " (NaN and lengths tell what padding is)"
        )
    if (missing.any(axis=2) & (np.arange(steps) < found[:, None])).any():
        raise ValueError(
            "Input X contains NaN. A sequence may end in steps whose features are all NaN, which are taken for"
            " padding; other missing values must be filled before"
        )
    return None if (found == steps).all() else found
