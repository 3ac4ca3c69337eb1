"""Ctrl-C, or another signal, while a call waits for its turn with what another thread computes on."""

from __future__ import annotations

import pytest
from alone import run_alone

COMMON = """
from busy_process import *

backend = sys.argv[1]
signal.signal(signal.SIGINT, signal.default_int_handler)
small, targets = data(3, 7, 8)

def make(loss="mse", metrics=None):
    model = chain(small, 16, loss=loss, metrics=metrics, extra=[layers.BatchNormalization()], backend=backend)
    fitted(model, small, targets)
    return model

class Holder:
    # A thread that has the turn with a model's weights until the block ends, as if it computed a long batch.
    def __init__(self, model):
        self.executor = model._session.engine(model).executor
        self.has, self.over, self.gone = threading.Event(), threading.Event(), False
        self.thread = threading.Thread(target=self.hold)
    def hold(self):
        with self.executor.turn():
            self.has.set()
            assert self.over.wait(50)
            self.gone = True
    def __enter__(self):
        self.thread.start()
        assert self.has.wait(50)
        return self
    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

def after(seconds, work):
    timer = threading.Timer(seconds, work)
    timer.start()
    return timer

def interrupted(call, waits=None):
    # Sends Ctrl-C to a call that waits, by now or once `waits` is set, and sees how long after it the call has ended.
    sent = []
    def send():
        if waits:
            assert waits.wait(50)
            time.sleep(0.2)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    late = after(40, lambda: os._exit(3))  # it was not answered
    timer = after(0.2, send)
    try:
        call()
    except KeyboardInterrupt:
        answered = time.monotonic()
    else:
        raise AssertionError("done without KeyboardInterrupt")
    late.cancel(), timer.join()
    assert answered - sent[0] < 2, f"answered after {answered - sent[0]:.2f} s"  # 0.05 s, where nobody else computes

def everything(model):
    slots = [np.copy(slot) for slot in model.optimizer.slots]
    return [*model.get_weights(), *slots, np.array(model.optimizer.iterations)]
"""

LOSSES = {"named": '"mse"', "function": "squared_error"}
CALLS = {
    "predict": "model.predict(small, verbose=0)",
    "evaluate": "model.evaluate(small, targets, verbose=0)",
    "fit": "model.fit(small, targets, verbose=0)",
    "a call": "model(small)",
    "a call in training": "model(small, training=True)",
    "compile": "model._session.engine(model).configure(model._session.compilation)",
    "apply_gradients": "model.apply_gradients()",
}


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_waits_ends_and_changes_nothing(call: str, loss: str, backend: str) -> None:
    run_alone(
        COMMON
        + f"""
model, twin = make({LOSSES[loss]}), make({LOSSES[loss]})
for each in model, twin:
    each.backward(np.ones_like(each(small, training=True)))
before = everything(model)
with Holder(model) as holder:
    interrupted(lambda: {CALLS[call]})
    assert not holder.gone
    assert same(everything(model), before)
# What follows is what follows without it.
for each in model, twin:
    each.apply_gradients()
    fitted(each, small, targets)
assert same(everything(model), everything(twin))
""",
        backend,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_backward_pass_that_waited_can_still_be_made(backend: str) -> None:
    run_alone(
        COMMON
        + """
model = make()
gradient = np.ones_like(model(small, training=True))
expected = model.backward(gradient)
model(small, training=True)
with Holder(model):
    interrupted(lambda: model.backward(gradient))
assert same([model.backward(gradient)], [expected])
""",
        backend,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_the_update_of_a_loss_in_python(backend: str) -> None:
    """It waits within what Ctrl-C must not leave half done."""
    run_alone(
        COMMON
        + """
model = make(squared_error)
executor = model._session.engine(model).executor
waits = threading.Event()
class Slow:
    # The executor, but that others come before its update.
    def __getattr__(self, name):
        if name == "turn":
            waits.set()
            assert holder.has.wait(50)
        return getattr(executor, name)
model._session.engine(model).trainer._executor = Slow()
holder = Holder(model)
starter = threading.Thread(target=lambda: waits.wait(50) and holder.thread.start())
starter.start()
before = everything(model)
interrupted(lambda: model.fit(small, targets, verbose=0), holder.has)
assert waits.is_set() and not holder.gone
assert same(everything(model), before)
holder.over.set(), holder.thread.join()
""",
        backend,
    )


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_between_batches(backend: str, raises: bool) -> None:
    """The model is that of the last whole step; what a callback raises is not kept waiting either."""
    run_alone(
        COMMON
        + f"""
model, twin = make(), make()
holder = Holder(model)
def hook(batch, logs):
    if batch == 1:
        holder.__enter__()
        if {raises}:
            raise EOFError
def fit(model, *hooks):
    utils.set_random_seed(3)
    model.fit(small, targets, batch_size=1, epochs=2, shuffle=False, callbacks=list(hooks), verbose=0)
def stop(batch, logs):
    if batch == 1:
        raise EOFError
try:
    fit(twin, callbacks.LambdaCallback(on_train_batch_end=stop))
except EOFError:
    pass
call = lambda: fit(model, callbacks.LambdaCallback(on_train_batch_end=hook))
if {raises}:
    late = after(20, lambda: os._exit(3))
    try:
        call()
    except EOFError:
        late.cancel()
else:
    interrupted(call, holder.has)
assert not holder.gone
assert same(everything(model), everything(twin))
holder.__exit__()
# The executor knows that nobody runs batches: this would be refused.
model.compile("sgd", "mse", backend=backend)
fitted(model, small, targets)
""",
        backend,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_the_waits_of_other_threads_go_on(backend: str) -> None:
    run_alone(
        COMMON
        + """
model = make()
alone, ended = model.predict(small, verbose=0), []
def work(number):
    with model._session.engine(model).executor.turn():
        ended.append((number, same([model(small)], [alone])))
others = [threading.Thread(target=work, args=(number,)) for number in range(4)]
def begin(threads):
    for thread in threads:
        thread.start()
        time.sleep(0.1)  # by now it waits
with Holder(model):
    begin(others[:2])
    timer = after(0.05, lambda: begin(others[2:]))  # behind the main thread
    interrupted(lambda: model(small))
    timer.join()
    assert not ended
for thread in others:
    thread.join()
assert sorted(ended) == [(number, True) for number in range(4)], ended
if backend == "compiled":
    assert ended == sorted(ended), ended  # turns come in the order in which they were asked for
""",
        backend,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_handler_that_does_not_raise_keeps_the_place(backend: str) -> None:
    """It runs while the call waits. Others do not wait for it, and it may compute itself."""
    run_alone(
        COMMON
        + """
model = make()
alone, events = model(small), []
def note(name):
    events.append((name, same([model(small)], [alone])))
def handler(number, frame):
    events.append("handler")
    holder.over.set()
    thread = threading.Thread(target=note, args=("other",))
    thread.start(), thread.join()
    note("handler's")
signal.signal(signal.SIGALRM, handler)
with Holder(model) as holder:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    note("main")
assert events == ["handler", ("other", True), ("handler's", True), ("main", True)], events
""",
        backend,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_handler_that_forks(backend: str) -> None:
    """The child, where no other thread is, has its turn at once."""
    run_alone(
        COMMON
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
model = make()
alone, children = model(small), []
waiting = threading.Thread(target=lambda: model(small))
def handler(number, frame):
    waiting.start()
    time.sleep(0.1)  # by now it waits
    children.append(os.fork())
    if children[0]:
        holder.over.set()
    else:
        signal.alarm(20)  # ends a child that waits for ever
signal.signal(signal.SIGALRM, handler)
with Holder(model) as holder:
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    found = model(small)
    if children == [0]:
        os._exit(0 if same([found, model(small)], [alone, alone]) else 1)
assert same([found], [alone])
waiting.join()
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
""",
        backend,
    )


def test_ctrl_c_as_the_turn_comes() -> None:
    """A turn of the reference that came with the signal is given to the next."""
    run_alone(
        """
import os, signal, sys, threading, time
from rnncore._turns import Turns

signal.signal(signal.SIGINT, signal.default_int_handler)
turns, has = Turns(), threading.Event()
sys.setswitchinterval(5)
def hold():
    with turns:
        has.set()
        time.sleep(0.3)  # by now the main thread waits
    # It has the turn, but not the interpreter, which the signal comes before.
    os.kill(os.getpid(), signal.SIGINT)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
thread = threading.Thread(target=hold)
thread.start()
has.wait()
try:
    with turns:
        time.sleep(1)
except KeyboardInterrupt:
    pass
thread.join()
taken = []
other = threading.Thread(target=lambda: taken.append(turns.take(5)))
other.start(), other.join()
assert taken == [True]
"""
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_long_batch_of_another_thread(backend: str) -> None:
    """As the others, with a batch that takes seconds in place of a thread that only has the turn."""
    run_alone(
        COMMON
        + """
model = models.Sequential([layers.Input((None, 8)), layers.LSTM(256)])
model.compile("sgd", "mse", backend=backend)
seconds, steps = 0, 1000
while seconds < 1:
    steps *= 2
    x, _ = data(2, steps, 8)
    began = time.monotonic()
    model.predict(x, verbose=0)
    seconds = time.monotonic() - began
found = []
x5 = np.tile(x, (1, 5, 1))
thread = threading.Thread(target=lambda: found.append(model.predict(x5, verbose=0)))
thread.start()
time.sleep(0.2)
interrupted(lambda: model.predict(small, verbose=0))
assert thread.is_alive()
thread.join()
assert same(found, [model.predict(x5, verbose=0)])
""",
        backend,
        seconds=120,
    )


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_new_engine_on_weights_that_others_compute_with(backend: str) -> None:
    """What the optimizer remembers moves with the weights, once."""
    run_alone(
        COMMON
        + """
def pair():
    model = make()
    other = models.Sequential([layers.Input(small.shape[1:]), layers.LSTM(8, return_sequences=True), *model.layers])
    other.compile("sgd", "mse", backend=backend)
    other.predict(small, verbose=0)  # all weights are in one vector now
    return model, other
(model, other), (twin, _) = pair(), pair()
with Holder(other) as holder:
    interrupted(lambda: model.fit(small, targets, verbose=0))
    assert not holder.gone
fitted(model, small, targets), fitted(twin, small, targets)
assert same(everything(model), everything(twin))
""",
        backend,
    )


@pytest.mark.parametrize("made", [0, 3])
def test_a_batch_that_a_thread_makes(made: int) -> None:
    run_alone(
        COMMON
        + f"""
class Batches(utils.Sequence):
    def __len__(self):
        return 5
    def __getitem__(self, k):
        if k >= {made}:
            begun.set()
            assert over.wait(50)
        return small, targets
begun, over = threading.Event(), threading.Event()
model = make()
before = model.optimizer.iterations
def trained():
    return model.optimizer.iterations - before
def see(batch, logs):
    if batch + 1 == {made}:
        waits.set()
waits = threading.Event() if {made} else begun
hook = callbacks.LambdaCallback(on_train_batch_end=see)
fit = lambda: model.fit(Batches(workers=2, max_queue_size=1), shuffle=False, callbacks=[hook], verbose=0)
interrupted(fit, waits)
assert trained() == {made}
over.set()
fit()
assert trained() == {made} + 5
""",
        "compiled",
    )
