"""How often an output is right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.metrics.base import Metric
from rnncore.metrics.functions import function_of

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]


class Accuracy(Metric):
    """How often an output equals its target exactly; for outputs that are classes already.

    In `compile`, the name "accuracy" stands for the accuracy that fits the output and its loss instead.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Accuracy()
    >>> metric.update_state([[1], [2], [3], [4]], [[0], [2], [3], [4]])
    >>> metric.result()
    0.75
    """

    direction = "max"

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        target, output, weight = self._checked(y_true, y_pred, sample_weight)
        right = (target == output).mean(axis=-1) if output.ndim > 1 else (target == output).astype(np.float64)
        if weight is None:
            return np.array([right.sum(), right.size])
        weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (right.ndim - weight.ndim)), right.shape)
        return np.array([np.sum(weight * right), np.sum(weight)])


class BinaryAccuracy(Metric):
    """How often an output lies on its target's side of the threshold.

    Parameters
    ----------
    name : str, optional
    threshold : float, default 0.5
        Outputs above it mean 1. Give 0 for logits.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.BinaryAccuracy()
    >>> metric.update_state([[1], [0]], [[0.9], [0.6]])
    >>> metric.result()
    0.5
    """

    kind = "binary_accuracy"
    direction = "max"

    def __init__(self, name: str | None = None, *, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = check.number("threshold", threshold)


binary_accuracy = function_of(BinaryAccuracy, "threshold")


class CategoricalAccuracy(Metric):
    """How often the largest output is the class of a one-hot target.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.1, 0.9], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    kind = "categorical_accuracy"
    direction = "max"


categorical_accuracy = function_of(CategoricalAccuracy)


class SparseCategoricalAccuracy(Metric):
    """How often the largest output is the target's class id.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.1, 0.9], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    kind = "sparse_categorical_accuracy"
    sparse = True
    direction = "max"


sparse_categorical_accuracy = function_of(SparseCategoricalAccuracy)


class _TopK(Metric):
    direction = "max"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = check.positive_int("k", k)


class TopKCategoricalAccuracy(_TopK):
    """How often the class of a one-hot target is among the `k` largest outputs.

    Parameters
    ----------
    k : int, default 5
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.TopKCategoricalAccuracy(k=2)
    >>> metric.update_state([[0, 1, 0]], [[0.5, 0.3, 0.2]])
    >>> metric.result()
    1.0
    """

    kind = _called = "top_k_categorical_accuracy"


top_k_categorical_accuracy = function_of(TopKCategoricalAccuracy, "k")


class SparseTopKCategoricalAccuracy(_TopK):
    """How often the target's class id is among the `k` largest outputs.

    Parameters
    ----------
    k : int, default 5
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SparseTopKCategoricalAccuracy(k=2)
    >>> metric.update_state([2], [[0.5, 0.3, 0.2]])
    >>> metric.result()
    0.0
    """

    kind = _called = "sparse_top_k_categorical_accuracy"
    sparse = True


sparse_top_k_categorical_accuracy = function_of(SparseTopKCategoricalAccuracy, "k")
