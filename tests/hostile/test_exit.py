"""The end of Python while daemon threads are inside a call: it ends quietly and at once."""

from __future__ import annotations

import textwrap

import pytest
from alone import run_alone

SETUP = """
from busy_process import *

x, y = data(256, 40, 16)
kernel, recurrent = weights(16, 64)
big = np.tile(x, (40, 1, 1))
"""

WORK = {
    "fit": "model.fit(x, y, epochs=10**9, verbose=0)",
    "fit with a hook": """
        hook = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: sum(range(1000)))
        model.fit(x, y, epochs=10**9, verbose=0, callbacks=hook)
    """,
    "fit with a hook that sleeps": """
        hook = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.01))
        model.fit(x, y, epochs=10**9, verbose=0, callbacks=hook)
    """,
    "fit with a loss in Python": """
        model.compile("adam", squared_error)
        model.fit(x, y, epochs=10**9, verbose=0)
    """,
    "evaluate": "forever(lambda: model.evaluate(x, y, verbose=0))",
    "predict": "forever(lambda: model.predict(big, verbose=0))",
    "forward and backward": """
        def passes():
            model.backward(np.ones_like(model.forward(x, training=True)))
        forever(passes)
    """,
    "a functional call": "forever(lambda: functional.lstm(big, kernel, recurrent))",
    "a functional backward pass": """
        def passes():
            result = functional.lstm(big, kernel, recurrent, training=True)
            functional.backward(result.tape, result.output)
        forever(passes)
    """,
    "the reference": """
        model.compile("adam", "mse", backend="reference")
        model.fit(x[:32], y[:32], epochs=10**9, verbose=0)
    """,
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("work", WORK)
def test_daemon_threads_do_not_disturb_the_end(work: str, threads: int) -> None:
    body = textwrap.indent(textwrap.dedent(WORK[work]), "    ")
    code = f"""{SETUP}
# Each has a model of its own, so that none is refused.
def work():
    model = chain(x, 64)
{body}

for _ in range({threads}):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print("over")
"""
    # OpenBLAS with threads of its own waits for ever at the end of Python if a daemon thread is inside a product of
    # matrices, with NumPy alone too; only the reference multiplies there.
    assert run_alone(code, seconds=30, OPENBLAS_NUM_THREADS="1") == "over\n"
