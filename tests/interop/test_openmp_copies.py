"""One process may hold several OpenMP libraries: this package's, and those that PyTorch and scikit-learn bring."""

from __future__ import annotations

import pytest
from alone import run_alone

SCRIPT = """
import importlib, sys
order = sys.argv[1:]
for name in order:
    importlib.import_module(name)
import numpy as np, rnncore, sklearn.cluster, torch
from threadpoolctl import threadpool_info
rnncore.set_num_threads(2)
torch.set_num_threads(2)
rng = np.random.default_rng(0)
x, kernel, recurrent = (rng.normal(size=s).astype("f") for s in ((64, 20, 16), (16, 256), (64, 256)))
expected = rnncore.functional.lstm(x, kernel, recurrent).output
points = rng.normal(size=(3000, 8))
for _ in range(5):
    assert np.array_equal(rnncore.functional.lstm(x, kernel, recurrent).output, expected)
    assert torch.isfinite(torch.nn.LSTM(16, 64)(torch.from_numpy(x))[0]).all()
    sklearn.cluster.KMeans(4, n_init=1, random_state=0).fit(points)
libraries = {found["filepath"] for found in threadpool_info() if found["user_api"] == "openmp"}
assert len(libraries) >= 2, libraries
print("done")
"""


ORDERS = [("torch", "sklearn.cluster", "rnncore"), ("rnncore", "torch", "sklearn.cluster")]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_all_compute_whoever_is_imported_first(order: tuple[str, ...]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    assert run_alone(SCRIPT, *order).endswith("done\n")
