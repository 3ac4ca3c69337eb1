"""What `compile` was given in Keras, and how far training is: optimizers, losses, metrics and their state."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnncore import losses, metrics, models, optimizers
from rnncore._data import Array
from rnncore.keras.archive import KerasFile
from rnncore.keras.dialects import Version, plain
from rnncore.keras.optimizer_state import take_state
from rnncore.optimizers import schedules
from rnncore.policies import Policy

__all__ = ["Trained"]


@dataclass
class Trained:
    """How a file was compiled and trained.

    Attributes
    ----------
    config : dict
        The arguments of `compile`.
    version : tuple of int
    file : KerasFile or None
        Where the optimizer's state is.
    """

    config: Any
    version: Version
    file: KerasFile | None = None

    @property
    def lies_by_weight(self) -> bool:
        """Whether what the optimizer keeps of a weight lies together, as in the optimizers since Keras 2.11."""
        config = self.config.get("optimizer", self.config.get("optimizer_config"))
        return self.version[0] >= 3 or (isinstance(config, dict) and "jit_compile" in (config.get("config") or {}))

    def compile(self, model: models.Model, policy: Policy) -> Callable[[], None] | None:
        """Compile a model the same way, and return what puts the optimizer's state in place; None with a warning."""
        try:
            given = arguments(self.config)
            if self.version[0] < 3 and len(model.outputs) > 1:
                given |= {name: _for_each(given[name], model) for name in ("metrics", "weighted_metrics")}
            model.compile(**given, dtype_policy=policy.name)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"the model is not compiled, as in Keras it was in a way of its own: {error}", stacklevel=4)
            return None
        return lambda: self._restore(model)

    def _restore(self, model: models.Model) -> None:
        if self.file is None:
            return
        stored = _stored(self.file)
        if stored is None:
            return
        problem = take_state(model, stored, by_weight=self.lies_by_weight)
        if problem is not None:
            warnings.warn(f"the optimizer begins anew: {problem}", stacklevel=5)


# The arguments of compile


def _for_each(value: Any, model: models.Model) -> Any:
    """Metrics for each output: before Keras 3 one list of them was for all."""
    is_one = isinstance(value, list) and not any(isinstance(entry, list) for entry in value)
    return [list(value) for _ in model.outputs] if is_one else value


def arguments(config: Any) -> dict[str, Any]:
    """What rnncore's compile is to be given."""
    if not isinstance(config, dict):
        raise TypeError(f"what compile was given must be a dict, got {type(config).__name__}")
    config = plain(config)
    found: dict[str, Any] = {"optimizer": optimizer_of(config.get("optimizer", config.get("optimizer_config")))}
    found["loss"] = _each(config.get("loss"), _loss)
    found["loss_weights"] = config.get("loss_weights")
    for name in ("metrics", "weighted_metrics"):
        found[name] = _each(config.get(name), _metric)
    return found


def _each(value: Any, make: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        made = [_each(entry, make) for entry in value]
        # One list of metrics may stand for the only output, as a list of one list.
        return made[0] if len(made) == 1 and isinstance(made[0], list) else made
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _each(entry, make) for key, entry in value.items()}
    return make(value)


def _loss(value: Any) -> Any:
    return losses.get(_described(value, losses.Loss))


def _metric(value: Any) -> Any:
    value = _described(value, metrics.Metric)
    return value if isinstance(value, str) else metrics.get(value)


def _described(value: Any, base: Any) -> Any:
    """A name, or a description whose arguments are known here or off."""
    if not isinstance(value, dict):
        return value
    name, config = value["class_name"], value.get("config")
    if name == "function" or name in ("MeanMetricWrapper", "LossFunctionWrapper"):
        return config if isinstance(config, str) else _function_of(config)
    cls = base._registry.get(name)
    if cls is None:
        raise ValueError(f"{name} is not known here")
    known = {*inspect.signature(cls).parameters, "name"}
    given = {}
    for key, entry in (config or {}).items():
        if key in ("dtype", "fn") or (key == "reduction" and entry in ("auto", "sum_over_batch_size")):
            continue
        if key in known:
            given[key] = entry
        elif entry not in (None, False, 0, 0.0, -1):
            raise ValueError(f"{name} with {key}={entry!r} is not known here")
    return {"class_name": name, "config": given}


def _function_of(config: Any) -> Any:
    fn = (config or {}).get("fn")
    return fn["config"] if isinstance(fn, dict) else fn


def optimizer_of(description: Any) -> optimizers.Optimizer | str:
    """The optimizer that a name or a description of any version means."""
    if not isinstance(description, dict):
        return optimizers.get("rmsprop" if description is None else description)
    name, config = description["class_name"].rpartition(">")[2], dict(description.get("config") or {})
    cls = optimizers.Optimizer._registry.get(name, optimizers.Optimizer._registry.get(name.lower()))
    if cls is None:
        raise ValueError(f"the optimizer {name} is not known here")
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        config["learning_rate"] = _schedule(rate)
    if decay := config.pop("decay", 0.0):
        config["learning_rate"] = schedules.InverseTimeDecay(config["learning_rate"], 1, decay)
    known = inspect.signature(cls).parameters
    given = {key: value for key, value in config.items() if key in known and key != "loss_scale_factor"}
    for key, value in config.items():
        if (
            key not in known
            and key not in ("jit_compile", "is_legacy_optimizer", "name")
            and value
            not in (
                None,
                False,
                0,
                0.0,
            )
        ):
            raise ValueError(f"{name} with {key}={value!r} is not known here")
    if given.get("epsilon", 0) is None:
        del given["epsilon"]
    if given.get("use_ema") is False:
        for key in ("ema_momentum", "ema_overwrite_frequency"):
            given.pop(key, None)
    made: optimizers.Optimizer = cls(**given)
    return made


def _schedule(description: Mapping[str, Any]) -> Any:
    name = description["class_name"]
    cls = schedules.LearningRateSchedule._registry.get(name)
    if cls is None:
        raise ValueError(f"the schedule {name} is not known here")
    config = {key: value for key, value in (description.get("config") or {}).items() if key != "name"}
    return cls(**config)


# The state


def _stored(file: KerasFile) -> list[Array] | None:
    """The optimizer's arrays in the order of the file, or None if there are none."""
    if file.is_archive:
        group = file.root.group("optimizer/vars")
        names = [] if group is None else sorted(group.names(), key=lambda name: (len(name), name))
    else:
        group = file.root.group("optimizer_weights")
        names = [] if group is None else group.texts("weight_names")
    if group is None or not names:
        return None
    return [group.read(name, group.shape(name)) for name in names]
