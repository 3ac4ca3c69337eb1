"""Levels and threads as a process meets them: environment, worker processes, Python threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from alone import run_python
from small_models import data, forecaster, same

from rnncore import _core, functional

# Large enough for two threads, and one number to compare that every bit enters.
PRELUDE = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import hashlib
import numpy as np
from rnncore import functional

def digest(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(32, 40, 64)).astype(np.float32)
    kernel, recurrent = rng.normal(size=(2, 64, 256)).astype(np.float32) / 8
    result = functional.lstm(x, kernel, recurrent, training=True)
    gradients = functional.backward(result.tape, np.ones_like(result.output))
    return hashlib.sha256(result.output.tobytes() + gradients.kernel.tobytes()).hexdigest()
"""


def run_digest(code: str, **environment: str) -> list[str]:
    done = run_python(PRELUDE + code, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("level", _core.isa_levels())
def test_environment_and_call_choose_the_same_level(level: str) -> None:
    by_environment = run_digest("print(digest(0))", RNNCORE_ISA=level)
    by_call = run_digest(f"from rnncore import _core; _core.set_isa({level!r}); print(digest(0))")
    assert by_environment == by_call


def test_best_level_is_the_default() -> None:
    assert run_digest("print(digest(0))") == run_digest("print(digest(0))", RNNCORE_ISA=_core.isa_levels()[0])


def test_unknown_level_changes_nothing() -> None:
    with pytest.raises(ValueError, match=rf"level must be one of .*{_core.isa_levels()[-1]}.*, got 'pentium'"):
        _core.set_isa("pentium")
    assert _core.isa() in _core.isa_levels()


def test_threads_in_the_environment_change_no_bits() -> None:
    results = [run_digest("print(digest(0))", RNNCORE_NUM_THREADS=str(threads)) for threads in (1, 2, 8)]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("value", ["", "0", "-2", "many"])
def test_useless_number_of_threads_in_the_environment(value: str) -> None:
    code = "import rnncore; print(rnncore.get_num_threads())"
    assert run_python(code, RNNCORE_NUM_THREADS=value).stdout == run_python(code).stdout


def test_own_number_of_threads_goes_before_openmps() -> None:
    code = "import rnncore; print(rnncore.get_num_threads())"
    assert run_python(code, RNNCORE_NUM_THREADS="3", OMP_NUM_THREADS="5").stdout.strip() == "3"


def test_forked_workers_after_a_parallel_call() -> None:
    code = """
import multiprocessing
here = [digest(seed) for seed in range(4)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(digest, range(4)) == here
assert [digest(seed) for seed in range(4)] == here
print("same")
"""
    assert run_digest(code, RNNCORE_NUM_THREADS="2") == ["same"]


def test_python_threads_call_kernels_at_once() -> None:
    rng = np.random.default_rng(0)
    kernel, recurrent = rng.normal(size=(2, 64, 256)) / 8
    batches = [rng.normal(size=(n, 30, 64)) for n in (1, 8, 17, 32) * 4]

    def run(x: np.ndarray) -> list[np.ndarray]:
        result = functional.lstm(x, kernel, recurrent, training=True)
        gradients = functional.backward(result.tape, np.ones_like(result.output))
        return [result.output, gradients.x, gradients.kernel, gradients.recurrent_kernel]

    _core.set_num_threads(1)
    alone = [run(x) for x in batches]
    _core.set_num_threads(2)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, batches))
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))


def test_python_threads_train_models_at_once() -> None:
    x, y = data(rows=40)
    start = forecaster().get_weights()

    def run(rate: float) -> list[np.ndarray]:
        model = forecaster(optimizer="sgd", loss="mse", backend="compiled")
        model.set_weights(start)
        model.optimizer.learning_rate = rate
        model.fit(x, y, batch_size=8, epochs=5, shuffle=False, verbose=0)
        return model.get_weights()

    rates = [0.01 * (1 + k) for k in range(6)]
    alone = [run(rate) for rate in rates]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(run, rates))
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))
    assert not same(alone[0], alone[1])
