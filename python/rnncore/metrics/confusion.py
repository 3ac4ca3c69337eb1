"""Metrics that count true and false positives and negatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.metrics.base import Direction, Metric
from rnncore.reference.metrics import state_increment

__all__ = ["AUC", "FalseNegatives", "FalsePositives", "Precision", "Recall", "TrueNegatives", "TruePositives"]


class Confusion(Metric, registered=False):
    """Base of the metrics that count at some thresholds, a state of shape (4, K).

    With `top_k` only the largest outputs of a position count as positive, with `class_id` only one output does; the
    counts are then made in Python.
    """

    kind = "confusion"
    direction: Direction = "max"
    cuts: list[float]
    top_k: int | None = None
    class_id: int | None = None

    @property
    def native(self) -> bool:
        return self.top_k is None and self.class_id is None

    def attributes(self) -> dict[str, Any]:
        return {"thresholds": self.cuts}

    def state_size(self, units: int = 1) -> int:
        return 4 * len(self.cuts)

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        target, output, weight = self._checked(y_true, y_pred, sample_weight)
        units = output.shape[-1]
        if self.top_k is not None:
            if self.top_k > units:
                raise ValueError(f"top_k must be at most {units}, the number of outputs, got {self.top_k}")
            order = np.argsort(-output, axis=-1, kind="stable")  # of equal outputs the first
            chosen = np.zeros(output.shape, bool)
            np.put_along_axis(chosen, order[..., : self.top_k], True, axis=-1)
            output = np.where(chosen, output, -np.inf)
        if self.class_id is not None:
            if self.class_id >= units:
                raise ValueError(f"class_id must be below {units}, the number of outputs, got {self.class_id}")
            target, output = target[..., self.class_id], output[..., self.class_id]
        return state_increment(self.describe(), target, output, weight)

    def counts(self, state: Array) -> tuple[Array, Array, Array, Array]:
        """True positives, false positives, false negatives and true negatives, (K,) each."""
        tp, fp, fn, tn = state.reshape(4, -1)
        return tp, fp, fn, tn


def optional_class_id(value: int | None) -> int | None:
    return None if value is None else check.integer("class_id", value, low=0)


class _AtThresholds(Confusion):
    _sections = """
    Parameters
    ----------
    thresholds : float or list of float, optional
        0.5 by default. Give 0 for logits. The value is an array (K,) for a list.
    name : str, optional
    """

    def __init__(self, thresholds: float | Sequence[float] | None = None, name: str | None = None) -> None:
        super().__init__(name)
        if isinstance(thresholds, (list, tuple)):
            self.thresholds: float | list[float] | None = [check.number("thresholds", each) for each in thresholds]
            if not self.thresholds:
                raise ValueError("thresholds must name at least one, got none")
            self.cuts = list(self.thresholds)
        else:
            self.thresholds = None if thresholds is None else check.number("thresholds", thresholds)
            self.cuts = [0.5 if self.thresholds is None else self.thresholds]

    def compute(self, state: Array) -> float | Array:
        values = self.values(*self.counts(state))
        return values.copy() if isinstance(self.thresholds, list) else float(values[0])

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        """One value for each threshold, from the counts there."""
        raise NotImplementedError


class _Share(_AtThresholds):
    _sections = """
    Parameters
    ----------
    thresholds : float or list of float, optional
        0.5 by default, and with `top_k` none. Give 0 for logits. The value is an array (K,) for a list.
    top_k : int, optional
        Only the so many largest outputs of a position count as positive.
    class_id : int, optional
        Look at this output only.
    name : str, optional
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(thresholds, name)
        self.top_k = None if top_k is None else check.positive_int("top_k", top_k)
        self.class_id = optional_class_id(class_id)
        if self.top_k is not None and self.thresholds is None:
            self.cuts = [-1e30]  # all that are among the largest


class Precision(_Share):
    """Which share of the outputs above the threshold has a positive target.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.6])
    >>> round(metric.result(), 4)
    0.6667
    """

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return ratio(tp, tp + fp)


class Recall(_Share):
    """Which share of the positive targets has an output above the threshold.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.Recall()
    >>> metric.update_state([0, 1, 1, 1, 1], [0.9, 0.1, 0.8, 0.6, 0.2])
    >>> metric.result()
    0.5
    """

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return ratio(tp, tp + fn)


class TruePositives(_AtThresholds):
    """The weight of all positive targets with an output above the threshold.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.TruePositives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    1.0
    """

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return tp


class FalsePositives(_AtThresholds):
    """The weight of all negative targets with an output above the threshold.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.FalsePositives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    1.0
    """

    direction = "min"

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return fp


class FalseNegatives(_AtThresholds):
    """The weight of all positive targets with an output up to the threshold.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.FalseNegatives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    2.0
    """

    direction = "min"

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return fn


class TrueNegatives(_AtThresholds):
    """The weight of all negative targets with an output up to the threshold.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.TrueNegatives()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.1, 0.8, 0.2])
    >>> metric.result()
    0.0
    """

    def values(self, tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
        return tn


class AUC(Confusion):
    """The area under the ROC or the precision-recall curve, by counts at evenly spread thresholds.

    Parameters
    ----------
    num_thresholds : int, default 200
        At least 2; more follow the curve more closely.
    curve : {"ROC", "PR"}, default "ROC"
    summation_method : {"interpolation", "minoring", "majoring"}, default "interpolation"
        Between two points of the curve: the trapezoid (on the precision-recall curve what its points interpolate to),
        or the lower or the upper of the two heights.
    name : str, optional
    thresholds : list of float in [0, 1], optional
        In place of evenly spread ones; 0 and 1 are added.
    from_logits : bool, default False
        Whether the outputs go through a sigmoid first.
    multi_label : bool, default False
        Whether each output of a position has a curve of its own, of which the mean area is taken; the counts are then
        made in Python. Otherwise all outputs share one curve.
    num_labels : int, optional
        With `multi_label`, how many outputs there must be.
    label_weights : list of float, optional
        With `multi_label`, weights of the outputs in that mean.

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

    _called = "auc"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(name)
        self.multi_label = check.boolean("multi_label", multi_label)
        self.num_labels = None if num_labels is None else check.positive_int("num_labels", num_labels)
        self.label_weights = None
        if label_weights is not None:
            self.label_weights = [check.number("each of label_weights", each, low=0.0) for each in label_weights]
        for argument, value in (("num_labels", num_labels), ("label_weights", label_weights)):
            if value is not None and not self.multi_label:
                raise ValueError(f"{argument} needs multi_label=True, got {value!r}")
        if None not in (self.num_labels, self.label_weights) and len(self.label_weights or ()) != self.num_labels:
            raise ValueError(f"label_weights must be num_labels={num_labels} numbers, got {label_weights!r}")
        self.curve = check.lookup("curve", curve, {"ROC": "ROC", "PR": "PR"})
        self.summation_method = summation_method
        self._height = check.lookup("summation_method", summation_method, _HEIGHTS)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.thresholds = None
        if thresholds is None:
            self.num_thresholds = check.integer("num_thresholds", num_thresholds, low=2)
            inner: list[float] = (np.arange(1, num_thresholds - 1) / (num_thresholds - 1)).tolist()
        else:
            inner = sorted(check.number("each of thresholds", each, low=0.0, high=1.0) for each in thresholds)
            self.thresholds, self.num_thresholds = inner, len(inner) + 2
        self.cuts = [-1e-7, *inner, 1 + 1e-7]  # all above the first, none above the last
        if self.from_logits:
            self.cuts = [_logit(cut) for cut in self.cuts]

    @property
    def native(self) -> bool:
        return not self.multi_label

    def state_size(self, units: int = 1) -> int:
        return super().state_size(units) * (units if self.multi_label else 1)

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state; with `multi_label` the counts of one output after those of another."""
        if not self.multi_label:
            return super().increment(y_true, y_pred, sample_weight)
        target, output, weight = self._checked(y_true, y_pred, sample_weight)
        units = output.shape[-1]
        wanted = self.num_labels or (units if self.label_weights is None else len(self.label_weights))
        if units != wanted:
            raise ValueError(f"y_pred of {self.name!r} must have {wanted} outputs, got {units}")
        described = self.describe()
        return np.concatenate(
            [state_increment(described, target[..., k], output[..., k], weight) for k in range(units)]
        )

    def compute(self, state: Array) -> float:
        if not self.multi_label:
            return self._area(state)
        areas = [self._area(counts) for counts in state.reshape(-1, 4 * len(self.cuts))]
        weights = np.ones(len(areas)) if self.label_weights is None else np.array(self.label_weights)
        total = float(np.sum(weights))
        return float(np.sum(areas * weights)) / total if total else 0.0

    def _area(self, state: Array) -> float:
        tp, fp, fn, tn = self.counts(state)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _precision_recall_area(tp, fp, fn, tn)
        recall = ratio(tp, tp + fn)
        x, y = (ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, ratio(tp, tp + fp))
        return float(np.sum((x[:-1] - x[1:]) * self._height(y[:-1], y[1:])))


_HEIGHTS: dict[str, Callable[[Array, Array], Array]] = {
    "interpolation": lambda one, other: (one + other) / 2,
    "minoring": np.minimum,
    "majoring": np.maximum,
}


def _logit(probability: float) -> float:
    """The output whose sigmoid it is, far out where there is none."""
    if not 0 < probability < 1:
        return -1e30 if probability <= 0 else 1e30
    return float(np.log(probability) - np.log1p(-probability))


def _precision_recall_area(tp: Array, fp: Array, fn: Array, tn: Array) -> float:
    """Between two thresholds tp is linear in p = tp + fp: tp = slope·p + intercept."""
    p = tp + fp
    slope = ratio(tp[:-1] - tp[1:], p[:-1] - p[1:])
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    growth = np.log(np.where(both, ratio(p[:-1], p[1:]), 1), where=both, out=np.zeros(len(slope)))
    area = slope * (tp[:-1] - tp[1:] + intercept * growth)
    return float(np.sum(ratio(area, tp[1:] + fn[1:])))


def ratio(part: Array, whole: Array) -> Array:
    """Divide; 0 where `whole` is 0."""
    return np.divide(part, whole, where=whole > 0, out=np.zeros(whole.shape))
