"""A guard that noise cannot fool: instructions that fixed small calls execute in the compiled core.

Runs each case under `valgrind --tool=callgrind` at the AVX2 level (valgrind knows no AVX-512) on one thread, adds up
what was executed inside the core but for its import, and compares with `instruction_counts.json`. Counts belong to one
compiler: with another one there is nothing to compare with, and the script says so.

    python benchmarks/instruction_counts.py            # fails when a count is over its limit
    python benchmarks/instruction_counts.py --update   # after a change that is meant
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASELINE = Path(__file__).with_suffix(".json")
TOLERANCE = 0.02

_RECURRENT = """
import numpy as np
from rnncore import functional
rng = np.random.default_rng(0)
N, T, I, H, gates = {shape}
x, dy = (rng.normal(size=(N, T, k)).astype("f4") for k in (I, H))
kernel, recurrent_kernel = (rng.normal(size=(k, gates * H)).astype("f4") / 4 for k in (I, H))
for _ in range(20):
    result = functional.{cell}(x, kernel, recurrent_kernel, training=True)
    functional.backward(result.tape, dy)
"""

_TUTORIAL = """
import numpy as np
from rnncore.layers import Dense, SimpleRNN
from rnncore.models import Sequential
from rnncore.utils import set_random_seed
set_random_seed(0)
x = np.sin(np.arange(640) / 10).astype("f4")[:, None, None]
model = Sequential([SimpleRNN(10, input_shape=(1, 1)), Dense(1)])
model.compile(optimizer="rmsprop", loss="mse")
model.fit(x, x[:, 0], epochs=20, verbose=0)
"""

CASES = {
    **{
        f"{cell} training, {name}": _RECURRENT.format(cell=cell, shape=(*shape, gates))
        for cell, gates in (("lstm", 4), ("gru", 3), ("simple_rnn", 1))
        for name, shape in {"one row": (1, 20, 4, 16), "a batch": (13, 6, 9, 40)}.items()
    },
    "tutorial fit": _TUTORIAL,
}


def instructions_in_core(program: str) -> int:
    """Instructions executed inside the compiled core by a Python program."""
    environment = {**os.environ, "RNNCORE_ISA": "avx2", "RNNCORE_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no"]
        run = subprocess.run([*command, sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stderr[-2000:])
        return sum_of_object(out, "_core")


def sum_of_object(out: Path, name: str) -> int:
    """Self cost of the functions of one shared object in a callgrind profile."""
    total, inside, skip = 0, False, False
    with out.open() as lines:
        for line in lines:
            if line.startswith("ob="):
                inside = name in line.rsplit("/", 1)[-1]
            elif line.startswith("calls="):
                skip = True  # the next line is the cost of the callee
            elif line[:1].isdigit() or line[:1] in "+-*":
                if inside and not skip:
                    total += int(line.split()[1])
                skip = False
    return total


def main() -> int:
    """Count, compare, report; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--update", action="store_true", help="write the counts as the new baseline")
    update = parser.parse_args().update
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing counted")
        return 0
    from rnncore import _core

    compiler = _core.build_info()["compiler"]
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    expected = baselines.get(compiler)
    if expected is None and not update:
        print(f"no counts are stored for {compiler}: nothing to compare with")
        return 0
    counts, failed = {}, 0
    imported = instructions_in_core("from rnncore import functional, layers, models, utils")
    for name, program in CASES.items():
        counts[name] = instructions_in_core(program) - imported
        change = "" if not expected or name not in expected else f"{counts[name] / expected[name] - 1:+.1%}"
        bad = bool(change) and counts[name] > expected[name] * (1 + TOLERANCE)
        failed += bad
        print(f"{name:32} {counts[name]:>12,} {change}{'  over its limit' if bad else ''}", flush=True)
    if update:
        BASELINE.write_text(json.dumps({**baselines, compiler: counts}, indent=2) + "\n")
        return 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
