"""Training with a loss, or with metrics, that are Python functions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore._data import Array
from rnncore._turns import Turns
from rnncore._whole_steps import undone_on_error, uninterrupted
from rnncore.batches import Batches, Samples, Update
from rnncore.program import Program, Regularizer, Training
from rnncore.reference.penalties import penalty
from rnncore.training.compilation import Compilation


class FunctionExecutor:
    """Trains and tests like an executor, and calls functions between: the loss or metrics that it does not know.

    `loss(y_true, y_pred)` returns the loss of a batch and its derivative by `y_pred`, of the same shape. For metrics
    alone, the outputs of each batch are computed once more, before its step: with the same random numbers.
    """

    def __init__(
        self,
        executor: Any,
        compilation: Compilation,
        training: Training,
        program: Program,
        vectors: tuple[Array, Array],
    ) -> None:
        self._executor = executor
        self._updates = training.optimizer is not None
        self._function = compilation.function
        self._measures = [measure for measure in compilation.measures if not measure.native]
        self._known = training.state_size()
        self._program, (self._parameters, gradients) = program, vectors
        self._penalties = WeightPenalties(program, training.regularizers, self._parameters, gradients)
        self._turns = Turns()
        self._looker, self._held = executor, self._parameters
        if self._function is None and program.moved:
            # A forward pass in training moves them, which the step itself will do.
            self._held = self._parameters.copy()
            self._looker = type(executor)(program, self._held, np.zeros_like(self._held))

    def train(self, batches: Batches, update: Update, state: Array) -> int:
        """As `Executor.train`."""
        return self._run(batches, update, state)

    def test(self, batches: Batches, state: Array) -> int:
        """As `Executor.test`."""
        return self._run(batches, None, state)

    def _run(self, batches: Batches, update: Update | None, state: Array) -> int:
        """Run the batches one by one; return the number of batches done."""
        step = self._measure if self._function is None else self._step
        for number, batch in enumerate(batches.each()):
            step(batch, None if update is None else update.of_batch(number), state)
            if batches.on_batch is not None and batches.on_batch(number + 1):
                return number + 1
        return batches.count

    def _measure(self, batch: Batches, update: Update | None, state: Array) -> None:
        """A step of the executor's own, and what the batch adds to the metrics."""
        samples = batch.samples.take(batch.order)
        states = None if batch.states is None else batch.states.copy()
        # Without a copy the executor's own turns do; waiting for both could wait for ever.
        copied = self._held is not self._parameters
        with self._turns if copied else nullcontext():
            if copied:
                self._held[...] = self._parameters
            outputs, masks = self._forward(self._looker, samples, update, states, batch.resume)
        increment = self._increment(samples, outputs, masks)
        if update is None:
            self._executor.test(batch, state[: self._known])
        else:
            self._executor.train(batch, update, state[: self._known])
        state[self._known :] += increment

    def _step(self, batch: Batches, update: Update | None, state: Array) -> None:
        """A step with the loss of the user's."""
        samples = batch.samples.take(batch.order)
        states = None if batch.states is None else batch.states.copy()
        undoing: AbstractContextManager[list[Any]] = nullcontext([])
        if update is not None:
            undoing = undone_on_error(self._program, self._parameters)
        with undoing as undo:
            outputs, masks = self._forward(self._executor, samples, update, states, batch.resume)
            forward = self._executor.last_pass
            value, gradient = self._loss(samples.targets[0], outputs[0])  # which may run the model, too
            value += self._penalties.value()
            rows = len(outputs[0])
            increment = np.array([value * rows, rows, *self._increment(samples, outputs, masks)])
            if update is not None:
                self._executor.last_pass = forward
                self._executor.backward([gradient])
                self._penalties.add_gradients()
            with self._executor.turn(), uninterrupted():  # the wait for the turn answers Ctrl-C
                if update is not None and self._updates:
                    self._executor.apply_gradients(float(update.rates[0]), update.step)
                state += increment
                if batch.states is not None:
                    batch.states[...] = states
                undo.clear()

    def _forward(
        self, executor: Any, samples: Samples, update: Update | None, states: Array | None, resume: bool
    ) -> tuple[list[Array], list[Array | None]]:
        """The outputs, and which of their steps are valid (N, T), or None for all."""
        mode = {} if update is None else {"training": True, "seed": update.seed, "step": update.step}
        found = executor.forward(samples.inputs, samples.lengths, **mode, states=states, resume=resume, masks=True)
        outputs = len(self._program.outputs)
        return found[:outputs], found[outputs:]

    def _loss(self, target: Array, output: Array) -> tuple[float, Array]:
        assert self._function is not None
        result = self._function(target, output.copy() if self._measures else output)  # metrics read it later
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"the loss function must return (value, gradient), got {type(result).__name__}")
        value = check.real_array("value of the loss function", result[0], ())
        gradient = check.real_array("gradient of the loss function", result[1], output.shape)
        return float(value), np.ascontiguousarray(gradient, output.dtype)

    def _increment(self, samples: Samples, outputs: list[Array], masks: list[Array | None]) -> Array:
        """What a batch adds to the metrics, one after the other."""
        found = []
        for measure in self._measures:
            number, weight = measure.output, None
            if measure.weighted:
                weight = samples.weights[number]
            weight = _counted(weight, masks[number], outputs[number])
            found.append(measure.metric.increment(samples.targets[number], outputs[number], weight))
        return np.concatenate([np.empty(0), *found])


class WeightPenalties:
    """The penalties on weights, for steps that Python puts together."""

    def __init__(
        self, program: Program, regularizers: Sequence[Regularizer], parameters: Array, gradients: Array
    ) -> None:
        self._penalised = [
            (
                regularizer,
                parameters[window].reshape(parameter.shape),
                gradients[window].reshape(parameter.shape) if parameter.trainable else None,
            )
            for regularizer in regularizers
            for parameter in [program.parameters[regularizer.parameter]]
            for window in [slice(parameter.offset, parameter.offset + parameter.size)]
        ]

    def value(self) -> float:
        """All of them, added up."""
        return sum((penalty(regularizer, w)[0] for regularizer, w, _ in self._penalised), 0.0)

    def add_gradients(self, times: int = 1) -> None:
        """Add theirs, so many times, to the gradients."""
        for regularizer, w, gradient in self._penalised:
            if gradient is not None:
                gradient += times * penalty(regularizer, w)[1]


def _counted(weight: Array | None, mask: Array | None, output: Array) -> Array | None:
    """The weights (N,) or (N, ...) of an output's positions, 0 where a step is not valid."""
    if mask is None:
        return weight
    if weight is None:
        return mask.astype(output.dtype)
    ndim = max(weight.ndim, 2)
    spread: Array = weight.reshape(weight.shape + (1,) * (ndim - weight.ndim))
    return np.ascontiguousarray(spread * mask.reshape(mask.shape + (1,) * (ndim - 2)), output.dtype)
