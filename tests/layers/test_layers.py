"""Layers one by one: shapes, weights, names, configs, first values and refused arguments."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import numpy as np
import pytest
from tolerance import assert_all_equal

from rnncore import activations, initializers, layers, utils
from rnncore.layers import GRU, LSTM, Activation, Dense, Dropout, Embedding, Flatten, Input, InputLayer, SimpleRNN

FEATURES, H = 3, 4

# layer, input shape, output shape, weight shapes
CASES: list[tuple[layers.Layer, tuple[int | None, ...], Any, list[tuple[int, ...]]]] = [
    (Dense(H), (None, FEATURES), (None, H), [(FEATURES, H), (H,)]),
    (Dense(H, "softmax"), (None, None, FEATURES), (None, None, H), [(FEATURES, H), (H,)]),
    (Dense(H, use_bias=False), (2, 5, FEATURES), (2, 5, H), [(FEATURES, H)]),
    (SimpleRNN(H), (None, None, FEATURES), (None, H), [(FEATURES, H), (H, H), (H,)]),
    (SimpleRNN(H, "relu", use_bias=False), (None, 5, FEATURES), (None, H), [(FEATURES, H), (H, H)]),
    (
        LSTM(H, return_sequences=True),
        (None, None, FEATURES),
        (None, None, H),
        [(FEATURES, 4 * H), (H, 4 * H), (4 * H,)],
    ),
    (LSTM(H, return_state=True), (7, 5, FEATURES), [(7, H)] * 3, [(FEATURES, 4 * H), (H, 4 * H), (4 * H,)]),
    (LSTM(H, unit_forget_bias=False), (None, 5, FEATURES), (None, H), [(FEATURES, 4 * H), (H, 4 * H), (4 * H,)]),
    (GRU(H), (None, 5, FEATURES), (None, H), [(FEATURES, 3 * H), (H, 3 * H), (2, 3 * H)]),
    (GRU(H, reset_after=False), (None, 5, FEATURES), (None, H), [(FEATURES, 3 * H), (H, 3 * H), (3 * H,)]),
    (
        GRU(H, return_sequences=True, return_state=True, go_backwards=True, use_bias=False),
        (None, 5, FEATURES),
        [(None, 5, H), (None, H)],
        [(FEATURES, 3 * H), (H, 3 * H)],
    ),
    (Embedding(11, H), (None, None), (None, None, H), [(11, H)]),
    (Embedding(11, H, mask_zero=True), (None, None), (None, None, H), [(11, H)]),
    (layers.Masking(-1.0), (None, 5, FEATURES), (None, 5, FEATURES), []),
    (Activation("tanh"), (None, 5, FEATURES), (None, 5, FEATURES), []),
    (Dropout(0.3, seed=5), (None, 5, FEATURES), (None, 5, FEATURES), []),
    (Flatten(), (None, 5, FEATURES), (None, 5 * FEATURES), []),
    (Flatten(), (None, None, FEATURES), (None, None), []),
    (Flatten(), (None,), (None, 1), []),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)
def test_shapes_and_weights(case: Any) -> None:
    described, input_shape, output_shape, weight_shapes = case
    layer = layers.deserialize(layers.serialize(described))
    assert layer.compute_output_shape(input_shape) == output_shape
    assert layer.weights == []
    assert layer.get_weights() == []
    layer.build(input_shape)
    assert layer.built
    assert [weight.shape for weight in layer.weights] == weight_shapes
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in weight_shapes)
    assert layer.input_shape == input_shape
    assert layer.output_shape == output_shape


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)
def test_config_makes_the_same_layer(case: Any) -> None:
    layer = case[0]
    description = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(description)
    assert type(again) is type(layer)
    assert layers.serialize(again) == description
    known = set(inspect.signature(type(layer)).parameters) | {"name", "trainable", "batch_input_shape"}
    assert set(layer.get_config()) <= known


def test_config_keeps_everything_that_was_said() -> None:
    layer = LSTM(
        5,
        "relu",
        "hard_sigmoid",
        kernel_initializer=initializers.Constant(0.5),
        recurrent_regularizer="l1",
        return_sequences=True,
        unroll=True,
        seed=3,
        name="cell",
        trainable=False,
        input_shape=(None, 2),
    )
    again = LSTM.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    assert again.name == "cell"
    assert again.trainable is False
    assert again.batch_input_shape == (None, None, 2)
    assert (again.activation, again.recurrent_activation) == ("relu", "hard_sigmoid")
    again.build((None, 7, 2))
    np.testing.assert_array_equal(again.kernel, np.full((2, 20), 0.5))


def test_automatic_names_are_unique() -> None:
    utils.clear_session()
    names = [make().name for make in (lambda: LSTM(1), lambda: LSTM(1), lambda: SimpleRNN(1), lambda: GRU(1))]
    assert names == ["lstm", "lstm_1", "simple_rnn", "gru"]
    assert Input((1,)).name == "input_layer"
    assert LSTM(1, name="mine").name == "mine"


def test_first_values() -> None:
    utils.set_random_seed(3)
    lstm, plain, gru, table = (
        LSTM(H),
        LSTM(H, unit_forget_bias=False),
        GRU(H, bias_initializer="ones"),
        Embedding(50, 8),
    )
    for layer in (lstm, plain, gru):
        layer.build((None, None, FEATURES))
    table.build((None, None))
    np.testing.assert_array_equal(lstm.bias, np.repeat([0, 1, 0, 0], H))
    np.testing.assert_array_equal(plain.bias, np.zeros(4 * H))
    np.testing.assert_array_equal(gru.bias, np.ones((2, 3 * H)))
    limit = np.sqrt(6 / (FEATURES + 4 * H))  # fans of the fused matrix
    assert 0.8 * limit < np.abs(lstm.kernel).max() <= limit
    np.testing.assert_allclose(lstm.recurrent_kernel @ lstm.recurrent_kernel.T, np.eye(H), atol=1e-6)
    assert 0.04 < np.abs(table.embeddings).max() <= 0.05
    assert not np.array_equal(lstm.kernel, plain.kernel)


def test_seeded_models_start_alike() -> None:
    def weights() -> list[Any]:
        utils.set_random_seed(11)
        layer = GRU(H)
        layer.build((None, None, FEATURES))
        return layer.get_weights()

    assert_all_equal(weights(), weights())


def test_unit_forget_bias_keeps_the_initializer_elsewhere() -> None:
    layer = LSTM(2, bias_initializer=initializers.Constant(0.25))
    layer.build((None, None, 1))
    np.testing.assert_array_equal(layer.bias, [0.25, 0.25, 1, 1, 0.25, 0.25, 0.25, 0.25])


def test_weights_are_live_views() -> None:
    layer = Dense(2)
    layer.build((None, 3))
    layer.kernel[0, 1] = 7.0
    assert layer.get_weights()[0][0, 1] == 7.0
    layer.bias = [1.0, 2.0]
    np.testing.assert_array_equal(layer.get_weights()[1], [1, 2])
    copy = layer.get_weights()[0]
    copy[...] = 0
    assert layer.kernel[0, 1] == 7.0
    np.testing.assert_array_equal(np.asarray(layer.weights[1]), [1, 2])
    np.asarray(layer.weights[1])[0] = 3.0
    np.array(layer.weights[1])[1] = 4.0
    np.testing.assert_array_equal(layer.bias, [3, 2])
    assert np.asarray(layer.weights[1], np.float64).dtype == np.float64


def test_set_weights_takes_any_real_array() -> None:
    rng = np.random.default_rng(1)
    layer = GRU(H)
    layer.build((None, None, FEATURES))
    values = [rng.normal(size=weight.shape) for weight in layer.weights]
    layer.set_weights([values[0].astype(">f4"), np.asfortranarray(values[1]), values[2].tolist()])
    for weight, value in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_array_equal(weight, value.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w[:2], ValueError, "weights of 'cell' must be 3 arrays, got 2"),
        (lambda w: 1.0, TypeError, "weights of 'cell' must be a list of 3 arrays, got float"),
        (lambda w: [w[0], w[1], w[2][:-1]], ValueError, r"cell/bias must have shape \(4,\), got \(3,\)"),
        (
            lambda w: [w[0], w[1] * 1j, w[2]],
            TypeError,
            "cell/recurrent_kernel must hold real numbers, got dtype complex",
        ),
        (lambda w: [w[0], w[1], ["a"] * 4], TypeError, "cell/bias must hold real numbers, got dtype <U1"),
    ],
)
def test_bad_weights_change_nothing(change: Any, error: type[Exception], message: str) -> None:
    layer = SimpleRNN(H, name="cell")
    layer.build((None, None, FEATURES))
    before = layer.get_weights()
    with pytest.raises(error, match=message):
        layer.set_weights(change([2 * weight + 1 for weight in before]))
    assert_all_equal(layer.get_weights(), before)


def test_use_before_build() -> None:
    layer = LSTM(H, name="cell")
    with pytest.raises(ValueError, match="'cell' has no weights to count before it is built"):
        layer.count_params()
    with pytest.raises(ValueError, match="'cell' takes no weights before it is built"):
        layer.set_weights([])
    with pytest.raises(AttributeError, match="'cell' has no kernel before it is built"):
        _ = layer.kernel
    with pytest.raises(AttributeError, match="'cell' has no output shape before it is built"):
        _ = layer.output_shape
    with pytest.raises(AttributeError, match="'cell' has not been called"):
        _ = layer.output


def test_absent_bias() -> None:
    layer = Dense(2, use_bias=False, name="head")
    layer.build((None, 3))
    with pytest.raises(AttributeError, match="'head' has no bias"):
        _ = layer.bias


def test_trainable() -> None:
    layer = Dense(2, trainable=False)
    layer.build((None, 3))
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    layer.trainable = True
    assert layer.trainable_weights == layer.weights
    assert layer.non_trainable_weights == []


def test_build_is_once_and_for_one_kind_of_input() -> None:
    layer = LSTM(H, name="cell")
    layer.build((None, 5, FEATURES))
    kernel = layer.kernel.copy()
    layer.build((None, 9, FEATURES))
    np.testing.assert_array_equal(layer.kernel, kernel)
    with pytest.raises(ValueError, match=r"'cell' was built for inputs with 3 features \(last axis\), got shape"):
        layer.build((None, 5, FEATURES + 1))


def test_calls_know_where_they_come_from() -> None:
    x = Input((None, FEATURES))
    layer = LSTM(H, return_state=True)
    first, second = layer(x), layer(x)
    assert [value.shape for value in first] == [(None, H)] * 3
    assert [value.index for value in first] == [0, 1, 2]
    assert {value.call.index for value in first} == {0}
    assert {value.call.index for value in second} == {1}
    assert first[0].layer is layer
    assert first[0].call.inputs == (x,)
    assert layer.input is x
    assert layer.output == second


def test_input() -> None:
    x = Input((None, FEATURES), batch_size=8, name="x")
    assert (x.shape, x.dtype, x.name) == ((8, None, FEATURES), "float", "x")
    assert Input(batch_shape=(2, 5)).shape == (2, 5)
    assert Input((5,), dtype="int64").dtype == "int"
    assert Input((5,), dtype="float64").dtype == "float"
    config = json.loads(json.dumps(InputLayer((5,), dtype="int32", name="ids").get_config()))
    again = InputLayer.from_config(config)
    assert (again.output.dtype, again.batch_shape, again.name) == ("int", (None, 5), "ids")


def test_an_embedding_makes_an_untyped_input_integer() -> None:
    ids = Input((5,))
    Embedding(7, 2)(ids)
    assert ids.dtype == "int"
    with pytest.raises(TypeError, match=r"'table' takes int values, got <SymbolicValue .* float of 'x'>"):
        Embedding(7, 2, name="table")(Input((5,), dtype="float32", name="x"))
    with pytest.raises(TypeError, match="'head' takes float values"):
        Dense(2, name="head")(Input((5,), dtype="int32"))


def test_embedding_starts_from_given_values() -> None:
    values = np.random.default_rng(0).normal(size=(7, 2))
    for weights in (values, [values], values.tolist()):
        table = Embedding(7, 2, weights=weights)
        table.build((None, 5))
        np.testing.assert_array_equal(table.embeddings, values.astype(np.float32))
    with pytest.raises(ValueError, match=r"weights must have shape \(7, 3\), got \(7, 2\)"):
        Embedding(7, 3, weights=values)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: SimpleRNN(10, input_shape=(1, 1)), (None, 1, 1)),
        (lambda: LSTM(10, batch_input_shape=(8, None, 2)), (8, None, 2)),
        (lambda: LSTM(10, input_shape=(5, 2), batch_size=8), (8, 5, 2)),
        (lambda: GRU(10, input_dim=2), (None, None, 2)),
        (lambda: GRU(10, input_dim=2, input_length=5), (None, 5, 2)),
        (lambda: Dense(10, input_dim=2), (None, 2)),
        (lambda: Dense(10, input_shape=[2]), (None, 2)),
        (lambda: Embedding(10, 3, input_length=5), (None, 5)),
        (lambda: Flatten(input_shape=(2, 3)), (None, 2, 3)),
        (lambda: Dense(10), None),
    ],
)
def test_shape_of_a_first_layer(layer: Any, shape: Any) -> None:
    assert layer().batch_input_shape == shape


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LSTM(H, use_cudnn=True), ValueError, "LSTM: use_cudnn=True is not supported"),
        (lambda: Dense(H, kernel_constraint="max_nrom"), ValueError, "unknown constraint 'max_nrom'"),
        (lambda: Flatten(activity_regularizer="l3"), ValueError, "unknown regularizer 'l3'"),
        (lambda: Embedding(5, 2, mask_zero=1), TypeError, "mask_zero must be True or False, got int 1"),
        (lambda: LSTM(H, zero_output_for_mask=0), TypeError, "zero_output_for_mask must be True or False, got int 0"),
        (lambda: layers.Masking("0"), TypeError, "mask_value must be a number, got str '0'"),
        (
            lambda: layers.Dropout(0.5, noise_shape=(None, 4, 3), name="d")(Input((5, 3))),
            ValueError,
            "noise_shape of 'd'",
        ),
        (lambda: layers.Dropout(0.5, noise_shape=3), TypeError, "noise_shape must be a tuple"),
        (lambda: layers.SpatialDropout1D(0.5, name="d")(Input((5,))), ValueError, "'d' needs an input of shape"),
        (lambda: layers.GaussianNoise(-1), ValueError, "stddev must be"),
        (lambda: layers.GaussianDropout(1.0), ValueError, "rate must be below 1"),
        (
            lambda: layers.BatchNormalization(axis=1, name="b")(Input((5, 3))),
            ValueError,
            "axis of 'b' must be the last",
        ),
        (lambda: layers.BatchNormalization(renorm=True), ValueError, "renorm=True is not supported"),
        (lambda: layers.Conv1D(2, 3, groups=2, name="c"), ValueError, "groups of 'c' must be 1"),
        (lambda: layers.Conv1D(2, 3, padding="some"), ValueError, "unknown padding 'some'; did you mean 'same'"),
        (lambda: layers.Conv1D(2, 3, strides=2, dilation_rate=2), ValueError, "must not both be above 1"),
        (lambda: layers.Conv1D(2, 3, name="c")(Input((2, 3))), ValueError, "'c' needs at least 3 time steps"),
        (lambda: layers.Conv1D(2, 3, name="c")(Input((3,))), ValueError, "'c' needs an input of shape"),
        (lambda: layers.MaxPooling1D(padding="causal"), ValueError, "unknown padding 'causal'"),
        (lambda: layers.MaxPooling1D(data_format="channels_first"), ValueError, "data_format must be"),
        (lambda: layers.GlobalMaxPooling1D(name="g")(Input((3,))), ValueError, "'g' needs an input of shape"),
        (lambda: Flatten("channels_first"), ValueError, "data_format must be None or 'channels_last', got 'channels_f"),
        (lambda: Dense(H, dtype="float16"), ValueError, "Dense: dtype must be one of float32, float64, mixed_bfloat16"),
        (lambda: Dense(0), ValueError, "units must be at least 1, got 0"),
        (lambda: LSTM(2.0), TypeError, "units must be an integer, got float 2.0"),
        (lambda: LSTM(True), TypeError, "units must be an integer, got bool True"),
        (lambda: LSTM(H, "tahn"), ValueError, "unknown activation 'tahn'; did you mean 'tanh'"),
        (lambda: LSTM(H, activation="softmax"), ValueError, "activation of a recurrent layer must be elementwise"),
        (lambda: GRU(H, recurrent_activation="softmax"), ValueError, "recurrent_activation of a recurrent layer"),
        (lambda: layers.Softmax(0, name="s"), ValueError, "axis of 's' must not be that of the batch, 0"),
        (lambda: layers.ReLU(max_value=-1), ValueError, "max_value must be"),
        (lambda: layers.LeakyReLU("x"), TypeError, "negative_slope must be a number"),
        (
            lambda: Dense(H, np.tanh),
            TypeError,
            "activation must be a name, or a function or an object of rnncore",
        ),
        (lambda: Dense(H, kernel_initializer="glorot_unifrom"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: Dense(H, kernel_regularizer="l3"), ValueError, "unknown regularizer 'l3'"),
        (lambda: LSTM(H, return_sequence=True), TypeError, "unknown argument 'return_sequence'; .*'return_sequences'"),
        (lambda: Dense(H, input_shap=(3,)), TypeError, "Dense got an unknown argument 'input_shap'; .*'input_shape'"),
        (lambda: LSTM(H, return_sequences="yes"), TypeError, "return_sequences must be True or False, got str 'yes'"),
        (lambda: Dense(H, name=3), TypeError, "name must be a string, got int 3"),
        (lambda: Dense(H, trainable=None), TypeError, "trainable must be True or False"),
        (lambda: Dense(H, input_shape="ab"), TypeError, "input_shape must be a tuple of sizes, got str"),
        (lambda: Dense(H, input_shape=(0,)), ValueError, "each size of input_shape must be at least 1, got 0"),
        (lambda: Dropout(1.0), ValueError, "rate must be below 1, got 1.0"),
        (lambda: Dropout(-0.1), ValueError, "rate must be a finite number in"),
        (lambda: Dropout("half"), TypeError, "rate must be a number, got str"),
        (lambda: Embedding(0, 2), ValueError, "input_dim must be at least 1"),
        (lambda: Input(), ValueError, "either shape or batch_shape"),
        (lambda: Input((3,), batch_shape=(2, 3)), ValueError, "either shape or batch_shape"),
        (lambda: Input((3, -1)), ValueError, "each size of shape must be at least 1, got -1"),
        (lambda: Input((3,), dtype="complex64"), TypeError, "dtype of Input must be a real one, got complex64"),
        (lambda: layers.deserialize({"class_name": "Lstm"}), ValueError, "unknown layer 'Lstm'; did you mean 'LSTM'"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: LSTM(H, name="cell")(Input((FEATURES,))),
            ValueError,
            r"'cell' needs an input of shape \(N, T, features\)",
        ),
        (lambda: LSTM(H, name="cell")(Input((5, None))), ValueError, "'cell' needs an input whose last axis is known"),
        (
            lambda: Dense(H, name="head")(Input(())),
            ValueError,
            r"'head' needs an input of shape \(N, \.\.\., features\)",
        ),
        (lambda: Dense(H, name="head")(np.zeros((2, 3))), TypeError, "inputs of 'head' must be a symbolic value"),
        (lambda: Dense(H, name="head")([]), ValueError, "inputs of 'head' must hold at least one"),
        (lambda: Dense(H, name="head")([Input((3,)), Input((3,))]), ValueError, "'head' takes one input, got 2"),
        (
            lambda: LSTM(H, name="cell")(Input((5, FEATURES)), initial_state=Input((H,))),
            ValueError,
            r"initial_state of 'cell' must be 2 values \(h, c\), got 1",
        ),
        (
            lambda: GRU(H, name="cell")(Input((5, FEATURES)), initial_state=[Input((H + 1,))]),
            ValueError,
            r"initial_state of 'cell' must have shape \(N, 4\)",
        ),
        (lambda: GRU(H).compute_output_shape((None, 5)), ValueError, "needs an input of shape"),
        (lambda: GRU(H).build("abc"), TypeError, "input_shape must be a tuple of sizes"),
    ],
)
def test_bad_inputs(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_refused_input_builds_nothing() -> None:
    layer = LSTM(H)
    with pytest.raises(ValueError, match="needs an input of shape"):
        layer(Input((FEATURES,)))
    assert not layer.built
    assert layer.weights == []
    layer(Input((None, FEATURES)))
    assert layer.kernel.shape == (FEATURES, 4 * H)


def test_activations_by_name_and_function() -> None:
    x = np.linspace(-5, 5, 11)
    expected = {
        "linear": x,
        "relu": np.maximum(x, 0),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
        "hard_sigmoid": np.clip(x / 6 + 0.5, 0, 1),
        "softmax": np.exp(x) / np.exp(x).sum(),
    }
    for name, value in expected.items():
        function = activations.get(name)
        assert activations.get(function) is function
        assert activations.serialize(function) == name
        assert Activation(function).get_config()["activation"] == name
        np.testing.assert_allclose(function(x), value, rtol=1e-12, atol=1e-15)
    assert activations.get(None) is activations.linear
    assert activations.serialize("swish") == "silu"
    with pytest.raises(ValueError, match="at least one axis"):
        activations.softmax(1.0)


DESCRIBED = [name for name in layers.__all__ if isinstance(getattr(layers, name), type) and not name.endswith("Cell")]


@pytest.mark.parametrize("name", DESCRIBED)
def test_help_describes_every_argument(name: str) -> None:
    text = inspect.getdoc(getattr(layers, name)) or ""
    entries, _, others = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0].partition("**arguments")
    described = re.findall(r"\w+", " ".join(re.findall(r"^\S.*", entries, re.MULTILINE)) + " arguments " + others)
    assert set(inspect.signature(getattr(layers, name)).parameters) <= set(described)
