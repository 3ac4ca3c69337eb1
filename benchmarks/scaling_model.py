"""What more cores give: a model of a training step, checked against one thread and two; see docs/performance.md.

The machine is measured first: a thread's peak, how fast it reads caches and memory, what a barrier and a region
cost. The one-thread times of forward and backward pass are measured, too. A phase then takes on p threads its
one-thread time, times what the roofline says of the part of the most loaded thread, over what it says of the whole.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness import fma_peak, machine_library, save

from rnncore import _core, functional, set_num_threads
from rnncore.bench import CELLS, Case, Shape, interleave, markdown
from rnncore.bench.cases import prepare_functions

SHAPES = ("tiny", "small", "medium", "b8h256", "large", "xl", "b1long")
CORES = (8, 16, 64)

# Assumed, since two cores cannot tell: cores that share a third-level cache, how many times as long a line of memory
# takes to come from another such group, and bytes a second that such a group reads from memory.
GROUP_CORES = 8
FAR = 4
GROUP_MEMORY = 50e9

# What the kernels do: rows of a register tile, steps of input products made ahead, blocks of a reduction that are
# packed together, work that is worth a thread.
TILE_ROWS = 6
CHUNK_STEPS = 16
REDUCTION_BLOCKS = 8
FLOP_PER_THREAD = 400e3
LANES = {"avx512": 16, "avx2": 8, "portable": 4, "neon": 4}


class Machine(NamedTuple):
    """Bytes, and FLOP, bytes and seconds of a thread while all are at work."""

    peak: float
    second_level: float  # bytes
    third_level: float  # bytes of a group's
    second_level_rate: float
    third_level_rate: float
    memory_rate: float
    barrier: float  # a round of it
    region: float  # of two threads

    def barrier_of(self, threads: int) -> float:
        """Rounds of signals follow one another; those to another group take longer."""
        rounds = math.ceil(math.log2(threads))
        far = max(0, rounds - int(math.log2(GROUP_CORES)))
        return self.barrier * (rounds + (FAR - 1) * (far + 1 if far else 0))

    def memory_rate_of(self, threads: int) -> float:
        """Threads of a group share its way to memory."""
        return min(self.memory_rate, GROUP_MEMORY / min(threads, GROUP_CORES))

    def seconds(self, load: Load, threads: int) -> float:
        """Roofline: the resource that is busy longest."""
        return max(
            load.flop / self.peak,
            load.second_level / self.second_level_rate,
            load.third_level / self.third_level_rate,
            load.memory / self.memory_rate_of(threads),
        )


class Load(NamedTuple):
    """What the most loaded thread does in a phase: operations, and bytes that come from each level."""

    flop: float
    second_level: float
    third_level: float
    memory: float


class Decomposition(NamedTuple):
    """How the steps are shared out: by "rows" or by "units"; the largest share; rows of that share."""

    split: str
    share: float
    rows: int


def measure_machine(threads: int) -> Machine:
    """Measure with all threads at work; the system tells the sizes."""
    library = machine_library()

    def native(name: str, *arguments: int) -> list[float]:
        function = getattr(library, name)
        function.restype = ctypes.c_double
        return [function(ctypes.c_int(threads), *map(ctypes.c_int64, arguments)) for _ in range(5)]

    second, third = cache_bytes(2), cache_bytes(3)
    return Machine(
        peak=max(fma_peak(threads) for _ in range(3)) * 1e9 / threads,
        second_level=second,
        third_level=third,
        second_level_rate=max(native("read_rate", second // 2, 20)),
        third_level_rate=max(native("read_rate", third // GROUP_CORES, 20)),
        memory_rate=max(native("read_rate", 4 * third, 20)),
        barrier=min(native("barrier_seconds", 10000)) / max(1, math.ceil(math.log2(threads))),
        region=min(native("region_seconds", 1000)) * 2 / threads,
    )


def cache_bytes(level: int) -> int:
    """Size of a cache of the first processor, as Linux tells it: `32768K`."""
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (cache / "level").read_text().strip() == str(level):
            return int((cache / "size").read_text().strip().removesuffix("K")) * 1024
    raise RuntimeError(f"no cache of level {level} is listed in /sys")


def block_units(case: Case) -> int:
    """Units that a block of packed weights holds: one vector, or several of a simple RNN's."""
    lanes = LANES[_core.isa()]
    vectors = math.ceil(case.shape.units / lanes)
    if case.cell != "simple_rnn" or vectors == 1:
        return lanes
    return lanes * (2 if vectors % 4 in (1, 2) else 4)


def decompose(case: Case, split: str, threads: int, pieces: int) -> Decomposition:
    """The largest share of the steps; the pieces are blocks, or vectors of units."""
    rows = case.shape.rows
    if split == "units":
        return Decomposition("units", math.ceil(pieces / threads) / pieces, rows)
    most = math.ceil(rows / threads)
    return Decomposition("rows", most / rows, most)


def loads(case: Case, threads: int, machine: Machine) -> tuple[dict[str, Load], int, str]:
    """Return what the most loaded thread does in each phase, the barriers of a training step, and the split."""
    rows, steps, inputs, units = case.shape
    gates = CELLS[case.cell]
    block = block_units(case)
    blocks = math.ceil(units / block)
    slots = 1 if case.cell == "simple_rnn" else 4
    tape = 4 * rows * steps * units * (slots + (case.cell == "lstm"))  # bytes
    product = 2 * rows * steps * gates * units  # operations for each input or unit of a row
    outside = tape > machine.third_level

    def step_load(split: Decomposition, columns: float) -> Load:
        """All steps: weights (columns, G·H) meet the rows, tile after tile; the tape is written or read."""
        weights = 4 * gates * units * columns * (split.share if split.split == "units" else 1)
        far = steps * weights if weights > machine.second_level else 0.0
        if split.split == "units":
            far += steps * 4 * rows * units * (1 - 1 / threads)  # what the others have made
        near = steps * weights * math.ceil(split.rows / TILE_ROWS)
        kept = split.share * tape
        return Load(product * columns * split.share, near, far + (0 if outside else kept), outside * kept)

    sharing = _core.sequence_sharing(case.cell, *case.shape, threads)
    forward = decompose(case, sharing["forward"], threads, blocks)
    backward = decompose(case, sharing["backward"], threads, math.ceil(units / block) * block // LANES[_core.isa()])
    columns = units + inputs / (CHUNK_STEPS * forward.rows / TILE_ROWS if sharing["chunked"] else 1)

    share = largest(math.ceil(rows * steps / TILE_ROWS), threads)
    near = share * math.ceil(rows * steps / TILE_ROWS) * 4 * gates * units * inputs
    dx = Load(product * inputs * share, near, 0 if outside else share * tape, outside * share * tape)

    strips = math.ceil(inputs / TILE_ROWS) + math.ceil(units / TILE_ROWS)
    share = largest(blocks * strips, threads)
    own = math.ceil(share * blocks)  # blocks that a thread packs, a group of them at a time
    bytes_ = tape * own / blocks + 4 * rows * steps * (inputs + units) * math.ceil(own / REDUCTION_BLOCKS)
    near = share * product * (inputs + units) * 4 / (2 * TILE_ROWS)
    dw = Load(product * (inputs + units) * share, near, 0 if outside else bytes_, outside * bytes_)

    phases = {"forward": step_load(forward, columns), "dh": step_load(backward, units), "dx": dx, "dW": dw}
    # The operations of a chunk's input product are those of the others.
    phases["forward"] = phases["forward"]._replace(flop=product * (inputs + units) * forward.share)
    barriers = steps * ((forward.split == "units") + (backward.split == "units"))
    return phases, barriers, forward.split if forward.split == backward.split else f"{forward.split}, {backward.split}"


def roof(case: Case, threads: int, machine: Machine) -> float:
    """Seconds of a training step at the roofline."""
    return sum(machine.seconds(load, threads) for load in loads(case, threads, machine)[0].values())


def largest(pieces: int, threads: int) -> float:
    return math.ceil(pieces / threads) / pieces


class Prediction(NamedTuple):
    """Of a training step."""

    threads: int  # that the engine takes
    split: str
    seconds: float
    barriers: float  # seconds of them


def predict(case: Case, cores: int, one: tuple[float, float], serial: float, machine: Machine) -> Prediction:
    """Predict from the one-thread seconds of forward and backward pass and those of an empty step."""
    threads = max(1, min(cores, int(case.flop / 3 / FLOP_PER_THREAD)))
    threads = _core.sequence_sharing(case.cell, *case.shape, threads)["threads"]
    whole, *_ = loads(case, 1, machine)
    part, barriers, split = loads(case, threads, machine)
    before = {name: machine.seconds(load, 1) for name, load in whole.items()}
    backward = sum(before.values()) - before["forward"]
    kernels = max(0.0, one[0] - serial / 2) * machine.seconds(part["forward"], threads) / before["forward"]
    for name in ("dh", "dx", "dW"):
        kernels += max(0.0, one[1] - serial / 2) * machine.seconds(part[name], threads) / backward
    waits = barriers * machine.barrier_of(threads)
    regions = 0.0 if threads == 1 else machine.region * threads  # two of them
    return Prediction(threads, split, serial + kernels + regions + waits, waits)


def measure(case: Case, threads: tuple[int, ...], rounds: int) -> list[tuple[float, float]]:
    """Median seconds of the forward and of the backward pass on each number of threads, interleaved."""
    function = getattr(functional, case.cell)
    step = prepare_functions(functional, case)

    def on(count: int, call: Callable[[], Any]) -> None:
        set_num_threads(count)
        call()

    forward = partial(function, **case.data, training=True)
    calls = {(count, name): (call, count) for count in threads for name, call in (("f", forward), ("s", step))}
    times = interleave({f"{key}": partial(on, count, call) for key, (call, count) in calls.items()}, rounds=rounds)
    medians = [statistics.median(values) for values in times.values()]
    return [(first, both - first) for first, both in zip(medians[::2], medians[1::2], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=[Shape.parse(name) for name in SHAPES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="to check the model with")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()

    checked = options.threads
    machine = measure_machine(checked)
    empty = Case("simple_rnn", Shape(1, 1, 1, 1), training=True)
    [(serial_forward, serial_backward)] = measure(empty, (1,), options.rounds)
    serial = serial_forward + serial_backward
    records = []
    for cell in options.cells:
        for shape in options.shapes:
            print(cell, shape, file=sys.stderr, flush=True)
            case = Case(cell, shape, training=True)
            one, several = measure(replace(case), (1, checked), options.rounds)
            predicted = {n: predict(case, n, one, serial, machine)._asdict() for n in (checked, *CORES)}
            record = {"cell": cell, "shape": list(shape), "one": sum(one), "several": sum(several)}
            record |= {"roof": roof(case, 1, machine), "roof_gflops": case.flop / roof(case, checked, machine) / 1e9}
            records.append({**record, "model": predicted[checked], "cores": {n: predicted[n] for n in CORES}})

    print(describe(machine, serial))
    print(
        f"\nTraining steps, medians of {options.rounds} rounds. Speed-up over one thread, with the threads that the\n"
        "engine takes where there are fewer, and how it shares the steps out.\n"
    )
    header = ["case", "1 thread, ms", "of its roof", f"{checked}: measured", f"{checked}: model"]
    print(markdown([*header, *(f"{count} cores" for count in CORES)], map(row, records)))
    errors = [record["model"]["seconds"] / record["several"] - 1 for record in records]
    worst = max(errors, key=abs)
    print(
        f"\nThe model's time on {checked} threads is off by {statistics.median(map(abs, errors)):.0%} in the median, "
        f"{worst:+.0%} at worst."
    )
    save(options.json, records, threads=checked, serial=serial, machine=machine._asdict())


def describe(machine: Machine, serial: float) -> str:
    rates = [f"{rate / 1e9:.0f}" for rate in machine[3:6]]
    sizes = [f"{size / 2**20:.0f} MiB" for size in machine[1:3]]
    return (
        f"A thread: {machine.peak / 1e9:.0f} GFLOP/s; reads {rates[0]} GB/s from the second-level cache ({sizes[0]}),\n"
        f"{rates[1]} from the third ({sizes[1]}), {rates[2]} from memory. Two threads: barrier "
        f"{machine.barrier * 1e9:.0f} ns,\n"
        f"region {machine.region * 1e9:.0f} ns. Two Python calls: {serial * 1e6:.1f} µs."
    )


def row(record: dict[str, Any]) -> list[str]:
    one = record["one"]
    cells = [f"{record['cell']} {Shape(*record['shape'])}", f"{1e3 * one:.3g}", f"{record['roof'] / one:.0%}"]
    cells += [f"{one / record['several']:.2f}", f"{one / record['model']['seconds']:.2f}"]
    return [*cells, *(gain(one, prediction, cores) for cores, prediction in record["cores"].items())]


def gain(one: float, prediction: dict[str, Any], cores: int) -> str:
    """Speed-up, split, and threads where they are fewer than cores."""
    threads = f", {prediction['threads']} threads" if prediction["threads"] < cores else ""
    return f"{one / prediction['seconds']:.1f} ({prediction['split']}{threads})"


if __name__ == "__main__":
    main()
