"""Integers that say where to read or write are overwritten in the middle of a call: by callbacks, by other threads."""

from __future__ import annotations

import pytest
from alone import run_alone

PREPARE = """
import sys, threading
import numpy as np
from executor_calls import run_predict, run_test, run_train
from rnncore import _core, callbacks, layers, losses, models, reference
from rnncore.program import Loss, Metric, Node, Optimizer, Parameter, Program, Training, Value

backend, threads = sys.argv[1], int(sys.argv[2])
_core.set_num_threads(threads, always=threads > 1)
Executor = {"compiled": _core.Executor, "reference": reference.Executor}[backend]
BAD = (2**31 - 1, -(2**31), -1, 10**6)
rng = np.random.default_rng(0)
N, T, WORDS, CLASSES = 96, 7, 11, 5

def expect_refusal(call, *words):
    try:
        call()
    except ValueError as error:
        assert any(word in str(error) for word in words), error
    else:
        raise SystemExit("it went through")
"""

MODEL = """
def tagger():
    model = models.Sequential([
        layers.Input((T,), dtype="int32"), layers.Embedding(WORDS, 6), layers.LSTM(4, return_sequences=True),
        layers.Dense(CLASSES)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True), backend=backend,
        metrics=["sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy"])
    return model
"""


def cases(code: str, backend: str, threads: int = 1) -> None:
    run_alone(PREPARE + MODEL + code, backend, str(threads), seconds=120)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_ids_and_labels_overwritten_by_a_callback(backend: str, threads: int) -> None:
    cases(
        """
model = tagger()
for bad in BAD:
    for spoiled in ("x", "y"):
        x = rng.integers(WORDS, size=(N, T)).astype(np.int32)
        y = rng.integers(CLASSES, size=(N, T)).astype(np.int32)
        array = x if spoiled == "x" else y
        def spoil(batch, logs=None):
            array[8:] = bad
        hooks = callbacks.LambdaCallback(on_train_batch_end=spoil, on_test_batch_end=spoil, on_predict_batch_end=spoil)
        options = dict(batch_size=8, verbose=0, callbacks=[hooks])
        before = rng.integers(WORDS, size=(N, T)).astype(np.int32)
        array_before = array.copy()
        expect_refusal(lambda: model.fit(x, y, shuffle=False, **options), "expected ids", "expected labels")
        assert all(np.isfinite(w).all() for w in model.get_weights())
        array[...] = array_before
        expect_refusal(lambda: model.evaluate(x, y, **options), "expected ids", "expected labels")
        array[...] = array_before
        if spoiled == "x":
            expect_refusal(lambda: model.predict(x, **options), "expected ids")
""",
        backend,
        threads,
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_labels_of_ctc_overwritten_by_a_callback(backend: str, threads: int) -> None:
    cases(
        """
model = models.Sequential([layers.Input((T, 3)), layers.GRU(4, return_sequences=True), layers.Dense(CLASSES)])
model.compile("sgd", losses.CTC(), backend=backend)
x = rng.normal(size=(N, T, 3)).astype(np.float32)
for bad in (*BAD, 1):  # 1 everywhere needs more steps than there are
    y = np.zeros((N, T), np.int32)
    y[:, :2] = 1, 2
    def spoil(batch, logs=None):
        y[8:] = bad
    hooks = callbacks.LambdaCallback(on_train_batch_end=spoil, on_test_batch_end=spoil)
    expect_refusal(lambda: model.fit(x, y, batch_size=8, verbose=0, shuffle=False, callbacks=[hooks]), "labels")
    y[...] = 0
    expect_refusal(lambda: model.evaluate(x, y, batch_size=8, verbose=0, callbacks=[hooks]), "labels")
""",
        backend,
        threads,
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_order_and_lengths_are_those_of_the_call(backend: str, threads: int) -> None:
    """Overwritten by a callback, they change nothing."""
    cases(
        """
program = Program(
    values=(Value("x", (None, None, 3)), Value("lengths", (None,), "int"), Value("y", (None, None, 4))),
    parameters=(Parameter("k", (3, 4), 0), Parameter("r", (4, 4), 12)),
    nodes=(Node("simple_rnn", "rnn", (0, 1, -1), (2, -1), (0, 1)),), inputs=(0,), outputs=(2,), lengths=1, masks=(1,))
training = Training((Loss("mean_squared_error"),), optimizer=Optimizer("sgd", {}))
x, y = rng.normal(size=(N, T, 3)), rng.normal(size=(N, T, 4))
found = []
for bad in (None, *BAD):
    parameters = np.linspace(-1, 1, 28)
    executor = Executor(program, parameters, np.zeros(28))
    executor.configure(training, np.zeros((1, 28)))
    order, lengths = rng.permutation(N), np.arange(N, dtype=np.int32) % (T + 1)
    order = np.arange(N)[::-1].copy()
    def spoil(done):
        if bad is not None:
            order[...] = bad
            lengths[...] = bad
        return False
    def fresh():
        order[...] = np.arange(N)[::-1]
        lengths[...] = np.arange(N) % (T + 1)
        return dict(batch_size=8, lengths=lengths, on_batch=spoil, every_batch=True)
    state, outputs = np.zeros(2), np.zeros((N, T, 4))
    options = fresh()
    run_train(executor, [x], [y], order, learning_rate=np.full(12, 0.1), step=0, seed=0, state=state, **options)
    options = fresh()
    run_test(executor, [x], [y], order, state=state, **options)
    options = fresh()
    run_predict(executor, [x], order, outputs=[outputs], **options)
    found.append((parameters, state, outputs))
for other in found[1:]:
    for a, b in zip(other, found[0]):
        assert np.array_equal(a, b)
""",
        backend,
        threads,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_integers_overwritten_by_another_thread(threads: int) -> None:
    """While the core computes without the interpreter's lock."""
    cases(
        """
model = tagger()
x = rng.integers(WORDS, size=(N, T)).astype(np.int32)
y = rng.integers(CLASSES, size=(N, T)).astype(np.int32)
good, good_y = x.copy(), y.copy()
ended = threading.Event()
def scribble():
    while not ended.is_set():
        for bad in BAD:
            x[::3] = bad
            y[::5] = bad
            x[...] = good
            y[...] = good_y
thread = threading.Thread(target=scribble)
thread.start()
done = refused = 0
try:
    for _ in range(150):
        for call in (lambda: model.fit(x, y, verbose=0, batch_size=16), lambda: model.evaluate(x, y, verbose=0),
                     lambda: model.predict(x, verbose=0), lambda: model.forward(x)):
            try:
                call()
                done += 1
            except ValueError as error:
                refused += 1
finally:
    ended.set()
    thread.join()
assert refused
""",
        "compiled",
        threads,
    )


def test_lists_emptied_in_the_middle_of_a_call() -> None:
    """The arrays in them stay alive."""
    cases(
        """
program = Program(
    values=(Value("x", (None, 3)), Value("y", (None, 4))), parameters=(Parameter("k", (3, 4), 0),),
    nodes=(Node("dense", "dense", (0,), (1,), (0,)),), inputs=(0,), outputs=(1,))
executor = Executor(program, np.ones(12), np.zeros(12))
executor.configure(Training((Loss("mean_squared_error"),), optimizer=Optimizer("sgd", {})), np.zeros((1, 12)))
rows = 400000
lists = [[np.ones((rows, 3))], [np.ones((rows, 4))], [np.ones(rows)], [np.zeros((rows, 4))]]
def empty(done):
    for one in lists:
        one.clear()
    np.full((rows, 4), np.nan)
    return False
options = dict(batch_size=1000, on_batch=empty, every_batch=True)
state = np.zeros(2)
run_train(executor, lists[0], lists[1], np.arange(rows), learning_rate=np.zeros(400), step=0, seed=0, state=state,
    sample_weight=lists[2], **options)
assert state.tolist() == [4.0 * rows, rows], state
lists[0].append(np.ones((rows, 3)))
out = np.zeros((rows, 4))
lists[3].append(out)
run_predict(executor, lists[0], np.arange(rows), outputs=lists[3], **options)
assert (out == 3).all()
""",
        "compiled",
    )


@pytest.mark.parametrize("size", [50, 2**31 - 1, -5])
def test_lengths_overwritten_before_backward(size: int) -> None:
    cases(
        f"""
from rnncore import functional
for name, gates in (("simple_rnn", 1), ("lstm", 4), ("gru", 3)):
    arrays = [rng.normal(size=shape) for shape in ((6, T, 3), (3, gates * 4), (4, gates * 4))]
    found = []
    for spoil in (False, True):
        lengths = np.array([7, 2, 0, 3, 5, 1], np.int32)
        result = getattr(functional, name)(*arrays, lengths=lengths, training=True)
        if spoil:
            lengths[:] = {size}
        found.append(functional.backward(result.tape, np.ones((6, T, 4))))
    for a, b in zip(found[0][:3], found[1][:3]):
        assert np.array_equal(a, b)
""",
        "compiled",
    )


def test_lengths_overwritten_by_another_thread_while_a_function_runs() -> None:
    cases(
        """
from rnncore import functional
x, kernel, recurrent = rng.normal(size=(64, 40, 16)), rng.normal(size=(16, 128)), rng.normal(size=(32, 128)) / 6
lengths = np.full(64, 40, np.int32)
ended = threading.Event()
def scribble():
    while not ended.is_set():
        lengths[::2] = 2**31 - 1
        lengths[...] = 40
        lengths[::3] = -9
        lengths[...] = 7
thread = threading.Thread(target=scribble)
thread.start()
try:
    for _ in range(300):
        try:
            result = functional.lstm(x, kernel, recurrent, lengths=lengths, training=True)
            functional.backward(result.tape, np.ones((64, 40, 32)))
        except ValueError as error:
            assert "lengths" in str(error)
finally:
    ended.set()
    thread.join()
""",
        "compiled",
    )


def test_more_steps_than_any_memory() -> None:
    cases(
        """
from rnncore import functional
for shape in ((2**30, 2**30, 1), (2**40, 1, 1), (1, 2**45, 1), (2**20, 2**20, 2**10)):
    x = np.broadcast_to(np.zeros(shape[2], np.float32), shape)
    for name, gates in (("simple_rnn", 1), ("lstm", 4), ("gru", 3)):
        kernel, recurrent = np.zeros((shape[2], 64 * gates), np.float32), np.zeros((64, 64 * gates), np.float32)
        for training in (False, True):
            try:
                getattr(functional, name)(x, kernel, recurrent, training=training)
            except MemoryError:
                continue
            raise SystemExit("it went through")
""",
        "compiled",
    )
