"""What `compile` was given, checked and fitted to the outputs of a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _configurable as configurable
from rnncore import _data as data
from rnncore import _validation as check
from rnncore import losses, metrics, optimizers, program
from rnncore._arrays import padded
from rnncore._data import Array
from rnncore._overrides import is_users
from rnncore.batches import Samples
from rnncore.callbacks.base import Logs
from rnncore.layers.builder import Penalties
from rnncore.layers.symbolic import SymbolicValue
from rnncore.losses import Loss
from rnncore.losses.distributions import Distribution
from rnncore.losses.functions import FUNCTIONS
from rnncore.metrics import Metric
from rnncore.training.own_code import saved_function, saved_metrics


@dataclass(frozen=True)
class Measure:
    """A metric of one output, and its key in the logs."""

    key: str
    metric: Metric
    output: int
    weighted: bool
    native: bool  # executors compute it; else `Metric.increment` does, batch by batch
    window: slice  # where its numbers are in the state


class Compilation:
    """The optimizer, losses and metrics of a model.

    Names are checked at once; what depends on the shapes of the outputs waits for `bind`.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metric_list: Any,
        weighted_metrics: Any,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.given_loss = loss
        self.function: Callable[[Array, Array], Any] | None = None
        if isinstance(loss, (list, tuple)) and len(loss) == 1 and callable(loss[0]):
            loss = loss[0]
        if callable(loss) and not isinstance(loss, (Loss, type)) and loss not in FUNCTIONS:
            self.function, loss = loss, None
        self._loss = _each(loss, losses.get)
        self._loss_weights = _each(loss_weights, lambda weight: check.number("loss_weights", weight))
        self._metrics = _each(metric_list, _metric)
        self._weighted_metrics = _each(weighted_metrics, _metric)
        if self.function is not None and (loss_weights is not None or weighted_metrics):
            raise ValueError("a loss that is a function takes no loss_weights and no weighted_metrics")
        self.losses: tuple[program.Loss, ...] = ()
        self.measures: tuple[Measure, ...] = ()
        self._outputs: tuple[str, ...] = ()
        self._loss_keys: tuple[str, ...] = ("loss",)

    @property
    def has_loss(self) -> bool:
        return self.function is not None or self._loss is not None

    @property
    def calls_functions(self) -> bool:
        """Whether the loss or a metric is Python code that executors do not know."""
        return self.function is not None or not all(measure.native for measure in self.measures)

    def bind(self, outputs: Sequence[SymbolicValue], names: Sequence[str]) -> None:
        """Fit losses and metrics to the outputs of these names; ValueError if they do not."""
        self._outputs = tuple(names)
        given = _for_outputs("loss", self._loss, self._outputs)
        if self.function is not None and len(outputs) > 1:
            raise ValueError(f"loss must be one per output, got a function for {len(outputs)} outputs")
        if self._loss is not None and (missing := _without(self._loss, self._outputs)):
            raise ValueError(
                f"loss must be one for each of the outputs {list(names)}, with None where there is none, got none for"
                f" {missing}"
            )
        if self._loss is not None and not any(given):
            raise ValueError("loss must be given for at least one output, got None for all")
        weights = [1.0 if w is None else w for w in _for_outputs("loss_weights", self._loss_weights, self._outputs)]
        self.losses = tuple(
            loss.describe(output, weight)
            for output, (loss, weight) in enumerate(zip(given, weights, strict=True))
            if loss is not None
        )
        several = self.losses if len(self.losses) > 1 else ()
        self._loss_keys = ("loss", *(f"{self._outputs[loss.output]}_loss" for loss in several))
        self._sparse = [loss is not None and loss.sparse for loss in given]
        self._given: tuple[Loss | None, ...] = tuple(given)
        self.measures = tuple(self._placed(self._bound_measures(outputs), outputs))

    def _bound_measures(self, outputs: Sequence[SymbolicValue]) -> list[tuple[str, Metric, int, bool]]:
        measures: list[tuple[str, Metric, int, bool]] = []
        used: Counter[str] = Counter()
        bound = [loss is not None or self.function is not None for loss in self._given]  # to a kind of targets
        for argument, wanted in (("metrics", self._metrics), ("weighted_metrics", self._weighted_metrics)):
            weighted = argument == "weighted_metrics"
            for number, entries in enumerate(_lists_for_outputs(argument, wanted, self._outputs)):
                prefix = "" if len(outputs) == 1 else f"{self._outputs[number]}_"
                for entry in entries:
                    metric = metrics.resolve(entry, outputs[number].shape, self._sparse[number])
                    if metric.sparse is not None and not bound[number]:
                        bound[number], self._sparse[number] = True, metric.sparse
                    unlike = metric.sparse is not None and metric.sparse != self._sparse[number]
                    if self.function is None and unlike:
                        needed = "class ids" if metric.sparse else "targets like the output"
                        what = "metric before it" if self._given[number] is None else "loss of the output"
                        raise ValueError(f"{argument}: {metric.name!r} needs {needed}, unlike the {what}")
                    loss = self._given[number]
                    own = isinstance(metric, metrics.MeanMetricWrapper) or is_users(type(metric), "increment")
                    if isinstance(loss, Distribution) and loss.parameters > 1 and not own:
                        raise ValueError(
                            f"{argument}: {metric.name!r} compares targets with the whole output, which has"
                            f" {loss.parameters} numbers for each with the loss {loss.name!r}; a function"
                            " metric(y_true, y_pred) may pick its own"
                        )
                    key = f"{prefix}{metric.name}"
                    if weighted and key in used:
                        key = f"{prefix}weighted_{metric.name}"
                    used[key] += 1
                    if used[key] > 1:
                        key = f"{key}_{used[key] - 1}"
                    measures.append((key, metric, number, weighted))
        return measures

    def _placed(
        self, measures: Sequence[tuple[str, Metric, int, bool]], outputs: Sequence[SymbolicValue]
    ) -> list[Measure]:
        """The measures with their windows of the state: first what executors know, in order, then the others."""
        start = 2 * len(self._loss_keys)
        windows: dict[int, slice] = {}
        # Executors know masks and weights of outputs with a loss only.
        known = [metric.native and self._given[number] is not None for _, metric, number, _ in measures]
        for native in (True, False):
            for k, (_, metric, number, _) in enumerate(measures):
                if known[k] == native:
                    units = outputs[number].shape[-1]
                    stop = start + metric.state_size(1 if units is None else units)
                    windows[k], start = slice(start, stop), stop
        self._state_size = start
        return [Measure(*measure, known[k], windows[k]) for k, measure in enumerate(measures)]

    def training(self, penalties: Penalties | None = None) -> program.Training:
        """The description for the executors, with what layers ask for."""
        penalties = penalties or Penalties()
        return program.Training(
            self.losses,
            tuple(
                measure.metric.describe(measure.output, measure.weighted) for measure in self.measures if measure.native
            ),
            penalties.regularizers,
            self.optimizer.describe(),
            penalties.constraints,
            penalties.activity_regularizers,
        )

    def targets(
        self, y: Any, sizes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], lengths: Array | None = None
    ) -> dict[str, Array | None]:
        """The targets by argument name, for outputs whose shapes without the batch are `sizes`.

        A list of targets of different lengths must have the `lengths` of x, unless a loss reads none of the steps.
        None where neither a loss nor a metric looks at them.
        """
        if self.function is not None:
            array = data.real("y", y)
            return {"y": data.floating("y", array, dtype) if array.dtype.kind == "f" else np.ascontiguousarray(array)}
        looked_at = [loss is not None or measured for loss, measured in zip(self._given, self._measured(), strict=True)]
        entries = data.named("y", y, self._outputs, looked_at)
        return {
            argument: self._target(number, argument, value, inner, dtype, lengths) if looked_at[number] else None
            for number, ((argument, value), inner) in enumerate(zip(entries.items(), sizes, strict=True))
        }

    def _measured(self) -> list[bool]:
        """Which outputs have metrics."""
        return [any(measure.output == number for measure in self.measures) for number in range(len(self._outputs))]

    def _target(
        self,
        number: int,
        argument: str,
        value: Any,
        inner: tuple[int, ...],
        dtype: np.dtype[Any],
        lengths: Array | None,
    ) -> Array:
        """The targets of one output, as its loss, or its first metric of a kind of targets, takes them."""
        judges = [self._given[number], *(measure.metric for measure in self.measures if measure.output == number)]
        judge = next((judge for judge in judges if judge is not None and judge.sparse is not None), None)
        value, ends = padded(argument, value)
        take = data.target if judge is None else judge.target
        found = take(argument, value, (None, *inner), dtype)
        loss = self._given[number]
        if loss is None or len(loss.positions(found)) > 1:
            data.same_ends(argument, ends, lengths)
        return found

    def sample_weights(
        self,
        sample_weight: Any,
        targets: Sequence[Array | None],
        sizes: Sequence[tuple[int, ...]],
        dtype: np.dtype[Any],
        lengths: Array | None = None,
    ) -> list[Array | None]:
        """One array of weights or None per output; an array alone is for all outputs."""
        if sample_weight is None:
            return [None] * len(targets)
        self._need_named_loss()
        if len(targets) > 1 and not isinstance(sample_weight, (list, tuple, Mapping)):
            sample_weight = [sample_weight] * len(targets)
        entries = data.named("sample_weight", sample_weight, self._outputs, [y is not None for y in targets])
        positions = [
            loss.positions(y) if loss is not None and y is not None else (None, *inner[:-1])
            for y, loss, inner in zip(targets, self._given, sizes, strict=True)
        ]
        found: list[Array | None] = []
        for (argument, value), shape, y in zip(entries.items(), positions, targets, strict=True):
            weights, ends = padded(argument, value)
            data.same_ends(argument, ends, lengths)
            unused = value is None or y is None
            found.append(None if unused else data.sample_weight(argument, weights, shape, dtype))
        return found

    def with_class_weight(self, samples: Samples, class_weight: Any, dtype: np.dtype[Any]) -> Samples:
        """The samples with their weights multiplied by those of their classes, if there are any."""
        if class_weight is None:
            return samples
        self._need_named_loss()
        if len(self.losses) > 1:
            raise ValueError("class_weight needs a model with one output that has a loss")
        number = self.losses[0].output
        target, weights = samples.targets[number], list(samples.weights)
        loss = self._given[number]
        if loss is not None and self._sparse[number] and len(loss.positions(target)) < target.ndim:
            raise ValueError(
                f"class_weight must be None with the loss {loss.name!r}, which has one value for each sample"
            )
        by_class = data.class_weight(class_weight, target, sparse=self._sparse[number], dtype=dtype)
        given = weights[number]
        if given is not None:
            by_class *= given.reshape(given.shape + (1,) * (by_class.ndim - given.ndim))
        weights[number] = by_class
        return replace(samples, weights=weights)

    def loss_of(self, output: int) -> Loss | None:
        """The loss of an output, once bound; None if it has none, or a function."""
        return self._given[output]

    def _need_named_loss(self) -> None:
        if self.function is not None:
            raise ValueError("sample_weight and class_weight need a loss by name or class, got a function")

    def state(self) -> npt.NDArray[np.float64]:
        """What an executor adds to, from the start of an epoch."""
        return np.zeros(self._state_size)

    def logs(self, state: Array) -> Logs:
        """The numbers that an executor's state stands for: `loss`, losses of the outputs, metrics."""
        logs: Logs = {key: _mean(state[2 * k : 2 * k + 2]) for k, key in enumerate(self._loss_keys)}
        for measure in self.measures:
            logs[measure.key] = measure.metric.compute(state[measure.window])
        return logs

    def direction(self, key: str) -> str:
        """Whether the quantity logged as `key` should fall ("min") or rise ("max"); ValueError if nobody can tell."""
        if key == "loss" or (key.endswith("_loss") and key.removesuffix("_loss") in self._outputs):
            return "min"
        for measure in self.measures:
            if measure.key == key:
                if measure.metric.direction is None:
                    raise ValueError(
                        f"monitor {key!r}: whether this metric should fall or rise cannot be told; give mode='min' or"
                        " mode='max'"
                    )
                return measure.metric.direction
        known = ", ".join(["loss", *(measure.key for measure in self.measures)])
        raise ValueError(f"monitor {key!r} is none of {known}; give mode='min' or mode='max' if it is logged")

    def get_config(self) -> dict[str, Any]:
        """JSON-serialisable arguments of `compile`; of functions only the names, with a warning."""
        named = _each(self._loss, configurable.serialize)
        return {
            "optimizer": configurable.serialize(self.optimizer),
            "loss": named if self.function is None else saved_function(self.function),
            "loss_weights": self._loss_weights,
            "metrics": saved_metrics(self._metrics),
            "weighted_metrics": saved_metrics(self._weighted_metrics),
        }


def _each(value: Any, make: Callable[[Any], Any]) -> Any:
    """`make` applied to a value, to each of a list, or to each value of a dict by output; None stays None."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [_each(entry, make) for entry in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _each(entry, make) for key, entry in value.items()}
    return make(value)


def _metric(identifier: Any) -> Metric | str:
    if isinstance(identifier, str) and identifier in metrics.ACCURACY:
        return str(identifier)
    metric = metrics.get(identifier)
    if not metric.measures_outputs:
        raise ValueError(
            f"metric {metric.name!r} takes values, not targets and outputs: update it in a loop of your own"
        )
    return metric


def _without(value: Any, names: Sequence[str]) -> list[str]:
    """The outputs that a dict by output does not name."""
    return [name for name in names if name not in value] if isinstance(value, dict) else []


def _for_outputs(argument: str, value: Any, names: Sequence[str]) -> list[Any]:
    """One entry per output, from one value for all, a list, or a dict by name."""
    if isinstance(value, dict):
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise ValueError(f"{argument} names outputs {unknown}; the model has {list(names)}")
        return [value.get(name) for name in names]
    if isinstance(value, list):
        if len(value) != len(names):
            raise ValueError(f"{argument} must have {len(names)} entries, one for each output, got {len(value)}")
        return value
    return [value] * len(names)


def _lists_for_outputs(argument: str, value: Any, names: Sequence[str]) -> list[list[Any]]:
    """A list of metrics per output; with one output the list is simply its metrics."""
    if value is None:
        return [[] for _ in names]
    if isinstance(value, list) and len(names) == 1:
        value = [value] if not any(isinstance(entry, list) for entry in value) else value
    entries = _for_outputs(argument, value, names)
    return [entry if isinstance(entry, list) else [] if entry is None else [entry] for entry in entries]


def _mean(pair: Array) -> float:
    total, weight = pair
    return float(total / weight) if weight else 0.0
