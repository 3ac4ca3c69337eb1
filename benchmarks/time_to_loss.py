"""Loss against time of a real training: the same model, data, first weights and order of batches in every engine.

An LSTM reads scikit-learn's digits row by row and names them. The clock runs from the call of `fit`, so that
compiling is in; every training is a process of its own. The losses must agree before times are compared.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import save

from rnncore.bench import markdown

UNITS, CLASSES, BATCH, RATE = 64, 10, 32, 2e-3
TOLERANCE = 0.02  # of the loss of the first epochs, whose trainings have not drifted apart
COMPARED_EPOCHS = 3

ENGINES = {
    "rnncore": ("rnncore", ""),
    "PyTorch": ("torch", ""),
    "Keras, JAX": ("keras", "jax"),
    "Keras, PyTorch": ("keras", "torch"),
    "Keras, TensorFlow": ("keras", "tensorflow"),
}

Curve = dict[str, list[float]]  # seconds since the start and mean loss, at the end of each epoch


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 8, 8) and digits (N,) in a random order, whole batches of them."""
    images, digits = importlib.import_module("sklearn.datasets").load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))[: len(images) // BATCH * BATCH]
    return (images[order].reshape(-1, 8, 8) / 16).astype(np.float32), digits[order].astype(np.int32)


def build(library: str) -> Any:
    """Make the model in rnncore or Keras, which have the same names."""
    layers, models = (importlib.import_module(f"{library}.{name}") for name in ("layers", "models"))
    head = layers.Dense(CLASSES, activation="softmax")
    model = models.Sequential([layers.Input((8, 8)), layers.LSTM(UNITS), head])
    adam = importlib.import_module(f"{library}.optimizers").Adam(RATE)
    model.compile(optimizer=adam, loss="sparse_categorical_crossentropy")
    return model


def first_weights() -> list[np.ndarray]:
    importlib.import_module("rnncore").utils.set_random_seed(0)
    return build("rnncore").get_weights()


def train_sequential(library: str, epochs: int) -> Curve:
    """Train with `fit`."""
    model, (x, y) = build(library), data()
    model.set_weights(first_weights())
    callback = importlib.import_module(f"{library}.callbacks").LambdaCallback
    curve: Curve = {"seconds": [], "loss": []}

    def note(epoch: int, logs: dict[str, float]) -> None:
        curve["seconds"].append(time.perf_counter() - start)
        curve["loss"].append(float(logs["loss"]))

    start = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback(on_epoch_end=note)])
    return curve


def train_torch(epochs: int) -> Curve:
    """Train with an eager loop over `torch.nn.LSTM`."""
    torch: Any = importlib.import_module("torch")
    x, y = (torch.tensor(array) for array in data())
    lstm, head = torch.nn.LSTM(8, UNITS, batch_first=True), torch.nn.Linear(UNITS, CLASSES)
    kernel, recurrent_kernel, bias, head_kernel, head_bias = map(torch.tensor, first_weights())
    with torch.no_grad():
        first = (kernel.T, recurrent_kernel.T, bias, torch.zeros_like(bias), head_kernel.T, head_bias)
        for parameter, values in zip([*lstm.parameters(), *head.parameters()], first, strict=True):
            parameter.copy_(values)
    lstm.bias_hh_l0.requires_grad_(False)  # the others have one bias
    parameters = [p for p in (*lstm.parameters(), *head.parameters()) if p.requires_grad]
    adam = torch.optim.Adam(parameters, RATE, eps=1e-7)
    curve: Curve = {"seconds": [], "loss": []}
    start = time.perf_counter()
    for _ in range(epochs):
        losses = []
        for rows, digits in zip(x.split(BATCH), y.long().split(BATCH), strict=True):
            adam.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(head(lstm(rows)[1][0][0]), digits)
            loss.backward()
            adam.step()
            losses.append(loss.detach())
        curve["loss"].append(float(torch.stack(losses).mean()))
        curve["seconds"].append(time.perf_counter() - start)
    return curve


def train(engine: str, epochs: int, threads: int) -> Curve:
    """Train once, in this process, on so many threads."""
    library, backend = ENGINES[engine]
    importlib.import_module("rnncore").set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if backend:
        importlib.import_module(backend)
    if "torch" in (library, backend):
        importlib.import_module("torch").set_num_threads(threads)
    return train_torch(epochs) if library == "torch" else train_sequential(library, epochs)


def in_new_process(engine: str, epochs: int, threads: int) -> Curve | None:
    """Train once, in a process of its own; None when the engine is not installed."""
    environment = {"KERAS_BACKEND": ENGINES[engine][1], "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--engine", engine, "--epochs", str(epochs), "--threads", str(threads)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "ModuleNotFoundError" in done.stderr:
        return None
    raise RuntimeError(f"{engine}: {done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write the curves to this file, too")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(train(options.engine, options.epochs, options.threads)))
        return

    curves: dict[str, list[Curve]] = {}
    for number in range(options.rounds):
        for engine in options.engines:
            print(engine, number, file=sys.stderr, flush=True)
            curve = in_new_process(engine, options.epochs, options.threads)
            if curve is None:
                print(f"{engine}: left out, not installed")
                options.engines = [name for name in options.engines if name != engine]
            else:
                curves.setdefault(engine, []).append(curve)
    records = [{"engine": engine, **median(runs)} for engine, runs in curves.items()]
    check(records)
    target = max(min(record["loss"]) for record in records)
    print(f"LSTM({UNITS}) on {len(data()[0])} digits, {options.epochs} epochs, {options.threads} threads, ", end="")
    print(f"median of {options.rounds} trainings\n")
    header = ["", "first epoch, s", "each other, s", "last loss", f"s to loss {target:.4f}", "× rnncore"]
    rows = [row(record, target, records[0]) for record in records]
    print(markdown(header, rows))
    save(options.json, records, threads=options.threads, target=target)


def median(runs: list[Curve]) -> Curve:
    """The training whose time is the median."""
    return sorted(runs, key=lambda curve: curve["seconds"][-1])[(len(runs) - 1) // 2]


def check(records: list[dict[str, Any]]) -> None:
    """Raise AssertionError unless the losses of the first epochs agree."""
    first, *others = records
    for other in others:
        for epoch, (one, loss) in enumerate(zip(first["loss"], other["loss"], strict=True)):
            if epoch < COMPARED_EPOCHS and not abs(loss - one) <= TOLERANCE * one:
                raise AssertionError(f"epoch {epoch}: {first['engine']} has loss {one}, {other['engine']} {loss}")


def seconds_to(record: dict[str, Any], target: float) -> float:
    """Seconds until an epoch ends with this loss or less."""
    return next(s for s, loss in zip(record["seconds"], record["loss"], strict=True) if loss <= target)


def row(record: dict[str, Any], target: float, first: dict[str, Any]) -> list[str]:
    seconds = record["seconds"]
    later = statistics.median(b - a for a, b in itertools.pairwise(seconds)) if len(seconds) > 1 else 0.0
    reached = seconds_to(record, target)
    times = [f"{seconds[0]:.3f}", f"{later:.4f}", f"{record['loss'][-1]:.4f}", f"{reached:.3f}"]
    return [record["engine"], *times, f"{reached / seconds_to(first, target):.1f}"]


if __name__ == "__main__":
    main()
