"""Products of bfloat16: the rounding itself, what it changes, and the policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recurrent_options import Case, passes

from rnncore import _core, layers, models, optimizers, reference
from rnncore.program import RECURRENT_OPS
from rnncore.reference.rounding import to_bfloat16


def test_rounding_is_to_nearest_even() -> None:
    one = np.float32(1)
    ulp = np.float32(2**-7)
    halves = np.array(
        [one + ulp / 2, one + 3 * ulp / 2, one + ulp / 2 + np.float32(2**-20), -one - ulp / 2], np.float32
    )
    np.testing.assert_array_equal(to_bfloat16(halves), [one, one + 2 * ulp, one + ulp, -one])
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000).astype(np.float32)
    rounded = to_bfloat16(x)
    assert (rounded.view(np.uint32) & 0xFFFF == 0).all()
    assert (np.abs(rounded - x) <= np.abs(x) * 2**-8).all()
    special = np.array([np.inf, -np.inf, np.nan, 0, -0.0], np.float32)
    np.testing.assert_array_equal(to_bfloat16(special), special)


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
@pytest.mark.parametrize("cell", RECURRENT_OPS)
def test_products_are_rounded(cell: str, kind: Any) -> None:
    shape = (40, 4, 9, 70, 0)
    programs = (Case(cell).program(shape, products=products) for products in ("bfloat16", "exact"))
    rounded, exact = (passes(kind, program, shape, np.float32, False) for program in programs)
    for a, b in zip(rounded, exact, strict=True):
        error = np.abs(a - b).max() / np.abs(b).max()
        assert 1e-4 < error < 0.2


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_policy_trains_and_is_saved(backend: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNCORE_BACKEND", backend)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6, 3)).astype(np.float32)
    y = x.sum(axis=1)[:, :1]
    model = models.Sequential([layers.Input((6, 3)), layers.GRU(8), layers.Dense(1)])
    model.compile(optimizers.Adam(0.01), "mse", dtype_policy="mixed_bfloat16")
    history = model.fit(x, y, epochs=40, batch_size=8, verbose=0, shuffle=False)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert model.dtype == "float32"
    assert model.dtype_policy == "mixed_bfloat16"
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    assert again.dtype_policy == "mixed_bfloat16"
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
