"""The progress display: a bar in a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore.callbacks.base import Logs

WIDTH = 20
INTERVAL = 0.05  # seconds between two drawings
VERBOSE = {"auto": 1, 0: 0, 1: 1, 2: 2}


def verbosity(value: Any) -> int:
    """0 silent, 1 bar, 2 one line; "auto" is 1."""
    if not isinstance(value, (str, int)) or value not in VERBOSE:
        raise ValueError(f'verbose must be "auto", 0, 1 or 2, got {value!r}')
    return VERBOSE[value]


class ProgressBar:
    """Shows one epoch, evaluation or prediction.

    Parameters
    ----------
    steps : int or None
        Batches to do; None where nobody knows.
    verbose : {0, 1, 2}
    title : str
        Such as `Epoch 1/5`; may be empty.
    """

    def __init__(self, steps: int | None, verbose: int, title: str = "") -> None:
        self._steps = steps
        self._title = title
        self._silent = verbose == 0
        self._live = verbose == 1 and (sys.stdout.isatty() or "ipykernel" in sys.modules)
        self._start = time.perf_counter()
        self._done = 0  # batches
        self._drawn = 0.0  # seconds after the start
        self._shown = 0  # characters on the current line
        if self._live and title:
            print(title)

    def update(self, done: int, logs: Callable[[], Logs]) -> None:
        """Redraw the bar after `done` batches, unless it was drawn a moment ago."""
        self._done = done
        passed = time.perf_counter() - self._start
        if self._live and passed - self._drawn >= INTERVAL:
            self._drawn = passed
            clock = _clock(passed if self._steps is None else passed / done * (self._steps - done))
            self._draw(f"{self._bar(done)} {clock} {self._speed(passed, done)}{_numbers(logs())}")

    def finish(self, logs: Logs) -> None:
        """Show the final line."""
        if self._silent:
            return
        if self._steps is None:
            self._steps = self._done
        passed = time.perf_counter() - self._start
        if self._live:
            self._draw(f"{self._bar(self._steps)} {_clock(passed)} {self._speed(passed, self._steps)}{_numbers(logs)}")
            self._end_line()
        else:
            parts = [self._title] if self._title else []
            parts += [f"{self._steps}/{self._steps}", _clock(passed), self._speed(passed, self._steps)]
            print(" - ".join(parts) + _numbers(logs), flush=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._end_line()  # so that a message about an error starts on its own line

    def _end_line(self) -> None:
        if self._shown:
            print(flush=True)
            self._shown = 0

    def _bar(self, done: int) -> str:
        if self._steps is None:
            return f"{done}/Unknown"
        full = WIDTH * done // max(self._steps, 1)
        heavy, light = ("━", "─") if _can_print("━─") else ("=", ".")
        return f"{done:>{len(str(self._steps))}}/{self._steps} {heavy * full}{light * (WIDTH - full)}"

    def _speed(self, passed: float, done: int) -> str:
        seconds = passed / max(done, 1)
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/step"
        if seconds >= 1e-3:
            return f"{seconds * 1e3:.0f}ms/step"
        return f"{seconds * 1e6:.0f}us/step"

    def _draw(self, line: str) -> None:
        sys.stdout.write("\r" + line.ljust(self._shown))
        sys.stdout.flush()
        self._shown = len(line)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"


def _numbers(logs: Logs) -> str:
    means = {key: float(np.mean(value)) for key, value in logs.items()}  # of a metric with a value for each output
    return "".join(f" - {key}: {value:{'.4f' if abs(value) > 1e-3 else '.4e'}}" for key, value in means.items())
