"""What training measures. A metric is a running state; executors add batches to it, `compute` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnncore import _configurable as configurable
from rnncore._namespace import public
from rnncore.losses import functions as losses
from rnncore.losses.functions import (
    BCE,
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    bce,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cce,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    kld,
    kullback_leibler_divergence,
    log_cosh,
    logcosh,
    mae,
    mape,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    mse,
    msle,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from rnncore.metrics.accuracies import (
    Accuracy,
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
from rnncore.metrics.functions import (
    FUNCTIONS,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from rnncore.metrics.levels import (
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from rnncore.metrics.running import Mean, Sum
from rnncore.metrics.scores import F1Score, FBetaScore, R2Score
from rnncore.metrics.wrapper import MeanMetricWrapper
from rnncore.utils import snake_case

__all__ = [
    "AUC",
    "BCE",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "bce",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cce",
    "cosine_similarity",
    "deserialize",
    "get",
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
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

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
    R2Score,
    FBetaScore,
    F1Score,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    Accuracy,
    Mean,
    Sum,
)

_OF_KIND = {cls.kind: cls for cls in reversed(_CLASSES)}  # of several the first

_TABLE: dict[str, type[Metric]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "r2_score": R2Score,
    "fbeta_score": FBetaScore,
    "f1_score": F1Score,
    **{name: _OF_KIND[loss.kind] for name, loss in losses.NAMES.items() if loss.kind in _OF_KIND},
    **{cls.kind: cls for cls in FUNCTIONS.values()},
    "rmse": RootMeanSquaredError,
}

ACCURACY = ("accuracy", "acc")  # which accuracy depends on the model's output and loss


def get(identifier: Any) -> Metric:
    """Find a metric by name, class, function or description; a metric stays itself.

    A metric found by name takes that name, so that `metrics=["mse"]` is logged as `mse`. A function that no class of
    this module stands for becomes a `MeanMetricWrapper`.

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
    if callable(identifier) and not isinstance(identifier, (type, Metric)):
        if identifier in FUNCTIONS:
            return FUNCTIONS[identifier](name=identifier.__name__)
        if identifier not in losses.FUNCTIONS or losses.FUNCTIONS[identifier].kind not in _TABLE:
            return MeanMetricWrapper(identifier)
        identifier = losses.FUNCTIONS[identifier].kind
    metric = configurable.find("metric", identifier, Metric, _TABLE)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def can_be_saved(metric: Metric) -> bool:
    """Whether `deserialize` can make it again: not of a function, nor of a class of the user's."""
    return type(metric) in _CLASSES


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
