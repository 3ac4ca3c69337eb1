"""The engine takes no more threads than threadpoolctl and joblib grant it, while others keep the processors busy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alone import run_alone

from rnncore import _core

pytestmark = [
    pytest.mark.skipif(not _core.build_info()["openmp"], reason="built without OpenMP"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads cannot be counted"),
]

SETUP = """
import os, subprocess, sys, threading
import numpy as np
import rnncore
from rnncore import _core, functional
from rnncore.sklearn import RNNRegressor
from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_info, threadpool_limits

def team(work):
    # The threads that a call computed with: OpenMP keeps those of the last region.
    work()
    return len(os.listdir("/proc/self/task")) - others

rng = np.random.default_rng(0)
x, kernel, recurrent = (rng.normal(size=s).astype("f") for s in ((64, 20, 16), (16, 256), (64, 256)))
lstm = lambda: functional.lstm(x, kernel, recurrent).output
y = x.sum(axis=(1, 2))
others = len(os.listdir("/proc/self/task")) - 1
spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
try:
"""
FINALLY = """
finally:
    for process in spin:
        process.kill()
        process.wait()
print("done")
"""
CASES = {
    "a limit holds for this thread, and as long as it is there": """
    assert rnncore.get_num_threads() == 4
    with threadpool_limits(3, "openmp"):
        assert rnncore.get_num_threads() == 3
        with threadpool_limits(1, "openmp"):
            assert rnncore.get_num_threads() == 1
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(rnncore.get_num_threads()))
        thread.start(), thread.join()
        assert elsewhere == [4]
    with threadpool_limits(9, "openmp"):
        assert rnncore.get_num_threads() == 4
    assert rnncore.get_num_threads() == 4
    rnncore.set_num_threads(2)
    with threadpool_limits(3, "openmp"):
        assert rnncore.get_num_threads() == 2
    with threadpool_limits(1, "openmp"):
        assert rnncore.get_num_threads() == 1
    assert rnncore.get_num_threads() == 2
    assert any(found["user_api"] == "openmp" and found["num_threads"] == 4 for found in threadpool_info())
    # So many threads compute, with the same bits.
    _core.set_num_threads(4, True)  # as many as are granted, whatever the work
    with threadpool_limits(1, "openmp"):
        assert team(lambda: results.append(lstm())) == 1
        assert team(lambda: fit(n_jobs=None)) == 1
    assert team(lambda: fit(n_jobs=1)) == 1
    with threadpool_limits(3, "openmp"):
        assert team(lambda: results.append(lstm())) == 3
    assert team(lambda: fit(n_jobs=2)) == 2
    assert team(lambda: results.append(lstm())) == 4
    fit(n_jobs=None)
    for found in (results, predictions):
        assert all(np.array_equal(found[0], other) for other in found[1:])
""",
    "workers share the processors": """
    for count in Parallel(n_jobs=2)(delayed(rnncore.get_num_threads)() for _ in range(4)):
        assert 1 <= count <= max(1, os.cpu_count() // 2)
    with parallel_config("loky", inner_max_num_threads=3):
        assert set(Parallel(n_jobs=2)(delayed(rnncore.get_num_threads)() for _ in range(4))) == {3}
""",
}
FITS = """
    results, predictions = [], []
    def fit(n_jobs):
        fitted = RNNRegressor(epochs=2, random_state=0, n_jobs=n_jobs).fit(x, y)
        predictions.append(fitted.predict(x))
"""


@pytest.mark.parametrize(("case", "setting"), [(case, None if "workers" in case else "4") for case in CASES])
def test_threads_that_are_granted(case: str, setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RNNCORE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if setting:
        monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert run_alone(SETUP + FITS + CASES[case] + FINALLY) == "done\n"
