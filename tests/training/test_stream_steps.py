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

from rnncore import _core, layers, models, optimizers, utils

X = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)

COUNT = """
import ctypes, itertools, numpy as np
from rnncore import layers, models, set_num_threads
set_num_threads(1)
x, z = layers.Input((None, 16)), layers.Input((None, 5))
{code}
model = models.Model(x, y) if "(z)" not in {code!r} else models.Model([x, z], [y, h])
given = [np.ones((1, v.shape[-1]), np.float32) for v in model.inputs]
out = [np.empty((1, v.shape[-1]), np.float32) for v in model.outputs]
if len(given) == 1: given, out = given[0], out[0]
step = model.stream().step
allocations = ctypes.CDLL(None).allocations
for _ in range(1100):  # room for keys is doubled as it fills
    step(given, out)
for _ in range(3):
    step(given, out), allocations()
before = allocations()
for _ in itertools.repeat(None, 900):  # makes no numbers
    step(given, out)
print(allocations() - before)
"""

MODELS = {
    "a stack": """
y = layers.LayerNormalization()(layers.LSTM(40, return_sequences=True)(x))
y = layers.Dense(3)(layers.Dense(20, activation="tanh")(layers.GRU(128)(y)))""",
    "windows": """
y = layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu")(x)
y = layers.Add()([y, layers.Conv1D(8, 3, padding="causal", activation="softmax")(y)])
y = layers.MaxPooling1D(2, 1)(layers.AveragePooling1D(3, 1)(layers.Conv1D(4, 4)(y)))
y = layers.GRU(5)(y)""",
    "every other step": "y = layers.LSTM(6)(layers.Conv1D(8, 3, strides=2)(layers.AveragePooling1D(2)(x)))",
    "attention": """
y = layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)
y = layers.AdditiveAttention()([y, y], use_causal_mask=True)""",
    "masked attention": """
y = layers.Masking()(x)
y = layers.GRU(5)(layers.MultiHeadAttention(2, 8)(y, y, use_causal_mask=True))""",
    "several": """
y = layers.Concatenate()([layers.GRU(7, return_sequences=True)(x), layers.Conv1D(4, 3, padding="causal")(z)])
h = layers.GRU(3)(layers.Attention()([y, y], use_causal_mask=True))""",
}


@pytest.fixture(scope="module")
def counting_library(tmp_path_factory: pytest.TempPathFactory) -> str:
    library, source = tmp_path_factory.mktemp("count") / "count.so", Path(HELPERS) / "count_allocations.c"
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("gcc") is None, reason="needs gcc on Linux")
@pytest.mark.parametrize("name", MODELS)
def test_steps_allocate_nothing(name: str, counting_library: str) -> None:
    # Python's own objects are counted, too; `allocations` makes some.
    code = COUNT.format(code=MODELS[name])
    counted = int(run_alone(code, LD_PRELOAD=counting_library, PYTHONMALLOC="malloc"))
    assert counted < 20, f"{counted} allocations in 900 steps"


# Models that remember more than states


def several() -> models.Model:
    """Two inputs and three outputs, with windows, keys and values."""
    utils.set_random_seed(2)
    x, ids, first = layers.Input((None, 3)), layers.Input((None,), dtype="int32"), layers.Input((5,))
    y = layers.Conv1D(5, 3, padding="causal", dilation_rate=2)(layers.Concatenate()([x, layers.Embedding(7, 2)(ids)]))
    y = layers.Add()([y, layers.MultiHeadAttention(2, 3)(y, y, use_causal_mask=True)])
    h = layers.GRU(5)(layers.Conv1D(4, 2, strides=3)(y), initial_state=first)
    return models.Model({"x": x, "ids": ids, "first": first}, {"y": y, "h": h, "two": layers.Dense(2)(first)})


def inputs_of_several(steps: int, rows: int = 2) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    return {
        "x": rng.normal(size=(rows, steps, 3)).astype(np.float32),
        "ids": rng.integers(0, 7, (rows, steps)).astype(np.int32),
        "first": rng.normal(size=(rows, 5)).astype(np.float32),
    }


def at(given: dict[str, Array], t: int) -> dict[str, Array]:
    return {name: x if name == "first" else np.ascontiguousarray(x[:, t]) for name, x in given.items()}


def equal(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    return list(found) == list(expected) and all(np.array_equal(found[k], expected[k]) for k in found)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_several_inputs_and_outputs_go_step_by_step(threads: int) -> None:
    _core.set_num_threads(threads, always=True)
    model, given = several(), inputs_of_several(150)  # beyond the first room for keys
    stream, steps = model.stream(2), []
    out = {"y": np.empty((2, 5), np.float32), "h": np.empty((2, 5), np.float32), "two": np.empty((2, 2), np.float32)}
    for t in range(150):
        x = at(given, t)
        found = stream.step(x if t % 2 else [x["first"], x["ids"], x["x"]], out if t % 3 else None)
        assert t % 3 == 0 or found is out
        steps.append({name: y.copy() for name, y in found.items()})
    _core.set_num_threads(1)
    whole = model.predict(given, verbose=0)
    assert np.array_equal(np.stack([step["y"] for step in steps], axis=1), whole["y"])
    assert equal({"h": steps[-1]["h"], "two": steps[-1]["two"]}, {"h": whole["h"], "two": whole["two"]})
    short = {name: x if name == "first" else x[:, :20] for name, x in given.items()}
    assert np.array_equal(steps[19]["h"], model.predict(short, verbose=0)["h"])


def test_what_the_core_remembers_is_taken_given_and_branched() -> None:
    model, given = several(), inputs_of_several(90)
    stream, other = model.stream(2), model.stream(2)
    for t in range(70):
        stream.step(at(given, t))
    shapes = {name: array.shape[1:] for name, array in stream.states.items() if name != "steps"}
    assert sorted(shapes.values()) == [(1, 5), (4, 5), (5,), (70, 6), (70, 6)]
    other.states = stream.states
    forked, twin = stream.fork([1, 0, 1]), stream.copy()
    rows = {name: x[[1, 0, 1]] for name, x in given.items()}
    for t in range(70, 90):
        y = stream.step(at(given, t))
        assert equal(other.step(at(given, t)), y)
        assert equal(twin.step(at(given, t)), y)
        assert equal(forked.step(at(rows, t)), {name: value[[1, 0, 1]] for name, value in y.items()})
    stream.reset()
    assert int(stream.states["steps"]) == 0
    assert np.array_equal(stream.step(at(given, 0))["y"], model.predict(given, verbose=0)["y"][:, 0])


def test_rows_begin_anew_between_steps() -> None:
    stack = [layers.Conv1D(4, 5, padding="causal"), layers.LSTM(4, return_sequences=True)]
    model = models.Sequential([layers.Input((None, 3)), *stack])
    stream, fresh = model.stream(2), model.stream(2)
    for t in range(4):
        stream.step(X[:, t])
    stream.reset(rows=[1])
    for t in range(4, 9):
        found, expected = stream.step(np.ascontiguousarray(X[:, t])), fresh.step(np.ascontiguousarray(X[:, t]))
        assert np.array_equal(found[1], expected[1])
    assert np.array_equal(found[0], model.predict(X, verbose=0)[0, -1])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"x": np.ones((2, 4))}, ValueError, r"x_t\['x'\] must have shape \(2, 3\)"),
        ({"ids": np.ones((2, 1), int)}, ValueError, r"x_t\['ids'\] must have shape \(2,\)"),
        ({"ids": np.ones(2)}, TypeError, r"x_t\['ids'\] must hold whole numbers"),
        ({"ids": np.full(2, 7)}, ValueError, "ids from 0 to 6, got 7"),
        ({"first": np.ones((3, 5))}, ValueError, r"x_t\['first'\] must have shape \(2, 5\)"),
        ({"more": np.ones((3, 5))}, ValueError, "x_t"),
        ({"out": {"y": np.empty((2, 5), "f4")}}, ValueError, "out must be a dict of arrays with the keys"),
        (
            {"out": dict.fromkeys(["y", "h", "two"], np.empty((2, 5), "f4"))},
            ValueError,
            r"out\['two'\] must have shape",
        ),
        ({"out": dict.fromkeys(["y", "h", "two"], np.broadcast_to(np.float32(0), (2, 5)))}, ValueError, "writable"),
    ],
)
def test_bad_arguments_of_several_leave_what_is_remembered(
    change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    stream, given = several().stream(2), inputs_of_several(9)
    for t in range(8):
        stream.step(at(given, t))
    before, out = stream.states, change.pop("out", None)
    with pytest.raises(kind, match=message):
        stream.step({**at(given, 8), **change}, out)
    assert equal(stream.states, before)


def test_threads_share_a_stream_of_several_parts() -> None:
    model, given = several(), at(inputs_of_several(1), 0)
    stream, expected = model.stream(2), model.stream(2)
    for _ in range(300):
        expected.step(given)

    def work() -> None:
        for k in range(60):
            if k % 5:
                stream.step(given)
            else:
                stream.run({name: x if name == "first" else x[:, None] for name, x in given.items()})

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal(stream.states, expected.states)


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
