"""Steps that happen whole or not at all, whatever interrupts them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ._sequence_arguments import Array
from .program import Program


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block is done, so that it cannot leave half a step."""
    is_main = threading.current_thread() is threading.main_thread()  # no other thread is interrupted
    if not is_main or signal.getsignal(signal.SIGINT) is None:  # None: handled outside Python
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held and callable(previous):
            previous(*held[-1])


@contextmanager
def undone_on_error(program: Program, parameters: Array) -> Iterator[list[tuple[Array, Array]]]:
    """Put back what a forward pass in training itself moves of the parameters (P,) when an exception ends the block.

    It yields what is to be put back, which the block clears once the step is whole.
    """
    windows = [parameters[p.offset : p.offset + p.size] for p in program.moved]
    undo = [(window, window.copy()) for window in windows]
    try:
        yield undo
    except BaseException:
        for window, before in undo:
            window[...] = before
        raise
