"""What a layer's options cost: a training step of one recurrent layer with each of them, beside none.

Each is a step of the compiled executor, forward and all gradients, also that of the input. With `projection_units` of
half the units the products have half the work for h, and there is one more; `checkpoint_every` a tenth of the steps
runs them forward twice.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import check_step, executor_step, layer_options, save

from rnncore import layers, models, set_num_threads
from rnncore.bench import Case, Shape, interleave, markdown

LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
RATE = 0.3
# Arguments of the layer, or of `fit`. Those that only an LSTM has come last.
VARIANTS = {
    "none": "",
    "dropout": "dropout",
    "recurrent_dropout": "recurrent_dropout",
    "both": "dropout recurrent_dropout",
    "zoneout": "zoneout",
    "layer_normalization": "layer_normalization",
    "checkpoint_every": "checkpoint_every",
    "peepholes": "peepholes",
    "projection_units": "projection_units",
}
LSTM_ONLY = ("peepholes", "projection_units")


def training_step(case: Case, options: str, backend: str) -> Callable[[], tuple[Any, Any]]:
    """Make a training step with the case's weights; it returns the output and the gradient of the input."""
    _, steps, inputs, units = case.shape
    values = {
        "layer_normalization": True,
        "peepholes": True,
        "projection_units": max(units // 2, 1),
        "checkpoint_every": max(steps // 10, 1),
    }
    given = {name: values.get(name, RATE) for name in options.split()}
    checkpoint_every = given.pop("checkpoint_every", None)
    x, doutput = case.data["x"], np.ascontiguousarray(case.doutput[..., : given.get("projection_units")])
    layer = LAYERS[case.cell](units, return_sequences=True, seed=1, **given)
    model = models.Sequential([layers.Input((steps, inputs)), layer])
    model.compile("sgd", "mse", backend=backend)
    model._checkpoint_every = checkpoint_every
    weights = [case.data[name] for name in ("kernel", "recurrent_kernel", "bias")]
    if "projection_units" in given:  # whose matrices have other shapes
        random = np.random.default_rng(1)
        weights = [random.uniform(-(units**-0.5), units**-0.5, w.shape).astype(w.dtype) for w in model.get_weights()]
    model.set_weights([*weights, *model.get_weights()[len(weights) :]])
    return executor_step(model, x, doutput)


def check(case: Case, options: str) -> None:
    """Compare both executors on a few rows and steps; raise AssertionError unless they agree."""
    rows, steps, inputs, units = case.shape
    few = Case(case.cell, Shape(min(rows, 4), min(steps, 6), inputs, units), training=True)
    answers = [training_step(few, options, backend)() for backend in ("compiled", "reference")]
    check_step(f"{few}, {options}", *answers, tolerance=2e-4)


def main() -> None:
    options = layer_options(__doc__, ("small", "medium", "b8h256", "large"), rounds=5)

    set_num_threads(options.threads)
    records = []
    for cell in options.cells:
        for shape in options.shapes:
            print(cell, shape, file=sys.stderr, flush=True)
            case = Case(cell, shape, training=True)
            chosen = {name: given for name, given in VARIANTS.items() if cell == "lstm" or name not in LSTM_ONLY}
            for given in chosen.values():
                check(case, given)
            calls = {name: training_step(case, given, "compiled") for name, given in chosen.items()}
            times = interleave(calls, rounds=options.rounds)
            seconds = {name: statistics.median(values) for name, values in times.items()}
            records.append({"cell": cell, "shape": list(shape), "seconds": seconds})
    print(f"{options.threads} threads, rate {RATE}, medians of {options.rounds} rounds; milliseconds, and × none\n")
    print(markdown(["case", "none, ms", *list(VARIANTS)[1:]], map(row, records)))
    save(options.json, records, threads=options.threads)


def row(record: dict[str, Any]) -> list[str]:
    seconds = record["seconds"]
    ratios = [f"{seconds[name] / seconds['none']:.2f}" if name in seconds else "" for name in list(VARIANTS)[1:]]
    return [f"{record['cell']} {Shape(*record['shape'])}", f"{1e3 * seconds['none']:.3g}", *ratios]


if __name__ == "__main__":
    main()
