"""The command: choose cases and peers, check every answer, time, print."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..writing import write_whole
from .cases import CELLS, SHAPES, Case, Shape
from .peers import PEERS, Peer
from .table import Timing, tables
from .timing import interleave, matrix_product_peak

__all__ = ["load", "main", "measure", "processor"]


def main(
    arguments: Sequence[str] | None = None,
    *,
    program: str = "python -m rnncore bench",
    peers: Mapping[str, type[Peer]] = PEERS,
    shapes: Sequence[str] = ("tiny", "small", "medium", "large"),
    peak: Callable[[], float] = matrix_product_peak,
    peak_name: str = "NumPy matrix product",
    hindered: Callable[[], bool] | None = None,
) -> int:
    """Print GFLOP/s of rnncore and of its peers, side by side.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line after the program's name; that of the process by default.
    program : str
        Its name in the usage line.
    peers : mapping of str to type
        The engines that can be chosen; those that are not installed are left out, with a line that says so.
    shapes : sequence of str
        Shapes measured by default.
    peak : callable
        Returns the GFLOP/s that the machine reaches at this moment; printed before and after.
    peak_name : str
    hindered : callable, optional
        Tells of other reasons not to count a round, where ``--least-peak`` is given.

    Returns
    -------
    int
        0; a wrong answer of a peer is an AssertionError.

    Examples
    --------
    >>> from rnncore.bench import main
    >>> main(["--shapes", "7,5", "--peers", "rnncore"])
    Traceback (most recent call last):
    ...
    SystemExit: 2
    """
    parser = argparse.ArgumentParser(program, description="Time rnncore against the engines that are installed.")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", default=list(shapes), help=f"of {', '.join(SHAPES)}, or N,T,I,H")
    parser.add_argument("--modes", nargs="+", choices=("training", "forward"), default=["training", "forward"])
    parser.add_argument("--peers", nargs="+", choices=peers, default=list(peers))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a peer's turn in a round")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--least-peak",
        type=float,
        default=0.0,
        metavar="GFLOPS",
        help="count only rounds before and after which the machine reaches it",
    )
    parser.add_argument("--json", type=Path, help="write every round to this file, too")
    options = parser.parse_args(arguments)
    try:
        chosen = [Shape.parse(text) for text in options.shapes]
    except ValueError as error:
        parser.error(str(error))

    engines = load({name: peers[name] for name in options.peers}, options.threads)
    cases = [Case(c, shape, mode == "training") for mode in options.modes for c in options.cells for shape in chosen]
    versions = {engine.name: engine.version for engine in engines}
    print(f"{processor()}, {options.threads} threads; {', '.join(map(' '.join, versions.items()))}", flush=True)
    before = peak()

    def steady() -> bool:
        return any(peak() >= options.least_peak for _ in range(3)) and not (hindered and hindered())

    timings = [
        timing
        for case in cases
        for timing in measure(
            case, engines, options.rounds, options.seconds, steady=steady if options.least_peak > 0 else None
        )
    ]
    peaks = before, peak()
    always = f", at least {options.least_peak:.0f} around every round" if options.least_peak > 0 else ""
    print(
        f"{peak_name}: {peaks[0]:.0f} GFLOP/s before, {peaks[1]:.0f} after{always}; "
        "GFLOP/s of the median (best) round:\n"
    )
    print(tables(timings))
    if options.json:
        facts = {"processor": processor(), "threads": options.threads, "versions": versions, peak_name: peaks}
        text = json.dumps({**facts, "timings": [*map(_record, timings)]}, indent=1) + "\n"
        write_whole(options.json, lambda file: file.write(text.encode()))
    return 0


def load(peers: Mapping[str, type[Peer]], threads: int) -> list[Peer]:
    """Start the engines that are installed, all on the same number of threads."""
    if hasattr(os, "sched_setaffinity"):  # for engines that use every processor they see
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    engines = []
    for name, peer in peers.items():
        try:
            engines.append(peer(threads))
        except ImportError as error:
            print(f"{name}: left out ({error})")
    return engines


def measure(
    case: Case,
    engines: Sequence[Peer],
    rounds: int = 5,
    seconds: float = 0.1,
    *,
    steady: Callable[[], bool] | None = None,
) -> list[Timing]:
    """Check the answer of every engine, then time them in turn; tell the case on the error stream."""
    print(case, file=sys.stderr, flush=True)
    light, case = case, replace(case)  # the arrays go with the copy
    calls = {}
    for engine in engines:
        prepared = engine.prepare(case)
        if prepared is not None:
            case.check(engine.name, prepared.answer(prepared.call()))
            calls[engine.name] = prepared.call
    times = interleave(calls, rounds=rounds, seconds=seconds, steady=steady)
    gc.collect()
    return [Timing(light, name, values) for name, values in times.items()]


def processor() -> str:
    """Name the processor."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _record(timing: Timing) -> dict[str, object]:
    return {
        "cell": timing.case.cell,
        "shape": list(timing.case.shape),
        "mode": "training" if timing.case.training else "forward",
        "peer": timing.peer,
        "gflops": timing.median,
        "seconds": timing.seconds,
    }
