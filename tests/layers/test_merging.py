"""Layers that merge values or give them another shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

from rnncore import layers, models

X = np.random.default_rng(1).normal(size=(4, 5, 3))
Z = np.random.default_rng(2).normal(size=(4, 5, 3))
V = np.random.default_rng(3).normal(size=(4, 3))

MERGED = {
    "Add": X + Z,
    "Subtract": X - Z,
    "Multiply": X * Z,
    "Average": (X + Z) / 2,
    "Maximum": np.maximum(X, Z),
    "Minimum": np.minimum(X, Z),
    "Concatenate": np.concatenate([X, Z], -1),
}


def run(backend: str, describe: Any, *arrays: Any) -> Any:
    inputs = [layers.Input(array.shape[1:]) for array in arrays]
    model = models.Model(inputs, describe(*inputs))
    model.compile(backend=backend, dtype_policy="float64")
    model = models.Model.from_config(model.get_config())
    model.compile(backend=backend, dtype_policy="float64")
    return model.predict(arrays[0] if len(arrays) == 1 else list(arrays), verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MERGED)
def test_merging_layers_and_functions(name: str, backend: str) -> None:
    np.testing.assert_allclose(run(backend, lambda x, z: getattr(layers, name)()([x, z]), X, Z), MERGED[name])
    np.testing.assert_allclose(run(backend, lambda x, z: getattr(layers, name.lower())([x, z]), X, Z), MERGED[name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_vectors_are_repeated_over_time(backend: str) -> None:
    np.testing.assert_allclose(run(backend, lambda x, v: layers.add([v, x, v]), X, V), X + 2 * V[:, None])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("layer", "x", "expected"),
    [
        (layers.Reshape((3, -1)), X, X.reshape(4, 3, 5)),
        (layers.Permute((2, 1)), X, X.transpose(0, 2, 1)),
        (layers.RepeatVector(2), V, np.stack([V, V], 1)),
    ],
)
def test_shape_layers(layer: layers.Layer, x: Any, expected: Any, backend: str) -> None:
    copy = layers.deserialize(layers.serialize(layer))
    np.testing.assert_array_equal(run(backend, copy, x), expected)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *expected.shape[1:])


def test_concatenation_in_time() -> None:
    x, z = layers.Input((5, 3)), layers.Input((None, 3))
    assert layers.Concatenate(1)([x, x]).shape == (None, 10, 3)
    assert layers.Concatenate(axis=1)([x, z]).shape == (None, None, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: layers.Add(name="sum")(x), ValueError, "'sum' takes a list"),
        (lambda x: layers.Add(name="sum")([x, layers.Input((5, 2))]), ValueError, "'sum' needs inputs whose shapes"),
        (lambda x: layers.Subtract(name="minus")([x] * 3), ValueError, "'minus' takes two inputs, got 3"),
        (lambda x: layers.Concatenate(0), ValueError, "axis must not be that of the batch"),
        (lambda x: layers.Concatenate(3, name="c")([x, x]), ValueError, "axis of 'c' must be one"),
        (lambda x: layers.Concatenate(name="c")([x, layers.Input((4, 3))]), ValueError, "'c' needs inputs of equal"),
        (lambda x: layers.add([x, layers.Input((5, 3), dtype="int32")]), TypeError, "takes float values"),
        (lambda x: layers.Reshape((4,), name="r")(x), ValueError, "'r' cannot reshape"),
        (lambda x: layers.Reshape((-1, -1)), ValueError, "target_shape may have one -1"),
        (lambda x: layers.RepeatVector(0), ValueError, "n must be"),
        (lambda x: layers.RepeatVector(2, name="r")(x), ValueError, "'r' needs an input of shape"),
        (lambda x: layers.Permute((1, 1)), ValueError, "dims must hold"),
        (lambda x: layers.Permute((1,), name="p")(x), ValueError, "'p' needs an input of 2 axes"),
    ],
)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(layers.Input((5, 3)))
