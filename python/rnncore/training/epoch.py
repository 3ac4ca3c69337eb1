"""One pass over samples: the executor runs it, callbacks and the progress bar look on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore.callbacks.base import CallbackList, Logs
from rnncore.data import Array, Samples
from rnncore.training.compilation import Compilation
from rnncore.training.progress import ProgressBar

if TYPE_CHECKING:
    from rnncore.training.base import Base

Order = npt.NDArray[np.int64]


def steps_of(order: Order, batch_size: int) -> int:
    """How many batches an order makes; the last may be short."""
    return math.ceil(len(order) / batch_size)


class Watch:
    """What an executor calls between batches."""

    def __init__(self, mode: str, steps: int, callbacks: CallbackList, bar: ProgressBar) -> None:
        self.mode = mode
        self.steps = steps
        self.every_batch = callbacks.wants_batches(mode)
        self._callbacks = callbacks
        self._bar = bar

    def begin(self) -> None:
        """Before the first batch."""
        if self.every_batch:
            self._callbacks.batch_begin(self.mode, 0)

    def on_batch(self, done: int, logs: Callable[[], Logs], stop: Callable[[], bool] = lambda: False) -> bool:
        """After `done` batches; whether to stop."""
        self._bar.update(done, logs)
        if self.every_batch:
            self._callbacks.batch_end(self.mode, done - 1, logs())
        if stop():
            return True
        if self.every_batch and done < self.steps:
            self._callbacks.batch_begin(self.mode, done)
        return False


def train(
    model: Base,
    executor: Any,
    compilation: Compilation,
    samples: Samples,
    order: Order,
    batch_size: int,
    seed: int,
    callbacks: CallbackList,
    bar: ProgressBar,
) -> Logs:
    """Train on the samples in `order`; afterwards `optimizer.iterations` counts the steps done, come what may."""
    optimizer = compilation.optimizer
    first = optimizer.iterations
    steps = steps_of(order, batch_size)
    rates = optimizer.rates(steps)
    state = compilation.state()
    watch = Watch("train", steps, callbacks, bar)

    def on_batch(done: int) -> bool:
        optimizer.iterations = first + done
        stop = watch.on_batch(done, lambda: compilation.logs(state), lambda: model.stop_training)
        if watch.every_batch and done < steps:
            rates[done] = optimizer.learning_rate  # the executor reads it next; a callback may have changed it
        return stop

    try:
        watch.begin()
        executor.train(
            samples.inputs,
            samples.targets,
            order,
            batch_size=batch_size,
            learning_rate=rates,
            step=first,
            seed=seed,
            state=state,
            sample_weight=samples.weights,
            lengths=samples.lengths,
            on_batch=on_batch,
            every_batch=watch.every_batch,
        )
    finally:
        optimizer.iterations = first + math.ceil(state[1] / batch_size)
    return compilation.logs(state)


def evaluate(
    executor: Any,
    compilation: Compilation,
    samples: Samples,
    order: Order,
    batch_size: int,
    callbacks: CallbackList,
    bar: ProgressBar,
) -> Logs:
    """Measure the samples in `order`."""
    state = compilation.state()
    watch = Watch("test", steps_of(order, batch_size), callbacks, bar)
    callbacks.begin("test")
    watch.begin()
    executor.test(
        samples.inputs,
        samples.targets,
        order,
        batch_size=batch_size,
        state=state,
        sample_weight=samples.weights,
        lengths=samples.lengths,
        on_batch=lambda done: watch.on_batch(done, lambda: compilation.logs(state)),
        every_batch=watch.every_batch,
    )
    logs = compilation.logs(state)
    callbacks.end("test", logs)
    return logs


def predict(
    executor: Any,
    inputs: list[Array],
    lengths: Array | None,
    order: Order,
    batch_size: int,
    outputs: list[Array],
    callbacks: CallbackList,
    bar: ProgressBar,
) -> None:
    """Fill `outputs` with the predictions for the samples in `order`."""
    watch = Watch("predict", steps_of(order, batch_size), callbacks, bar)
    callbacks.begin("predict")
    watch.begin()
    executor.predict(
        inputs,
        order,
        batch_size=batch_size,
        outputs=outputs,
        lengths=lengths,
        on_batch=lambda done: watch.on_batch(done, dict),
        every_batch=watch.every_batch,
    )
    callbacks.end("predict", {})
