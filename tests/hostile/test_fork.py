"""Forks while other threads compute: the child can compute too, and rightly."""

from __future__ import annotations

import textwrap

import pytest
from alone import run_alone

SETUP = """
import os, warnings
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's own threads are not what is looked at
warnings.simplefilter("ignore", DeprecationWarning)
from busy_process import *

backend = sys.argv[1]
x, y = data(256, 20, 8)
kernel, recurrent = weights(8, 32)

def make():
    return chain(x, 32, backend=backend)

def fit(model):
    return fitted(model, x, y)

def call():
    result = functional.lstm(x, kernel, recurrent, training=True)
    return [result.output, *functional.backward(result.tape, result.output)[:3]]

model = make()
# What a child must find again.
predicted, trained, called = model.predict(x, verbose=0), fit(make()), call()

def repeat(work):
    threading.Thread(target=forever, args=(work,), daemon=True).start()

def check():
    assert same([model.predict(x, verbose=0)], [predicted])
    assert same(fit(make()), trained)
    assert same(call(), called)
    output = model.forward(x, training=True)
    model.backward(np.ones_like(output))
    assert np.isfinite(fit(model)[0]).all()
    model.compile("sgd", "mse", backend=backend)
    model.evaluate(x, y, verbose=0)
    return 0

def children(count):
    for _ in range(count):
        time.sleep(0.003 + 0.02 * rng.random())
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = check()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

OTHERS = {
    "predict": "repeat(lambda: model.predict(x, verbose=0))",
    "evaluate": "repeat(lambda: model.evaluate(x, y, verbose=0))",
    "forward in training": "repeat(lambda: model.backward(np.ones_like(model.forward(x, training=True))))",
    "a functional call": "repeat(call)",
    "fit of another model": "repeat(lambda: fit(make()))",
    "a first prediction": "repeat(lambda: make().predict(x, verbose=0))",
}


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("other", OTHERS)
def test_a_child_of_a_busy_parent_computes(other: str, backend: str) -> None:
    run_alone(f"{SETUP}\n{OTHERS[other]}\nchildren({8 if backend == 'compiled' else 2})\nos._exit(0)", backend)


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_child_of_a_parent_that_fits(backend: str) -> None:
    """The child's model is that of some moment of the fit, and can be trained and compiled, as the parent's cannot."""
    code = """
    def train():
        model.fit(x, y, epochs=10**9, verbose=0)
    threading.Thread(target=train, daemon=True).start()

    def check():
        assert np.isfinite(model.predict(x, verbose=0)).all()
        assert np.isfinite(model.evaluate(x, y, verbose=0))
        np.testing.assert_allclose(model.predict(x[:7], verbose=0), model.predict(x, verbose=0)[:7], rtol=1e-4)
        model.train_on_batch(x, y)
        fit(model)
        model.compile("sgd", "mse", backend=backend)
        fit(model)
        return 0

    children(8 if backend == 'compiled' else 2)
    os._exit(0)
    """
    run_alone(SETUP + textwrap.dedent(code), backend)


def test_a_child_of_a_child_computes() -> None:
    code = """
    repeat(lambda: model.predict(x, verbose=0))
    def check():
        repeat(lambda: model.predict(x, verbose=0))
        assert same([model.predict(x, verbose=0)], [predicted])
        child = os.fork()
        if child == 0:
            os._exit(0 if same([model.predict(x, verbose=0)], [predicted]) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    children(5)
    os._exit(0)
    """
    run_alone(SETUP + textwrap.dedent(code), "compiled")


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_child_goes_on_with_a_forward_pass_of_its_parent(backend: str) -> None:
    code = """
    rnncore._core.set_num_threads(2, True)
    dy = np.ones((len(x), 1), "float32")
    model.forward(x, training=True)
    expected = model.backward(dy)
    result = functional.lstm(x, kernel, recurrent, training=True)
    model.forward(x, training=True)

    def check():
        assert same([result.output, *functional.backward(result.tape, result.output)[:3]], called)
        assert same([model.backward(dy)], [expected])
        return 0

    children(2)
    assert check() == 0
    """
    run_alone(SETUP + textwrap.dedent(code), backend)
