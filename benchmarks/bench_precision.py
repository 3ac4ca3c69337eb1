"""What a precision or an instruction set costs: float64 and bfloat16 products beside float32, AVX2 beside AVX-512.

Each is a training step of one recurrent layer in the compiled executor. A level's share is of its own peak of
fused multiply-adds, which is half of AVX-512's for AVX2.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import check_step, executor_step, fma_peak, layer_options, save

from rnncore import _core, layers, models, set_num_threads
from rnncore.bench import Case, interleave, markdown

LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
POLICIES = {"float32": np.float32, "float64": np.float64, "mixed_bfloat16": np.float32}
ROUNDED = 5e-2  # of the largest element: what rounded factors may change
PEAK_OF_LEVEL = {"avx512": 1.0, "avx2": 0.5, "portable": 0.125}  # lanes, and no fused multiply-add on the last


def prepare(case: Case, policy: str, level: str) -> Callable[[], Any]:
    """A training step with the case's weights; its answer is checked first."""
    _, steps, inputs, units = case.shape
    _core.set_isa(level)  # which the executor keeps
    model = models.Sequential([layers.Input((steps, inputs)), LAYERS[case.cell](units, return_sequences=True)])
    model.compile("sgd", "mse", dtype_policy=policy)
    model.set_weights([case.data[name] for name in ("kernel", "recurrent_kernel", "bias")])
    dtype = POLICIES[policy]
    x, doutput = case.data["x"].astype(dtype), case.doutput.astype(dtype)
    step = executor_step(model, x, doutput)
    limit = ROUNDED if policy == "mixed_bfloat16" else 2e-4
    check_step(f"{case}, {policy}, {level}", step(), (case.answer.output, case.answer.x), limit)
    return step


def main() -> None:
    options = layer_options(__doc__, ("small", "medium", "b8h256", "large", "xl", "b1long"), rounds=5)

    set_num_threads(options.threads)
    best, *_ = _core.isa_levels()
    variants = {policy: (policy, best) for policy in POLICIES}
    variants |= {level: ("float32", level) for level in _core.isa_levels() if level not in (best, "portable")}
    peak = fma_peak(options.threads)
    print(f"{options.threads} threads, FMA peak {peak:.0f} GFLOP/s; GFLOP/s of the median round, and × float32\n")
    rows, records = [], []
    for cell in options.cells:
        for shape in options.shapes:
            case = Case(cell, shape, training=True)
            steps = {name: prepare(case, *variant) for name, variant in variants.items()}
            times = interleave(steps, rounds=options.rounds)
            rates = {name: case.flop / statistics.median(values) / 1e9 for name, values in times.items()}
            records.append({"cell": cell, "shape": list(shape), "gflops": rates})
            columns = [f"{rates['float32']:.0f}"]
            columns += [
                f"{rate:.0f} ({rate / rates['float32']:.2f})" for name, rate in rates.items() if name != "float32"
            ]
            shares = [f"{rates[name] / peak / PEAK_OF_LEVEL[name]:.0%}" for name in rates if name in PEAK_OF_LEVEL]
            rows.append([str(case).removesuffix(" training"), *columns, f"{rates['float32'] / peak:.0%}", *shares])
            print(rows[-1], flush=True)
    _core.set_isa(best)
    levels = [name for name in variants if name in PEAK_OF_LEVEL]
    header = ["case", *variants, "share of peak", *(f"{level}, of its own" for level in levels)]
    print("\n" + markdown(header, rows))
    save(options.json, records, threads=options.threads, peak=peak)


if __name__ == "__main__":
    main()
