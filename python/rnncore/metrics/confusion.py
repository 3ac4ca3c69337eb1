"""Metrics that count true and false positives and negatives."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from rnncore import _validation as check
from rnncore.data import Array
from rnncore.metrics.base import Metric


class _Confusion(Metric):
    """Counts of true and false positives and negatives at some thresholds, a state of shape (4, K)."""

    kind = "confusion"
    direction: ClassVar[Literal["min", "max"]] = "max"
    cuts: list[float]

    def attributes(self) -> dict[str, Any]:
        return {"thresholds": self.cuts}

    def counts(self, state: Array) -> tuple[Array, Array, Array, Array]:
        """True positives, false positives, false negatives and true negatives, (K,) each."""
        tp, fp, fn, tn = state.reshape(4, -1)
        return tp, fp, fn, tn


class _AtThreshold(_Confusion):
    def __init__(self, thresholds: float | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.thresholds = None if thresholds is None else check.number("thresholds", thresholds)
        self.cuts = [0.5 if self.thresholds is None else self.thresholds]


class Precision(_AtThreshold):
    """Which share of the outputs above the threshold has a positive target.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.6])
    >>> round(metric.result(), 4)
    0.6667
    """

    def compute(self, state: Array) -> float:
        tp, fp, _, _ = self.counts(state)
        return float(_ratio(tp, tp + fp)[0])


class Recall(_AtThreshold):
    """Which share of the positive targets has an output above the threshold.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Recall()
    >>> metric.update_state([0, 1, 1, 1, 1], [0.9, 0.1, 0.8, 0.6, 0.2])
    >>> metric.result()
    0.5
    """

    def compute(self, state: Array) -> float:
        tp, _, fn, _ = self.counts(state)
        return float(_ratio(tp, tp + fn)[0])


class TruePositives(_AtThreshold):
    """The weight of all positive targets with an output above the threshold.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.TruePositives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    1.0
    """

    def compute(self, state: Array) -> float:
        return float(self.counts(state)[0][0])


class FalsePositives(_AtThreshold):
    """The weight of all negative targets with an output above the threshold.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.FalsePositives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    1.0
    """

    direction = "min"

    def compute(self, state: Array) -> float:
        return float(self.counts(state)[1][0])


class FalseNegatives(_AtThreshold):
    """The weight of all positive targets with an output up to the threshold.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.FalseNegatives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    2.0
    """

    direction = "min"

    def compute(self, state: Array) -> float:
        return float(self.counts(state)[2][0])


class TrueNegatives(_AtThreshold):
    """The weight of all negative targets with an output up to the threshold.

    Parameters
    ----------
    thresholds : float, optional
        One threshold, 0.5 by default. Give 0 for logits.
    name : str, optional

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.TrueNegatives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    0.0
    """

    def compute(self, state: Array) -> float:
        return float(self.counts(state)[3][0])


class AUC(_Confusion):
    """The area under the ROC or the precision-recall curve, by counts at evenly spread thresholds.

    Parameters
    ----------
    num_thresholds : int, default 200
        At least 2; more follow the curve more closely.
    curve : {"ROC", "PR"}, default "ROC"
    name : str, optional

    References
    ----------
    J. Davis, M. Goadrich, "The relationship between precision-recall and ROC curves", ICML (2006),
    for the interpolation between points of the precision-recall curve.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.AUC(num_thresholds=3)
    >>> metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    >>> metric.result()
    0.75
    """

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", name: str | None = None) -> None:
        super().__init__("auc" if name is None else name)
        self.num_thresholds = check.integer("num_thresholds", num_thresholds, low=2)
        self.curve = curve
        self._area = check.lookup("curve", curve, {"ROC": _roc_area, "PR": _precision_recall_area})
        inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.cuts = [-1e-7, *inner.tolist(), 1 + 1e-7]  # all above the first, none above the last

    def compute(self, state: Array) -> float:
        return float(self._area(*self.counts(state)))


def _roc_area(tp: Array, fp: Array, fn: Array, tn: Array) -> float:
    hit, false_alarm = _ratio(tp, tp + fn), _ratio(fp, fp + tn)
    return float(np.sum((false_alarm[:-1] - false_alarm[1:]) * (hit[:-1] + hit[1:]) / 2))


def _precision_recall_area(tp: Array, fp: Array, fn: Array, tn: Array) -> float:
    """Between two thresholds tp is linear in p = tp + fp: tp = slope·p + intercept."""
    p = tp + fp
    slope = _ratio(tp[:-1] - tp[1:], p[:-1] - p[1:])
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    growth = np.log(np.where(both, _ratio(p[:-1], p[1:]), 1), where=both, out=np.zeros(len(slope)))
    area = slope * (tp[:-1] - tp[1:] + intercept * growth)
    return float(np.sum(_ratio(area, tp[1:] + fn[1:])))


def _ratio(part: Array, whole: Array) -> Array:
    """Divide; 0 where `whole` is 0."""
    return np.divide(part, whole, where=whole > 0, out=np.zeros(whole.shape))
