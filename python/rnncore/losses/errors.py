"""Distances between outputs and targets."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.losses.base import Loss
from rnncore.losses.functions import function_of

__all__ = [
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "CosineSimilarity",
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "cosine_similarity",
    "huber",
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
]


class MeanSquaredError(Loss, aliases=("mse", "MSE")):
    """The mean of (y_pred − y_true)² over the last axis.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [1.0]])
    0.5
    """


mean_squared_error = mse = MSE = function_of(MeanSquaredError)


class MeanAbsoluteError(Loss, aliases=("mae", "MAE")):
    """The mean of |y_pred − y_true| over the last axis.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MeanAbsoluteError()([[0.0], [1.0]], [[3.0], [1.0]])
    1.5
    """


mean_absolute_error = mae = MAE = function_of(MeanAbsoluteError)


class Huber(Loss):
    """Half the squared error up to `delta`, linear beyond; the mean over the last axis.

    Parameters
    ----------
    delta : float, default 1.0
        Where the loss turns linear; above 0.

    References
    ----------
    P. Huber, "Robust estimation of a location parameter", Ann. Math. Stat. 35 (1964).

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.Huber(delta=1.0)([[0.0], [0.0]], [[1.0], [3.0]])
    1.5
    """

    def __init__(
        self, delta: float = 1.0, *, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.delta = check.number("delta", delta, low=0.0)
        if self.delta == 0:
            raise ValueError("delta must be above 0, got 0")


huber = function_of(Huber)


class MeanAbsolutePercentageError(Loss, aliases=("mape", "MAPE")):
    """The mean of 100 · |y_pred − y_true| / |y_true| over the last axis; |y_true| is at least 1e-7.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.MeanAbsolutePercentageError()([[2.0]], [[3.0]])
    50.0
    """


mean_absolute_percentage_error = mape = MAPE = function_of(MeanAbsolutePercentageError)


class MeanSquaredLogarithmicError(Loss, aliases=("msle", "MSLE")):
    """The mean of (log(1 + y_pred) − log(1 + y_true))² over the last axis; both are at least 1e-7.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.MeanSquaredLogarithmicError()([[0.0]], [[1.0]]), 4)
    0.4805
    """


mean_squared_logarithmic_error = msle = MSLE = function_of(MeanSquaredLogarithmicError)


class LogCosh(Loss, aliases=("logcosh",)):
    """The mean of log(cosh(y_pred − y_true)) over the last axis: squares where small, sizes where large.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.LogCosh()([[0.0]], [[1.0]]), 4)
    0.4338
    """


log_cosh = logcosh = function_of(LogCosh)


class Poisson(Loss):
    """The mean of y_pred − y_true · log(y_pred) over the last axis: counts with an expected value.

    Examples
    --------
    >>> from rnncore import losses
    >>> round(losses.Poisson()([[2.0]], [[1.0]]), 4)
    1.0
    """


poisson = function_of(Poisson)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between y_true and y_pred along the last axis: −1 where they point alike.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]])
    -1.0
    """


cosine_similarity = function_of(CosineSimilarity)
