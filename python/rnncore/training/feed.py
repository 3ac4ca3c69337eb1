"""Where the batches of an epoch come from: arrays in memory, or an iterable that gives batch after batch."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from rnncore._data import Array
from rnncore.batches import Batches, Samples
from rnncore.data.rows import Dataset
from rnncore.training.augment import Augment
from rnncore.training.draws import Draws

KEYS = ("x", "y", "sample_weight", "lengths")


class ArrayFeed:
    """Epochs over arrays: pass after pass over all rows, cut where epochs end, shuffled if `draws` are given."""

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        steps: int | None = None,
        draws: Draws | None = None,
        augment: Augment | None = None,
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._rows = samples.rows if steps is None else steps * batch_size
        self._draws = draws
        self._augment = augment
        self._order = np.empty(0, np.int64)
        self.steps: int | None = -(-self._rows // batch_size)

    def epoch(self, number: int) -> Iterator[Batches]:
        """The parts of epoch `number`: one, or with augmentation one for each chunk of rows."""
        order = self._next_order()
        if self._augment is None:
            yield Batches(self._samples, order, self._batch_size)
            return
        chunk = self._chunk()
        for start in range(0, len(order), chunk):
            rows = order[start : start + chunk]
            samples = self._augment(self._samples.take(rows), rows, number)
            yield Batches(samples, np.arange(len(rows)), self._batch_size)

    def skip(self, epochs: int) -> None:
        """Draw the order of so many epochs, which are done already."""
        for _ in range(epochs):
            self._next_order()

    def _next_order(self) -> Array:
        """The rows of the next epoch."""
        while len(self._order) < self._rows:
            count = self._samples.rows
            order = np.arange(count) if self._draws is None else self._draws.order.permutation(count)
            self._order = np.concatenate([self._order, order])
        order, self._order = self._order[: self._rows], self._order[self._rows :]
        return order

    def _chunk(self) -> int:
        """Rows to augment at a time: whole batches of about a million numbers."""
        row = sum(int(array[0].size) for array in self._samples.inputs)
        return self._batch_size * max(1, 2**20 // max(1, self._batch_size * row))


class Stream:
    """The batches of an iterable, of a generator, or of an object with `__len__` and `__getitem__`.

    With `steps` an epoch goes on where the last one stopped, into the next pass if need be; without, it begins anew.
    """

    def __init__(self, argument: str, source: Any, steps: int | None = None, draws: Draws | None = None) -> None:
        self.argument = argument
        self._source = source
        self._given_steps = steps
        self._draws = draws
        self._indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self.once = not self._indexed and hasattr(source, "__next__")
        self._iterator: Iterator[Any] | None = None
        self._peeked = self._warned = False
        self._seen: int | None = None  # batches of the last whole pass

    @property
    def steps(self) -> int | None:
        """The number of batches in an epoch, if it can be known."""
        if self._given_steps is not None:
            return self._given_steps
        if self._seen is not None:
            return self._seen
        try:
            return len(self._source)
        except TypeError:
            return None

    def epoch(self) -> Iterator[Any]:
        """The batches of the next epoch, as they come from the source."""
        self._notify("on_epoch_begin")
        if self._given_steps is None and not self._peeked:
            self._iterator = None
        self._peeked = False
        done = 0
        while self._given_steps is None or done < self._given_steps:
            fresh = self._iterator is None  # a pass that has given nothing yet
            self._iterator = self._iterator or self._start()
            for batch in self._iterator:
                fresh = False
                yield batch
                done += 1
                if done == self._given_steps:
                    break
            else:
                self._iterator = None
                if fresh and not self.once:
                    raise ValueError(f"{self.argument} must give at least one batch, got none")
                if self._given_steps is None and done:
                    self._seen = done
                    break
                if self.once:
                    self._ran_out(done)
                    break
        self._notify("on_epoch_end")

    def one_pass(self) -> Iterator[Any]:
        """The first `steps` batches, or all: what is only measured begins at the beginning, and nothing comes twice."""
        self._notify("on_epoch_begin")
        batches = self._iterator if self._peeked and self._iterator is not None else self._start()
        self._iterator, self._peeked, done = None, False, 0
        for done, batch in enumerate(batches, start=1):
            yield batch
            if done == self._given_steps:
                break
        else:
            if done == 0:
                raise ValueError(f"{self.argument} must give at least one batch, got none")
            if self._given_steps is not None:
                warn_of_few_batches(self.argument, self._given_steps, done)
        self._notify("on_epoch_end")

    def skip(self, epochs: int) -> None:
        """Draw the order of so many epochs, which are done already, where each is a shuffled pass."""
        if self._draws is not None and self._indexed and self._given_steps is None:
            for _ in range(epochs):
                self._draws.order.permutation(len(self._source))

    def peek(self) -> Any:
        """The first batch, which the next epoch will give again."""
        self._iterator = self._start()
        for batch in self._iterator:
            self._iterator = chain([batch], self._iterator)
            self._peeked = True
            return batch
        raise ValueError(f"{self.argument} must give at least one batch, got none")

    def _ran_out(self, done: int) -> None:
        if self._warned:
            return
        self._warned = True
        wanted = "at least one batch" if self._given_steps is None else f"{self._given_steps} batches in each epoch"
        warnings.warn(
            f"{self.argument} ran out of data; stopping early: it must give {wanted}, got {done} in this one",
            stacklevel=2,
        )

    def _start(self) -> Iterator[Any]:
        """A new pass over the source."""
        if not self._indexed:
            return iter(self._source)
        source = self._source
        order = list(range(len(source)))
        if self._draws is not None and isinstance(source, Dataset):
            source = source.shuffled(self._draws.order)
        elif self._draws is not None:
            order = self._draws.order.permutation(len(order)).tolist()
        workers = int(getattr(source, "workers", 1) or 1)
        if workers == 1:
            return (source[k] for k in order)
        return _prefetched(source, order, workers, int(getattr(source, "max_queue_size", 10)))

    def _notify(self, hook: str) -> None:
        if callable(function := getattr(self._source, hook, None)):
            function()


class StreamFeed:
    """Epochs over the batches of a stream, each converted by `convert` and perhaps augmented.

    With `measures` each epoch is one pass from the beginning. With `again` there are several: the batches of what can
    be read only once are kept for them.
    """

    def __init__(
        self, stream: Stream, convert: Callable[..., Samples], *, measures: bool = False, again: bool = False
    ) -> None:
        self._stream = stream
        self._convert = convert
        self._measures = measures
        self._keeps = again and stream.once
        self._kept: list[Batches] | None = None
        self.augment: Augment | None = None

    @property
    def steps(self) -> int | None:
        return self._stream.steps

    def skip(self, epochs: int) -> None:
        """As that of the stream."""
        self._stream.skip(epochs)

    def peek(self) -> None:
        """Convert the first batch, for a model that is built for it."""
        self._samples(0, self._stream.peek())

    def _samples(self, number: int, batch: Any) -> Samples:
        argument = f"batch {number} of {self._stream.argument}"
        try:
            return self._convert(*unpacked("it", batch))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{argument}: {error}") from error

    def epoch(self, number: int) -> Iterator[Batches]:
        """One part for each batch."""
        if self._kept is not None:
            yield from self._kept
            return
        seen = 0
        kept: list[Batches] = []
        for k, batch in enumerate(self._stream.one_pass() if self._measures else self._stream.epoch()):
            samples = self._samples(k, batch)
            rows = np.arange(seen, seen + samples.rows)
            seen += samples.rows
            if self.augment is not None:
                samples = self.augment(samples, rows, number)
            part = Batches.whole(samples)
            if self._keeps:
                kept.append(replace(part, samples=samples.take(part.order)))  # a generator may fill one array anew
            yield part
        self._kept = kept if self._keeps else None


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches rather than being arrays itself."""
    if x is None or isinstance(x, (Sequence, Mapping, np.generic)):
        return False
    if any(hasattr(x, name) for name in ("__array__", "__array_interface__", "__dlpack__")):
        return False
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def warn_of_few_batches(argument: str, wanted: int, got: int) -> None:
    """That fewer batches are measured than were asked for."""
    warnings.warn(f"{argument} ran out of data: it must give {wanted} batches, got {got}", stacklevel=2)


def unpacked(argument: str, batch: Any) -> tuple[Any, Any, Any, Any]:
    """x, y, sample_weight and lengths of a batch; what it does not have is None."""
    if isinstance(batch, Mapping) and "x" in batch and set(batch) <= set(KEYS):
        batch = tuple(batch.get(key) for key in KEYS)
    if not isinstance(batch, (tuple, list)):
        return batch, None, None, None
    if not 1 <= len(batch) <= len(KEYS):
        raise ValueError(f"{argument} must be (x, y), with sample_weight and lengths if wanted, got {len(batch)} items")
    x, y, sample_weight, lengths = (*batch, None, None, None)[:4]
    return x, y, sample_weight, lengths


def reject_beside_stream(argument: str, **given: Any) -> None:
    """ValueError for arguments that describe arrays when the batches come from an iterable."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be left out when {argument} is an iterable of batches")


def _prefetched(source: Any, order: list[int], workers: int, ahead: int) -> Iterator[Any]:
    """The batches in order, while threads already make the next ones."""
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: deque[Future[Any]] = deque()
        for k in order:
            waiting.append(pool.submit(source.__getitem__, k))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Without waiting for batches that are being made: whoever is interrupted would wait, too.
        pool.shutdown(wait=False, cancel_futures=True)
