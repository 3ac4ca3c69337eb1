"""What training measures. A metric is a running state; executors add batches to it, `compute` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _configurable as configurable
from rnncore.losses.functions import FUNCTIONS
from rnncore.metrics.accuracies import (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from rnncore.metrics.base import Metric
from rnncore.metrics.confusion import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from rnncore.metrics.distances import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)
from rnncore.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
)
from rnncore.utils import snake_case

__all__ = [
    "AUC",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "deserialize",
    "get",
    "serialize",
]

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
    TruePositives,
    FalsePositives,
    FalseNegatives,
    TrueNegatives,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)

_TABLE: dict[str, type[Metric]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
    "log_cosh": LogCoshError,
    "logcosh": LogCoshError,
    "mape": MeanAbsolutePercentageError,
    "MAPE": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "MSLE": MeanSquaredLogarithmicError,
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
    if callable(identifier) and identifier in FUNCTIONS:
        identifier = FUNCTIONS[identifier].kind
    if callable(identifier) and not isinstance(identifier, (type, Metric, str)):
        raise TypeError(
            f"metric must be one of rnncore.metrics, got the function {getattr(identifier, '__name__', identifier)!r};"
            " compute it from model.predict in callbacks.LambdaCallback(on_epoch_end=...)"
        )
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
