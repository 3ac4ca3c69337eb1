"""Streams whose recurrent weights are kept as bfloat16 or int8: their rounding, both executors, and what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_zoo import random_parameters
from recurrent_options import Case, inputs_of
from small_models import BACKENDS, Array
from special_numbers import EXECUTORS, executor_of

from rnncore import _core, layers, models, utils
from rnncore.program import RECURRENT_OPS
from rnncore.reference.rounding import to_bfloat16, to_int8

CELLS = [layers.SimpleRNN, layers.LSTM, layers.GRU]
FORMATS = ["bfloat16", "int8"]
SIZES = [(1, 1, 1), (5, 3, 2), (16, 16, 1), (17, 1, 3), (33, 7, 2), (40, 9, 1), (64, 16, 8), (100, 33, 1)]  # H, I, N


def test_int8_is_the_nearest_multiple_of_a_scale() -> None:
    x = np.random.default_rng(0).normal(size=(5, 70)).astype(np.float32)
    scale = np.abs(x).max(axis=1, keepdims=True) / 127
    found = to_int8(x)
    assert (np.abs(found - x) <= 0.5001 * scale).all()
    multiples = found / scale
    assert np.abs(multiples - np.rint(multiples)).max() < 1e-4
    assert np.abs(multiples).max() <= 127.001
    assert np.array_equal(to_int8(np.zeros((2, 3), np.float32)), np.zeros((2, 3)))
    assert np.array_equal(to_int8(np.float32([[1e-38, -1e-38]])), [[0, 0]])
    assert np.isnan(to_int8(np.float32([[np.nan, 1.0]]))).all()
    assert np.isnan(to_int8(np.float32([[np.inf, 1.0]]))).all()


def model_of(cell: Any, units: int, inputs: int, **options: Any) -> models.Sequential:
    utils.set_random_seed(units)
    layer = cell(units, return_sequences=True, bias_initializer="random_normal", **options)
    return models.Sequential([layers.Input((None, inputs)), layer])


def steps(stream: Any, x: Array) -> Array:
    return np.stack([stream.step(np.ascontiguousarray(x[:, t])) for t in range(x.shape[1])], axis=1)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize(("units", "inputs", "rows"), SIZES)
@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_weights_are_rounded_weights(cell: Any, units: int, inputs: int, rows: int, level: str) -> None:
    _core.set_isa(level)
    model = model_of(cell, units, inputs)
    x = np.random.default_rng(0).normal(size=(rows, 6, inputs)).astype(np.float32)
    found = steps(model.stream(rows, weights="bfloat16"), x)
    kernel, recurrent_kernel, bias = model.get_weights()
    model.set_weights([to_bfloat16(kernel), to_bfloat16(recurrent_kernel), bias])
    assert np.array_equal(found, steps(model.stream(rows), x))


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize(("units", "inputs", "rows"), SIZES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("weights", FORMATS)
def test_both_executors_agree(weights: str, cell: Any, units: int, inputs: int, rows: int, level: str) -> None:
    _core.set_isa(level)
    model = model_of(cell, units, inputs)
    x = np.random.default_rng(0).normal(size=(rows, 5, inputs)).astype(np.float32)
    found = steps(model.stream(rows, weights=weights), x)
    whole = model.stream(rows, weights=weights).run(x)
    model.compile(backend="reference")
    expected = steps(model.stream(rows, weights=weights), x)
    assert np.abs(found - expected).max() < 2e-6 * max(1, np.abs(expected).max())
    assert np.array_equal(whole, found)


def test_int8_products_are_those_of_integers() -> None:
    model = model_of(layers.SimpleRNN, 20, 7, activation="linear")
    kernel, _, bias = model.get_weights()
    x = np.random.default_rng(0).normal(size=(1, 7)).astype(np.float32)
    found = model.stream(weights="int8").step(x)
    scale_x, scale_w = np.abs(x).max() / 127, np.abs(kernel).max(axis=0) / 127
    sums = np.rint(x / scale_x).astype(int) @ np.rint(kernel / scale_w).astype(int)
    assert np.allclose(found, bias + sums * (scale_x * scale_w), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("weights", "most"), [("bfloat16", 0.01), ("int8", 0.05)])
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_are_near_those_of_all_bits(cell: Any, weights: str, most: float, backend: str) -> None:
    model = model_of(cell, 50, 10)
    model.compile(backend=backend)
    x = np.random.default_rng(0).normal(size=(2, 30, 10)).astype(np.float32)
    error = np.abs(model.stream(2, weights=weights).run(x) - model.predict(x, verbose=0)).max()
    assert 1e-5 < error < most


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"peepholes": True}, {"activation": "relu"}])
@pytest.mark.parametrize("weights", FORMATS)
def test_other_cells_have_them_too(weights: str, options: dict[str, Any]) -> None:
    model = model_of(layers.LSTM, 19, 4, **options)
    x = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    found = model.stream(2, weights=weights).run(x)
    model.compile(backend="reference")
    assert np.allclose(found, model.stream(2, weights=weights).run(x), atol=2e-6)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.LSTM(6, layer_normalization=True),
        lambda: layers.LSTM(6, projection_units=3),
        lambda: layers.GRU(6, reset_after=False),
    ],
)
def test_layers_without_them_keep_all_bits(layer: Any) -> None:
    model = models.Sequential([layers.Input((None, 3)), layer()])
    x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    assert np.array_equal(model.stream(weights="int8").run(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_does_not_depend_on_its_neighbours(cell: Any, weights: str, level: str) -> None:
    _core.set_isa(level)
    model = model_of(cell, 43, 21)
    x = np.random.default_rng(0).normal(size=(8, 4, 21)).astype(np.float32)
    alone = np.concatenate([steps(model.stream(weights=weights), x[n : n + 1]) for n in range(8)])
    for rows in range(2, 9):
        assert np.array_equal(steps(model.stream(rows, weights=weights), x[:rows]), alone[:rows])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_int8_does_not_hide_what_is_not_finite(cell: Any, backend: str, value: float) -> None:
    model = model_of(cell, 18, 4)
    model.compile(backend=backend)
    x = np.ones((2, 4), np.float32)
    x[1, 2] = value
    y = model.stream(2, weights="int8").step(x)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).any()


def test_changed_weights_are_packed_anew() -> None:
    model = model_of(layers.GRU, 24, 5)
    x = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)
    stream = model.stream(weights="int8")
    stream.step(x)
    model.set_weights([2 * w for w in model.get_weights()])
    stream.reset()
    assert np.array_equal(stream.step(x), model.stream(weights="int8").step(x))


@pytest.mark.parametrize(
    ("weights", "policy", "message"),
    [
        ("int4", "float32", "unknown weights 'int4'"),
        ("int8", "float64", "weights must be None for a model that computes with 'float64'"),
        ("bfloat16", "mixed_bfloat16", "weights must be None for a model that computes with 'mixed_bfloat16'"),
    ],
)
def test_wrong_formats_are_refused(weights: str, policy: str, message: str) -> None:
    model = model_of(layers.GRU, 4, 3)
    model.compile(dtype_policy=policy)
    with pytest.raises(ValueError, match=message):
        model.stream(weights=weights)


@pytest.mark.parametrize("name", EXECUTORS)
@pytest.mark.parametrize("products", ["bfloat16_weights", "int8"])
@pytest.mark.parametrize("op", RECURRENT_OPS)
def test_executors_train_without_them(op: str, products: str, name: str) -> None:
    shape = (2, 3, 4, 5, 0)
    program = Case(op).program(shape, products=products)
    message = "products: expected 'exact' or 'bfloat16' in training and in float64"
    for dtype, training in ((np.float32, True), (np.float64, False)):
        parameters = random_parameters(program, dtype)
        with executor_of(name) as kind, pytest.raises(ValueError, match=message):
            kind(program, parameters, parameters.copy()).forward(inputs_of(program, shape, dtype), training=training)
