"""Losses and metrics of the user's own code in files: saved by name, and found again in `custom_objects`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from rnncore import _configurable as configurable
from rnncore import metrics
from rnncore.metrics import MeanMetricWrapper, Metric

OWN = "$own"  # the key under which such an entry has the name of its class or function


def saved_function(function: Callable[..., Any]) -> dict[str, Any]:
    """What stands in a file for a loss that is a function."""
    name = _name_of(function)
    warnings.warn(
        f"the loss is a function and is not saved: give load_model custom_objects={{{name!r}: ...}}, or call compile"
        " after loading",
        stacklevel=4,
    )
    return {OWN: name}


def saved_metrics(value: Any) -> Any:
    """What stands in a file for metrics: one, a list of them, or a dict by output."""
    if isinstance(value, list):
        return [entry for entry in map(saved_metrics, value) if entry is not None]
    if isinstance(value, dict):
        return {key: saved_metrics(entry) for key, entry in value.items()}
    if not isinstance(value, Metric):
        return value
    return configurable.serialize(value) if metrics.can_be_saved(value) else _saved_own(value)


def _saved_own(metric: Metric) -> dict[str, Any] | None:
    """What stands for a metric that is Python code; None where its arguments cannot be written down."""
    name = _name_of(metric.fn if isinstance(metric, MeanMetricWrapper) else type(metric))
    hint = f"give load_model custom_objects={{{name!r}: ...}}, or call compile after loading"
    try:
        if isinstance(metric, MeanMetricWrapper):
            config = {"name": metric.name, "direction": metric.direction, **metric.kwargs}
        else:
            config = metric.get_config()
        json.dumps(config, allow_nan=False)
    except (AttributeError, TypeError, ValueError):
        hint, config = "call compile after loading", None
    warnings.warn(f"metric {metric.name!r} is made of Python code and is not saved: {hint}", stacklevel=6)
    return None if config is None else {OWN: name, "config": config}


def restored(compiled: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of `compile` that were saved, with the user's code for its names.

    A metric that is not among `custom_objects` is left out; without its loss a model cannot be compiled: None.
    """
    found = dict(compiled)
    if _is_own(found["loss"]):
        found["loss"] = configurable.custom_object(found["loss"][OWN])
        if found["loss"] is None:
            return None
    for argument in ("metrics", "weighted_metrics"):
        found[argument] = _restored_metrics(found[argument])
    return found


def _restored_metrics(value: Any) -> Any:
    if isinstance(value, list):
        return [entry for entry in map(_restored_metrics, value) if entry is not None]
    if not _is_own(value):
        named = isinstance(value, dict) and "class_name" not in value
        return {key: _restored_metrics(entry) for key, entry in value.items()} if named else value
    code, config = configurable.custom_object(value[OWN]), value["config"]
    if code is None:
        return None
    if isinstance(code, type) and issubclass(code, Metric):
        return code.from_config(config)
    return MeanMetricWrapper(code, **config)


def _is_own(value: Any) -> bool:
    return isinstance(value, dict) and OWN in value


def _name_of(code: Any) -> str:
    name: str = getattr(code, "__name__", type(code).__name__)
    return name
