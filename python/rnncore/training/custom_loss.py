"""Training with a loss that is a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.data import Array
from rnncore.program import Program, Regularizer
from rnncore.training.compilation import Compilation


class FunctionLossExecutor:
    """Trains and tests like an executor, with `loss(y_true, y_pred) -> (value, gradient)` called on each batch.

    The value is the loss of the batch, the gradient its derivative by `y_pred`, of the same shape.
    """

    def __init__(
        self,
        executor: Any,
        compilation: Compilation,
        program: Program,
        vectors: tuple[Array, Array],
        regularizers: Sequence[Regularizer],
    ) -> None:
        assert compilation.function is not None
        self._executor = executor
        self._function: Callable[[Array, Array], Any] = compilation.function
        self._measures = compilation.measures
        parameters, gradients = vectors
        self._mask = Mask(program, parameters)
        self._penalised = [
            (regularizer, parameters[window], gradients[window])
            for regularizer in regularizers
            for parameter in [program.parameters[regularizer.parameter]]
            for window in [slice(parameter.offset, parameter.offset + parameter.size)]
        ]

    def train(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        learning_rate: Array,
        step: int,
        seed: int,
        state: Array,
        sample_weight: Sequence[Array | None] | None = None,
        lengths: Array | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Train on the samples in `order`; return the number of batches done."""
        for number, rows in enumerate(_batches(order, batch_size)):
            written = None if states is None else states.copy()
            run = {"training": True, "seed": seed, "step": step + number, "states": written, "resume": resume}
            output = self._forward(inputs, rows, lengths, **run)
            value, gradient = self._loss(targets[0][rows], output)
            real = self._real(inputs, rows, lengths, training=True, seed=seed, step=step + number)
            increment = self._increment(value, targets[0][rows], output, real)
            self._executor.backward([gradient])
            for regularizer, w, dw in self._penalised:
                dw += regularizer.l1 * np.sign(w) + 2 * regularizer.l2 * w
            self._executor.apply_gradients(float(learning_rate[number]), step + number)
            state += increment
            if states is not None:
                states[...] = written
            if on_batch is not None and on_batch(number + 1):
                return number + 1
        return -(-len(order) // batch_size)

    def test(
        self,
        inputs: Sequence[Array],
        targets: Sequence[Array],
        order: Array,
        *,
        batch_size: int,
        state: Array,
        sample_weight: Sequence[Array | None] | None = None,
        lengths: Array | None = None,
        on_batch: Callable[[int], bool] | None = None,
        every_batch: bool = False,
        states: Array | None = None,
        resume: bool = True,
    ) -> int:
        """Measure the samples in `order`; return the number of batches done."""
        for number, rows in enumerate(_batches(order, batch_size)):
            output = self._forward(inputs, rows, lengths, states=states, resume=resume)
            value, _ = self._loss(targets[0][rows], output)
            state += self._increment(value, targets[0][rows], output, self._real(inputs, rows, lengths))
            if on_batch is not None and on_batch(number + 1):
                return number + 1
        return -(-len(order) // batch_size)

    def _forward(self, inputs: Sequence[Array], rows: Array, lengths: Array | None, **run: Any) -> Array:
        batch = [array[rows] for array in inputs]
        (output,) = self._executor.forward(batch, _batch_of(lengths, rows), **run)
        return np.asarray(output)

    def _real(self, inputs: Sequence[Array], rows: Array, lengths: Array | None, **run: Any) -> Any:
        """An index of the steps of the output that count in metrics: which they are (N, T), or all of them."""
        if not self._measures:
            return ...
        return self._mask.real([array[rows] for array in inputs], _batch_of(lengths, rows), **run)

    def _loss(self, target: Array, output: Array) -> tuple[float, Array]:
        result = self._function(target, output)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"the loss function must return (value, gradient), got {type(result).__name__}")
        value = check.real_array("value of the loss function", result[0], ())
        gradient = check.real_array("gradient of the loss function", result[1], output.shape)
        return float(value), np.ascontiguousarray(gradient, output.dtype)

    def _increment(self, value: float, target: Array, output: Array, real: Any) -> Array:
        """What a batch adds to the state: as `Training` describes it for one loss."""
        for regularizer, w, _ in self._penalised:
            value += float(regularizer.l1 * np.abs(w).sum() + regularizer.l2 * np.square(w).sum())
        rows = len(output)
        pair = np.array([value * rows, rows])
        increments = [measure.metric.increment(target[real], output[real]) for measure in self._measures]
        return np.concatenate([pair, *increments])


class Mask:
    """The mask of a Program's only output: computed by the part of the Program that makes it."""

    def __init__(self, program: Program, parameters: Array) -> None:
        self._parameters = parameters
        value = program.masks[0] if program.masks else -1
        self._by_lengths = value >= 0 and value == program.lengths
        self._executor: Any = None
        if value < 0 or self._by_lengths:
            return
        from rnncore.reference import Executor

        # All nodes before, for random numbers belong to the number of a node. Some nodes write what they hold.
        made = [number for number, node in enumerate(program.nodes) if value in node.outputs]
        part = replace(program, nodes=program.nodes[: max(made, default=-1) + 1], outputs=(value,), masks=())
        self._held = parameters.copy()
        self._executor = Executor(part, self._held, np.zeros_like(parameters))

    def real(self, inputs: Sequence[Array], lengths: Array | None, **run: Any) -> Any:
        """An index of the steps that are real: (N, T), or all of them."""
        if self._by_lengths and lengths is not None:
            return np.arange(inputs[0].shape[1]) < lengths[:, None]
        if self._executor is None:
            return ...
        self._held[...] = self._parameters
        (mask,) = self._executor.forward(inputs, lengths, **run)
        return mask != 0


def _batches(order: Array, batch_size: int) -> list[Array]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _batch_of(lengths: Array | None, rows: Array) -> Array | None:
    return None if lengths is None else lengths[rows]
