"""Distances and margins, as means over all samples."""

from __future__ import annotations

from rnncore.data import Array
from rnncore.metrics.base import Error


class MeanAbsolutePercentageError(Error):
    """The mean of 100 · |y_pred − y_true| / |y_true|.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanAbsolutePercentageError()
    >>> metric.update_state([[2.0], [4.0]], [[3.0], [4.0]])
    >>> round(metric.result(), 4)
    25.0
    """

    kind = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Error):
    """The mean of (log(1 + y_pred) − log(1 + y_true))².

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanSquaredLogarithmicError()
    >>> metric.update_state([[0.0]], [[1.0]])
    >>> round(metric.result(), 4)
    0.4805
    """

    kind = "mean_squared_logarithmic_error"


class LogCoshError(Error):
    """The mean of log(cosh(y_pred − y_true)).

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.LogCoshError()
    >>> metric.update_state([[0.0]], [[1.0]])
    >>> round(metric.result(), 4)
    0.4338
    """

    kind = "log_cosh"

    def __init__(self, name: str | None = None) -> None:
        super().__init__("logcosh" if name is None else name)


class Poisson(Error):
    """The mean of y_pred − y_true · log(y_pred).

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Poisson()
    >>> metric.update_state([[2.0]], [[1.0]])
    >>> round(metric.result(), 4)
    1.0
    """

    kind = "poisson"


class KLDivergence(Error):
    """The mean divergence of two distributions over the last axis.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.KLDivergence()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """

    kind = "kl_divergence"

    def __init__(self, name: str | None = None) -> None:
        super().__init__("kl_divergence" if name is None else name)


class Hinge(Error):
    """The mean of max(1 − y_true · y_pred, 0); a target of 0 stands for −1.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Hinge()
    >>> metric.update_state([[1.0, 0.0]], [[0.5, -2.0]])
    >>> round(metric.result(), 4)
    0.25
    """

    kind = "hinge"


class SquaredHinge(Error):
    """The mean of max(1 − y_true · y_pred, 0)²; a target of 0 stands for −1.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SquaredHinge()
    >>> metric.update_state([[1.0, 0.0]], [[0.5, -2.0]])
    >>> round(metric.result(), 4)
    0.125
    """

    kind = "squared_hinge"


class CategoricalHinge(Error):
    """The mean of max(best wrong − right + 1, 0), with one-hot targets.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CategoricalHinge()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 1.0]])
    >>> round(metric.result(), 4)
    0.5
    """

    kind = "categorical_hinge"


class CosineSimilarity(Error):
    """The mean cosine of the angle between y_true and y_pred along the last axis.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CosineSimilarity()
    >>> metric.update_state([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])
    >>> round(metric.result(), 4)
    0.5
    """

    kind = "cosine_similarity"
    direction = "max"

    def compute(self, state: Array) -> float | Array:
        return 0.0 - super().compute(state)  # the loss is its negative
