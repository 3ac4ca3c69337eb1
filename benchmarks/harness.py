"""What every benchmark shares: native code compiled on demand, the machine's peak, and files of results."""

from __future__ import annotations

import argparse
import ctypes
import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnncore.bench import CELLS, Shape, processor
from rnncore.models import Sequential

HERE = Path(__file__).parent
BUILD = HERE / "build"


def compile_library(source: Path, *flags: str) -> ctypes.CDLL:
    """Compile a C++ file to a shared library, once for each text and set of flags.

    Raises
    ------
    ImportError
        Without a compiler, or when the file does not compile.
    """
    command = ["g++", "-std=c++20", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(source), *flags]
    key = hashlib.sha256(source.read_bytes() + "\0".join(command).encode()).hexdigest()[:16]
    library = BUILD / f"{source.stem}-{key}.so"
    if not library.exists():
        if shutil.which("g++") is None:
            raise ImportError("g++ is not installed")
        BUILD.mkdir(exist_ok=True)
        unfinished = library.with_suffix(".tmp")
        result = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise ImportError(f"{source.name} does not compile: {result.stderr.strip()}")
        unfinished.rename(library)
    return ctypes.CDLL(str(library))


def fma_peak(threads: int = 2, milliseconds: int = 50) -> float:
    """GFLOP/s of float32 fused multiply-adds on registers, all threads at once: the roof of the machine, now."""
    library = compile_library(HERE / "peak.cpp")
    library.fma_peak.restype = ctypes.c_double
    return float(library.fma_peak(ctypes.c_int(threads), ctypes.c_int(milliseconds)))


def machine_library() -> ctypes.CDLL:
    """What measures caches, barriers and parallel regions, on the engine's own barrier."""
    core = HERE.parent / "cpp"
    return compile_library(HERE / "machine.cpp", f"-I{core}", str(core / "core/team.cpp"))


def slow_to_meet(threads: int = 2, most: float = 100e-9) -> bool:
    """Whether a barrier of all threads takes more than `most` seconds, as when they are not near each other."""
    measure = machine_library().barrier_seconds
    measure.restype = ctypes.c_double
    return min(measure(ctypes.c_int(threads), ctypes.c_int64(10000)) for _ in range(2)) > most


def save(path: Path | None, records: Iterable[Mapping[str, Any]], **facts: Any) -> None:
    """Write what was measured, with the processor and the date, as JSON; nothing without a path."""
    if path:
        head = {"processor": processor(), "date": dt.date.today().isoformat(), **facts}
        path.write_text(json.dumps({**head, "records": [*records]}, indent=1) + "\n")


def layer_options(description: str | None, shapes: Sequence[str], rounds: int) -> argparse.Namespace:
    """What the command line asks of a benchmark of recurrent layers; `shapes` and `rounds` by default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=[Shape.parse(name) for name in shapes])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    return parser.parse_args()


def executor_step(model: Sequential, x: np.ndarray, doutput: np.ndarray) -> Callable[[], tuple[Any, Any]]:
    """Make a compiled model's training step, which returns the output and the gradient of the input."""
    model.forward(x, training=True)
    executor = model._session.engine(model).executor

    def step() -> tuple[Any, Any]:
        return executor.forward([x], None, training=True, seed=0, step=0)[0], executor.backward([doutput])[0]

    return step


def check_step(about: str, actual: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    """Raise AssertionError unless outputs and gradients of the input agree, by their largest element."""
    for name, one, other in zip(("output", "x"), actual, expected, strict=True):
        error = np.abs(one - other).max() / np.abs(other).max()
        if not error <= tolerance:
            raise AssertionError(f"{about}: {name} is off by {error:.1e} of its largest element")
