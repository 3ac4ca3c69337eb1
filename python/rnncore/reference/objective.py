"""What a training step minimises and measures: losses, metrics and regularizers of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._quiet import quiet
from .._sequence_arguments import Array
from ..program import Loss, Metric, Program, Regularizer, Training
from .crf_loss import crf_loss
from .ctc import check_labels, ctc
from .distributions import DISTRIBUTIONS, blocks_of
from .losses import LOSSES, REDUCTIONS, weighted_loss
from .masking import real_steps
from .metrics import METRICS, state_increment
from .op import Arrays
from .penalties import penalty
from .penalties import slope as slope_of
from .penalties import value as value_of

__all__ = ["Objective"]

INT32 = np.dtype(np.int32)


class Objective:
    """Evaluates a Training on the outputs of a Program.

    `parameters` and `gradients` are the windows of all parameters, which the regularizers read and
    write; the gradient of a parameter that does not train is None.
    """

    def __init__(self, training: Training, program: Program, parameters: list[Array], gradients: Arrays) -> None:
        for loss in training.losses:
            if loss.kind in OF_ROWS:
                _check_loss_of_rows(loss, training, program)
            elif loss.kind not in LOSSES:
                raise ValueError(f"training: unknown loss {loss.kind!r}; known: {list(LOSSES)}")
            if loss.kind in DISTRIBUTIONS and blocks_of(loss.kind, loss.attributes) < 1:
                raise ValueError(f"training: {loss.kind!r} has no parameters")
            if loss.attributes.get("reduction", REDUCTIONS[0]) not in REDUCTIONS:
                raise ValueError(f"training: unknown reduction {loss.attributes['reduction']!r}; known: {REDUCTIONS}")
        known = [*(kind for kind in LOSSES if kind not in DISTRIBUTIONS), *METRICS, "confusion"]
        for metric in training.metrics:
            if metric.kind not in known:
                raise ValueError(f"training: unknown metric {metric.kind!r}; known: {known}")
        for regularizer in training.regularizers:
            parameter = program.parameters[regularizer.parameter]
            if regularizer.orthogonal and len(parameter.shape) != 2:
                raise ValueError(
                    f"training: an orthogonal regularizer needs a matrix, got parameter {parameter.name!r} of shape"
                    f" {parameter.shape}"
                )
        items: list[Loss | Metric] = [*training.losses, *training.metrics]
        for item in items:
            if not 0 <= item.output < len(program.outputs):
                raise ValueError(
                    f"training: {item.kind!r} is on output {item.output}, the program has {len(program.outputs)}"
                )
        for activity in training.activity_regularizers:
            if not 0 <= activity.value < len(program.values) or program.values[activity.value].dtype == "int":
                raise ValueError(
                    f"training: an activity regularizer is on value {activity.value}, which is none of the program's,"
                    " or integer"
                )
        self.penalised = [activity.value for activity in training.activity_regularizers]
        self._training = training
        self._penalties: list[tuple[Regularizer, Array, Any]] = [
            (regularizer, parameters[regularizer.parameter], gradients[regularizer.parameter])
            for regularizer in training.regularizers
        ]

    @quiet
    def evaluate(
        self,
        outputs: list[Array],
        targets: Sequence[Array],
        weights: Arrays,
        masks: Arrays,
        penalised: Sequence[Array] = (),
        rows: Array | None = None,
    ) -> tuple[Array, Arrays]:
        """Return what this batch adds to the state, and the gradient of its loss to each output.

        There is one of each per output: of `targets` an array, of `weights` (N,), (N, ...) or None, of `masks` lengths
        (N,), a mask (N, T) or None; `penalised` one per activity regularizer: the value it is on.
        `rows` (N,): which samples these are, for messages.
        """
        training = self._training
        output_gradients: Arrays = [None] * len(outputs)
        real_of_output: dict[int, Any] = {}
        losses, divisors = [], []
        for loss in training.losses:
            output, target, weight = (of[loss.output] for of in (outputs, targets, weights))
            if loss.kind in OF_ROWS:
                value, slope, divisor = OF_ROWS[loss.kind](loss, output, target, weight, masks[loss.output], rows)
                losses.append(value)
                divisors.append(divisor)
                output_gradients[loss.output] = slope
                continue
            _check_batch(loss.kind, output, target, weight, loss.attributes)
            real = real_of_output[loss.output] = _real_positions(output, masks[loss.output])
            target, weight = target[real], _at(real, weight, output)
            attributes = dict(loss.attributes)
            reduction = attributes.pop("reduction", "sum_over_batch_size")
            counted = target != attributes["ignore_class"] if "ignore_class" in attributes else None
            found = LOSSES[loss.kind](target, output[real], **attributes)
            value, slope, divisor = weighted_loss(*found, weight, reduction, counted)
            losses.append(value)
            divisors.append(divisor)
            earlier = output_gradients[loss.output]
            gradient = np.zeros_like(output)
            gradient[real] = loss.weight * slope
            output_gradients[loss.output] = gradient if earlier is None else earlier + gradient

        total = sum(loss.weight * value for loss, value in zip(training.losses, losses, strict=True))
        for regularizer, w, _ in self._penalties:
            total += penalty(regularizer, w)[0]
        for activity, y in zip(training.activity_regularizers, penalised, strict=True):
            total += value_of(activity, y) / len(y)
        samples = len(outputs[0])
        shown = [total, *(losses if len(losses) > 1 else [])]
        increments = [np.array([value * samples, samples]) for value in shown]

        ignored_by_output = {loss.output: loss.attributes.get("ignore_class") for loss in training.losses}
        for metric in training.metrics:
            output, target = outputs[metric.output], targets[metric.output]
            weight = weights[metric.output] if metric.weighted and metric.output in ignored_by_output else None
            _check_batch(metric.kind, output, target, weight)
            real = real_of_output.get(metric.output, ...)
            ignored = ignored_by_output.get(metric.output)
            if metric.kind == "sparse_categorical_crossentropy" and ignored is not None:
                metric = replace(metric, attributes={"ignore_class": ignored, **metric.attributes})
            if weight is None and real is not ...:
                weight = np.ones(len(output), output.dtype)  # a mask counts as weights do
            increments.append(state_increment(metric, target[real], output[real], _at(real, weight, output)))
        if training.divisors:
            increments.append(np.array(divisors))
        return np.concatenate(increments), output_gradients

    @quiet
    def activity_gradients(self, penalised: Sequence[Array]) -> list[Array]:
        """The gradient of its penalty to each penalised value."""
        return [
            slope_of(activity, y) / len(y)
            for activity, y in zip(self._training.activity_regularizers, penalised, strict=True)
        ]

    @quiet
    def regularize(self) -> None:
        """Add the gradients of the penalties."""
        for regularizer, w, gradient in self._penalties:
            if gradient is not None:
                gradient += penalty(regularizer, w)[1]


def _check_loss_of_rows(loss: Loss, training: Training, program: Program) -> None:
    """Raise unless the loss stands alone on an output of its kind."""
    shape = program.values[program.outputs[loss.output]].shape
    if loss.kind == "ctc" and len(shape) != 3:
        raise ValueError("training: 'ctc' needs an output of shape (N, T, classes)")
    if loss.kind == "crf" and (len(shape) != 4 or shape[2] != shape[3]):
        raise ValueError("training: 'crf' needs an output of shape (N, T, labels, labels), as the layer CRF makes")
    if sum(other.output == loss.output for other in training.losses) > 1:
        raise ValueError(f"training: {loss.kind!r} must be the only loss on its output")
    for metric in training.metrics:
        if metric.output == loss.output:
            raise ValueError(f"training: an output with the loss {loss.kind!r} takes no metrics, got {metric.kind!r}")


def _ctc(
    loss: Loss, output: Array, target: Array, weight: Array | None, mask: Array | None, rows: Array | None
) -> tuple[float, Array, float]:
    """The value of a batch with one value for each sample, its gradient, and what it was divided by."""
    if target.ndim != 2 or len(target) != len(output):
        raise ValueError(f"targets: ctc expected shape ({len(output)}, labels), got {target.shape}")
    if target.dtype != INT32:
        raise TypeError(f"targets: ctc expected dtype int32, got {target.dtype}")
    if weight is not None and weight.shape != output.shape[:1]:
        raise ValueError(f"sample_weight: expected shape {output.shape[:1]}, got {weight.shape}")
    real = np.ones(output.shape[:2], bool) if mask is None else real_steps(mask, output.shape)
    check_labels(target, output.shape[-1], real.sum(axis=1), rows, f"targets[{loss.output}]")
    reduction = loss.attributes.get("reduction", REDUCTIONS[0])
    value, slope, divisor = weighted_loss(*ctc(target, output, real), weight, reduction)
    return value, loss.weight * slope, divisor


def _crf(
    loss: Loss, output: Array, target: Array, weight: Array | None, mask: Array | None, rows: Array | None
) -> tuple[float, Array, float]:
    """The same for labels of a chain."""
    if target.shape != output.shape[:2]:
        raise ValueError(f"targets: crf expected shape {output.shape[:2]}, got {target.shape}")
    if target.dtype != INT32:
        raise TypeError(f"targets: crf expected dtype int32, got {target.dtype}")
    if target.size and not 0 <= target.min() <= target.max() < output.shape[-1]:
        raise ValueError(
            f"targets[{loss.output}]: expected labels from 0 to {output.shape[-1] - 1}, got {target.min()} to"
            f" {target.max()}"
        )
    if weight is not None and weight.shape != output.shape[:1]:
        raise ValueError(f"sample_weight: expected shape {output.shape[:1]}, got {weight.shape}")
    real = None if mask is None else real_steps(mask, output.shape)
    found = crf_loss(target, output, real)
    value, slope, divisor = weighted_loss(*found, weight, loss.attributes.get("reduction", REDUCTIONS[0]))
    return value, loss.weight * slope, divisor


OF_ROWS = {"ctc": _ctc, "crf": _crf}  # losses whose values are those of whole rows


def _real_positions(output: Array, mask: Array | None) -> Any:
    """An index of the positions (N, T, ...) of an output whose steps are valid: which they are, or all of them."""
    if mask is None:
        return ...
    real = real_steps(mask, output.shape)
    return np.broadcast_to(real.reshape(real.shape + (1,) * (output.ndim - 3)), output.shape[:-1])


def _at(real: Any, weight: Array | None, output: Array) -> Array | None:
    """The weights (N,) or (N, ...) of the real positions of an output."""
    if weight is None or real is ...:
        return weight
    positions = output.shape[:-1]
    spread: Array = np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(positions) - weight.ndim)), positions)
    chosen: Array = spread[real]
    return chosen


def _check_batch(
    kind: str, output: Array, target: Array, weight: Array | None, attributes: Mapping[str, Any] | None = None
) -> None:
    sparse = kind.startswith("sparse")
    shape, dtype = (output.shape[:-1], INT32) if sparse else (output.shape, output.dtype)
    if kind in DISTRIBUTIONS:
        blocks = blocks_of(kind, dict(attributes or {}))
        if blocks < 1 or output.shape[-1] % blocks:
            raise ValueError(
                f"training: {kind!r} needs an output with {blocks} numbers for each target, got {output.shape[-1]}"
            )
        shape = (*output.shape[:-1], output.shape[-1] // blocks)
    if target.shape != shape:
        raise ValueError(f"targets: {kind} expected shape {shape}, got {target.shape}")
    if target.dtype != dtype:
        raise TypeError(f"targets: {kind} expected dtype {dtype}, got {target.dtype}")
    if weight is not None and weight.shape not in (output.shape[:1], output.shape[:-1]):
        raise ValueError(f"sample_weight: expected shape {output.shape[:1]} or {output.shape[:-1]}, got {weight.shape}")
