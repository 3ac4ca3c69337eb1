"""What a training step keeps between forward and backward: floats per row and step, beside PyTorch.

Measured as the growth of the process's resident memory (Linux), so that nothing an engine holds is overlooked,
and in a new process for each number, so that no freed memory is used again. The output (H floats) is counted,
the input, which the caller holds, is not. The peak of a step includes the gradients.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness import save

from rnncore import functional
from rnncore.bench import CELLS, PEERS, Case, Peer, Shape, markdown, time_major

WARM_UP = Shape(1, 2, 4, 16)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_resident() -> int:
    """Most bytes of this process in memory since the peak was reset."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def forward_rnncore(case: Case) -> Any:
    function, data = getattr(functional, case.cell), case.data
    return lambda: function(**data, training=True)


def forward_torch(case: Case) -> Any:
    torch: Any = importlib.import_module("torch")
    module = getattr(torch.nn, PEERS["torch"].modules[case.cell])(case.shape.inputs, case.shape.units)
    x = torch.tensor(time_major(case.data["x"]), requires_grad=True)
    return lambda: module(x)


FORWARD = {"rnncore": forward_rnncore, "torch": forward_torch}


def kept(peer: str, case: Case) -> int:
    """Bytes that a forward pass leaves behind for the backward pass."""
    warm_up(peer, case.cell)
    forward = FORWARD[peer](case)
    before = resident()
    result = forward()
    after = resident()
    del result
    return after - before


def peak(peer: str, case: Case) -> int:
    """Bytes that a whole training step takes at most."""
    step = warm_up(peer, case.cell).prepare(case).call
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident()
    step()
    return peak_resident() - before


MEASURES = {"kept for backward": kept, "peak of a step": peak}


def warm_up(peer: str, cell: str) -> Peer:
    """Load the code and start the threads."""
    engine = PEERS[peer](threads=1)
    case = Case(cell, WARM_UP, training=True)
    FORWARD[peer](case)()
    engine.prepare(case).call()
    return engine


def in_new_process(function: Callable[..., int], *arguments: Any) -> int:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=[Shape(64, 200, 64, 256)])
    parser.add_argument("--peers", nargs="+", choices=FORWARD, default=list(FORWARD))
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()

    rows, records = [], []
    for cell, shape, peer in itertools.product(options.cells, options.shapes, options.peers):
        try:
            sizes = [in_new_process(measure, peer, Case(cell, shape, training=True)) for measure in MEASURES.values()]
        except ImportError as error:
            print(f"{peer}: left out ({error})")
            continue
        floats = [size / 4 / (shape.rows * shape.steps) for size in sizes]
        names = {"cell": cell, "shape": list(shape), "peer": PEERS[peer].name}
        records.append({**names, "floats": dict(zip(MEASURES, floats, strict=True))})
        rows.append([f"{cell} {shape}", PEERS[peer].name, *(f"{f:.0f} = {f / shape.units:.1f} H" for f in floats)])
    save(options.json, records)
    print(markdown(["layer N,T,I,H; floats per (n, t)", "", *MEASURES], rows))


if __name__ == "__main__":
    main()
