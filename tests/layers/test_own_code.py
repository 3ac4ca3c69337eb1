"""Layers that are the user's Python code: values, gradients, masks, streams, files, errors and calls from within."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array

from rnncore import layers, models

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(20, 6, 3)), RNG.normal(size=(20, 2))


class OwnDense(layers.Layer):
    """A Dense with tanh, as code."""

    def __init__(self, units: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel", regularizer="l2")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def call(self, x: Array) -> Array:
        return np.tanh(x @ self.kernel + self.bias)

    def backward(self, x: Array, y: Array, dy: Array) -> Any:
        dz = dy * (1 - y**2)
        flat = dz.reshape(-1, self.units)
        return dz @ np.array(self.kernel).T, [x.reshape(len(flat), -1).T @ flat, flat.sum(axis=0)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def chain(middle: Any, backend: str, weights: list[Array] | None = None) -> models.Sequential:
    first, last = layers.Dense(4, "tanh"), layers.Dense(2)
    model = models.Sequential([layers.Input((None, 3)), first, middle, layers.GRU(5), last])
    rng = np.random.default_rng(1)
    model.set_weights(weights or [rng.normal(size=weight.shape) for weight in model.weights])
    model.compile("adam", "mse", backend=backend, dtype_policy="float64")
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_own_code_trains_as_the_layer_it_copies(backend: str) -> None:
    own, plain = (chain(layer, backend) for layer in (OwnDense(4), layers.Dense(4, "tanh", kernel_regularizer="l2")))
    losses = [
        model.fit(X, Y, epochs=3, batch_size=8, verbose=0, shuffle=False, validation_data=(X, Y)).history
        for model in (own, plain)
    ]
    assert losses[0].keys() == losses[1].keys()
    for key in losses[0]:
        np.testing.assert_allclose(losses[0][key], losses[1][key], rtol=1e-10)
    for a, b in zip(own.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.predict(X, verbose=0), plain.predict(X, verbose=0), rtol=1e-9)
    loss = own.train_on_batch(X, Y)
    assert loss == pytest.approx(plain.train_on_batch(X, Y), rel=1e-9)


class Two(layers.Layer):
    """Two inputs, two outputs, the mask and whether it trains."""

    def call(self, x: list[Array], mask: Array | None = None, training: bool = False) -> list[Array]:
        real = np.ones(x[0].shape[:2]) if mask is None else mask
        return [x[0] * x[1] * real[..., None], x[0].sum(axis=-1, keepdims=True) * (2.0 if training else 1.0)]

    def backward(self, x: Any, y: Any, dy: Any, mask: Array | None = None) -> Any:
        real = np.ones(x[0].shape[:2]) if mask is None else mask
        return [dy[0] * x[1] * real[..., None] + 2 * dy[1], dy[0] * x[0] * real[..., None]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_inputs_outputs_and_the_mask(backend: str) -> None:
    a, b = layers.Input((None, 3)), layers.Input((None, 3))
    product, total = Two(name="two")([a, b])
    assert (product.shape, total.shape) == ((None, None, 3), (None, None, 1))
    model = models.Model([a, b], [product, total])
    model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
    other, lengths = RNG.normal(size=X.shape), RNG.integers(0, 7, size=20)
    real = (np.arange(6) < lengths[:, None])[..., None]
    found = model.predict([X, other], lengths=lengths, verbose=0)
    np.testing.assert_allclose(found[0], X * other * real)
    np.testing.assert_allclose(found[1], X.sum(axis=-1, keepdims=True))
    assert np.allclose(model.forward([X, other], training=True)[1], 2 * found[1])
    dy = [RNG.normal(size=array.shape) for array in found]
    dx = model.backward(dy)
    np.testing.assert_allclose(dx[0], dy[0] * other + 2 * dy[1])
    np.testing.assert_allclose(dx[1], dy[0] * X)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lambda(backend: str) -> None:
    def power(x: Array, exponent: float) -> Array:
        return np.asarray(np.abs(x) ** exponent)

    def slope(x: Array, y: Array, dy: Array, exponent: float) -> Array:
        return np.asarray(dy * exponent * np.sign(x) * np.abs(x) ** (exponent - 1))

    layer = layers.Lambda(power, arguments={"exponent": 3.0}, backward=slope, by_steps=True)
    own, plain = (chain(middle, backend) for middle in (layer, layers.Activation("linear")))
    np.testing.assert_allclose(layer(layers.Input((5, 3))).shape[1:], (5, 3))
    histories = [model.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"] for model in (own, plain)]
    assert histories[0] != histories[1]
    cubes = models.Sequential([layers.Input((None, 3)), layer])
    cubes.compile("sgd", "mse", backend=backend)
    np.testing.assert_allclose(cubes.predict(X, verbose=0), np.abs(X) ** 3, rtol=1e-5)
    stream = cubes.stream(batch_size=20)
    np.testing.assert_allclose(stream.step(X[:, 0]), np.abs(X[:, 0]) ** 3, rtol=1e-5)
    np.testing.assert_allclose(stream.run(X[:, 1:]), np.abs(X[:, 1:]) ** 3, rtol=1e-5)
    two = models.Sequential([layers.Input((2,)), layers.Lambda(lambda x: x + 1, backward=lambda x, y, dy: dy)])
    assert models.clone_model(two).layers[0].get_config()["function"].endswith("/function")
    np.testing.assert_array_equal(models.clone_model(two).predict(np.ones((1, 2)), verbose=0), [[2, 2]])
    config = cubes.to_json()
    with pytest.raises(ValueError, match=r"give custom_objects=\{'power'"):
        models.model_from_json(config)
    again = models.model_from_json(config, custom_objects={"power": power, "slope": slope})
    again.compile(backend=backend)
    np.testing.assert_allclose(again.predict(X, verbose=0), np.abs(X) ** 3, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_those_of_finite_differences(backend: str) -> None:
    model = chain(OwnDense(4), backend)
    dy = RNG.normal(size=(20, 2))
    model.forward(X, training=True)
    dx = model.backward(dy)
    for place in [(0, 0, 0), (3, 5, 2), (19, 2, 1)]:
        moved = [X.copy(), X.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        high, low = ((model.forward(x) * dy).sum() for x in moved)
        assert dx[place] == pytest.approx((high - low) / 2e-6, rel=1e-5, abs=1e-8)


def test_streams_need_code_that_goes_by_steps() -> None:
    with pytest.raises(ValueError, match="'own' does not treat each step by itself"):
        models.Sequential([layers.Input((None, 3)), OwnDense(2, name="own")]).stream()


def test_files_and_copies(tmp_path: Path) -> None:
    model = chain(OwnDense(4), "compiled")
    model.fit(X, Y, verbose=0)
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn", custom_objects={"OwnDense": OwnDense})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-12)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict(X, verbose=0), expected, rtol=1e-12)
    twin = models.clone_model(model)
    twin.compile("sgd", "mse", dtype_policy="float64")
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(twin.predict(X, verbose=0), expected, rtol=1e-12)
    assert [weight.name for weight in model.layers[1].weights] == ["kernel", "bias"]


class Failing(layers.Layer):
    """Fails in its third call, or in its third backward pass."""

    by_steps = True

    def __init__(self, where: str, do: Any) -> None:
        super().__init__()
        self.where, self.do, self.count = where, do, 0

    def _maybe(self, where: str) -> None:
        self.count += where == self.where
        if where == self.where and self.count == 3:
            self.do()

    def call(self, x: Array) -> Array:
        if len(x) == 8:  # not where shapes are tried
            self._maybe("call")
        return x

    def backward(self, x: Array, y: Array, dy: Array) -> Array:
        self._maybe("backward")
        return dy


def fail() -> None:
    raise KeyError("mine")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("where", ["call", "backward"])
def test_an_error_ends_training_at_the_last_whole_step(where: str, backend: str) -> None:
    failing, whole = (chain(Failing(where, do), backend) for do in (fail, lambda: None))
    with pytest.raises(KeyError, match="mine"):
        failing.fit(X[:16], Y[:16], batch_size=8, epochs=2, verbose=0, shuffle=False)
    whole.fit(X[:16], Y[:16], batch_size=8, epochs=1, verbose=0, shuffle=False)
    for a, b in zip(failing.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert failing.optimizer.iterations == 2
    failing.fit(X[:16], Y[:16], batch_size=8, verbose=0)  # it works on
    assert np.isfinite(failing.predict(X, verbose=0)).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_code_may_run_models(backend: str) -> None:
    found: list[Any] = []
    model = chain(
        Failing("call", lambda: found.append((other.predict(X, verbose=0), model.predict(X, verbose=0)))), backend
    )
    other = chain(layers.Dense(4), backend)
    model.fit(X[:16], Y[:16], batch_size=8, epochs=2, verbose=0)
    assert len(found) == 1
    np.testing.assert_array_equal(found[0][0], other.predict(X, verbose=0))
    trains = chain(Failing("call", lambda: trains.train_on_batch(X[:8], Y[:8])), backend)
    with pytest.raises((ValueError, RuntimeError)):
        trains.fit(X[:16], Y[:16], batch_size=8, epochs=2, verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_take_turns(backend: str) -> None:
    model = chain(OwnDense(4), backend)
    expected, found = model.predict(X, verbose=0), []

    def predict() -> None:
        found.extend(model.predict(X, verbose=0) for _ in range(5))

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(np.array_equal(one, expected) for one in found)


class Bare(layers.Layer):
    def __init__(self, result: Any) -> None:
        super().__init__(name="bare")
        self.result = result

    def call(self, x: Array) -> Any:
        return self.result(x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_code(backend: str) -> None:
    bare = chain(Bare(lambda x: x), backend)
    with pytest.raises(TypeError, match="'bare' has no method backward"):
        bare.train_on_batch(X, Y)
    with pytest.raises(ValueError, match=r"'bare': call must return arrays \(N, \.\.\.\)"):
        chain(Bare(lambda x: 1.0), backend)
    with pytest.raises(TypeError, match="what call of 'bare' returns must hold real numbers"):
        chain(Bare(lambda x: np.array([["a"]])), backend)
    growing = chain(Bare(lambda x: x if len(x) == 2 else x[1:]), backend)
    with pytest.raises(ValueError, match=r"'bare': call must return \[\(20, 6, 4\)\], got \[\(19, 6, 4\)\]"):
        growing.predict(X, verbose=0)
    with pytest.raises(TypeError, match="function of Lambda must be a function"):
        layers.Lambda("square")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has no gradient, which training needs"):
        chain(layers.Lambda(np.square), backend).train_on_batch(X, Y)


def test_only_subclasses_of_layer_itself_have_code() -> None:
    with pytest.raises(TypeError, match="call would be ignored"):

        class Doubled(layers.Dense):
            def call(self, x: Array) -> Array:
                return 2 * x
