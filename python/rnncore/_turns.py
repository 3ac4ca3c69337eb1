"""Who has what only one thread can use at a time."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ._sequence_arguments import Array

LOOK = 0.05  # seconds, after which who waits looks whether a handler has forked: the lock of a child is another

_all: weakref.WeakSet[Turns]


class Turns:
    """A lock that a thread may take again while it has it, and that a forked child finds free.

    The threads that held it in the parent are not there to give it back.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._holder: int | None = None
        self._depth = 0
        self._series: list[int] = []  # threads that are in one, as often as they are
        _all.add(self)

    def __enter__(self) -> Turns:
        self.take(-1)
        return self

    def __exit__(self, *_: object) -> None:
        self.give()

    def __reduce__(self) -> tuple[type[Turns], tuple[()]]:
        return Turns, ()

    @contextmanager
    def series(self) -> Iterator[None]:
        """Around turns that belong together, between which others may have theirs."""
        thread = threading.get_ident()
        self._series.append(thread)
        try:
            yield
        finally:
            self._series.remove(thread)

    @property
    def in_series(self) -> bool:
        """Whether some thread is between turns that belong together."""
        return bool(self._series)

    def take(self, seconds: float) -> bool:
        """Wait so long at most, for ever if negative; whether it is this thread's now.

        What the handler of a signal raises ends the wait, without it.
        """
        thread = threading.get_ident()
        if self._holder == thread:
            self._depth += 1
            return True
        end = time.monotonic() + seconds if seconds >= 0 else math.inf
        while (left := end - time.monotonic()) > 0:
            lock = self._lock
            try:
                taken = lock.acquire(timeout=min(left, LOOK))
            except BaseException:
                with suppress(RuntimeError):  # of a lock that it has not got
                    lock.release()
                raise
            if taken and lock is self._lock:
                self._holder, self._depth = thread, 1
                return True
        return False

    def give(self) -> None:
        """Once for each time that it was taken."""
        self._depth -= 1
        if self._depth == 0:
            self._holder = None
            self._lock.release()

    @property
    def mine(self) -> bool:
        """Whether this thread has it already."""
        return self._holder == threading.get_ident()

    def _in_child(self) -> None:
        self._series = [thread for thread in self._series if thread == threading.get_ident()]
        if not self.mine:
            self._lock, self._holder, self._depth = threading.RLock(), None, 0


_all = weakref.WeakSet()
_by_address: weakref.WeakValueDictionary[int, Turns] = weakref.WeakValueDictionary()
_finding = Turns()


def turns_with(weights: Array) -> Turns:
    """Those with the weights at an address, as long as someone has them."""
    with _finding:
        return _by_address.setdefault(weights.__array_interface__["data"][0], Turns())


def _in_child() -> None:
    for turns in list(_all):
        turns._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
