"""Arithmetic and indexing of symbolic values, against the same on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

from rnncore import layers, models

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(2, 3, 5, 4))
Same = Callable[[Any, Any], Any]  # of symbolic values and of arrays

OPERATIONS: dict[str, Same] = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x + 1": lambda x, y: x + 1,
    "1 + x": lambda x, y: 1 + x,
    "x - 1": lambda x, y: x - 1,
    "1 - x": lambda x, y: 1 - x,
    "2 * x": lambda x, y: 2 * x,
    "x * np.float32(3)": lambda x, y: x * np.float32(3),
    "np.float64(3) * x": lambda x, y: np.float64(3) * x,
    "x / 4": lambda x, y: x / 4,
    "-x": lambda x, y: -x,
    "+x": lambda x, y: +x,
    "x ** 1": lambda x, y: x**1,
    "x ** 3": lambda x, y: x**3,
    "abs(x - 6) ** 0.5": lambda x, y: abs(x - 6) ** 0.5,
    "(x + 6) ** -1.5": lambda x, y: (x + 6) ** -1.5,
    "mean": lambda x, y: (x + y) / 2 - 0.5 * x * y,
}
PARTS: dict[str, Same] = {
    "x[:, -1]": lambda x, y: x[:, -1],
    "x[:, 2:5]": lambda x, y: x[:, 2:5],
    "x[:, :-1]": lambda x, y: x[:, :-1],
    "x[..., 0]": lambda x, y: x[..., 0],
    "x[..., 1:3]": lambda x, y: x[..., 1:3],
    "x[:, :, ::2]": lambda x, y: x[:, :, ::2],
    "x[:, ::-1]": lambda x, y: x[:, ::-1],
    "x[:, 3:0:-2, -2]": lambda x, y: x[:, 3:0:-2, -2],
    "x[:, 1:-1, 5:0:-2]": lambda x, y: x[:, 1:-1, 5:0:-2],
    "x[:, 4:99]": lambda x, y: x[:, 4:99],
    "x[:, 0, :2]": lambda x, y: x[:, 0, :2],
    "x[:]": lambda x, y: x[:],
    "x[..., np.int64(2)]": lambda x, y: x[..., np.int64(2)],
    "x[:, -1] - y[:, 0]": lambda x, y: x[:, -1] - y[:, 0],
    "x[:, 1:] - x[:, :-1]": lambda x, y: x[:, 1:] - x[:, :-1],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [5, None])
@pytest.mark.parametrize("name", [*OPERATIONS, *PARTS])
def test_values_are_those_of_arrays(name: str, steps: int | None, backend: str) -> None:
    function = {**OPERATIONS, **PARTS}[name]
    x, y = layers.Input((steps, 4)), layers.Input((steps, 4))
    model = models.Model([x, y], function(x, y))
    model.compile(backend=backend, dtype_policy="float64")
    expected = function(X, Y)
    for twin in (model, models.clone_model(model)):
        twin.compile(backend=backend, dtype_policy="float64")
        np.testing.assert_allclose(twin.predict([X, Y], verbose=0), expected, atol=1e-14)
    shape = model.output_shape
    assert shape[0] is None
    assert all(given in (None, size) for given, size in zip(shape[1:], expected.shape[1:], strict=True))
    assert steps is None or None not in shape[1:]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*OPERATIONS, *PARTS])
def test_gradients_are_those_of_arrays(name: str, backend: str) -> None:
    function = {**OPERATIONS, **PARTS}[name]
    x, y = layers.Input((5, 4)), layers.Input((5, 4))
    model = models.Model([x, y], function(x, y))
    model.compile(backend=backend, dtype_policy="float64")
    out = model.forward([X, Y], training=True)
    dout = RNG.normal(size=out.shape)
    found = model.backward(dout)[0]
    direction = RNG.normal(size=X.shape)
    step = 1e-5
    slope = np.sum(dout * (function(X + step * direction, Y) - function(X - step * direction, Y))) / (2 * step)
    assert np.sum(found * direction) == pytest.approx(slope, rel=1e-7)


def test_the_layers_behind() -> None:
    x, y = layers.Input((2, 4)), layers.Input((2, 4))
    assert [type(value.layer) for value in (x + y, x - y, x * y, x**2)] == [
        layers.Add,
        layers.Subtract,
        layers.Multiply,
        layers.Multiply,
    ]
    halved = (1 - x / 2).layer
    assert isinstance(halved, layers.Rescaling)
    assert (halved.scale, halved.offset) == (-1.0, 1.0)
    assert layers.GetItem((slice(None), -1)).get_config()["index"] == [[None, None, None], -1]
    assert layers.GetItem.from_config(layers.GetItem((..., slice(1, 3))).get_config())(x).shape == (None, 2, 2)


def test_models_with_operators_are_saved(tmp_path: Any) -> None:
    x = layers.Input((5, 4))
    model = models.Model(x, layers.Dense(2)(x[:, 1:] - 0.5 * x[:, :-1])[..., ::-1])
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: x / x, TypeError, "x / y of a symbolic value needs a number, got SymbolicValue"),
        (lambda x: 2 / x, TypeError, "divide by numbers"),
        (lambda x: x + np.ones(4), TypeError, "needs a symbolic value or a number, got ndarray"),
        (lambda x: np.ones(4) * x, TypeError, "needs a symbolic value or a number, got ndarray"),
        (lambda x: x * True, TypeError, "got bool"),
        (lambda x: x**True, TypeError, "needs a number, got True"),
        (lambda x: x ** float("inf"), ValueError, "exponent must be a finite number"),
        (lambda x: x / 0, ZeroDivisionError, "division by zero"),
        (lambda x: x * np.nan, ValueError, "scale must be a finite number"),
        (lambda x: x[0], ValueError, "index must begin with ':', for the batch"),
        (lambda x: x[1:], ValueError, "index must begin with ':', for the batch"),
        (lambda x: x[:, 5], ValueError, "has index 5 for axis 1 of size 5"),
        (lambda x: x[:, 5:], ValueError, "leaves nothing of axis 1 of size 5"),
        (lambda x: x[:, :, :, 0], ValueError, "has 4 indices for an input of shape"),
        (lambda x: x[..., 0, 0], ValueError, "must leave an axis after the batch"),
        (lambda x: x[:, None], TypeError, "give a Reshape for a new axis"),
        (lambda x: x[:, 1.5], TypeError, "index must hold slices, integers and Ellipsis, got float"),
        (lambda x: x[:, [1, 2]], TypeError, "index must hold slices, integers and Ellipsis, got list"),
        (lambda x: x[:, ::0], ValueError, "no step of 0"),
        (lambda x: x[..., ...], ValueError, "index may have one Ellipsis"),
        (lambda x: list(x), TypeError, "not iterable"),
        (lambda x: layers.Input((3,), dtype="int32")[:, 1:], TypeError, "takes float values"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(layers.Input((5, 4)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_too_few_steps_at_run_time(backend: str) -> None:
    x = layers.Input((None, 4))
    for part in (x[:, 3], x[:, 3:]):
        model = models.Model(x, part)
        model.compile(backend=backend)
        with pytest.raises(ValueError, match="axis 1"):
            model.predict(X[:, :2], verbose=0)


# Padding and masks


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: 2 * x + 1,
        lambda x: x[..., 1:],
        lambda x: x[:, 1:4],
        lambda x: x[:, :-1],
        lambda x: x[:, ::2],
        lambda x: x[:, 2:, :2] * 3,
    ],
)
def test_lengths_go_on(function: Callable[[Any], Any], backend: str) -> None:
    """What lies behind the end of a row has no influence, and nothing real is lost."""
    x = layers.Input((None, 4))
    model = models.Model(x, layers.GRU(3, return_sequences=True)(function(x)))
    model.compile(backend=backend, dtype_policy="float64")
    lengths = [5, 3, 4]
    found = model.predict(X, lengths=lengths, verbose=0)
    changed = np.where(np.arange(5)[:, None] < np.array(lengths)[:, None, None], X, 77.0)
    np.testing.assert_array_equal(model.predict(changed, lengths=lengths, verbose=0), found)
    marks = function(np.broadcast_to((np.arange(5) < np.array(lengths)[:, None])[..., None] * 1.0, X.shape))
    real = marks[..., 0] == function(np.ones((1, 5, 4)))[..., 0]
    plain = model.predict(X, verbose=0)
    np.testing.assert_allclose(found[real], plain[real], atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_go_on(backend: str) -> None:
    """Of a sequence read backwards the last steps are its first ones."""
    x = layers.Input((5, 4))
    real = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    given = np.where(real[..., None], X, 0.0)
    last = layers.GRU(3)
    model = models.Model(x, last(layers.Masking()(x)[:, ::-1]))
    model.compile(backend=backend, dtype_policy="float64")
    found = model.predict(given, verbose=0)
    for n in range(3):
        alone = given[n : n + 1, real[n] == 1]
        inner = layers.Input((None, 4))
        single = models.Model(inner, last(inner[:, ::-1]))
        single.compile(backend=backend, dtype_policy="float64")
        np.testing.assert_allclose(found[n : n + 1], single.predict(alone, verbose=0), atol=1e-12)


def test_streams_go_through_operators_on_features() -> None:
    x = layers.Input((None, 4))
    model = models.Model(x, layers.GRU(3, return_sequences=True)(1 - x[..., :2] / 2))
    stream = model.stream()
    steps = np.stack([stream.step(X[:1, t]) for t in range(5)], axis=1)
    np.testing.assert_allclose(steps, model.predict(X[:1], verbose=0), atol=1e-6)
    with pytest.raises(ValueError, match="get_item"):
        models.Model(x, layers.GRU(3, return_sequences=True)(x[:, ::-1])).stream()
