"""Transformers from sequences to sequences, and from a table to windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array
from sklearn.utils._set_output import _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted, validate_data

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.sklearn.sequences import DTYPES, LAYOUTS, Sequences, read
from rnncore.utils import pad_sequences

__all__ = ["PadSequences", "SequenceScaler", "WindowMaker"]


class Transforming:
    """Methods of transformers of sequences.

    They stand outside scikit-learn's mixins, whose `set_output` would make a table of every result: what has three
    axes stays an array.
    """

    layout: str
    _by_columns: bool

    def _learn(self, sequences: Sequences) -> None:
        """Note what is needed to change other sequences."""

    def _changed(self, sequences: Sequences) -> Sequences:
        """The sequences as they are to be."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        """Learn from sequences.

        Parameters
        ----------
        X : array_like, shape (N, T, C) or as `layout` says, or list of N arrays (T_n, C) or (T_n,)
            Sequences may end in steps of NaN, which are padding.
        y : ignored
        lengths : array_like of int, shape (N,), optional
            How many leading steps of each sequence are valid.

        Returns
        -------
        self
        """
        sequences, _ = read(self, X, lengths=lengths, reset=True)
        self._learn(sequences)
        return self

    def transform(self, X: Any, lengths: Any = None) -> Any:
        """Change sequences.

        Parameters
        ----------
        X, lengths
            As for `fit`.

        Returns
        -------
        ndarray
            In the layout of X, NaN where padding is. Of two axes if X has two and they stay the same.
        """
        check_is_fitted(self, "n_features_in_")
        return self._with(self._changed, X, lengths)

    def fit_transform(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        """Fit to sequences and change them.

        Parameters
        ----------
        X, y, lengths
            As for `fit`.

        Returns
        -------
        ndarray
            As from `transform`.
        """
        return self.fit(X, y, lengths).transform(X, lengths)

    def _with(self, change: Any, X: Any, lengths: Any = None) -> Any:
        sequences = change(read(self, X, lengths=lengths)[0])
        values, axis = sequences.values, LAYOUTS[self.layout]
        if sequences.lengths is not None:
            values = np.where(sequences.valid[..., None], values, np.array(np.nan, values.dtype))
        if sequences.flat:
            table = values[:, 0] if axis is None else values[:, :, 0]
            return _wrap_data_with_container("transform", table, X, self)
        return values.swapaxes(1, 2) if axis == 2 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.three_d_array = True
        return tags


class SequenceScaler(Transforming, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Scale the features of sequences, each by what it is like over all sequences and steps.

    Padding counts for nothing and stays NaN.

    Parameters
    ----------
    scaler : transformer, optional
        What scales a table of all steps (M, C), one row each; by default a `sklearn.preprocessing.StandardScaler`.
    layout : {"NTC", "NCT", "NC"}, default "NTC"
        The axes of X: see `RNNClassifier`.

    Attributes
    ----------
    scaler_ : transformer
        The fitted one.
    n_features_in_, feature_names_in_
        As of `RNNClassifier`.

    Raises
    ------
    TypeError, ValueError
        From `fit` and `transform`, for an argument that does not fit.

    Examples
    --------
    >>> from rnncore.sklearn import SequenceScaler
    >>> SequenceScaler().fit_transform([[[1.0], [3.0]], [[5.0]]]).round(2)
    array([[[-1.22],
            [ 0.  ]],
           [[ 1.22],
            [  nan]]])
    """

    def __init__(self, scaler: Any = None, *, layout: str = "NTC") -> None:
        self.scaler = scaler
        self.layout = layout

    def _learn(self, sequences: Sequences) -> None:
        scaler = StandardScaler() if self.scaler is None else clone(self.scaler)
        self.scaler_ = scaler.fit(sequences.values[sequences.valid])

    def _changed(self, sequences: Sequences) -> Sequences:
        return self._steps_by(self.scaler_.transform, sequences)

    def inverse_transform(self, X: Any, lengths: Any = None) -> Array:
        """Undo the scaling.

        Parameters
        ----------
        X, lengths
            As for `fit`.

        Returns
        -------
        ndarray
            As from `transform`.
        """
        check_is_fitted(self, "n_features_in_")
        return np.asarray(self._with(lambda found: self._steps_by(self.scaler_.inverse_transform, found), X, lengths))

    def _steps_by(self, scale: Any, sequences: Sequences) -> Sequences:
        steps = np.asarray(scale(sequences.values[sequences.valid]))
        scaled = np.empty(sequences.values.shape, steps.dtype)
        scaled[sequences.valid] = steps
        return replace(sequences, values=scaled)


class PadSequences(Transforming, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Bring sequences of different lengths into one array (N, T, C), with NaN where they have ended.

    Parameters
    ----------
    maxlen : int, optional
        The number of steps T; by default that of the longest sequence of each call.
    truncating : {"pre", "post"}, default "pre"
        Whether longer sequences lose their first or their last steps.
    layout : {"NTC", "NCT", "NC"}, default "NTC"
        The axes of X and of the result: see `RNNClassifier`.

    Attributes
    ----------
    n_features_in_, feature_names_in_
        As of `RNNClassifier`.

    Raises
    ------
    TypeError, ValueError
        From `fit` and `transform`, for an argument that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import PadSequences
    >>> PadSequences().fit_transform([np.ones((3, 2)), np.ones((1, 2))])[..., 0]
    array([[ 1.,  1.,  1.],
           [ 1., nan, nan]])
    """

    def __init__(self, maxlen: int | None = None, truncating: str = "pre", *, layout: str = "NTC") -> None:
        self.maxlen = maxlen
        self.truncating = truncating
        self.layout = layout

    def _changed(self, sequences: Sequences) -> Sequences:
        values, lengths = sequences.values, sequences.lengths
        if lengths is None:
            lengths = np.full(len(values), values.shape[1], np.int32)
        steps = int(lengths.max()) if self.maxlen is None else check.positive_int("maxlen", self.maxlen)
        rows = [row[:length] for row, length in zip(values, lengths, strict=True)]
        padded = pad_sequences(rows, steps, values.dtype, "post", self.truncating, np.nan)
        return Sequences(padded, np.minimum(lengths, steps))


class WindowMaker(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Cut a table whose rows are times into windows that overlap: (T, C) becomes (N, length, C).

    The window of a row ends there and has the rows before it, so that a pipeline learns what is known at each time.
    Where a table is split, as in cross-validation, the first windows of each part do not see the part before.

    Parameters
    ----------
    length : int, default 10
        Steps of a window.
    sampling_rate : int, default 1
        Rows from one step to the next.
    stride : int, default 1
        Rows from one window to the next.
    partial : bool, default True
        Whether the first rows have windows too, which end in NaN for the steps they lack. Every row has one then, if
        `stride` is 1, as pipelines need.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Raises
    ------
    TypeError, ValueError
        From `fit` and `transform`, for an argument that does not fit.

    Examples
    --------
    >>> from rnncore.sklearn import WindowMaker
    >>> table = [[1.0], [2.0], [3.0]]
    >>> WindowMaker(2).fit_transform(table)[..., 0]
    array([[ 1., nan],
           [ 1.,  2.],
           [ 2.,  3.]])
    >>> whole = WindowMaker(2, partial=False).fit(table)
    >>> whole.transform(table)[..., 0], whole.align(["a", "b", "c"])
    (array([[1., 2.],
           [2., 3.]]), array(['b', 'c'], dtype='<U1'))
    """

    def __init__(self, length: int = 10, *, sampling_rate: int = 1, stride: int = 1, partial: bool = True) -> None:
        self.length = length
        self.sampling_rate = sampling_rate
        self.stride = stride
        self.partial = partial

    def fit(self, X: Any, y: Any = None) -> Any:
        """Note the columns of a table.

        Parameters
        ----------
        X : array_like, shape (T, C)
        y : ignored

        Returns
        -------
        self
        """
        table = validate_data(self, X, dtype=DTYPES)
        self._ends(len(table))
        return self

    def transform(self, X: Any) -> Array:
        """Cut a table into windows.

        Parameters
        ----------
        X : array_like, shape (T, C)

        Returns
        -------
        ndarray, shape (N, length, C)
        """
        check_is_fitted(self, "n_features_in_")
        table = validate_data(self, X, dtype=DTYPES, reset=False)
        ends = self._ends(len(table))[:, None]
        step = np.arange(self.length)
        steps = np.minimum(self.length, ends // self.sampling_rate + 1)  # (N, 1) that there are
        windows = table[np.maximum(ends - (steps - 1 - step) * self.sampling_rate, 0).clip(max=ends)]
        windows[step >= steps] = np.nan
        return np.asarray(windows)

    def set_output(self, *, transform: str | None = None) -> Any:
        """Change nothing: windows have three axes and stay an array.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional

        Returns
        -------
        self
        """
        return self

    def align(self, y: npt.ArrayLike) -> Array:
        """Those of the values (T, ...) that belong to the rows at which windows end.

        Parameters
        ----------
        y : array_like, shape (T, ...)

        Returns
        -------
        ndarray, shape (N, ...)
        """
        values = check_array(y, ensure_2d=False, allow_nd=True, dtype=None, ensure_all_finite=False, input_name="y")
        return np.asarray(values[self._ends(len(values))])

    def _ends(self, rows: int) -> npt.NDArray[np.int64]:
        """The rows at which windows end."""
        length, rate = (check.positive_int(name, getattr(self, name)) for name in ("length", "sampling_rate"))
        first = 0 if check.boolean("partial", self.partial) else (length - 1) * rate
        if first >= rows:
            raise ValueError(f"X must have more than {first} rows for a whole window, got {rows}")
        return np.arange(first, rows, check.positive_int("stride", self.stride))
