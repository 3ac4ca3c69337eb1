"""One pass over samples: the executor runs it, callbacks and the progress bar look on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from rnncore import _validation as check
from rnncore._data import Array
from rnncore.batches import Batches, Update
from rnncore.callbacks.base import CallbackList, Logs
from rnncore.training.compilation import Compilation
from rnncore.training.engine import Engine
from rnncore.training.progress import ProgressBar
from rnncore.training.windows import train_windows


class Watch:
    """What an executor calls between batches, part after part."""

    def __init__(
        self,
        mode: str,
        callbacks: CallbackList,
        bar: ProgressBar,
        logs: Callable[[], Logs] = dict,
        stops: Callable[[], bool] = lambda: False,
    ) -> None:
        self.mode = mode
        self.logs = logs
        self.stops = stops  # whether to end after this batch
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

    def on_batch(self, done: int) -> bool:
        """After `done` batches of the part; whether to stop."""
        number = self._before + done
        self._bar.update(number, self.logs)
        if self.every_batch:
            self._callbacks.batch_end(self.mode, number - 1, self.logs())
        if self.stops():
            return True
        if self.every_batch and done < self._steps:
            self._callbacks.batch_begin(self.mode, number)
        return False

    def end(self) -> None:
        """After the last batch of a part; parts of one batch may never get to `on_batch`."""
        self._bar.update(self._before + self._steps, self.logs)


def train(
    engine: Engine,
    compilation: Compilation,
    parts: Iterable[Batches],
    seed: int,
    callbacks: CallbackList,
    bar: ProgressBar,
    stops: Callable[[], bool],
    window: int | None = None,
) -> tuple[Logs, int]:
    """Train on the parts of an epoch; the logs, and the number of samples seen.

    With a `window` each batch is taken so many time steps at a time. Afterwards `optimizer.iterations` counts the
    steps done, even after an error.
    """
    state = compilation.state()
    watch = Watch("train", callbacks, bar, lambda: compilation.logs(state), stops)
    for part in parts:
        watch.begin(part.count)
        if window is None:
            _train_part(engine, compilation, part, seed, state, watch)
            watch.end()
        else:
            for number, batch in enumerate(part.each()):
                samples = batch.samples.take(batch.order)
                train_windows(engine, compilation.optimizer, samples, window, seed, state)
                stop = watch.on_batch(number + 1)
                _require_current(engine)
                if stop:
                    break
        if stops():
            break
    return compilation.logs(state), int(state[1])


def _require_current(engine: Engine) -> None:
    """Raise a RuntimeError if what trains is no longer what models read."""
    if not engine.is_current:
        raise RuntimeError(
            "the weights were moved between two batches, by a callback or another thread: a model that shares layers"
            " with the one in training, and has other layers or another dtype, must be built, compiled and run before"
        )


def _train_part(engine: Engine, compilation: Compilation, part: Batches, seed: int, state: Array, watch: Watch) -> None:
    optimizer = compilation.optimizer
    first, seen, steps = optimizer.iterations, float(state[1]), part.count
    rates = optimizer.rates(steps)

    def on_batch(done: int) -> bool:
        optimizer.iterations = first + done
        stop = watch.on_batch(done)
        _require_current(engine)
        if watch.every_batch and done < steps:
            rates[done] = optimizer.learning_rate  # the executor reads it next; a callback may have changed it
        return stop

    if watch.every_batch:
        rates[0] = optimizer.learning_rate
    try:
        engine.trainer.train(_run(engine, part, watch, on_batch), Update(rates, first, seed), state)
    finally:
        optimizer.iterations = first + math.ceil((state[1] - seen) / part.batch_size)


def evaluate(
    engine: Engine, compilation: Compilation, parts: Iterable[Batches], callbacks: CallbackList, bar: ProgressBar
) -> tuple[Logs, int]:
    """Measure the samples of the parts; the logs, and the number of samples seen."""
    state = compilation.state()
    watch = Watch("test", callbacks, bar, lambda: compilation.logs(state))
    callbacks.begin("test")
    for part in parts:
        watch.begin(part.count)
        engine.trainer.test(_run(engine, part, watch), state)
        watch.end()
    found = watch.logs()
    callbacks.end("test", found)
    return found, int(state[1])


def predict(
    engine: Engine, parts: Iterable[tuple[Batches, list[Array]]], callbacks: CallbackList, bar: ProgressBar
) -> None:
    """Fill the arrays that go with each part with its predictions."""
    watch = Watch("predict", callbacks, bar)
    callbacks.begin("predict")
    for part, outputs in parts:
        watch.begin(part.count)
        engine.executor.predict(_run(engine, part, watch), outputs)
        watch.end()
    callbacks.end("predict", {})


def _run(engine: Engine, part: Batches, watch: Watch, on_batch: Callable[[int], bool] | None = None) -> Batches:
    """A part as the executor is to run it."""
    states = engine.states_for(len(part.order), part.batch_size)
    calls = on_batch or watch.on_batch, watch.every_batch
    return Batches(part.samples, part.order, part.batch_size, states, part.resume, *calls)


def validated_epochs(freq: int | Sequence[int]) -> Callable[[int], bool]:
    """Whether epoch number k, counted from 1, is validated."""
    if isinstance(freq, (list, tuple, set)):
        chosen = {check.positive_int("each of validation_freq", number) for number in freq}
        return lambda number: number in chosen
    every = check.positive_int("validation_freq", freq)
    return lambda number: number % every == 0
