"""How it is measured: interleaved rounds, so that a slow minute of the machine slows every peer alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["PAUSE", "interleave", "matrix_product_peak"]

# Idle threads of a pool spin for some milliseconds before they sleep and would take the next peer's core.
PAUSE = 0.05
PATIENCE = 600.0  # seconds


def interleave(
    calls: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 5,
    seconds: float = 0.1,
    steady: Callable[[], bool] | None = None,
) -> dict[str, list[float]]:
    """Time calls in turn: A B C, A B C, ...

    Parameters
    ----------
    calls : mapping of str to callable
    rounds : int, default 5
    seconds : float, default 0.1
        Length of one turn: a call is repeated for about that long.
    steady : callable, optional
        Tells whether the machine is as fast as it should be. A round counts, for all calls alike, only if it is so
        before and after it; others are repeated.

    Returns
    -------
    dict of str to list of float
        Seconds of one call, for each round.

    Raises
    ------
    TimeoutError
        If the machine is not steady for ten minutes.

    Examples
    --------
    >>> from rnncore.bench import interleave
    >>> times = interleave({"sum": lambda: sum(range(100))}, rounds=3, seconds=0.001)
    >>> len(times["sum"]), min(times["sum"]) > 0
    (3, True)
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {name: _repeats(call, seconds) for name, call in calls.items()}
    for _ in range(rounds):
        limit = time.monotonic() + PATIENCE
        while True:
            fast = steady is None or steady()
            found = {}
            for name, call in calls.items() if fast else ():
                time.sleep(PAUSE)
                _run(call, min(repeats[name], 3))  # wake the threads and fill the caches
                found[name] = _run(call, repeats[name]) / repeats[name]
            if fast and (steady is None or steady()):
                break
            if time.monotonic() > limit:
                raise TimeoutError(f"the machine was not steady for {PATIENCE:.0f} s")
            time.sleep(1)
        for name, value in found.items():
            times[name].append(value)
    return times


def matrix_product_peak() -> float:
    """GFLOP/s of a large float32 `numpy.matmul`, on NumPy's own threads: a stand-in for the machine's peak."""
    a = np.ones((2048, 2048), np.float32)
    out = np.empty_like(a)
    _run(lambda: np.matmul(a, a, out=out), 2)
    best = min(_run(lambda: np.matmul(a, a, out=out), 1) for _ in range(5))
    return 2 * len(a) ** 3 / best / 1e9


def _repeats(call: Callable[[], Any], seconds: float) -> int:
    """How many calls fill a turn."""
    call()  # compile, allocate
    repeats, elapsed = 1, _run(call, 1)
    while elapsed < seconds / 4:
        repeats *= 4
        elapsed = _run(call, repeats)
    return max(1, round(repeats * seconds / elapsed))


def _run(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start
