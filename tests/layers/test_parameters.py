"""The flat vectors: layout, joining, changing the dtype, moving slots, forgetting, copying."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest
from tolerance import assert_all_equal

from rnncore.layers import GRU, LSTM, Dense, Input
from rnncore.layers.builder import ProgramBuilder, build_program
from rnncore.parameters import ParameterStore


def dense(features: int, units: int, **options: Any) -> Dense:
    layer = Dense(units, bias_initializer="random_normal", **options)
    layer.build((None, features))
    return layer


def test_a_model_is_one_vector() -> None:
    x = Input((None, 3))
    cell, head = GRU(4), Dense(2)
    before: list[Any] = []
    y = head(cell(x))
    before = cell.get_weights() + head.get_weights()
    _, store = build_program([x], [y])
    np.testing.assert_array_equal(store.vector, np.concatenate([weight.ravel() for weight in before]))
    assert store.vector.flags.c_contiguous
    assert store.vector.dtype == np.float32
    assert store.gradients.shape == store.vector.shape
    for layer in (cell, head):
        for weight in layer.weights:
            assert weight.store is store
            assert np.shares_memory(weight.value, store.vector)
            assert np.shares_memory(weight.gradient, store.gradients)
    head.bias[1] = 9.0
    assert store.vector[-1] == 9.0


def test_describing_again_moves_nothing() -> None:
    x = Input((3,))
    y = Dense(2)(Dense(4)(x))
    _, store = build_program([x], [y])
    _, again = build_program([x], [y])
    assert again is store
    assert store.current is store


def test_joining_keeps_values_and_follows() -> None:
    a, b, c = dense(3, 2), dense(2, 4), dense(4, 1)
    values = [weight for layer in (a, b, c) for weight in layer.get_weights()]
    first = ParameterStore.join([*a.weights, *b.weights])
    second = ParameterStore.join([*b.weights, *c.weights])
    assert first.current is second.current is second
    assert first.successor is second
    for layer_weight, value in zip([*a.weights, *b.weights, *c.weights], values, strict=True):
        assert layer_weight.store is second
        np.testing.assert_array_equal(layer_weight.value, value)


def test_models_share_layers() -> None:
    x, y = Input((None, 3)), Input((None, 3))
    encoder, head = LSTM(4), Dense(2)
    small, first = build_program([x], [encoder(x)])
    large, second = build_program([y], [head(encoder(y))])
    assert first.current is second
    assert second.size == encoder.count_params() + head.count_params()
    assert [parameter.name for parameter in small.parameters] == [weight.path for weight in encoder.weights]
    again, same = build_program([x], [encoder(x)])
    assert same is second
    assert [p.offset for p in again.parameters] == [p.offset for p in large.parameters[:3]]


def test_astype_keeps_the_layout() -> None:
    x = Input((3,))
    layer = Dense(2)
    program, store = build_program([x], [layer(x)])
    assert store.astype("float32") is store
    wide = store.astype("float64")
    assert store.current is wide
    assert wide.gradients.dtype == np.float64
    np.testing.assert_array_equal(wide.vector, store.vector.astype(np.float64))
    assert [p.offset for p in program.parameters] == [weight.offset for weight in layer.weights]
    assert layer.kernel.dtype == np.float64
    assert ParameterStore.join(layer.weights) is wide


def test_joining_takes_the_wider_dtype() -> None:
    a, b = dense(3, 2), dense(2, 4)
    a.weights[0].store.astype("float64")
    joined = ParameterStore.join([*b.weights, *a.weights])
    assert joined.dtype == np.float64


def test_slots_move_with_their_weights() -> None:
    a, b = dense(3, 2), dense(2, 4)
    store = a.weights[0].store
    slots = np.random.default_rng(0).normal(size=(3, store.size)).astype(np.float32)
    np.testing.assert_array_equal(store.transfer(slots), slots)
    joined = ParameterStore.join([*b.weights, *a.weights])
    moved = store.transfer(slots)
    assert moved.shape == (3, joined.size)
    for weight, start in zip(a.weights, (0, 6), strict=True):
        np.testing.assert_array_equal(moved[:, weight.window], slots[:, start : start + weight.size])
    for weight in b.weights:
        assert not moved[:, weight.window].any()


def test_regularizers_of_trainable_parameters() -> None:
    x = Input((3,))
    free = Dense(4, kernel_regularizer="l1", bias_regularizer="l2")
    frozen = Dense(2, kernel_regularizer="l2", trainable=False)
    builder = ProgramBuilder()
    build_program([x], [frozen(free(x))], builder)
    found = builder.penalties.regularizers
    assert [(r.parameter, r.l1, r.l2) for r in found] == [(0, 0.01, 0.0), (1, 0.0, 0.01)]


def test_regularizers_in_a_shared_store() -> None:
    x = Input((3,))
    first, second = Dense(4), Dense(2, kernel_regularizer="l2")
    middle = first(x)
    build_program([x], [second(middle)])
    builder = ProgramBuilder()
    build_program([middle], [second(middle)], builder)
    assert [r.parameter for r in builder.penalties.regularizers] == [0]


def test_dead_layers_are_forgotten() -> None:
    kept = dense(3, 2)
    for _ in range(5):
        dropped = dense(2, 4)
        joined = ParameterStore.join([*kept.weights, *dropped.weights])
        assert joined.size == kept.count_params() + dropped.count_params()
        del dropped
        gc.collect()


def test_copies_are_independent() -> None:
    x = Input((None, 3))
    layer = LSTM(4, recurrent_regularizer="l2")
    build_program([x], [layer(x)])
    for duplicate in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert duplicate.get_config() == layer.get_config()
        assert_all_equal(layer.get_weights(), duplicate.get_weights())
        duplicate.kernel[...] = 0
        assert layer.kernel.any()
        assert duplicate.weights[0].store.weights == duplicate.weights
        assert not duplicate.weights[0].store.vector[duplicate.weights[0].window].any()


def test_assign_refuses_what_does_not_fit() -> None:
    layer = dense(3, 2, name="head")
    with pytest.raises(ValueError, match=r"head/kernel must have shape \(3, 2\), got \(2, 3\)"):
        layer.kernel = np.zeros((2, 3))
    with pytest.raises(TypeError, match="head/bias must hold real numbers, got dtype object"):
        layer.bias = [None, 1]
