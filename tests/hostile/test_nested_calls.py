"""Calls of the compiled core from within another: hooks, signal handlers, finalizers; with more and fewer threads."""

from __future__ import annotations

import pytest
from alone import run_alone

SETUP = """
from busy_process import *

x, y = data(256, 40, 16)
kernel, recurrent = weights(16, 64)

def make(seed=1, units=64):
    return chain(x, units, seed=seed)

def fit(model, hook=None, **options):
    hooks = callbacks.LambdaCallback(on_train_batch_end=hook) if hook else None
    return fitted(model, x, y, callbacks=hooks, **options)

expected = fit(make())
model, other, done = make(), make(3, 32), []
forward = functional.lstm(x, kernel, recurrent).output
other_prediction, other_fitted = other.predict(x, verbose=0), fit(make(3, 32))
"""

# What a hook computes; each says in `done` whether it was right.
HOOKS = {
    "predict": "done.append(np.isfinite(model.predict(x, verbose=0)).all())",
    "evaluate": "done.append(np.isfinite(model.evaluate(x, y, verbose=0)))",
    "another model's predict": "done.append(same([other.predict(x, verbose=0)], [other_prediction]))",
    "another model's fit": "done.append(same(fit(make(3, 32)), other_fitted))",
    "a functional call": "done.append(same([functional.lstm(x, kernel, recurrent).output], [forward]))",
    "forward and backward": """
        result = functional.lstm(x, kernel, recurrent, training=True)
        done.append(np.isfinite(functional.backward(result.tape, result.output).kernel).all())
    """,
    "more threads": """
        rnncore.set_num_threads(2 + batch % 7)
        done.append(same([functional.lstm(x, kernel, recurrent).output], [forward]))
        done.append(np.isfinite(model.predict(x, verbose=0)).all())
    """,
    "fewer threads": """
        rnncore.set_num_threads(1 + batch % 2)
        done.append(same([functional.lstm(x, kernel, recurrent).output], [forward]))
    """,
    "a hook in a hook": """
        inner = callbacks.LambdaCallback(on_predict_batch_end=lambda b, l: model.evaluate(x[:40], y[:40], verbose=0))
        done.append(same([other.predict(x, verbose=0, callbacks=inner)], [other_prediction]))
    """,
    "a thread that it waits for": """
        thread = threading.Thread(target=lambda: done.append(same([other.predict(x, verbose=0)], [other_prediction])))
        thread.start(), thread.join()
    """,
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_batch_hook_computes(hook: str) -> None:
    code = f"""{SETUP}
def hook(batch, logs):
{chr(10).join("    " + line.strip() for line in HOOKS[hook].strip().splitlines())}

assert same(fit(model, hook), expected), "the outer run is not what it is alone"
assert len(done) >= 8 and all(done), done
"""
    run_alone(code)


@pytest.mark.parametrize("what", ["signal", "finalizer"])
def test_a_signal_handler_or_a_finalizer_computes(what: str) -> None:
    """Both run when the call asks Python, some 20 times a second."""
    code = f"""{SETUP}
def compute():
    done.append(same([functional.lstm(x, kernel, recurrent).output], [forward]))
    done.append(same([other.predict(x, verbose=0)], [other_prediction]))

class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        compute()

def handler(number, frame):
    if {what == "signal"}:
        compute()
    else:
        Cycle()
        gc.collect()
    signal.setitimer(signal.ITIMER_REAL, 0.05)  # not before, or a slow handler would be interrupted by itself for ever

def often(epoch, logs):
    model.stop_training = len(done) >= 8

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
found = fitted(model, x, y, epochs=10_000, callbacks=callbacks.LambdaCallback(on_epoch_end=often))
signal.setitimer(signal.ITIMER_REAL, 0)
assert all(done), done
epochs = len(model.history.epoch)
assert same(found, fit(make(), epochs=epochs)), "the outer run is not what it is alone"
"""
    run_alone(code)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_fork_in_a_hook_trains_on(threads: int) -> None:
    """Parent and child both end the run with the weights of a run alone."""
    code = f"""{SETUP}
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
rnncore.set_num_threads({threads})
children = []
def hook(batch, logs):
    if batch == 3:
        children.append(os.fork())

found = fit(model, hook)
assert same(found, expected), children
if children == [0]:
    os._exit(0 if np.array_equal(model.predict(x[:9], verbose=0), model.predict(x, verbose=0)[:9]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
"""
    run_alone(code)


def test_a_handler_and_a_thread_evaluate_functions() -> None:
    """The thread waits for the model, which the main thread has while its handler evaluates, too."""
    code = f"""{SETUP}
def error(y_true, y_pred):
    return np.abs(y_true - y_pred).mean(-1)

x, y = data(2048, 60, 16)
model = chain(x, 256)
model.compile("sgd", "mse", metrics=[error])
alone = model.evaluate(x[:64], y[:64], verbose=0)
evaluate = lambda: done.append(same([np.array(model.evaluate(x[:64], y[:64], verbose=0))], [np.array(alone)]))

def handler(number, frame):
    thread.start()
    time.sleep(0.3)  # by now it waits
    evaluate()

thread = threading.Thread(target=evaluate)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
while not done:
    model.predict(x, batch_size=len(x), verbose=0)
thread.join()
assert done == [True, True], done
"""
    run_alone(code)
