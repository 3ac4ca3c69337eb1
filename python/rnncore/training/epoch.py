"""One pass over samples: the executor runs it, callbacks and the progress bar look on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rnncore.callbacks.base import CallbackList, Logs
from rnncore.data import Array
from rnncore.training.compilation import Compilation
from rnncore.training.feed import Part
from rnncore.training.progress import ProgressBar

if TYPE_CHECKING:
    from rnncore.training.base import Base


class Watch:
    """What an executor calls between batches, part after part."""

    def __init__(self, mode: str, callbacks: CallbackList, bar: ProgressBar) -> None:
        self.mode = mode
        self.every_batch = callbacks.wants_batches(mode)
        self._callbacks = callbacks
        self._bar = bar
        self._before = 0  # batches of the parts before this one
        self._steps = 0  # batches of this part

    def begin(self, steps: int) -> None:
        """Before the first batch of a part of so many."""
        self._before += self._steps
        self._steps = steps
        if self.every_batch:
            self._callbacks.batch_begin(self.mode, self._before)

    def on_batch(self, done: int, logs: Callable[[], Logs], stop: Callable[[], bool] = lambda: False) -> bool:
        """After `done` batches of the part; whether to stop."""
        number = self._before + done
        self._bar.update(number, logs)
        if self.every_batch:
            self._callbacks.batch_end(self.mode, number - 1, logs())
        if stop():
            return True
        if self.every_batch and done < self._steps:
            self._callbacks.batch_begin(self.mode, number)
        return False

    def end(self, logs: Callable[[], Logs]) -> None:
        """After the last batch of a part; parts of one batch may never get to `on_batch`."""
        self._bar.update(self._before + self._steps, logs)


def train(
    model: Base,
    executor: Any,
    compilation: Compilation,
    parts: Iterable[Part],
    seed: int,
    callbacks: CallbackList,
    bar: ProgressBar,
) -> tuple[Logs, int]:
    """Train on the parts of an epoch; the logs, and the number of samples seen.

    Afterwards `optimizer.iterations` counts the steps done, even after an error.
    """
    state = compilation.state()
    watch = Watch("train", callbacks, bar)
    for part in parts:
        _train_part(model, executor, compilation, part, seed, state, watch)
        if model.stop_training:
            break
    return compilation.logs(state), int(state[1])


def _train_part(
    model: Base, executor: Any, compilation: Compilation, part: Part, seed: int, state: Array, watch: Watch
) -> None:
    optimizer = compilation.optimizer
    first, seen, steps = optimizer.iterations, float(state[1]), part.steps
    rates = optimizer.rates(steps)
    samples = part.samples

    def logs() -> Logs:
        return compilation.logs(state)

    def on_batch(done: int) -> bool:
        optimizer.iterations = first + done
        stop = watch.on_batch(done, logs, lambda: model.stop_training)
        if watch.every_batch and done < steps:
            rates[done] = optimizer.learning_rate  # the executor reads it next; a callback may have changed it
        return stop

    try:
        watch.begin(steps)
        if watch.every_batch:
            rates[0] = optimizer.learning_rate
        executor.train(
            samples.inputs,
            samples.targets,
            part.order,
            batch_size=part.batch_size,
            learning_rate=rates,
            step=first,
            seed=seed,
            state=state,
            sample_weight=samples.weights,
            lengths=samples.lengths,
            on_batch=on_batch,
            every_batch=watch.every_batch,
        )
        watch.end(logs)
    finally:
        optimizer.iterations = first + math.ceil((state[1] - seen) / part.batch_size)


def evaluate(
    executor: Any, compilation: Compilation, parts: Iterable[Part], callbacks: CallbackList, bar: ProgressBar
) -> tuple[Logs, int]:
    """Measure the samples of the parts; the logs, and the number of samples seen."""
    state = compilation.state()
    watch = Watch("test", callbacks, bar)
    callbacks.begin("test")

    def logs() -> Logs:
        return compilation.logs(state)

    for part in parts:
        watch.begin(part.steps)
        executor.test(
            part.samples.inputs,
            part.samples.targets,
            part.order,
            batch_size=part.batch_size,
            state=state,
            sample_weight=part.samples.weights,
            lengths=part.samples.lengths,
            on_batch=lambda done: watch.on_batch(done, logs),
            every_batch=watch.every_batch,
        )
        watch.end(logs)
    found = logs()
    callbacks.end("test", found)
    return found, int(state[1])


def predict(
    executor: Any, parts: Iterable[tuple[Part, list[Array]]], callbacks: CallbackList, bar: ProgressBar
) -> None:
    """Fill the arrays that go with each part with its predictions."""
    watch = Watch("predict", callbacks, bar)
    callbacks.begin("predict")
    for part, outputs in parts:
        watch.begin(part.steps)
        executor.predict(
            part.samples.inputs,
            part.order,
            batch_size=part.batch_size,
            outputs=outputs,
            lengths=part.samples.lengths,
            on_batch=lambda done: watch.on_batch(done, dict),
            every_batch=watch.every_batch,
        )
        watch.end(dict)
    callbacks.end("predict", {})
