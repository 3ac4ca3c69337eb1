"""Metrics of numbers as they come, for your own loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.metrics.base import Metric

__all__ = ["Mean", "Sum"]


class _Running(Metric):
    """Base: `update_state` takes values, not targets and outputs, so that `compile` refuses these metrics."""

    measures_outputs = False

    def update_state(  # type: ignore[override]  # Keras's arguments
        self, values: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> None:
        """Add values.

        Parameters
        ----------
        values : array_like, shape (), (N,) or (N, ...)
        sample_weight : array_like, a number or of the leading axes of `values`, optional

        Raises
        ------
        TypeError, ValueError
            If the values are not real numbers, or the weights have another shape.
        """
        found = check.real_array("values", values).astype(np.float64)
        weight: Array = np.ones(found.shape[:1])
        if sample_weight is not None:
            weight = check.real_array("sample_weight", sample_weight).astype(np.float64)
            if weight.ndim == found.ndim + 1 and weight.shape[-1] == 1:
                weight = weight[..., 0]
            try:
                weight = np.broadcast_to(weight, found.shape[: weight.ndim])
            except ValueError:
                raise ValueError(
                    f"sample_weight must have the leading axes of values, {found.shape}, got shape {weight.shape}"
                ) from None
        self.state[:] += self._added(found, weight)

    def _added(self, values: Array, weight: Array) -> Any:
        """What values and weights of their leading axes add to the state, total and weight."""
        raise NotImplementedError


class Mean(_Running):
    """The mean of the samples' means, weighted by `sample_weight`; 0 before the first one.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Mean()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0])
    >>> metric.result()
    4.0
    >>> metric.reset_state()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    >>> metric.result()
    2.0
    """

    def _added(self, values: Array, weight: Array) -> Any:
        inner = int(np.prod(weight.shape[1:]))
        means = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
        return np.sum(means * weight) / inner, np.sum(weight) / inner


class Sum(_Running):
    """The sum of all values times their `sample_weight`.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Sum()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1, 1, 0, 0])
    >>> metric.update_state(2.0)
    >>> metric.result()
    6.0
    """

    def _added(self, values: Array, weight: Array) -> Any:
        sums = values.sum(axis=tuple(range(weight.ndim, values.ndim)))
        return np.sum(sums * weight), np.sum(weight)

    def compute(self, state: Array) -> float | Array:
        return float(state[0])
