"""Metrics that are means of losses, and the losses as functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import losses
from rnncore._data import Array
from rnncore.metrics.base import Error
from rnncore.program import Shape

__all__ = [
    "BCE",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "bce",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cce",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


class MeanSquaredError(Error, of=losses.MeanSquaredError):
    """The mean squared error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    >>> metric.result()
    0.5
    """


mean_squared_error = mse = MSE = losses.mean_squared_error


class RootMeanSquaredError(MeanSquaredError, aliases=("rmse",)):
    """The square root of the mean squared error over all samples.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.RootMeanSquaredError()
    >>> metric.update_state([[0.0], [0.0]], [[2.0], [2.0]])
    >>> metric.result()
    2.0
    """

    def compute(self, state: Array) -> float | Array:
        return float(np.sqrt(super().compute(state)))


class MeanAbsoluteError(Error, of=losses.MeanAbsoluteError):
    """The mean absolute error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[3.0], [1.0]])
    >>> metric.result()
    1.5
    """


mean_absolute_error = mae = MAE = losses.mean_absolute_error


class MeanAbsolutePercentageError(Error, of=losses.MeanAbsolutePercentageError):
    """The mean of 100 · |y_pred − y_true| / |y_true|.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanAbsolutePercentageError()
    >>> metric.update_state([[2.0], [4.0]], [[3.0], [4.0]])
    >>> round(metric.result(), 4)
    25.0
    """


mean_absolute_percentage_error = mape = MAPE = losses.mean_absolute_percentage_error


class MeanSquaredLogarithmicError(Error, of=losses.MeanSquaredLogarithmicError):
    """The mean of (log(1 + y_pred) − log(1 + y_true))².

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanSquaredLogarithmicError()
    >>> metric.update_state([[0.0]], [[1.0]])
    >>> round(metric.result(), 4)
    0.4805
    """


mean_squared_logarithmic_error = msle = MSLE = losses.mean_squared_logarithmic_error


class LogCoshError(Error, of=losses.LogCosh):
    """The mean of log(cosh(y_pred − y_true)).

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.LogCoshError()
    >>> metric.update_state([[0.0]], [[1.0]])
    >>> round(metric.result(), 4)
    0.4338
    """

    _called = "logcosh"


log_cosh = logcosh = losses.log_cosh


class Poisson(Error, of=losses.Poisson):
    """The mean of y_pred − y_true · log(y_pred).

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Poisson()
    >>> metric.update_state([[2.0]], [[1.0]])
    >>> round(metric.result(), 4)
    1.0
    """


poisson = losses.poisson


class CosineSimilarity(Error, of=losses.CosineSimilarity):
    """The mean cosine of the angle between y_true and y_pred along the last axis.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CosineSimilarity()
    >>> metric.update_state([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]])
    >>> round(metric.result(), 4)
    0.5
    """

    direction = "max"

    def compute(self, state: Array) -> float | Array:
        return 0.0 - super().compute(state)  # the loss is its negative


cosine_similarity = losses.cosine_similarity


class Hinge(Error, of=losses.Hinge):
    """The mean of max(1 − y_true · y_pred, 0); a target of 0 counts as −1.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Hinge()
    >>> metric.update_state([[1.0, 0.0]], [[0.5, -2.0]])
    >>> round(metric.result(), 4)
    0.25
    """


hinge = losses.hinge


class SquaredHinge(Error, of=losses.SquaredHinge):
    """The mean of max(1 − y_true · y_pred, 0)²; a target of 0 counts as −1.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SquaredHinge()
    >>> metric.update_state([[1.0, 0.0]], [[0.5, -2.0]])
    >>> round(metric.result(), 4)
    0.125
    """


squared_hinge = losses.squared_hinge


class CategoricalHinge(Error, of=losses.CategoricalHinge):
    """The mean of max(best wrong − right + 1, 0), with one-hot targets.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CategoricalHinge()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 1.0]])
    >>> round(metric.result(), 4)
    0.5
    """


categorical_hinge = losses.categorical_hinge


class _Crossentropy(Error):
    def __init__(self, name: str | None = None, *, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.label_smoothing = check.number("label_smoothing", label_smoothing, low=0.0, high=1.0)


class BinaryCrossentropy(_Crossentropy, of=losses.BinaryCrossentropy):
    """The mean cross-entropy of independent yes/no outputs.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.BinaryCrossentropy(from_logits=True)
    >>> metric.update_state([[1.0]], [[0.0]])
    >>> round(metric.result(), 4)
    0.6931
    """


binary_crossentropy = bce = BCE = losses.binary_crossentropy


class CategoricalCrossentropy(_Crossentropy, of=losses.CategoricalCrossentropy):
    """The mean cross-entropy between classes, with one-hot targets.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float in [0, 1], default 0.0

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.CategoricalCrossentropy()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """


categorical_crossentropy = cce = losses.categorical_crossentropy


class SparseCategoricalCrossentropy(Error, of=losses.SparseCategoricalCrossentropy):
    """The mean cross-entropy between classes, with class ids as targets.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    ignore_class : int, optional
        Positions with this label, which may be none of the classes, add nothing. As in Keras they count nevertheless,
        unless there are sample weights or a mask. By default the label that the loss of the output ignores.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SparseCategoricalCrossentropy()
    >>> metric.update_state([1], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """

    def __init__(self, name: str | None = None, *, from_logits: bool = False, ignore_class: int | None = None) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.ignore_class = None if ignore_class is None else check.integer("ignore_class", ignore_class)

    def target(self, argument: str, value: Any, output: Shape, dtype: npt.DTypeLike) -> Array:
        return losses.SparseCategoricalCrossentropy(ignore_class=self.ignore_class).target(
            argument, value, output, dtype
        )


sparse_categorical_crossentropy = losses.sparse_categorical_crossentropy


class KLDivergence(Error, of=losses.KLDivergence):
    """The mean divergence of two distributions over the last axis.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.KLDivergence()
    >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """


kl_divergence = kld = KLD = kullback_leibler_divergence = losses.kl_divergence

# Of those without a class here.
huber = losses.huber
binary_focal_crossentropy = losses.binary_focal_crossentropy
categorical_focal_crossentropy = losses.categorical_focal_crossentropy
