"""Activations with options: in layers, configs, files and functions, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from activation_zoo import EVERY, WITH_OPTIONS
from tolerance import Array, assert_all_close, assert_close

from rnncore import activations, functional, layers, models, reference

with_options = pytest.mark.parametrize("activation", WITH_OPTIONS, ids=str)
N, T, I, H = 5, 4, 3, 6
CELLS = {"simple_rnn": 1, "lstm": 4, "gru": 3}
LAYERS: list[Callable[..., Any]] = [
    layers.SimpleRNN,
    layers.LSTM,
    layers.GRU,
    lambda *values, **options: layers.GRU(*values, **options, reset_after=False),
    *(
        lambda *values, cell=cell, **options: layers.RNN(cell(*values, **options))
        for cell in (layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell)
    ),
]


def trained(layer: Callable[[], Any], backend: str) -> list[Array]:
    """Weights after some steps, from the same beginning."""
    rng = np.random.default_rng(0)
    model = models.Sequential([layers.Input((T, I)), layer(), layers.Dense(2)])
    model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
    model.set_weights([0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    model.fit(0.5 * rng.normal(size=(N, T, I)), rng.normal(size=(N, 2)), epochs=3, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_both_backends_train_every_cell_with_every_activation(activation: Any, number: int) -> None:
    made = [{"activation": activation}]
    if number in (1, 5) and activation == "exponential":  # of a sum over all steps, which is no number any more
        made.clear()
    if number not in (0, 4):
        made.append({"recurrent_activation": activation})
    for options in made:
        weights = [trained(lambda options=options: LAYERS[number](H, **options), backend) for backend in BACKENDS]
        assert_all_close(*weights)


BACKENDS = ["compiled", "reference"]


@with_options
@pytest.mark.parametrize(
    "layer",
    [
        lambda activation: layers.Dense(H, activation),
        lambda activation: layers.Activation(activation),
        lambda activation: layers.Conv1D(H, 2, activation=activation),
    ],
)
def test_other_layers_take_them(layer: Callable[[Any], Any], activation: Any) -> None:
    x = np.random.default_rng(1).normal(size=(N, T, I))
    found = []
    for backend in BACKENDS:
        model = models.Sequential([layers.Input((T, I)), layer(activation)])
        model.compile(loss="mse", backend=backend, dtype_policy="float64")
        model.set_weights([np.full(weight.shape, 0.3) for weight in model.get_weights()])
        found.append(model.predict(x, verbose=0))
    assert_close(*found)
    if not model.get_weights():
        assert_close(found[0], activation(x))


@with_options
def test_configs_and_files_keep_them(activation: Any, tmp_path: Path) -> None:
    described = activations.serialize(activation)
    json.dumps(described)
    again = activations.get(described)
    assert (type(again), again.get_config()) == (type(activation), activation.get_config())  # type: ignore[attr-defined]
    layer = layers.LSTM(H, activation=activation, recurrent_activation=activation)
    config = layer.get_config()
    assert config["activation"] == config["recurrent_activation"] == described
    assert layers.LSTM.from_config(config).get_config() == config
    model = models.Sequential([layers.Input((T, I)), layer, layers.Dense(2, activation)])
    model.save(tmp_path / "model.rnn")
    x = np.ones((N, T, I), np.float32)
    loaded = models.load_model(tmp_path / "model.rnn")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.layers[-1].get_config()["activation"] == described


@pytest.mark.parametrize("cell", CELLS)
@with_options
def test_functions_take_them(cell: str, activation: Any) -> None:
    rng = np.random.default_rng(2)
    columns = CELLS[cell] * H
    arrays = [0.5 * rng.normal(size=size) for size in ((N, T, I), (I, columns), (H, columns))]
    options = {"activation": activation} | ({} if cell == "simple_rnn" else {"recurrent_activation": activation})
    plain, found, expected = (
        getattr(module, cell)(*arrays, **given).output
        for module, given in ((functional, {}), (functional, options), (reference, options))
    )
    assert_close(found, expected)
    assert np.abs(found - plain).max() > 1e-3
    described = {name: activations.serialize(activation) for name in options}
    np.testing.assert_array_equal(getattr(functional, cell)(*arrays, **described).output, found)


def test_options_have_keras_defaults() -> None:
    x = np.linspace(-5, 5, 41)
    for kind in (activations.HardSigmoid, activations.LeakyReLU, activations.ELU, activations.ReLU, activations.GELU):
        function = activations.get(kind()._function)
        np.testing.assert_array_equal(kind()(x), function(x))
    np.testing.assert_allclose(activations.HardSigmoid(0.2)(x), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-12)
    np.testing.assert_allclose(activations.hard_sigmoid(x, alpha=0.2), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "same"),
    [
        (layers.ReLU(max_value=2, negative_slope=0.1), activations.ReLU(0.1, 2)),
        (layers.LeakyReLU(), activations.LeakyReLU(0.3)),
        (layers.ELU(0.5), activations.ELU(0.5)),
        (layers.Activation("gelu"), "gelu"),
        (layers.Activation(activations.CELU(2.0)), activations.CELU(2.0)),
        (layers.Softmax(), "softmax"),
    ],
)
def test_layers_stand_for_their_activations(layer: Any, same: Any) -> None:
    assert layers.Dense(3, activation=layer).activation == same
    assert activations.get(layer) == activations.get(same)
    if same != "softmax":
        assert layers.LSTM(3, activation=layer, recurrent_activation=layer).recurrent_activation == same
        x, kernel, recurrent = np.ones((1, 2, 1)), np.full((1, 3), -0.7), np.full((3, 3), 0.4)
        one, other = (functional.simple_rnn(x, kernel, recurrent, activation=f).output for f in (layer, same))
        assert np.array_equal(one, other)


def test_equal_options_make_equal_activations() -> None:
    assert activations.ELU(0.5) == activations.ELU(0.5)
    assert activations.ELU(0.5) != activations.ELU(0.6)
    assert activations.ELU(0.5) != activations.CELU(0.5)
    assert len({activations.ELU(0.5), activations.ELU(0.5), activations.ELU()}) == 2


def test_a_description_of_a_layer_of_keras_is_taken() -> None:
    config = {"name": "leaky_re_lu", "trainable": True, "dtype": "float32", "negative_slope": 0.3}
    found = activations.get({"module": "keras.layers", "class_name": "LeakyReLU", "config": config})
    assert repr(found) == "LeakyReLU(negative_slope=0.3)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LSTM(H, "softmax"), ValueError, "activation of a recurrent layer must be elementwise.*softmax"),
        (lambda: layers.LSTM(H, recurrent_activation="sigmiod"), ValueError, "unknown recurrent_activation.*'sigmoid'"),
        (lambda: layers.GRUCell(H, activation=np.tanh), TypeError, "activation must be a name, or a function"),
        (lambda: activations.get(3), TypeError, "activation must be given by name or object"),  # type: ignore[arg-type]
        (lambda: activations.get({"class_name": "HardSigmiod"}), ValueError, "unknown activation.*HardSigmoid"),
        (lambda: activations.HardSigmoid(alhpa=0.2), TypeError, "unknown argument 'alhpa'; did you mean 'alpha'"),  # type: ignore[call-arg]
        (lambda: activations.HardSigmoid("0.2"), TypeError, "alpha must be a number"),  # type: ignore[arg-type]
        (lambda: activations.ELU(10**400), ValueError, r"alpha must be a finite number in \[-inf, inf\], got 1000"),
        (lambda: activations.CELU(0.0), ValueError, "alpha must be"),
        (lambda: activations.get({}), ValueError, "description of the activation is not whole: it lacks 'class_name'"),
        (lambda: activations.ReLU(max_value=-1.0), ValueError, "max_value must be"),
        (lambda: activations.GELU(1), TypeError, "approximate must be True or False"),  # type: ignore[arg-type]
    ],
)
def test_what_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("module", [functional, reference])
def test_functions_refuse_what_is_no_activation_of_a_cell(module: Any) -> None:
    arrays = np.ones((1, 1, 1)), np.ones((1, 4)), np.ones((1, 4))
    with pytest.raises(ValueError, match=r"unknown recurrent_activation 'sigmiod'; did you mean 'sigmoid'"):
        module.lstm(*arrays, recurrent_activation="sigmiod")
    with pytest.raises(ValueError, match="activation of a recurrent layer must be elementwise"):
        module.lstm(*arrays, activation="softmax")
    with pytest.raises(TypeError, match="activation must be a name"):
        module.lstm(*arrays, activation=np.tanh)
    with pytest.raises(TypeError, match="ELU got an unknown argument 'beta'"):
        module.lstm(*arrays, activation={"class_name": "ELU", "config": {"beta": 1.0}})
    with pytest.raises(ValueError, match="the activation is not whole: it lacks 'class_name'"):
        module.lstm(*arrays, activation={"activation": "elu", "alpha": 0.5})
