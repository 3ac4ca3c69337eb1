"""How training steps scale: one thread and two; more threads than processors; two processes at once.

The last columns say what Amdahl's law makes of the one- and two-thread times for more cores; docs/performance.md
says where caches, bandwidth and barriers set other limits.
"""

from __future__ import annotations

import argparse
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from rnncore import functional, set_num_threads
from rnncore.bench import CELLS, Case, Shape, interleave, markdown
from rnncore.bench.cases import prepare_functions

SHAPES = ("small", "medium", "b8h256", "large", "xl", "b1long")
PREDICTED = (8, 16, 64)


def serial_part(one: float, two: float) -> float:
    """Share s of the one-thread time that a second thread does not shorten: two = one·(s + (1 - s)/2) (Amdahl 1967)."""
    return min(1.0, max(0.0, 2 * two / one - 1))


def rates(case: Case, threads: list[int], rounds: int) -> list[float]:
    """GFLOP/s of the median round on each number of threads, interleaved."""
    step = prepare_functions(functional, case)

    def on(count: int) -> Any:
        def call() -> None:
            set_num_threads(count)
            step()

        return call

    times = interleave({str(count): on(count) for count in threads}, rounds=rounds)
    return [case.flop / statistics.median(values) / 1e9 for values in times.values()]


def _alone_or_together(cell: str, shape: tuple[int, ...], threads: int, rounds: int) -> float:
    return rates(Case(cell, Shape(*shape), training=True), [threads], rounds)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=[Shape.parse(name) for name in SHAPES])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{processors} processors; GFLOP/s of a training step, median of {options.rounds} rounds\n")
    rows = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for cell in options.cells:
            for shape in options.shapes:
                one, two, many = rates(Case(cell, shape, training=True), [1, 2, 4 * processors], options.rounds)
                jobs = [pool.submit(_alone_or_together, cell, shape, processors, options.rounds) for _ in range(2)]
                both = sum(job.result() for job in jobs)
                serial = serial_part(1 / one, 1 / two)
                predicted = [f"{1 / (serial + (1 - serial) / count):.1f}" for count in PREDICTED]
                row = [f"{cell} {shape}", f"{one:.0f}", f"{two:.0f}", f"{two / one:.2f}", f"{many / two:.2f}"]
                rows.append([*row, f"{both / two:.2f}", *predicted])
                print(rows[-1], flush=True)
    header = ["case", "1 thread", "2 threads", "2 : 1", f"{4 * processors} threads : 2", "two processes : one"]
    print("\n" + markdown([*header, *(f"{count} cores : 1, Amdahl" for count in PREDICTED)], rows))


if __name__ == "__main__":
    main()
