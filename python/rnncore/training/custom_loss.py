"""Training with a loss that is a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore._whole_steps import undone_on_error, uninterrupted
from rnncore.data import Array
from rnncore.program import Program, Regularizer
from rnncore.reference.penalties import penalty
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
        self._program, self._parameters = program, parameters
        self._state_size = compilation.state().size
        self._penalised = [
            (regularizer, parameters[window].reshape(parameter.shape), gradients[window].reshape(parameter.shape))
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
        for number, rows in enumerate(batches(order, batch_size)):
            written = None if states is None else states.copy()
            run = {"training": True, "seed": seed, "step": step + number, "states": written, "resume": resume}
            with undone_on_error(self._program, self._parameters) as undo:
                output, real = self._forward(inputs, rows, lengths, **run)
                forward = self._executor.last_pass
                value, gradient = self._loss(targets[0][rows], output)  # which may run the model, too
                increment = self._increment(value, targets[0][rows], output, real)
                self._executor.last_pass = forward
                self._executor.backward([gradient])
                for regularizer, w, dw in self._penalised:
                    dw += penalty(regularizer, w)[1]
                with uninterrupted():
                    self._executor.apply_gradients(float(learning_rate[number]), step + number)
                    state += increment
                    if states is not None:
                        states[...] = written
                    undo.clear()
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
        for number, rows in enumerate(batches(order, batch_size)):
            output, real = self._forward(inputs, rows, lengths, states=states, resume=resume)
            value, _ = self._loss(targets[0][rows], output)
            state += self._increment(value, targets[0][rows], output, real)
            if on_batch is not None and on_batch(number + 1):
                return number + 1
        return -(-len(order) // batch_size)

    def _forward(
        self, inputs: Sequence[Array], rows: Array, lengths: Array | None, **run: Any
    ) -> tuple[Array, Array | None]:
        """The output, and which of its steps count in metrics (N, T), or None for all."""
        batch = [array[rows] for array in inputs]
        output, mask = self._executor.forward(batch, batch_of(lengths, rows), **run, masks=True)
        return np.asarray(output), mask

    def _loss(self, target: Array, output: Array) -> tuple[float, Array]:
        result = self._function(target, output.copy() if self._measures else output)  # metrics read it later
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"the loss function must return (value, gradient), got {type(result).__name__}")
        value = check.real_array("value of the loss function", result[0], ())
        gradient = check.real_array("gradient of the loss function", result[1], output.shape)
        return float(value), np.ascontiguousarray(gradient, output.dtype)

    def _increment(self, value: float, target: Array, output: Array, real: Array | None) -> Array:
        """What a batch adds to the state: as `Training` describes it for one loss."""
        for regularizer, w, _ in self._penalised:
            value += penalty(regularizer, w)[0]
        rows = len(output)
        increment = np.zeros(self._state_size)
        increment[:2] = value * rows, rows
        for measure in self._measures:
            increment[measure.window] = measure.metric.increment(target, output, counted(None, real, output))
        return increment


def batches(order: Array, batch_size: int) -> list[Array]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def counted(weight: Array | None, real: Array | None, output: Array) -> Array | None:
    """The weights (N,) or (N, ...) of an output's positions, 0 where a step is not valid."""
    if real is None:
        return weight
    if weight is None:
        return real.astype(output.dtype)
    ndim = max(weight.ndim, 2)
    spread: Array = weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))
    return np.ascontiguousarray(spread * real.reshape(real.shape + (1,) * (ndim - 2)), output.dtype)


def batch_of(lengths: Array | None, rows: Array) -> Array | None:
    return None if lengths is None else lengths[rows]
