"""What training minimises. Each loss describes itself to the executors and can be called on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncore import _configurable as configurable
from rnncore._namespace import public
from rnncore.losses.base import Loss
from rnncore.losses.crossentropies import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)
from rnncore.losses.ctc import CTC
from rnncore.losses.errors import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)
from rnncore.losses.functions import (
    BCE,
    FUNCTIONS,
    KLD,
    MAE,
    MAPE,
    MSE,
    MSLE,
    NAMES,
    bce,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cce,
    cosine_similarity,
    ctc,
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
from rnncore.losses.hinges import CategoricalHinge, Hinge, SquaredHinge

__all__ = [
    "BCE",
    "CTC",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
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
    "ctc",
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
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

_CLASSES: tuple[type[Loss], ...] = tuple(FUNCTIONS.values())

_TABLE: dict[str, type[Loss]] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **NAMES,
}


def get(identifier: Any) -> Loss:
    """Find a loss by name, class, function of this module or description; a loss stays itself.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.get("huber")
    Huber(delta=1.0, reduction='sum_over_batch_size', name='huber')
    """
    if callable(identifier) and identifier in FUNCTIONS:
        return FUNCTIONS[identifier]()
    return configurable.find("loss", identifier, Loss, _TABLE)


def serialize(loss: Loss) -> dict[str, Any]:
    """Describe a loss as `{"class_name": ..., "config": ...}`.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.serialize(losses.Huber(2.0))["config"]["delta"]
    2.0
    """
    return configurable.serialize(loss)


def deserialize(config: dict[str, Any]) -> Loss:
    """Make a loss from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import losses
    >>> losses.deserialize({"class_name": "Huber", "config": {"delta": 2.0}}).delta
    2.0
    """
    return get(config)
