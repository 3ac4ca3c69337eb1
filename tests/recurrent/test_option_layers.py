"""Options of recurrent layers and cells: arguments, training beside the reference, files, streams, policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import same
from tolerance import assert_all_close, assert_close

from rnncore import layers, models, utils

# Arguments of an option, the layers that have it, and whether mixed precision leaves such a layer in float32.
RECURRENT = [layers.SimpleRNN, layers.GRU, layers.LSTM]
OPTIONS: dict[str, tuple[dict[str, Any], list[Any], bool]] = {
    "projected": ({"projection_units": 2}, [layers.LSTM], True),
    "layer_normalization": ({"layer_normalization": True}, RECURRENT, True),
    "peepholes": ({"peepholes": True}, [layers.LSTM], False),
    "trainable_initial_state": ({"trainable_initial_state": True}, RECURRENT, False),
    "zoneout": ({"zoneout": 0.5}, RECURRENT, False),
    "cell_zoneout": ({"cell_zoneout": 0.25}, [layers.LSTM], False),
    "recurrent_dropout": (
        {"dropout": 0.5, "recurrent_dropout": 0.25},
        [layers.SimpleRNN, layers.GRU, layers.LSTM],
        False,
    ),
}
each_layer = pytest.mark.parametrize(
    ("kind", "arguments", "exact"),
    [
        pytest.param(kind, arguments, exact, id=f"{kind.__name__}-{option}")
        for option, (arguments, kinds, exact) in OPTIONS.items()
        for kind in kinds
    ],
)


@each_layer
def test_a_layer_and_its_options(kind: Any, arguments: dict[str, Any], exact: bool) -> None:
    """The config keeps them, a stream carries the states, random ones act in training only, policies are kept."""
    x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    model = models.Sequential([layers.Input((None, 3)), kind(5, return_sequences=True, seed=2, **arguments)])
    config = model.layers[-1].get_config()
    assert {key: config[key] for key in arguments} == arguments
    assert kind.from_config(config).get_config() == config
    found = []
    for backend, policy in (("compiled", "float32"), ("compiled", "mixed_bfloat16"), ("reference", "float32")):
        model.compile("sgd", "mse", backend=backend, dtype_policy=policy)
        found.append(model.predict(x, verbose=0))
        np.testing.assert_array_equal(model.predict(x, verbose=0), found[-1])
        random = not {"projection_units", "layer_normalization", "peepholes", "trainable_initial_state"} & {*arguments}
        assert np.allclose(model.forward(x, training=True), found[-1]) != random
    assert np.array_equal(found[1], found[0]) == exact
    assert_close(found[2], found[0])
    stream = model.stream()
    assert_close(np.stack([stream.step(x[:, t]) for t in range(6)], axis=1), found[0])


def projected() -> models.Model:
    """Layer, cell, both directions, states in and out."""
    source = layers.Input((None, 3))
    x = layers.Bidirectional(layers.LSTM(7, projection_units=4, return_sequences=True))(source)
    x, h, c = layers.LSTM(5, projection_units=2, go_backwards=True, return_sequences=True, return_state=True)(x)
    x = layers.LSTM(5, projection_units=2, return_sequences=True)(x, initial_state=[h, c])
    return models.Model(source, layers.RNN([layers.LSTMCell(6, projection_units=9), layers.GRUCell(2)])(x))


def normalized() -> models.Model:
    source = layers.Input((None, 3))
    x = layers.Bidirectional(layers.LSTM(7, layer_normalization=True, return_sequences=True))(source)
    x, h = layers.GRU(5, layer_normalization=True, return_sequences=True, return_state=True, go_backwards=True)(x)
    x = layers.SimpleRNN(5, layer_normalization=True, return_sequences=True)(x, initial_state=h)
    cells = [cell(4, layer_normalization=True) for cell in (layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell)]
    return models.Model(source, layers.RNN(cells)(x))


def with_peepholes() -> models.Model:
    source = layers.Input((None, 3))
    x = layers.LSTM(7, peepholes=True, zoneout=0.2, cell_zoneout=0.3, seed=1, return_sequences=True)(source)
    return models.Model(source, layers.RNN([layers.LSTMCell(4, peepholes=True), layers.LSTMCell(2, peepholes=True)])(x))


@pytest.mark.parametrize("make", [projected, normalized, with_peepholes])
def test_models_train_alike_and_are_saved(make: Any, tmp_path: Path) -> None:
    model = make()
    x, y = np.random.default_rng(0).normal(size=(16, 6, 3)), np.ones((16, *model.output_shape[1:]))
    weights = model.get_weights()
    found = []
    for backend in ("reference", "compiled"):
        utils.set_random_seed(2)
        model.set_weights(weights)
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
        model.fit(x, y, lengths=np.arange(16) % 7, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert all((after != before).any() for before, after in zip(weights, found[0], strict=True))
    assert_all_close(*found)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    assert same(loaded.get_weights(), model.get_weights())
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_first_weights() -> None:
    """Their shapes, the bias of the forget gate, gains of 1 and a shift of 0, and peepholes of 0."""
    weights = projected().get_weights()
    assert [w.shape for w in weights[:4]] == [(3, 28), (4, 28), (28,), (7, 4)]
    weights = normalized().get_weights()
    assert [w.shape for w in weights[:4]] == [(3, 28), (7, 28), (28,), (10, 7)]
    assert (weights[2] == np.repeat([0, 1, 0, 0], 7)).all()
    assert (weights[3][:9] == 1).all()
    assert (weights[3][9] == 0).all()
    weights = with_peepholes().get_weights()
    assert weights[3].shape == (3, 7)
    assert not weights[3].any()


@pytest.mark.parametrize("wrap", [False, True], ids=["layer", "cell"])
def test_an_lstm_begins_as_one_without_peepholes(wrap: bool) -> None:
    x = np.random.default_rng(0).normal(size=(16, 6, 3))

    def model_of(**arguments: Any) -> models.Sequential:
        made = layers.RNN(layers.LSTMCell(4, **arguments)) if wrap else layers.LSTM(4, **arguments)
        return models.Sequential([layers.Input((6, 3)), made])

    model, plain = models.Sequential.from_config(model_of(peepholes=True).get_config()), model_of()
    plain.set_weights(model.get_weights()[:3])
    for backend in ("compiled", "reference"):
        for one in (model, plain):
            one.compile(loss="mse", backend=backend)
        assert_close(model.predict(x, verbose=0), plain.predict(x, verbose=0))


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_scale_of_a_normalized_kernel_has_no_say(kind: Any) -> None:
    x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    model = models.Sequential([layers.Input((None, 3)), kind(5, layer_normalization=True, return_sequences=True)])
    kernel, recurrent_kernel, *others = model.get_weights()
    found = []
    for scale in (1e3, 1e4):
        model.set_weights([scale * kernel, scale * recurrent_kernel, *others])
        found.append(model.predict(x, verbose=0))
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)


def test_truncated_training_keeps_a_projected_state() -> None:
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(7, projection_units=2, return_sequences=True)])
    model.compile("sgd", "mse")
    first = model.get_weights()[-1]
    model.fit(np.random.default_rng(0).normal(size=(1, 5, 3)), np.ones((1, 5, 2)), truncate=2, verbose=0)
    assert (model.get_weights()[-1] != first).any()


def test_a_state_of_the_wrong_size_is_refused() -> None:
    """A state is not taken for another, though their sizes differ."""
    x, c = layers.Input((5, 3)), layers.Input((6,))
    with pytest.raises(ValueError, match="initial_state"):
        layers.LSTM(6, projection_units=2)(x, initial_state=[c, c])
    layers.LSTM(6, projection_units=2)(x, initial_state=[layers.Input((2,)), c])


NORMALIZED: dict[str, Any] = {"layer_normalization": True}


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        *[
            (kind, {"projection_units": units, **beside}, message)
            for kind in (layers.LSTM, layers.LSTMCell)
            for units, beside, message in (
                (0, {}, "projection_units must be at least 1, got 0"),
                (2, {"zoneout": 0.1}, "zoneout of LSTM.* must be off with projection_units"),
                (2, {"cell_zoneout": 0.1}, "cell_zoneout of LSTM.* must be off"),
                (2, {"peepholes": True}, "peepholes of LSTM.* must be off"),
            )
        ],
        (layers.SimpleRNN, {**NORMALIZED, "zoneout": 0.1}, "zoneout of SimpleRNN must be off with layer_normalization"),
        (layers.GRU, {**NORMALIZED, "zoneout": 0.1}, "zoneout of GRU must be off with layer_normalization, got 0.1"),
        (layers.GRUCell, {**NORMALIZED, "reset_after": False}, "reset_after of GRUCell must be True with layer_norm"),
        (layers.LSTM, {**NORMALIZED, "cell_zoneout": 0.1}, "cell_zoneout of LSTM must be off with layer_normalization"),
        (layers.LSTMCell, {**NORMALIZED, "peepholes": True}, "peepholes of LSTMCell must be off .*, got True"),
        (layers.LSTM, {**NORMALIZED, "projection_units": 2}, "projection_units of LSTM must be off .*, got 2"),
        *[(kind, {"zoneout": 1.0}, "zoneout must be below 1") for kind in RECURRENT],
        *[
            (layers.LSTM, {name: value}, rf"\b{name}\b")
            for name in ("dropout", "recurrent_dropout")
            for value in (1.0, -0.1)
        ],
    ],
)
def test_bad_arguments_are_refused(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(4, **arguments)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (layers.LSTM, {"projection_units": 2.5}, "projection_units must be an integer, got float 2.5"),
        (layers.LSTMCell, {"projection_units": 2.5}, "projection_units must be an integer, got float 2.5"),
        (layers.GRU, {"layer_normalization": "yes"}, "layer_normalization must be True or False"),
        (layers.LSTM, {"dropout": "half"}, r"\bdropout\b"),
        (layers.LSTM, {"recurrent_dropout": "half"}, r"\brecurrent_dropout\b"),
    ],
)
def test_arguments_of_another_type_are_refused(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        kind(4, **arguments)
