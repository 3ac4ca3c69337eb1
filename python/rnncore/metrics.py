"""What training measures. A metric is a running state; executors add batches to it, `compute` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore import data, program
from rnncore.data import Array
from rnncore.reference.metrics import state_increment
from rnncore.utils import snake_case

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "deserialize",
    "get",
    "serialize",
]


class Metric(configurable.Configurable):
    """Base of the metrics: by default the weighted mean of one value per position.

    Parameters
    ----------
    name : str, optional
        The key in logs and `History`; by default the class name in snake case.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.BinaryAccuracy()
    >>> metric.update_state([[1], [0], [1]], [[0.9], [0.2], [0.4]])
    >>> round(metric.result(), 4)
    0.6667
    >>> metric.reset_state()
    >>> metric.result()
    0.0
    """

    kind: ClassVar[str]
    sparse: ClassVar[bool] = False  # targets are class ids, without the last axis of the output
    direction: ClassVar[Literal["min", "max"]] = "min"  # which way is better

    def __init__(self, name: str | None = None) -> None:
        self.name = snake_case(type(self).__name__) if name is None else name

    def attributes(self) -> dict[str, Any]:
        """What the executors need to know besides the kind."""
        return {}

    def describe(self, output: int = 0, weighted: bool = False) -> program.Metric:
        """Describe this metric on output number `output`, as the executors read it."""
        return program.Metric(self.kind, output, weighted, self.attributes())

    def compute(self, state: Array) -> float:
        """The value that a state stands for; 0 before any sample."""
        total, weight = state
        return float(total / weight) if weight else 0.0

    @property
    def state(self) -> Array:
        """What `update_state` has gathered, float64."""
        if not hasattr(self, "_state"):
            self._state = np.zeros(self.describe().state_size())
        return self._state

    def update_state(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true : array_like, shape (N, ..., U), or (N, ...) of class ids for a sparse metric
        y_pred : array_like, shape (N, ..., U)
        sample_weight : array_like, shape (N,) or (N, ...), optional

        Raises
        ------
        TypeError, ValueError
            If the shapes or types do not fit; labels out of range.
        """
        self.state[:] += self.increment(y_true, y_pred, sample_weight)

    def increment(
        self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Array:
        """What a batch adds to the state."""
        output = data.floating("y_pred", y_pred)
        target = data.target("y_true", y_true, output.shape, output.dtype, sparse=self.sparse)
        weight = None
        if sample_weight is not None:
            weight = data.sample_weight("sample_weight", sample_weight, output.shape[:-1] or output.shape, output.dtype)
        return state_increment(self.describe(), target, output, weight)

    def reset_state(self) -> None:
        """Forget all batches."""
        self.state[:] = 0

    def result(self) -> float:
        """The value over all batches so far."""
        return self.compute(self.state)


class MeanSquaredError(Metric):
    """The mean squared error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    >>> metric.result()
    0.5
    """

    kind = "mean_squared_error"


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error over all samples.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.RootMeanSquaredError()
    >>> metric.update_state([[0.0], [0.0]], [[2.0], [2.0]])
    >>> metric.result()
    2.0
    """

    def compute(self, state: Array) -> float:
        return float(np.sqrt(super().compute(state)))


class MeanAbsoluteError(Metric):
    """The mean absolute error.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[3.0], [1.0]])
    >>> metric.result()
    1.5
    """

    kind = "mean_absolute_error"


class _Crossentropy(Metric):
    def __init__(self, name: str | None = None, *, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)
        self.label_smoothing = check.number("label_smoothing", label_smoothing, low=0.0, high=1.0)

    def attributes(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryCrossentropy(_Crossentropy):
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

    kind = "binary_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
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

    kind = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Metric):
    """The mean cross-entropy between classes, with class ids as targets.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False

    Examples
    --------
    >>> from rnncore import metrics
    >>> metric = metrics.SparseCategoricalCrossentropy()
    >>> metric.update_state([1], [[0.5, 0.5]])
    >>> round(metric.result(), 4)
    0.6931
    """

    kind = "sparse_categorical_crossentropy"
    sparse = True

    def __init__(self, name: str | None = None, *, from_logits: bool = False) -> None:
        super().__init__(name)
        self.from_logits = check.boolean("from_logits", from_logits)

    def attributes(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits}


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

    def attributes(self) -> dict[str, Any]:
        return {"threshold": self.threshold}


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


class _TopK(Metric):
    direction = "max"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(self.kind if name is None else name)
        self.k = check.positive_int("k", k)

    def attributes(self) -> dict[str, Any]:
        return {"k": self.k}


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

    kind = "top_k_categorical_accuracy"


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

    kind = "sparse_top_k_categorical_accuracy"
    sparse = True


class _Confusion(Metric):
    """Counts of true and false positives and negatives at some thresholds, a state of shape (4, K)."""

    kind = "confusion"
    direction = "max"
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


_CLASSES: tuple[type[Metric], ...] = (
    MeanSquaredError,
    RootMeanSquaredError,
    MeanAbsoluteError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    Precision,
    Recall,
    AUC,
)

_TABLE: dict[str, type[Metric]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
}

ACCURACY = ("accuracy", "acc")  # which accuracy depends on the model's output and loss


def get(identifier: Any) -> Metric:
    """Find a metric by name, class or description; a metric stays itself.

    A metric found by name takes that name, so that `metrics=["mse"]` is logged as `mse`.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metrics.get("mse")
    MeanSquaredError(name='mse')
    """
    metric = configurable.find("metric", identifier, Metric, _TABLE)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def resolve(identifier: Any, output: Sequence[int | None], sparse: bool) -> Metric:
    """As `get`; "accuracy" becomes the accuracy that fits an output's shape and kind of targets."""
    if identifier not in ACCURACY:
        return get(identifier)
    cls = BinaryAccuracy if output[-1] == 1 else SparseCategoricalAccuracy if sparse else CategoricalAccuracy
    return cls(name=identifier)


def serialize(metric: Metric) -> dict[str, Any]:
    """Describe a metric as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metrics.serialize(metrics.AUC(50))["config"]["num_thresholds"]
    50
    """
    return configurable.serialize(metric)


def deserialize(config: dict[str, Any]) -> Metric:
    """Make a metric from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import metrics
    >>> metrics.deserialize({"class_name": "Recall", "config": {"thresholds": 0.3}}).thresholds
    0.3
    """
    return get(config)
