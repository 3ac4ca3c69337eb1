"""Products of bfloat16: the rounding itself, both executors, every level and number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recurrent_passes import assert_nearly_equal, layer, passes
from tolerance import assert_all_equal

from rnncore import _core, layers, models, optimizers, reference
from rnncore.reference.rounding import to_bfloat16

CELLS = ["simple_rnn", "lstm", "gru"]
SHAPES = [(1, 1, 1, 1), (1, 33, 3, 17), (3, 5, 2, 33), (6, 3, 17, 5), (40, 4, 9, 70)]  # N, T, I, H


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


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", CELLS)
def test_executors_agree(op: str, shape: tuple[int, ...], level: str) -> None:
    _core.set_isa(level)
    for attributes in ({}, {"recurrent_dropout": 0.3}, {"go_backwards": True}, {"zoneout": 0.3}):
        program = layer(op, shape, "bfloat16", **attributes)
        for ragged in (False, True):
            expected = passes(reference.Executor, program, shape, ragged)
            for actual, wanted in zip(passes(_core.Executor, program, shape, ragged), expected, strict=True):
                assert_nearly_equal(actual, wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", CELLS)
@pytest.mark.parametrize("attributes", [{}, {"zoneout": 0.3, "recurrent_dropout": 0.3}], ids=["plain", "zoneout"])
def test_threads_give_the_same_bits(op: str, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    program = layer(op, shape, "bfloat16", **attributes)
    _core.set_num_threads(1)
    single = [passes(_core.Executor, program, shape, ragged) for ragged in (False, True)]
    for threads in (2, 3, 8):
        _core.set_num_threads(threads, always=True)
        for ragged in (False, True):
            assert_all_equal(passes(_core.Executor, program, shape, ragged), single[ragged])


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
@pytest.mark.parametrize("op", CELLS)
def test_products_are_rounded(op: str, kind: Any) -> None:
    shape = SHAPES[-1]
    rounded, exact = (passes(kind, layer(op, shape, products), shape, False) for products in ("bfloat16", "exact"))
    for a, b in zip(rounded, exact, strict=True):
        error = np.abs(a - b).max() / np.abs(b).max()
        assert 1e-4 < error < 0.2


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
def test_reset_before_is_exact_only(kind: Any) -> None:
    program = layer("gru", SHAPES[1], "bfloat16", reset_after=False)
    with pytest.raises(ValueError, match="products: expected 'exact'"):
        passes(kind, program, SHAPES[1], False)


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
