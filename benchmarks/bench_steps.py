"""Whole training steps of Keras-style models: rnncore beside Keras on each of its backends.

Every engine lives in a process of its own, since a process holds one Keras backend. All start from the same
weights, and their weights must agree after some steps before a step is timed.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from harness import save

from rnncore import functional, set_num_threads
from rnncore.bench import PAUSE, Case, Shape, markdown
from rnncore.bench.cases import prepare_functions

BATCH = 32
CHECKED_STEPS = 10
TURN = 0.1  # seconds, at least
TOLERANCE = 2e-4  # of the largest weight

ENGINES = {
    "rnncore": ("rnncore", ""),
    "Keras, JAX": ("keras", "jax"),
    "Keras, PyTorch": ("keras", "torch"),
    "Keras, TensorFlow": ("keras", "tensorflow"),
}


class Task(NamedTuple):
    """A model and its data; both engines have the names used here."""

    layers: Callable[[Any], list[Any]]
    compile: dict[str, Any]
    inputs: tuple[int, int]  # (T, I)
    classes: int  # 0 for a regression
    steps: int  # in an epoch
    epochs: int = 1  # in a timed call of `fit`
    kernels: tuple[tuple[str, Shape], ...] = ()  # the recurrent layers


TUTORIAL = Task(
    lambda layers: [layers.SimpleRNN(10), layers.Dense(1)],
    {"optimizer": "rmsprop", "loss": "mse"},
    inputs=(1, 1),
    classes=0,
    steps=1000,
)

TASKS = {
    "SimpleRNN(10), Dense(1); T=1, rmsprop, mse": TUTORIAL,
    "the same with 1,024 rows, 20 epochs in a call": TUTORIAL._replace(steps=32, epochs=20),
    "2 LSTM(128), Dense(10); T=100, I=64, adam, crossentropy": Task(
        lambda layers: [
            layers.LSTM(128, return_sequences=True),
            layers.LSTM(128),
            layers.Dense(10, activation="softmax"),
        ],
        {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"},
        inputs=(100, 64),
        classes=10,
        steps=20,
        kernels=(("lstm", Shape(BATCH, 100, 64, 128)), ("lstm", Shape(BATCH, 100, 128, 128))),
    ),
}


def data(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Rows for one epoch: x (N, T, I) float32; y (N, 1), or class numbers (N,)."""
    random = np.random.default_rng(0)
    rows = BATCH * task.steps
    x = random.standard_normal((rows, *task.inputs)).astype(np.float32)
    if task.classes:
        return x, random.integers(task.classes, size=rows).astype(np.int32)
    return x, np.cos(x[:, -1, :1])


class Engine:
    """One library in its own process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.call(_start, *ENGINES[name], threads)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.pool.submit(function, *arguments).result()


# These run in the engine's process.

_layers: Any = None
_sequential: Any = None
_models: dict[str, Any] = {}


def _start(library: str, backend: str, threads: int) -> None:
    global _layers, _sequential
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    set_num_threads(threads)
    if backend:
        importlib.import_module(backend)
    _layers = importlib.import_module(f"{library}.layers")
    _sequential = importlib.import_module(f"{library}.models").Sequential


def _build(name: str) -> list[np.ndarray]:
    """Make the model; return its first weights."""
    task = TASKS[name]
    _models[name] = _sequential([_layers.Input(task.inputs), *task.layers(_layers)])
    _models[name].compile(**task.compile)
    return _models[name].get_weights()


def _train(name: str, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Train some steps from these weights; return what they have become."""
    x, y = data(TASKS[name])
    rows = CHECKED_STEPS * BATCH
    _models[name].set_weights(weights)
    _models[name].fit(x[:rows], y[:rows], batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    return _models[name].get_weights()


def _seconds_of_a_step(steps: int, call: Callable[[], Any]) -> float:
    """Mean over as many calls as fill a turn: a processor that has just been idle runs slowly at first."""
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < TURN:
        call()
        calls += 1
    return (time.perf_counter() - start) / (calls * steps)


def _fit_seconds(name: str) -> float:
    """Seconds of a step in epochs of `fit`."""
    task = TASKS[name]
    x, y = data(task)
    return _seconds_of_a_step(
        task.steps * task.epochs,
        lambda: _models[name].fit(x, y, batch_size=BATCH, epochs=task.epochs, shuffle=False, verbose=0),
    )


def _batch_seconds(name: str) -> float:
    """Seconds of a `train_on_batch`."""
    x, y = data(TASKS[name])
    x, y = x[:BATCH], y[:BATCH]

    return _seconds_of_a_step(1, lambda: _models[name].train_on_batch(x, y))


def _kernel_seconds(name: str) -> float:
    """Seconds of a step's recurrent kernels alone.

    A model does not need the gradient of its input; it is taken off by its share of the work.
    """
    total = 0.0
    for number, (cell, shape) in enumerate(TASKS[name].kernels):
        step = _kernel(cell, shape)
        start = time.perf_counter()
        for _ in range(TASKS[name].steps):
            step()
        seconds = (time.perf_counter() - start) / TASKS[name].steps
        total += seconds * (1 - shape.inputs / (3 * (shape.inputs + shape.units)) if number == 0 else 1)
    return total


@functools.cache
def _kernel(cell: str, shape: Shape) -> Callable[[], Any]:
    return prepare_functions(functional, Case(cell, shape, training=True))


WAYS = {"fit": _fit_seconds, "train_on_batch": _batch_seconds}
KERNELS = "recurrent kernels alone"


def check(name: str, engines: list[Engine]) -> None:
    """Raise AssertionError unless all engines end with the same weights."""
    first, *_ = [engine.call(_build, name) for engine in engines]
    expected, *others = [engine.call(_train, name, first) for engine in engines]
    for engine, weights in zip(engines[1:], others, strict=True):
        for number, (one, other) in enumerate(zip(expected, weights, strict=True)):
            error = float(np.abs(one - other).max())
            if not error <= TOLERANCE * np.abs(one).max():
                raise AssertionError(f"{name}: weight {number} of {engine.name} is {error:.1e} off {engines[0].name}'s")


def _short(microseconds: float) -> str:
    return f"{microseconds:,.{1 if microseconds < 100 else 0}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()

    engines = []
    for name in options.engines:
        try:
            engines.append(Engine(name, options.threads))
        except ImportError as error:
            print(f"{name}: left out ({error})")
    print(
        f"batch {BATCH}, {options.threads} threads, microseconds of a step: median (best) of {options.rounds} rounds\n"
    )
    records = []
    for name in TASKS:
        check(name, engines)
        times = measure(name, engines, options.rounds)
        names = [engine.name for engine in engines]
        rows = [row(way, [times[way, engine] for engine in names]) for way in WAYS]
        print(f"### {name}\n\n{markdown(['', *names, *(f'× {other}' for other in names[1:])], rows)}\n", flush=True)
        if (KERNELS, "rnncore") in times:
            alone = statistics.median(times[KERNELS, "rnncore"])
            whole = statistics.median(times["fit", "rnncore"])
            print(
                f"Its recurrent kernels alone take {_short(alone)}, the step of `fit` {whole / alone:.2f} times that.\n"
            )
        records += [
            {"task": name, "way": way, "engine": engine, "microseconds": values}
            for (way, engine), values in times.items()
        ]
    save(options.json, records, threads=options.threads)


def measure(name: str, engines: list[Engine], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Microseconds of a step for each way and engine, and of rnncore's kernels, in turns."""
    turns = [(way, seconds, engine) for way, seconds in WAYS.items() for engine in engines]
    if TASKS[name].kernels:
        turns += [(KERNELS, _kernel_seconds, engine) for engine in engines if engine.name == "rnncore"]
    times: dict[tuple[str, str], list[float]] = {(way, engine.name): [] for way, _, engine in turns}
    for _ in range(rounds):
        for way, seconds, engine in turns:
            time.sleep(PAUSE)
            times[way, engine.name].append(1e6 * engine.call(seconds, name))
    return times


def row(way: str, times: list[list[float]]) -> list[str]:
    first, *others = map(statistics.median, times)
    rates = [f"{_short(statistics.median(values))} ({_short(min(values))})" for values in times]
    return [way, *rates, *(f"{other / first:.1f}" for other in others)]


if __name__ == "__main__":
    main()
