"""Stacked and bidirectional layers: a training step of two bidirectional layers, beside `torch.nn` and oneDNN.

rnncore runs the layers as one model in its executor, PyTorch as one module with `num_layers=2, bidirectional=True`;
both give the output and all gradients, which are compared. oneDNN does its four layers one by one, without what joins
them, so its time is a lower bound.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import layer_options, save
from peers import Onednn

from rnncore import layers, models
from rnncore.bench import CELLS, PEERS, Case, Shape, interleave, load, markdown, time_major

LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
TOLERANCE = 2e-4  # of the largest element
GATES = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "simple_rnn": [0]}  # PyTorch's order of rnncore's gates

Step = Callable[[], tuple[Any, ...]]


def single_cases(case: Case) -> list[Case]:
    """The four layers, each on its own: a layer of each direction reads x, another one what both have made."""
    rows, steps, inputs, units = case.shape
    return [Case(case.cell, Shape(rows, steps, width, units), training=True) for width in (inputs, 2 * units)] * 2


def output_gradient(case: Case) -> np.ndarray:
    """(N, T, 2·H)."""
    rows, steps, _, units = case.shape
    return np.random.default_rng(1).standard_normal((rows, steps, 2 * units), np.float32)


def prepare_rnncore(case: Case) -> tuple[Step, list[np.ndarray]]:
    """Make a step that gives the output and the gradients of x and of the weights; and return the weights."""
    _, steps, inputs, units = case.shape
    stack = [layers.Bidirectional(LAYERS[case.cell](units, return_sequences=True)) for _ in range(2)]
    model = models.Sequential([layers.Input((steps, inputs)), *stack])
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    weights = [random.uniform(-1, 1, w.shape).astype(np.float32) * units**-0.5 for w in model.get_weights()]
    model.set_weights(weights)
    x, doutput = case.data["x"], output_gradient(case)
    model.forward(x, training=True)
    engine = model._session.engine(model)

    def step() -> tuple[Any, ...]:
        output = engine.executor.forward([x], None, training=True, seed=0, step=0)[0]
        return output, engine.executor.backward([doutput])[0]

    return step, weights


def prepare_torch(case: Case, weights: list[np.ndarray]) -> Step:
    """Make the same step in PyTorch, time-major."""
    torch: Any = importlib.import_module("torch")
    _, _, inputs, units = case.shape
    kind = getattr(torch.nn, PEERS["torch"].modules[case.cell])
    module = kind(inputs, units, num_layers=2, bidirectional=True)

    def ordered(values: np.ndarray) -> np.ndarray:
        gates = values.reshape(*values.shape[:-1], CELLS[case.cell], units)
        return gates[..., GATES[case.cell], :].reshape(values.shape)

    parameters = iter(module.parameters())
    with torch.no_grad():
        for number in range(0, len(weights), 3):
            kernel, recurrent_kernel, bias = map(ordered, weights[number : number + 3])
            biases = bias if case.cell == "gru" else (bias, np.zeros_like(bias))
            for values in (kernel.T, recurrent_kernel.T, *biases):
                next(parameters).copy_(torch.tensor(values))
    x = torch.tensor(time_major(case.data["x"]), requires_grad=True)
    doutput = torch.tensor(time_major(output_gradient(case)))
    sources = (x, *module.parameters())

    def step() -> tuple[Any, ...]:
        output = module(x)[0]
        return output.detach(), *torch.autograd.grad(output, sources, doutput)

    return step


def check(case: Case, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    """Raise AssertionError unless output and gradient of x agree."""
    for name, one, other in zip(("output", "x"), ours, theirs[:2], strict=True):
        error = np.abs(one - time_major(other.numpy())).max() / np.abs(one).max()
        if not error <= TOLERANCE:
            raise AssertionError(f"{case}: {name} differs by {error:.1e} of its largest element")


def prepare_onednn(engine: Any, case: Case) -> Callable[[], None]:
    """Make the four layers, one after the other."""
    prepared = [engine.prepare(single) for single in single_cases(case)]

    def step() -> None:
        for layer in prepared:
            layer.call()

    return step


def main() -> None:
    options = layer_options(__doc__, ("small", "medium", "b8h256", "odd"), rounds=3)

    engines = {e.name: e for e in load({**PEERS, "onednn": Onednn}, options.threads)}
    records = []
    for cell in options.cells:
        for shape in options.shapes:
            print(cell, shape, file=sys.stderr, flush=True)
            case = Case(cell, shape, training=True)
            step, weights = prepare_rnncore(case)
            calls: dict[str, Callable[[], Any]] = {"rnncore": step}
            if "PyTorch" in engines:
                calls["PyTorch"] = prepare_torch(case, weights)
                check(case, step(), calls["PyTorch"]())
            if "oneDNN" in engines:
                calls["oneDNN, its layers"] = prepare_onednn(engines["oneDNN"], case)
            seconds = interleave(calls, rounds=options.rounds)
            flop = sum(single.flop for single in single_cases(case))
            records.append({"cell": cell, "shape": list(shape), "flop": flop, "seconds": seconds})
    print(f"{options.threads} threads, two bidirectional layers, GFLOP/s, median (best) of {options.rounds} rounds\n")
    print(table(records))
    save(options.json, records, threads=options.threads)


def table(records: list[dict[str, Any]]) -> str:
    names = list(records[0]["seconds"])
    rows = []
    for record in records:
        rates = [[record["flop"] / t / 1e9 for t in record["seconds"][name]] for name in names]
        medians = list(map(statistics.median, rates))
        cells = [f"{median:.3g} ({max(values):.3g})" for median, values in zip(medians, rates, strict=True)]
        ratios = [f"{medians[0] / other:.2f}" for other in medians[1:]]
        rows.append([f"{record['cell']} {Shape(*record['shape'])}", *cells, *ratios])
    return markdown(["case N,T,I,H", *names, *(f"× {name}" for name in names[1:])], rows)


if __name__ == "__main__":
    main()
