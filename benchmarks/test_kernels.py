"""The kernel benchmarks as tests: `pytest benchmarks --benchmark-group-by=param:case`.

Each engine's answer is asserted before it is timed. To compare engines with each other use bench_kernels.py,
which interleaves them; this file is for comparing a change with the commit before it.
"""

from __future__ import annotations

import functools
import os

import pytest
from peers import ALL_PEERS

from rnncore.bench import CELLS, SHAPES, Case, Peer

THREADS = min(2, os.cpu_count() or 1)

CASES = [
    Case(cell, SHAPES[shape], training)
    for cell in CELLS
    for shape in ("tiny", "small", "medium")
    for training in (False, True)
]


@functools.cache
def engine(name: str) -> Peer:
    return ALL_PEERS[name](THREADS)


@pytest.mark.parametrize("name", ALL_PEERS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel(benchmark, case, name):
    try:
        prepared = engine(name).prepare(case)
    except ImportError as error:
        pytest.skip(f"{name}: {error}")
    if prepared is None:
        pytest.skip(f"{name} has no such operation")
    case.check(name, prepared.answer(prepared.call()))
    benchmark(prepared.call)
    benchmark.extra_info["gflops"] = case.flop / benchmark.stats["median"] / 1e9
