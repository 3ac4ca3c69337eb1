"""Margins."""

from __future__ import annotations

from rnncore.losses.base import Loss
from rnncore.losses.functions import function_of

__all__ = [
    "CategoricalHinge",
    "Hinge",
    "SquaredHinge",
    "categorical_hinge",
    "hinge",
    "squared_hinge",
]


class Hinge(Loss):
    """The mean of max(1 − y_true · y_pred, 0) over the last axis.

    Targets are −1 or 1; 0 counts as −1.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.Hinge()([[1.0, 0.0]], [[0.5, -2.0]])
    0.25
    """


hinge = function_of(Hinge)


class SquaredHinge(Loss):
    """The mean of max(1 − y_true · y_pred, 0)² over the last axis.

    Targets are −1 or 1; 0 counts as −1.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.SquaredHinge()([[1.0, 0.0]], [[0.5, -2.0]])
    0.125
    """


squared_hinge = function_of(SquaredHinge)


class CategoricalHinge(Loss):
    """max(best wrong − right + 1, 0), where the right output is Σ y_true · y_pred and targets are one-hot.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]])
    0.5
    """


categorical_hinge = function_of(CategoricalHinge)
