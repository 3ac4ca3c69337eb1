"""A PyTorch script before and after `rnncore.torch.accelerate(model)`: training steps and predictions of whole models.

names: a classifier of packed rows of 2 to 20 letters, read from both ends (N = 64, H = 128). characters: a language
model of two layers (N = 64, T = 100, H = 128). basecaller: two layers in both directions over one row of 10,000 steps
(H = 128). short: 4 steps, where little is to be gained (N = 32, H = 64). A step is loss, gradients, clipping and Adam;
both models have the same weights and data, and their losses are compared before anything is timed.

`--sweep` goes over many shapes of a single module instead, forward alone and with gradients, and prints for each cell
how its worst shapes do: the best times of several rounds, PyTorch's beside those after `accelerate`. Of one thread it
is the processor's time, which others on the machine disturb less.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import save
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from rnncore.bench import interleave, markdown
from rnncore.torch import accelerate

CELLS = {"simple_rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
TOLERANCE = 1e-3  # of a loss after a few steps of training


class Names(nn.Module):
    """Ids (N, T) and lengths to the logits of 18 languages."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(90, 64)
        self.rnn = getattr(nn, kind)(64, 128, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 18)

    def forward(self, ids: Any, lengths: Any) -> Any:
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        hidden = self.rnn(packed)[1]
        last = hidden[0] if isinstance(hidden, tuple) else hidden
        return self.head(last.transpose(0, 1).flatten(1))


class Tagger(nn.Module):
    """Features (N, T, I), or ids (N, T), to logits for each step."""

    def __init__(self, kind: str, inputs: int, classes: int, ids: bool, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(inputs, 64) if ids else nn.Identity()
        self.rnn = getattr(nn, kind)(64 if ids else inputs, batch_first=True, **options)
        self.head = nn.Linear(options["hidden_size"] * (1 + options.get("bidirectional", False)), classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(self.embedding(x))[0])


def names(kind: str) -> tuple[nn.Module, tuple[Any, ...], Any]:
    ids, lengths = torch.randint(0, 90, (64, 20)), torch.randint(2, 21, (64,))
    return Names(kind), (ids, lengths), torch.randint(0, 18, (64,))


def characters(kind: str) -> tuple[nn.Module, tuple[Any, ...], Any]:
    model = Tagger(kind, 65, 65, ids=True, hidden_size=128, num_layers=2)
    return model, (torch.randint(0, 65, (64, 100)),), torch.randint(0, 65, (64, 100))


def basecaller(kind: str) -> tuple[nn.Module, tuple[Any, ...], Any]:
    model = Tagger(kind, 10, 5, ids=False, hidden_size=128, num_layers=2, bidirectional=True)
    return model, (torch.randn(1, 10_000, 10),), torch.randint(0, 5, (1, 10_000))


def short(kind: str) -> tuple[nn.Module, tuple[Any, ...], Any]:
    model = Tagger(kind, 16, 5, ids=False, hidden_size=64)
    return model, (torch.randn(32, 4, 16),), torch.randint(0, 5, (32, 4))


TASKS: dict[str, Callable[[str], tuple[nn.Module, tuple[Any, ...], Any]]] = {
    "names": names,
    "characters": characters,
    "basecaller": basecaller,
    "short": short,
}


def training(model: nn.Module, data: tuple[Any, ...], target: Any) -> Callable[[], float]:
    """A step of training, which returns the loss."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(*data).flatten(0, -2), target.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def prediction(model: nn.Module, data: tuple[Any, ...]) -> Callable[[], Any]:
    """A forward pass."""
    model.eval()

    def call() -> Any:
        with torch.inference_mode():
            return model(*data)

    return call


def check(about: str, losses: dict[str, list[float]]) -> None:
    """Raise AssertionError unless both models have learnt the same."""
    for one, other in zip(*losses.values(), strict=True):
        if not abs(one - other) <= TOLERANCE * abs(other):
            raise AssertionError(f"{about}: losses are {losses}")


def measure(task: str, cell: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Times of both models, in training and in prediction."""
    torch.manual_seed(0)
    model, data, target = TASKS[task](CELLS[cell])
    models = {"PyTorch": model, "accelerated": copy.deepcopy(model)}
    report = accelerate(models["accelerated"])
    if list(report.swapped) != ["rnn"]:
        raise AssertionError(f"{task}, {cell}: {report}")
    steps = {name: training(made, data, target) for name, made in models.items()}
    check(f"{task}, {cell}", {name: [step() for _ in range(3)] for name, step in steps.items()})
    times = {"training": interleave(steps, rounds=rounds, seconds=seconds)}
    calls = {name: prediction(made, data) for name, made in models.items()}
    times["prediction"] = interleave(calls, rounds=rounds, seconds=seconds)
    return [{"task": task, "cell": cell, "mode": mode, "seconds": found} for mode, found in times.items()]


ROWS, STEPS, UNITS = (1, 4, 16, 64, 256), (1, 2, 4, 8, 20, 60, 200), (8, 32, 128, 512)
MOST_OPERATIONS = 1e9  # of a forward pass in a sweep


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Times of calls that are repeated for so long in each round."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            call()
            count, begin, end = 0, clock(), time.perf_counter() + seconds
            while count == 0 or time.perf_counter() < end:
                call()
                count += 1
            if number > 0:
                times[name].append((clock() - begin) / count)
    return times


def sweep(cells: list[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Times of single modules, by cell, mode and shape."""
    records = []
    for cell, N, T, H in itertools.product(cells, ROWS, STEPS, UNITS):
        kind, inputs = getattr(nn, CELLS[cell]), min(H, 64)
        gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[CELLS[cell]]
        if 2.0 * N * T * gates * H * (inputs + H) > MOST_OPERATIONS:
            continue
        torch.manual_seed(0)
        modules = {"PyTorch": kind(inputs, H), "accelerated": kind(inputs, H)}
        modules["accelerated"].load_state_dict(modules["PyTorch"].state_dict())
        accelerate(modules["accelerated"])
        x, gradient = torch.randn(T, N, inputs), torch.randn(T, N, H)

        def train(module: nn.Module, x: Any = x, gradient: Any = gradient) -> Any:
            module.zero_grad()
            leaf = x.requires_grad_()
            leaf.grad = None
            module(leaf)[0].backward(gradient)
            return leaf.grad

        def predict(module: nn.Module, x: Any = x) -> Any:
            with torch.inference_mode():
                return module(x)[0]

        for mode, call in (("training", train), ("prediction", predict)):
            calls = {name: lambda module=module, call=call: call(module) for name, module in modules.items()}
            one, other = (made() for made in calls.values())
            if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
                raise AssertionError(f"{cell} {N},{T},{inputs},{H}, {mode}: results differ")
            times = in_turns(calls, rounds, seconds)
            shape = f"{N},{T},{inputs},{H}"
            records.append({"cell": cell, "mode": mode, "shape": shape, "seconds": times})
            ratio = min(times["PyTorch"]) / min(times["accelerated"])
            print(f"{cell} {mode} {shape}: {ratio:.2f}", file=sys.stderr, flush=True)
    return records


def sweep_table(records: list[dict[str, Any]]) -> str:
    """For each cell and mode the geometric mean of the ratios, and the least three."""
    rows = []
    for (cell, mode), group in itertools.groupby(
        sorted(records, key=lambda r: (r["cell"], r["mode"])), key=lambda r: (r["cell"], r["mode"])
    ):
        found = sorted(
            (min(r["seconds"]["PyTorch"]) / min(r["seconds"]["accelerated"]), r["shape"]) for r in list(group)
        )
        mean = math.exp(statistics.fmean(math.log(ratio) for ratio, _ in found))
        least = "; ".join(f"{ratio:.2f} at {shape}" for ratio, shape in found[:3])
        at_least_5 = sum(ratio >= 5 for ratio, _ in found)
        rows.append([cell, mode, str(len(found)), f"{mean:.2f}", str(at_least_5), least])
    return markdown(["cell", "", "shapes", "mean ratio", "at least 5", "least, at N,T,I,H"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--sweep", action="store_true", help="many shapes of single modules instead of whole models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn (default 0.5)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.sweep:
        records = sweep(options.cells, options.rounds, options.seconds)
        print(f"PyTorch {torch.__version__}, {options.threads} threads, best of {options.rounds} rounds\n")
        print(sweep_table(records))
        save(options.json, records, threads=options.threads, torch=torch.__version__)
        return

    records, rows = [], []
    for task in options.tasks:
        for cell in options.cells:
            print(task, cell, file=sys.stderr, flush=True)
            for record in measure(task, cell, options.rounds, options.seconds):
                records.append(record)
                medians = [1e3 * statistics.median(times) for times in record["seconds"].values()]
                columns = (record["task"], record["cell"], record["mode"])
                rows.append([*columns, *(f"{t:.3g}" for t in medians), f"{medians[0] / medians[1]:.2f}"])
    print(f"PyTorch {torch.__version__}, {options.threads} threads, median of {options.rounds} rounds\n")
    print(markdown(["task", "cell", "", "PyTorch, ms", "accelerated, ms", "ratio"], rows))
    save(options.json, records, threads=options.threads, torch=torch.__version__)


if __name__ == "__main__":
    main()
