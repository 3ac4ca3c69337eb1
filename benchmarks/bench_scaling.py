"""How training steps scale: two threads beside one, more threads than processors, two processes at once.

More threads than processors come about in two ways: by asking for them, where rnncore takes as many as there are
processors ("asked", and "forced" is what it spares its users), and by calls from several Python threads at once.
scaling_model.py says what more cores give.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness import save

from rnncore import _core, functional, set_num_threads
from rnncore.bench import CELLS, PAUSE, Case, Shape, interleave, markdown
from rnncore.bench.cases import prepare_functions

SHAPES = ("small", "medium", "b8h256", "large", "xl", "b1long")
TIMES = 4  # more threads than processors
SECONDS = 0.5  # of a process's turn, at least; as long as that again it has to find out about the other one


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_rates(case: Case, rounds: int) -> dict[str, float]:
    """GFLOP/s of the median round with one team, and of all callers together."""
    count = processors()
    many = TIMES * count
    steps = [prepare_functions(functional, case) for _ in range(TIMES)]

    def on(threads: int, always: bool = False) -> None:
        _core.set_num_threads(threads, always=always)
        steps[0]()

    with ThreadPoolExecutor(TIMES) as callers:

        def at_once() -> None:
            set_num_threads(count)
            for job in [callers.submit(step) for step in steps]:
                job.result()

        calls: dict[str, Callable[[], Any]] = {
            "one": partial(on, 1),
            "all": partial(on, count),
            "asked": partial(on, many),
            "forced": partial(on, many, always=True),
            "callers": at_once,
        }
        times = interleave(calls, rounds=rounds)
    set_num_threads(count)
    work = {name: case.flop * (TIMES if name == "callers" else 1) for name in calls}
    return {name: work[name] / statistics.median(values) / 1e9 for name, values in times.items()}


# These run in a process of their own; the barrier and the count of those who are done are shared.

_start: Any = None
_done: Any = None
_step: Callable[[], Any] = print


def _share(start: Any, done: Any) -> None:
    global _start, _done
    _start, _done = start, done


def _prepare(case: Case) -> None:
    global _step
    _step = prepare_functions(functional, case)
    _step()


def _steps_a_second(seconds: float) -> float:
    count, begin = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - begin < seconds:
        _step()
        count += 1
    return count / (time.perf_counter() - begin)


def _turn(together: bool, threads: int) -> float:
    """Steps a second. Together, processes begin at once, and go on until the other one has been measured, too."""
    set_num_threads(threads)
    time.sleep(PAUSE)
    if together:
        _start.wait()
    _steps_a_second(SECONDS if together else 0)
    rate = _steps_a_second(SECONDS)
    if together:
        with _done.get_lock():
            _done.value += 1
        while _done.value % 2:
            _step()
        _start.wait()
    return rate


def process_shares(pools: list[ProcessPoolExecutor], case: Case, rounds: int) -> dict[str, list[float]]:
    """What each of two processes keeps, when both run, of the rate that the first one has alone; medians.

    "serial" is the same with one thread for each process: what the machine gives without any contention for it.
    """
    for job in [pool.submit(_prepare, case) for pool in pools]:
        job.result()
    count = processors()
    shares: dict[str, list[list[float]]] = {"all": [], "serial": []}
    for _ in range(rounds):
        alone = pools[0].submit(_turn, False, count).result()
        for name, threads in (("all", count), ("serial", 1)):
            both = [job.result() for job in [pool.submit(_turn, True, threads) for pool in pools]]
            shares[name].append(sorted(rate / alone for rate in both))
    return {name: [statistics.median(v) for v in zip(*found, strict=True)] for name, found in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=[Shape.parse(name) for name in SHAPES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()

    context = get_context("spawn")
    shared = context.Barrier(2), context.Value("i", 0)
    pools = [ProcessPoolExecutor(1, mp_context=context, initializer=_share, initargs=shared) for _ in range(2)]
    records = []
    for cell in options.cells:
        for shape in options.shapes:
            print(cell, shape, file=sys.stderr, flush=True)
            case = Case(cell, shape, training=True)
            rates = threads_rates(case, options.rounds)
            shares = process_shares(pools, case, options.rounds)
            records.append({"cell": cell, "shape": list(shape), "gflops": rates, "process_shares": shares})
    for pool in pools:
        pool.shutdown()

    count, many = processors(), TIMES * processors()
    print(f"{count} processors; GFLOP/s of a training step, medians of {options.rounds} rounds; then ratios\n")
    header = ["case", "1 thread", f"{count} threads", f"{count} : 1"]
    header += [f"{name} : {count}" for name in (f"{many} asked", f"{many} forced", f"{TIMES} callers at once")]
    header += ["each of two processes : alone", "with one thread each"]
    save(options.json, records, processors=count)
    print(markdown(header, map(row, records)))


def row(record: dict[str, Any]) -> list[str]:
    one, everything, *others = record["gflops"].values()
    ratios = [everything / one, *(other / everything for other in others)]
    shares = [" ".join(f"{share:.2f}" for share in both) for both in record["process_shares"].values()]
    name = f"{record['cell']} {Shape(*record['shape'])}"
    return [name, f"{one:.0f}", f"{everything:.0f}", *(f"{ratio:.2f}" for ratio in ratios), *shares]


if __name__ == "__main__":
    main()
