"""Steps of training that the processes of a world do together."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore._pages import see
from rnncore._quiet import quiet
from rnncore._whole_steps import undone_on_error, uninterrupted
from rnncore.batches import Batches, Samples, Update
from rnncore.distributed.world import World
from rnncore.program import Loss
from rnncore.training.compilation import Compilation
from rnncore.training.engine import Engine

CALL_INTERVAL = 0.05  # seconds between calls of on_batch when not every batch is asked for
ROWS_LOOKED_AT = 16  # in each array, to see that ranks have the same data
FAILED, STOPS, COUNTS = range(3)  # what a message about a step begins with


class ParallelTrainer:
    """Trains and tests like an executor, together with those of other ranks.

    All ranks have the same samples in the same order. Each differentiates its rows of a batch, and all do the same
    update of the same weights from the sum of the gradients. What is only measured is shared out batch by batch.

    The loss of a batch is a sum over its rows, divided by what counts in the batch; a rank divides by what counts in
    its rows. So its loss and gradients are multiplied by the latter number over the former. Where there are several
    such numbers, as losses are divided by different ones, they become factors of the sample weights.
    """

    alone = False  # while callbacks are called, who may evaluate the model on one rank

    def __init__(
        self, world: World, engine: Engine, compilation: Compilation, *, rounded: bool, augmented: bool
    ) -> None:
        self._world, self._rounded, self._augmented = world, rounded, augmented
        self.own, self._updater = engine.trainer, engine.executor
        self._program, self._vector = engine.program, engine.store.vector
        self._penalties = engine.weight_penalties()
        self._note_writing = engine.store.memory.note_writing
        self._losses, self._state_size = compilation.losses, len(compilation.state())
        self._weighted = [measure for measure in compilation.measures if measure.weighted]
        pairs = 1 + (len(self._losses) if len(self._losses) > 1 else 0)
        self._loss_values = slice(0, 2 * pairs, 2)  # in the state
        kinds = {_divided_by(loss, self._program.masks) for loss in self._losses}
        kinds |= {"rows"} if engine.penalties.activity_regularizers else set()
        self._mixed, self._undivided = len(kinds) > 1, kinds == {"nothing"}
        self._worker, training = engine.differentiator(compilation, sums=self._mixed)
        self._counter = engine.differentiator(compilation)[0] if self._mixed else None
        known = training.state_size()
        self._divisors = slice(known - len(self._losses), known)  # in the state of these two
        # Gradients that the optimizer only gathers need not travel, unless it has more to do after each step.
        optimizer = compilation.optimizer
        each = optimizer.use_ema or engine.penalties.constraints
        self._together = 1 if each else optimizer.gradient_accumulation_steps or 1
        self._waiting, self._gathered = 0, np.zeros(0)  # steps whose gradients have not travelled, and their sum
        first = min(p.offset for p in self._program.parameters)
        last = max(p.offset + p.size for p in self._program.parameters)
        self._gradients = engine.store.gradients[first:last]
        # What a forward pass moves has no gradient: in its place the averages travel.
        self._moved = [
            (engine.store.gradients[p.offset : p.offset + p.size], self._vector[p.offset : p.offset + p.size])
            for p in self._program.moved
        ]

    def train(self, batches: Batches, update: Update, state: Array) -> int:
        """As `Executor.train`; `state` gets what all ranks measure."""
        if self.alone:
            return int(self.own.train(batches, update, state))
        self._require_same(batches, rows=not self._augmented)  # augmentation may draw on each rank what it likes
        update = replace(update, seed=update.seed + (self._world.rank << 32))  # each rank has its own dropout
        stops, called, done = False, time.monotonic(), 0
        for batch in batches.each():
            if not self._step(batch, update.of_batch(done), state, stops):
                break
            done += 1
            waits = not batches.every_batch and time.monotonic() - called < CALL_INTERVAL
            if batches.on_batch is not None and not waits:
                stops = batches.on_batch(done)
                called = time.monotonic()
        if self._waiting:
            self._update(update.of_batch(done - 1))
        return done

    def test(self, batches: Batches, state: Array) -> int:
        """As `Executor.test`: each rank measures every so many batches."""
        if self.alone:
            return int(self.own.test(batches, state))
        self._require_same(batches)
        orders, size = [batch.order for batch in batches.each()], self._world.size
        group = 1 if batches.every_batch else max(len(orders), 1)
        for first in range(0, len(orders), group):
            numbers = range(first, min(first + group, len(orders)))
            mine = [orders[number] for number in numbers if number % size == self._world.rank]
            message = np.zeros(1 + len(state))
            error = None
            if mine:
                try:
                    self.own.test(Batches(batches.samples, np.concatenate(mine), batches.batch_size), message[1:])
                except Exception as caught:
                    error = caught
            self._add(message, error)
            state += message[1:]
            if batches.on_batch is not None and batches.on_batch(numbers.stop):
                return numbers.stop
        return batches.count

    def _step(self, batch: Batches, update: Update, state: Array, stops: bool) -> bool:
        """One step; False, and nothing has changed, if a rank wants to stop before it."""
        total = len(batch.order)
        samples = batch.samples.take(np.array_split(batch.order, self._world.size)[self._world.rank])
        factors = None if self._counter is None else self._factors(self._counter, samples, total)
        with undone_on_error(self._program, self._vector) as undo:
            message = np.zeros(COUNTS + 1 + self._state_size)
            error = None
            try:
                message[COUNTS:] = self._differentiate(samples, update, factors)
            except Exception as caught:
                error = caught
            message[STOPS], counts = stops, message[COUNTS]
            self._add(message, error)
            if message[STOPS]:
                for window, before in undo:
                    window[...] = before
                return False
            whole = 1.0 if self._undivided else message[COUNTS]
            self._scale(counts / whole if whole else 0.0, samples.rows / total)
            increment = message[COUNTS + 1 :]
            increment[self._loss_values] *= total / whole if whole else 0.0
            increment[0] += total * self._penalties.value()
            if (update.step + 1) % self._together == 0:
                self._update(update)
            with uninterrupted():
                state += increment
                undo.clear()
        return True

    def _differentiate(self, samples: Samples, update: Update, factors: Array | None) -> Array:
        """Make the gradients of a rank's rows; what counts in them, then the state, with losses times that number."""
        if samples.rows == 0:
            self._gradients[...] = 0
            return np.zeros(1 + self._state_size)
        if factors is not None:
            samples = replace(samples, weights=self._weights(samples, factors))
        state = np.zeros(self._state_size + len(self._losses))
        self._worker.train(Batches.whole(samples), update, state)
        divisors, state = state[self._divisors], np.delete(state, self._divisors)
        counts = float(samples.rows) if self._mixed or not self._losses else divisors[0]
        state[self._loss_values] *= counts / samples.rows
        if factors is not None:
            for measure in self._weighted:
                state[measure.window] /= factors[measure.output]
        return np.concatenate([[counts], state])

    def _factors(self, counter: Any, samples: Samples, total: int) -> Array:
        """What the sample weights of each output are to be multiplied by, where losses are sums."""
        message = np.zeros(1 + len(self._losses))
        error = None
        if samples.rows:
            state = np.zeros(self._state_size + len(self._losses))
            try:
                counter.test(Batches.whole(samples), state)
            except Exception as caught:
                error = caught
            message[1:] = state[self._divisors]
        self._add(message, error)
        factors = np.ones(len(self._program.outputs))
        for loss, counted in zip(self._losses, message[1:], strict=True):
            divisor = 1.0 if _divided_by(loss, self._program.masks) == "nothing" else counted
            if divisor and samples.rows:
                factors[loss.output] = total / (samples.rows * divisor)
        return factors

    def _weights(self, samples: Samples, factors: Array) -> list[Array]:
        """The sample weights of each output times its factor."""
        given = list(samples.weights) or [None] * len(factors)
        ones = np.ones(samples.rows, self._vector.dtype)
        return [
            (ones if weight is None else weight) * self._vector.dtype.type(factor)
            for weight, factor in zip(given, factors, strict=True)
        ]

    @quiet
    def _scale(self, share: float, rows: float) -> None:
        """Make the gradients those of this rank's part of the batch: this share; averages are those of `rows`."""
        self._gradients *= self._gradients.dtype.type(share)
        for gradient, moved in self._moved:
            gradient[...] = moved * moved.dtype.type(rows)
        if self._together > 1:
            self._gathered = self._gradients + (self._gathered if self._waiting else 0)
        self._waiting += 1

    def _update(self, update: Update) -> None:
        """Add the gradients of all ranks, of all steps that wait, and let the optimizer have them."""
        if self._together > 1:
            averages = [gradient.copy() for gradient, _ in self._moved]
            self._gradients[...] = self._gathered
            for (gradient, _), average in zip(self._moved, averages, strict=True):
                gradient[...] = average
        if self._rounded:
            averages = [gradient.copy() for gradient, _ in self._moved]
            self._world.add_rounded(self._gradients)
            for (gradient, _), average in zip(self._moved, averages, strict=True):
                self._world.add(average)
                gradient[...] = average
        else:
            self._world.add(self._gradients)
        self._penalties.add_gradients(self._waiting)
        with self._updater.turn(), uninterrupted():
            for gradient, moved in self._moved:
                moved[...] = gradient
            self._note_writing()
            self._updater.apply_gradients(float(update.rates[0]), update.step)
            self._waiting = 0

    def _add(self, message: Array, error: Exception | None) -> None:
        """Add up a message of all ranks that begins with a 0; raise on all of them if one has an error."""
        if error is not None:
            message[:] = 0
            message[FAILED] = 1
        self._world.add(message)
        if message[FAILED]:
            self._world.agree(error)

    def _require_same(self, batches: Batches, *, rows: bool = True) -> None:
        """ValueError on all ranks where their samples, or the order of these, differ; `rows`: what is in them, too."""
        samples = batches.samples
        self._world.require_same(
            {
                "the shape of x": _shapes(samples.inputs),
                "the shape of y": _shapes(samples.targets),
                "the shape of sample_weight": _shapes(samples.weights),
                "whether lengths are given": samples.lengths is not None,
                "batch_size": batches.batch_size,
                "the order of the samples (as a checksum)": zlib.crc32(batches.order.tobytes()),
            }
        )
        if rows:
            found = self._world.gather(*_sizes(samples.inputs, samples.rows), *_sizes(samples.targets, samples.rows))
            alike = np.isclose(found, found[0], rtol=1e-5, atol=0, equal_nan=True)
            (apart,) = np.nonzero(~alike.all(axis=1))
            if len(apart):
                name = "y" if alike[apart[0], : len(samples.inputs)].all() else "x"
                text = f"{name} must have the same rows on all ranks, the whole data, got other ones on rank {apart[0]}"
                self._world.fail(ValueError(f"{text} than on rank 0{see('guide/several_machines')}"))


def _divided_by(loss: Loss, masks: Sequence[int]) -> str:
    """What a loss is divided by; losses of one answer have divisors in the same proportion on every rank."""
    reduction = loss.attributes.get("reduction", "sum_over_batch_size")
    if reduction == "sum":
        return "nothing"
    if reduction == "mean_with_sample_weight" or "ignore_class" in loss.attributes:
        return f"what output {loss.output} counts"
    mask = masks[loss.output] if masks else -1
    return "rows" if mask < 0 or loss.kind in ("ctc", "crf") else f"the steps of mask {mask}"


def _sizes(arrays: Sequence[Array], rows: int) -> list[float]:
    """The sum of the absolute values in a few rows of each array: the same but for rounding where these are."""
    few = np.linspace(0, rows - 1, min(rows, ROWS_LOOKED_AT)).astype(np.int64)
    return [float(np.abs(array[few]).sum(dtype=np.float64)) for array in arrays]


def _shapes(arrays: Sequence[Array | None]) -> list[tuple[int, ...] | None]:
    return [None if array is None else array.shape for array in arrays]
