"""Ctrl-C, or another signal, during one long call: answered soon, and nothing is left half done."""

from __future__ import annotations

import pytest
from alone import run_alone

COMMON = """
import os, signal, sys, threading, time
import numpy as np
from tolerance import assert_all_equal
import rnncore
from rnncore import functional, layers, models, utils

signal.signal(signal.SIGINT, signal.default_int_handler)
rnncore.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)

def random(*shape):
    return rng.normal(size=shape).astype("f4") / 4

def long_enough(call, first, most):
    # How many steps take some seconds, but at most so many, for they take memory. By the processor's time: others may
    # use it now, and not later.
    steps, seconds = first, 0
    while seconds < 0.3 and 2 * steps < most:
        steps *= 2
        began = time.process_time()
        call(steps)
        seconds = (time.process_time() - began) / rnncore.get_num_threads()
    return int(min(steps * 4 / seconds, most))

def interrupted(call, error=KeyboardInterrupt):
    # Sends Ctrl-C to a call that takes some seconds, and sees how long after it the call has ended.
    sent = []
    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(0.2, send)
    timer.start()
    began = time.monotonic()
    try:
        call()
    except error:
        answered = time.monotonic()
    else:
        raise AssertionError(f"done after {time.monotonic() - began:.2f} s, without {error.__name__}")
    timer.join()
    assert answered - sent[0] < 2, f"answered after {answered - sent[0]:.2f} s"  # 0.1 s, where nobody else computes
"""


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("cell", "gates", "options"),
    [("simple_rnn", 1, ""), ("lstm", 4, ""), ("gru", 3, ""), ("gru", 3, ", reset_after=False")],
    ids=["simple_rnn", "lstm", "gru", "gru-reset-before"],
)
def test_a_functional_call_and_its_backward_pass(cell: str, gates: int, options: str, threads: str) -> None:
    run_alone(
        COMMON
        + f"""
def run(x):
    return functional.{cell}(x, kernel, recurrent_kernel, training=True{options})

kernel, recurrent_kernel = random(8, {gates} * 512), random(512, {gates} * 512)
small = random(3, 7, 8)
before = run(small).output
x = random(1, long_enough(lambda steps: run(random(1, steps, 8)), 1000, {240_000 // gates}), 8)
interrupted(lambda: run(x))
result = run(x)
interrupted(lambda: functional.backward(result.tape, result.output))
np.testing.assert_array_equal(run(small).output, before)
""",
        threads,
    )


# Layers that many steps of x keep busy, and as many of those as memory has room for.
MODELS = {
    "lstm": ("layers.Input((None, 8)), layers.LSTM(256)", 30_000),
    "narrow": ("layers.Input((None, 2)), layers.GRU(8)", 1_000_000),
    "bidirectional": ("layers.Input((None, 8)), layers.Bidirectional(layers.GRU(256))", 30_000),
    "masked": ("layers.Input((None, 8)), layers.Masking(), layers.LSTM(256)", 30_000),
    "projected": ("layers.Input((None, 8)), layers.LSTM(256, projection_units=64)", 60_000),
    "normalized": ("layers.Input((None, 8)), layers.LSTM(128, layer_normalization=True)", 60_000),
    "reset-before": ("layers.Input((None, 8)), layers.GRU(128, reset_after=False)", 60_000),
    "convolution": ("layers.Input((None, 64)), layers.Conv1D(256, 31), layers.GlobalMaxPooling1D()", 60_000),
    "dense": ("layers.Input((None, 8)), layers.Dense(2048), layers.Dense(2048), layers.LSTM(1)", 8_000),
}


@pytest.mark.parametrize("name", MODELS)
def test_one_long_batch_leaves_the_model_as_it_was(name: str) -> None:
    layers, most = MODELS[name]
    run_alone(
        COMMON
        + f"""
def make():
    utils.set_random_seed(1)
    inputs, *others = [{layers}]
    model = models.Sequential([inputs, layers.BatchNormalization(), *others, layers.Dense(1)])
    model.compile("adam", "mse")
    return step(model)

def step(model):
    utils.set_random_seed(2)
    x = np.random.default_rng(3).normal(size=(4, 40, model.input_shape[-1]))
    model.fit(x, np.ones((4, 1)), verbose=0)
    return model

def fit(x):
    model.fit(x, np.ones((2, 1)), verbose=0)
def data(steps):
    return random(2, steps, model.input_shape[-1])

model = make()
x = data(long_enough(lambda steps: fit(data(steps)), 300, {most}))
model, twin = make(), make()
interrupted(lambda: fit(x))
# The same step follows with the same bits: weights, moving averages and the optimizer's numbers were untouched.
step(model), step(twin)
assert model.optimizer.iterations == twin.optimizer.iterations
assert_all_equal(model.get_weights(), twin.get_weights())
""",
        "2",
        seconds=120,
    )


@pytest.mark.parametrize("score", ["layers.Attention()", "layers.AdditiveAttention()"])
def test_attention(score: str) -> None:
    run_alone(
        COMMON
        + f"""
def make(width):
    inputs = layers.Input((None, width))
    return models.Model(inputs, layers.GlobalMaxPooling1D()({score}([inputs, inputs])))

model = make(1024)
model.compile("sgd", "mse")
def fit(x):
    model.fit(x, np.ones((1, 1024)), verbose=0)
x = random(1, long_enough(lambda steps: fit(random(1, steps, 1024)), 500, 6_000), 1024)
interrupted(lambda: fit(x))
x = np.concatenate([x, x], axis=1)
interrupted(lambda: model.predict(x, verbose=0))
""",
        "2",
        seconds=120,
    )


def test_ctc() -> None:
    run_alone(
        COMMON
        + """
model = models.Sequential([layers.Input((None, 8)), layers.Dense(30)])
model.compile("sgd", "ctc")
def fit(x, labels):
    model.fit(x, labels, batch_size=len(x), verbose=0)
def data(rows):
    return random(rows, 2000, 8), rng.integers(1, 30, (rows, 400))
x, labels = data(long_enough(lambda rows: fit(*data(rows)), 1, 100))
interrupted(lambda: fit(x, labels))
""",
        "1",
        seconds=120,
    )


def test_the_states_of_stateful_layers_are_those_before_the_batch() -> None:
    run_alone(
        COMMON
        + """
model = models.Sequential([layers.Input((None, 8), batch_size=2), layers.LSTM(256, stateful=True), layers.Dense(1)])
model.compile("sgd", "mse")
model.predict(random(2, 5, 8), verbose=0)
def states():
    return [np.copy(state) for state in model.layers[0].states]
before, weights = states(), model.get_weights()
x, y = random(2, 80_000, 8), np.ones((2, 1))
for call in (
    lambda: model.predict(x, verbose=0),
    lambda: model.evaluate(x, y, verbose=0),
    lambda: model.fit(x, y, verbose=0, shuffle=False),
    lambda: model(x),
):
    interrupted(call)
    assert_all_equal(before + weights, states() + model.get_weights())
""",
        "2",
    )


LONG_MODEL = """
model = models.Sequential([layers.Input((None, 8)), layers.LSTM(64), layers.Dense(1)])
model.compile("adam", "mse")
x, y = random(64, 20_000, 8), np.ones((64, 1))  # rows enough to be shared out: no barrier in the steps
def alarm(handler, seconds=0.2):
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
"""


def test_what_a_handler_raises_arrives() -> None:
    run_alone(
        COMMON
        + LONG_MODEL
        + """
class Late(Exception):
    pass
def late(*_):
    raise Late
before = model.get_weights()
for call in (lambda: model.fit(x, y, verbose=0), lambda: functional.gru(x, random(8, 768), random(256, 768))):
    alarm(late)
    try:
        call()
        raise AssertionError("not interrupted")
    except Late:
        pass
assert_all_equal(before, model.get_weights())
""",
        "2",
    )


def test_handlers_may_compute_within_a_batch() -> None:
    run_alone(
        COMMON
        + LONG_MODEL
        + """
import numpy.testing  # not in a handler that another one interrupts
small = random(3, 7, 8)
expected, began = model.predict(small, verbose=0), time.monotonic()
alone = model.predict(x, verbose=0)
soon = (time.monotonic() - began) / 8
calls = []
def handler(*_):
    calls.append(1)
    if len(calls) < 3:
        alarm(handler, soon)
    np.testing.assert_array_equal(model.predict(small, verbose=0), expected)
    functional.lstm(small, random(8, 64), random(16, 64))
alarm(handler, soon)
found = model.predict(x, verbose=0)
signal.setitimer(signal.ITIMER_REAL, 0)  # Python's end would leave a late one to the system, which kills
assert calls
np.testing.assert_array_equal(found, alone)
""",
        "2",
    )


def test_handlers_may_not_train_the_same_model_within_a_batch() -> None:
    run_alone(
        COMMON
        + LONG_MODEL
        + """
def handler(*_):
    model.fit(random(3, 7, 8), np.ones((3, 1)), verbose=0)
before = model.get_weights()
alarm(handler)
try:
    model.fit(x, y, verbose=0)
    raise AssertionError("no error")
except ValueError as error:
    assert "signal handler" in str(error), error
assert_all_equal(before, model.get_weights())
""",
        "2",
    )


@pytest.mark.parametrize("loss", ['"mse"', "lambda y, p: (float(((p - y) ** 2).mean()), 2 * (p - y) / p.size)"])
@pytest.mark.parametrize("backend", ["reference", "compiled"])
def test_moving_averages_are_those_before_the_batch(backend: str, loss: str) -> None:
    run_alone(
        COMMON
        + f"""
layer = layers.BatchNormalization()
model = models.Sequential([layers.Input((None, 8)), layer, layers.LSTM(256), layers.Dense(1)])
model.compile("adam", {loss}, backend="{backend}")
model.fit(random(2, 4, 8), np.ones((2, 1)), verbose=0)
before = model.get_weights()
x = random(2, 30_000, 8)
interrupted(lambda: model.fit(x, np.ones((2, 1)), verbose=0))
assert_all_equal(before, model.get_weights())
""",
        "2",
    )
