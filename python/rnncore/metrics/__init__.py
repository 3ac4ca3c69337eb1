"""What training measures. A metric is a running state; executors add batches to it, `compute` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnncore import _configurable as configurable
from rnncore._namespace import public
from rnncore.losses.functions import FUNCTIONS as LOSSES
from rnncore.metrics import accuracies, confusion, errors, levels, probabilistic, running, scores, viterbi
from rnncore.metrics.accuracies import *
from rnncore.metrics.base import Metric
from rnncore.metrics.confusion import *
from rnncore.metrics.errors import *
from rnncore.metrics.functions import FUNCTIONS
from rnncore.metrics.levels import *
from rnncore.metrics.probabilistic import *
from rnncore.metrics.running import *
from rnncore.metrics.scores import *
from rnncore.metrics.viterbi import *
from rnncore.metrics.wrapper import MeanMetricWrapper

__all__ = ["MeanMetricWrapper", "Metric", "deserialize", "get", "serialize"]
__all__ += accuracies.__all__
__all__ += confusion.__all__
__all__ += errors.__all__
__all__ += levels.__all__
__all__ += probabilistic.__all__
__all__ += running.__all__
__all__ += scores.__all__
__all__ += viterbi.__all__

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

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
        if identifier not in LOSSES or LOSSES[identifier].kind not in Metric._registry:
            return MeanMetricWrapper(identifier)
        identifier = LOSSES[identifier].kind
    metric = configurable.find(Metric, identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def can_be_saved(metric: Metric) -> bool:
    """Whether `deserialize` can make it again: not of a function, nor of a class of the user's."""
    return type(metric) in Metric._registry.values()


def resolve(identifier: Any, output: Sequence[int | None], sparse: bool) -> Metric:
    """As `get`; "accuracy" becomes the accuracy that fits an output's shape and kind of targets."""
    if identifier not in ACCURACY:
        return get(identifier)
    of_classes = accuracies.SparseCategoricalAccuracy if sparse else accuracies.CategoricalAccuracy
    cls = accuracies.BinaryAccuracy if output[-1] == 1 else of_classes
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
