"""Recurrent layers that read ids by a table of their input products: the bits of those that read the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import Array

from rnncore import _core, layers, models, utils

VOCABULARY = 11
CELLS: dict[str, Any] = {
    "simple_rnn": layers.SimpleRNN,
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "peepholes": lambda units, **options: layers.LSTM(units, peepholes=True, **options),
    "zoneout": lambda units, **options: layers.GRU(units, zoneout=0.2, **options),
    "selu": lambda units, **options: layers.SimpleRNN(units, "selu", **options),
    "reset_before": lambda units, **options: layers.GRU(units, reset_after=False, **options),
    "normalized": lambda units, **options: layers.LSTM(units, layer_normalization=True, **options),
}


def pair(cell: Any, units: int, inputs: int, **options: Any) -> tuple[models.Model, models.Model]:
    """A model whose recurrent layer may read ids, and one that also gives the embedding, so that it may not."""
    utils.set_random_seed(units)
    ids = layers.Input((None,), dtype="int32")
    embedded = layers.Embedding(VOCABULARY, inputs, embeddings_initializer="normal", **options)(ids)
    layer = layers.Bidirectional(cell(units, return_sequences=True, bias_initializer="random_normal"))
    read = layer(embedded)
    return models.Model(ids, read), models.Model(ids, [read, embedded])


def ids_of(rows: int, steps: int, low: int = 0) -> Array:
    return np.random.default_rng(rows).integers(low, VOCABULARY, size=(rows, steps)).astype(np.int32)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_table_changes_no_bit(cell: Any, level: str) -> None:
    _core.set_isa(level)
    for units, inputs, rows, steps in [(1, 1, 1, 1), (16, 5, 1, 4), (17, 3, 7, 3), (40, 9, 2, 20), (100, 33, 13, 2)]:
        model, plain = pair(cell, units, inputs)
        ids = ids_of(rows, steps)
        found = model.predict(ids, verbose=0)
        assert np.array_equal(found, plain.predict(ids, verbose=0)[0]), (units, inputs, rows, steps)
        assert np.isfinite(found).all()
        assert units == 1 or found.std() > 0


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_nor_does_it_in_rows_of_several_lengths(cell: Any) -> None:
    for options in ({}, {"mask_zero": True}):
        model, plain = pair(cell, 20, 6, **options)
        ids = ids_of(5, 9)
        lengths = None if options else [9, 0, 4, 1, 7]
        found, expected = (one.predict(ids, lengths=lengths, verbose=0) for one in (model, plain))
        assert np.array_equal(found, expected[0])
        model.compile(backend="reference")
        assert np.allclose(found, model.predict(ids, lengths=lengths, verbose=0), rtol=0, atol=2e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_of_a_stream_are_those_of_predict(threads: int, dtype: str) -> None:
    utils.set_random_seed(3)
    before = _core.get_num_threads()
    _core.set_num_threads(threads)
    try:
        model = models.Sequential(
            [layers.Input((None,), dtype="int32"), layers.Embedding(VOCABULARY, 7), layers.GRU(70), layers.Dense(3)]
        )
        model.compile(dtype_policy=dtype)
        ids = ids_of(3, 8)
        stream = model.stream(3)
        for t in range(ids.shape[1]):
            found = stream.step(np.ascontiguousarray(ids[:, t]))
            assert np.array_equal(found, model.predict(ids[:, : t + 1], verbose=0))
    finally:
        _core.set_num_threads(before)


def test_new_weights_make_a_new_table() -> None:
    model, plain = pair(layers.LSTM, 8, 4)
    ids = ids_of(2, 5)
    for number in range(3):
        assert np.array_equal(model.predict(ids, verbose=0), plain.predict(ids, verbose=0)[0])
        weights = model.get_weights()
        weights[number] *= 1.5
        model.set_weights(weights)


def test_a_layer_that_reads_two_embeddings_has_two_tables() -> None:
    utils.set_random_seed(0)
    left, right = (layers.Input((None,), dtype="int32") for _ in range(2))
    tables = [layers.Embedding(VOCABULARY, 4, name=name)(ids) for name, ids in (("a", left), ("b", right))]
    shared = layers.GRU(9)
    read = [shared(table) for table in tables]
    ids = [ids_of(2, 5), ids_of(2, 5)[::-1].copy()]
    found = models.Model([left, right], read).predict(ids, verbose=0)
    expected = models.Model([left, right], [*read, *tables]).predict(ids, verbose=0)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=False))
    assert not np.array_equal(*found)


def test_ids_beyond_a_table_are_refused() -> None:
    model, _ = pair(layers.GRU, 4, 2)
    for wrong in (-1, VOCABULARY):
        with pytest.raises(ValueError, match=rf"must lie in \[0, {VOCABULARY - 1}\], got {wrong}"):
            model.predict(np.array([[0, wrong]]), verbose=0)


def test_a_large_vocabulary_keeps_its_embedding() -> None:
    utils.set_random_seed(0)
    ids = layers.Input((None,), dtype="int32")
    embedded = layers.Embedding(2000, 6)(ids)
    read = layers.GRU(200)(embedded)
    x = np.random.default_rng(0).integers(0, 2000, size=(4, 600))
    found = models.Model(ids, read).predict(x, verbose=0)
    assert np.array_equal(found, models.Model(ids, [read, embedded]).predict(x, verbose=0)[0])
