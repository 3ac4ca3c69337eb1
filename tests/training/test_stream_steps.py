"""Steps of a stream as one call into the core: no allocation, weights seen anew whenever they change, threads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alone import HELPERS, run_alone
from small_models import Array

from rnncore import layers, models, optimizers, utils

X = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)

STACK = """
import ctypes, itertools, numpy as np
from rnncore import layers, models, set_num_threads
set_num_threads(1)
model = models.Sequential([
    layers.Input((None, 16)), layers.LSTM(40, return_sequences=True), layers.LayerNormalization(), layers.GRU(128),
    layers.Dense(20, activation="tanh"), layers.Dense(3),
])
x, y = np.ones((1, 16), np.float32), np.empty((1, 3), np.float32)
step = model.stream().step
allocations = ctypes.CDLL(None).allocations
for _ in range(3):
    step(x, y), allocations()
before = allocations()
for _ in itertools.repeat(None, 1000):  # makes no numbers
    step(x, y)
print(allocations() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("gcc") is None, reason="needs gcc on Linux")
def test_steps_allocate_nothing(tmp_path: Path) -> None:
    library, source = tmp_path / "count.so", Path(HELPERS) / "count_allocations.c"
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", library, source], check=True)
    # Python's own objects are counted, too; `allocations` makes some.
    counted = int(run_alone(STACK, LD_PRELOAD=str(library), PYTHONMALLOC="malloc"))
    assert counted < 20, f"{counted} allocations in 1000 steps"


def model_of(cell: Any = layers.LSTM, units: int = 20, **compile_arguments: Any) -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential([layers.Input((None, 3)), cell(units, return_sequences=True), layers.Dense(2)])
    model.compile(optimizers.SGD(0.1), "mse", **compile_arguments)
    return model


def steps(stream: Any, x: Array = X) -> Array:
    return np.stack([stream.step(np.ascontiguousarray(x[:, t])) for t in range(x.shape[1])], axis=1)


def other_weights(model: models.Sequential) -> list[Array]:
    return [w + 0.25 for w in model.get_weights()]


def by_training(model: models.Sequential) -> None:
    model.fit(X, np.ones((2, 9, 2)), epochs=1, verbose=0)


def by_one_batch(model: models.Sequential) -> None:
    model.train_on_batch(X, np.ones((2, 9, 2)))


def by_hand(model: models.Sequential) -> None:
    model.backward(np.ones_like(model.forward(X, training=True)))
    model.apply_gradients()


def through_a_view(model: models.Sequential) -> None:
    model.layers[0].kernel[...] *= 2


def by_another_model(model: models.Sequential) -> None:
    other = models.Sequential([layers.Input((None, 3)), *model.layers])
    other.compile(optimizers.SGD(0.1), "mse")
    by_training(other)


def by_another_model_on_the_reference(model: models.Sequential) -> None:
    other = models.Sequential([layers.Input((None, 3)), *model.layers])
    other.compile(optimizers.SGD(0.1), "mse", backend="reference")
    by_training(other)


def by_another_dtype(model: models.Sequential) -> None:
    model.compile(optimizers.SGD(0.1), "mse", dtype_policy="float64")
    model.predict(X.astype(float), verbose=0)  # moves them


CHANGES: list[Callable[[models.Sequential], None]] = [
    lambda model: model.set_weights(other_weights(model)),
    lambda model: model.layers[0].set_weights(other_weights(model)[:3]),
    lambda model: model.weights[1].assign(other_weights(model)[1]),
    by_training,
    by_one_batch,
    by_hand,
    through_a_view,
    by_another_model,
    by_another_model_on_the_reference,
    by_another_dtype,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cell", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_changed_weights_are_seen(cell: Any, change: Callable[[models.Sequential], None]) -> None:
    model = model_of(cell)
    stream, before = model.stream(2), model.predict(X, verbose=0)
    assert np.array_equal(steps(stream), before)
    change(model)
    stream.reset()
    fresh = models.clone_model(model)  # which has packed nothing
    fresh.set_weights(model.get_weights())
    after = steps(stream)
    assert not np.array_equal(after, before)
    assert np.allclose(after, fresh.predict(X, verbose=0), atol=1e-6)
    assert np.array_equal(after, model.predict(X.astype(model.dtype), verbose=0))


def test_a_view_that_is_held_may_change_weights_at_any_time() -> None:
    model = model_of()
    view, stream = model.layers[0].kernel, model.stream(2)
    for _ in range(3):
        assert np.array_equal(steps(stream), model.predict(X, verbose=0))
        stream.reset()
        view *= 1.5
    part = view[1:2, 3:]
    del view
    part[...] = 0
    assert np.array_equal(steps(stream), model.predict(X, verbose=0))


def test_steps_and_chunks_go_on_from_each_other() -> None:
    model = model_of(layers.GRU)
    whole, stream = model.predict(X, verbose=0), model.stream(2)
    parts = [stream.step(X[:, 0])[:, None], stream.step(X[:, 1])[:, None], stream.run(X[:, 2:5])]
    kept = stream.states
    parts += [stream.step(X[:, t])[:, None] for t in (5, 6)]
    assert int(stream.states["steps"]) == 7
    branch = stream.copy()
    parts += [stream.step(X[:, 7])[:, None], stream.run(X[:, 8:])]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    assert np.array_equal(steps(branch, X[:, 7:]), whole[:, 7:])
    stream.states = kept
    assert np.array_equal(steps(stream, X[:, 5:]), whole[:, 5:])


def test_steps_of_threads_are_done_one_after_the_other() -> None:
    model, count = model_of(units=33), 400
    stream, expected = model.stream(2), model.stream(2)
    x = np.ascontiguousarray(X[:, 0])
    every = [expected.step(x).tobytes() for _ in range(2 * count)]
    found: list[list[bytes]] = [[], []]

    def work(mine: list[bytes]) -> None:
        for _ in range(count):
            mine.append(stream.step(x).tobytes())

    threads = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(stream.states["steps"]) == 2 * count
    assert sorted([*found[0], *found[1]]) == sorted(every)


def test_steps_beside_training_do_not_wait_for_each_other() -> None:
    model = model_of(units=8)
    stream, x = model.stream(2), np.ascontiguousarray(X[:, 0])
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            model.fit(X, np.zeros((2, 9, 2)), epochs=20, verbose=0)

    thread = threading.Thread(target=train)
    thread.start()
    outputs = [stream.step(x) for _ in range(3000)]
    stop.set()
    thread.join()
    assert all(np.isfinite(y).all() for y in outputs)
    stream.reset()
    assert np.array_equal(steps(stream), model.predict(X, verbose=0))


@pytest.mark.parametrize(
    ("x", "out", "kind", "message"),
    [
        (np.ones((2, 4), np.float32), None, ValueError, r"x_t must have shape \(2, 3\)"),
        (np.ones((3, 3), np.float32), None, ValueError, r"x_t must have shape \(2, 3\)"),
        (np.array([["a"] * 3] * 2), None, TypeError, "x_t must hold real numbers"),
        (np.ones((2, 3), np.float32), np.empty((2, 3), np.float32), ValueError, r"out must have shape \(2, 2\)"),
        (np.ones((2, 3), np.float32), np.empty((2, 2)), TypeError, "out must .*float32"),
        (np.ones((2, 3), np.float32), np.broadcast_to(np.float32(0), (2, 2)), ValueError, "out must"),
        (np.ones((2, 3), np.float32), [[0, 0], [0, 0]], TypeError, "out must"),
    ],
)
def test_bad_arguments_leave_the_states(x: Array, out: Any, kind: type[Exception], message: str) -> None:
    stream = model_of().stream(2)
    stream.step(X[:, 0]), stream.step(X[:, 1])
    before = stream.states
    with pytest.raises(kind, match=message):
        stream.step(x, out)
    assert all(np.array_equal(a, b) for a, b in zip(before.values(), stream.states.values(), strict=True))
