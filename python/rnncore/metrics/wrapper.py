"""A metric made of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import losses
from rnncore._data import Array
from rnncore.losses.functions import FUNCTIONS
from rnncore.metrics.base import Direction, Metric

__all__ = ["MeanMetricWrapper"]


class MeanMetricWrapper(Metric, registered=False):
    """The mean of what a Python function gives; `compile(metrics=[function])` makes one.

    Parameters
    ----------
    fn : callable
        `fn(y_true, y_pred, **kwargs)` of NumPy arrays gives a value for each sample (N,), or for each position
        (N, T) or (N, T, U). One number stands for the whole batch; all batches then count alike.
    name : str, optional
        By default the name of the function.
    dtype : None, "float32" or "float64"
        Changes nothing: sums are float64.
    direction : {"min", "max"}, optional
        Which way is better, for callbacks with `mode="auto"`: without it they ask for `mode`. That of a loss is "min".
    **kwargs
        Passed on to `fn`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import metrics
    >>> def largest_error(y_true, y_pred):
    ...     return np.abs(y_true - y_pred).max(axis=-1)
    >>> metric = metrics.MeanMetricWrapper(largest_error)
    >>> metric.update_state([[0.0, 0.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 0.0]])
    >>> metric.result()
    2.0
    """

    sparse = None

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: str | None = None,
        direction: Direction = None,
        **kwargs: Any,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be callable, got {type(fn).__name__}")
        super().__init__(getattr(fn, "__name__", type(fn).__name__) if name is None else name, dtype=dtype)  # type: ignore[call-arg]
        self.fn = fn
        self.dtype = dtype
        if direction is not None:
            check.lookup("direction", direction, {"min": "min", "max": "max"})
        elif isinstance(fn, losses.Loss) or fn in FUNCTIONS:
            direction = "min"
        self.direction = direction
        self.kwargs = kwargs

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        found = self.fn(np.array(y_true), np.array(y_pred), **self.kwargs)  # copies: others read them too
        values = check.real_array(f"the value of metric {self.name!r}", found).astype(np.float64)
        if values.ndim and len(values) != len(np.asarray(y_pred)):
            raise ValueError(
                f"metric {self.name!r} must give a number, or one for each of the {len(np.asarray(y_pred))} samples,"
                f" got shape {values.shape}"
            )
        if sample_weight is None:
            return np.array([values.sum(), values.size])
        weight = np.asarray(sample_weight, np.float64)
        if weight.shape != values.shape[: weight.ndim]:
            raise ValueError(
                f"metric {self.name!r} must give a value for each of the positions {weight.shape} that have weights or"
                f" a mask, got shape {values.shape}"
            )
        weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim)), values.shape)
        return np.array([np.sum(weight * values), np.sum(weight)])
