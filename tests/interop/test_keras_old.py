"""Files of Keras 1 and early 2, and layers that have no equal here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed")

from old_keras import Array, entry, gru_of_gates, hard_sigmoid, lstm_of_gates, write

from rnncore import keras, layers, models

RNG = np.random.default_rng(4)


def random(*shape: int) -> Array:
    return RNG.normal(scale=0.5, size=shape).astype(np.float32)


def gates(letters: str, inputs: int, units: int) -> dict[str, list[Array]]:
    return {letter: [random(inputs, units), random(units, units), random(units)] for letter in letters}


def flat(of_gates: dict[str, list[Array]]) -> list[Array]:
    return [array for three in of_gates.values() for array in three]


OLD_LSTM: dict[str, Any] = {
    "output_dim": 4,
    "init": "glorot_uniform",
    "inner_init": "orthogonal",
    "forget_bias_init": "one",
    "activation": "tanh",
    "inner_activation": "hard_sigmoid",
    "W_regularizer": None,
    "dropout_W": 0.0,
    "dropout_U": 0.0,
    "consume_less": "cpu",
    "go_backwards": False,
    "return_sequences": False,
    "stateful": False,
    "unroll": False,
    "input_dim": 3,
    "input_length": None,
}


@pytest.mark.parametrize("version", ["1.2.2", None])
def test_an_lstm_of_keras_1(tmp_path: Path, version: str | None) -> None:
    of_gates, kernel, bias = gates("icfo", 3, 4), random(4, 2), random(2)
    dense = {"output_dim": 2, "init": "one", "activation": "linear", "bias": True, "input_dim": 4, "b_constraint": None}
    config = [
        entry("LSTM", "lstm_1", batch_input_shape=[None, None, 3], input_dtype="float32", **OLD_LSTM),
        entry("Dropout", "dropout_1", p=0.3),
        entry("Dense", "dense_1", **dense),
    ]
    weights = {"lstm_1": flat(of_gates), "dropout_1": [], "dense_1": [kernel, bias]}
    path = write(tmp_path / "old.h5", {"class_name": "Sequential", "config": config}, weights, version)
    model = keras.load_model(path)
    x = random(5, 7, 3)
    expected = lstm_of_gates(x, of_gates) @ kernel + bias
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    assert model.layers[1].rate == 0.3  # type: ignore[attr-defined]
    alone = write(tmp_path / "alone.h5", None, weights, version)
    other = models.clone_model(model)
    keras.load_weights(other, alone)
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_graph_of_keras_1(tmp_path: Path) -> None:
    """Two branches that a Merge joins: a GRU, and a convolution as Theano stored it."""
    of_gates, filters, bias = gates("zrh", 3, 4), random(5, 3, 2, 1), random(5)
    embedding, ids = random(9, 3), RNG.integers(0, 9, size=(4, 6))
    gru = {key: value for key, value in OLD_LSTM.items() if key != "forget_bias_init"}
    conv = {"nb_filter": 5, "filter_length": 2, "border_mode": "valid", "subsample_length": 1, "activation": "linear"}
    parts = [
        (entry("InputLayer", "ids", batch_input_shape=[None, 6], input_dtype="int32", sparse=False), []),
        (entry("Embedding", "emb", input_dim=9, output_dim=3, init="uniform", input_length=6, dropout=0.0), ["ids"]),
        (entry("GRU", "gru", **gru), ["emb"]),
        (entry("Convolution1D", "conv", **conv, bias=True, input_dim=3, input_length=6), ["emb"]),
        (entry("GlobalMaxPooling1D", "pool"), ["conv"]),
        (entry("Merge", "both", mode="concat", concat_axis=-1, dot_axes=-1, output_shape=None), ["gru", "pool"]),
    ]
    described = [
        {**part, "name": part["config"]["name"], "inbound_nodes": [[[name, 0, 0] for name in reads]] if reads else []}
        for part, reads in parts
    ]
    ends = {"input_layers": [["ids", 0, 0]], "output_layers": [["both", 0, 0]]}
    config = {"class_name": "Model", "config": {"name": "m", "layers": described, **ends}}
    weights = {"ids": [], "emb": [embedding], "gru": flat(of_gates), "conv": [filters, bias], "pool": [], "both": []}
    model = keras.load_model(write(tmp_path / "old.h5", config, weights, backend="theano"))
    x = embedding[ids]
    kernel = filters[:, :, ::-1, 0].transpose(2, 1, 0)  # Theano turns kernels around
    found = np.stack([np.einsum("nki,kio->no", x[:, t : t + 2], kernel) for t in range(5)], axis=1) + bias
    expected = np.concatenate([gru_of_gates(x, of_gates), found.max(axis=1)], axis=1)
    np.testing.assert_allclose(model.predict(ids, verbose=0), expected, atol=1e-6)


def sequential(*entries: dict[str, Any], shape: tuple[int | None, ...] = (None, None, 3)) -> dict[str, Any]:
    first = entry("InputLayer", "input", batch_input_shape=list(shape), dtype="float32")
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *entries]}}


def test_arguments_that_a_version_did_not_write_are_its_defaults(tmp_path: Path) -> None:
    of_gates = gates("zrh", 3, 4)
    arrays = [np.concatenate([of_gates[letter][k] for letter in "zrh"], axis=-1) for k in range(3)]
    x = random(2, 5, 3)
    config = sequential(entry("GRU", "gru", units=4, time_major=False, implementation=1))
    old = keras.load_model(write(tmp_path / "old.h5", config, {"gru": arrays}, "2.0.8"))
    np.testing.assert_allclose(old.predict(x, verbose=0), gru_of_gates(x, of_gates), atol=1e-6)
    after = [*arrays[:2], np.stack([arrays[2], random(12)])]
    today = keras.load_model(write(tmp_path / "new.h5", config, {"gru": after}, "3.1.0"))
    assert today.layers[0].reset_after  # type: ignore[attr-defined]
    assert today.layers[0].recurrent_activation == "sigmoid"  # type: ignore[attr-defined]


def test_activations_of_all_layers_are_those_of_the_version(tmp_path: Path) -> None:
    kernel, bias = random(3, 2), random(2)
    config = sequential(entry("Dense", "d", units=2, activation="hard_sigmoid"), shape=(None, 3))
    x = random(5, 3)
    old = keras.load_model(write(tmp_path / "a.h5", config, {"d": [kernel, bias]}, "2.2.4-tf"))
    np.testing.assert_allclose(old.predict(x, verbose=0), hard_sigmoid(x @ kernel + bias), atol=1e-6)
    new = keras.load_model(write(tmp_path / "b.h5", config, {"d": [kernel, bias]}, "3.0.0"))
    np.testing.assert_allclose(new.predict(x, verbose=0), np.clip((x @ kernel + bias) / 6 + 0.5, 0, 1), atol=1e-6)


def test_lists_of_names_may_be_in_parts(tmp_path: Path) -> None:
    import h5py

    path = write(tmp_path / "a.h5", sequential(entry("Dense", "d", units=2)), {"d": [random(3, 2), random(2)]}, "2.4.0")
    with h5py.File(path, "a") as file:
        for group, name in ((file["model_weights"], "layer_names"), (file["model_weights/d"], "weight_names")):
            values = group.attrs[name]
            del group.attrs[name]
            for k, value in enumerate(values):
                group.attrs[f"{name}{k}"] = [value]
    assert keras.load_model(path).count_params() == 8


def test_numbers_of_other_precisions(tmp_path: Path) -> None:
    import h5py

    kernel, bias = random(3, 2), random(2)
    for precision, policy in (("float64", "float64"), ("float16", "float32")):
        config = sequential(entry("Dense", "d", units=2, dtype=precision), shape=(None, 3))
        arrays = [array.astype(precision) for array in (kernel, bias)]
        model = keras.load_model(write(tmp_path / "a.h5", config, {"d": arrays}, "2.9.0"))
        assert model.dtype_policy == policy
        np.testing.assert_array_equal(model.get_weights()[0], arrays[0])
    with h5py.File(tmp_path / "a.h5", "a") as file:  # bfloat16, the upper half of a float32, has no type of its own
        group = file["model_weights/d"]
        del group["d_0"]
        group["d_0"] = (kernel.view(np.uint32) >> 16).astype(np.uint16).view("V2")
        group["d_0"].attrs["dtype"] = "bfloat16"
    found = keras.load_model(tmp_path / "a.h5").get_weights()[0]
    np.testing.assert_array_equal(found, (kernel.view(np.uint32) >> 16 << 16).view(np.float32))


# What has no equal here

LAMBDA = entry("Lambda", "twice", function=["4wEAAAAAAAAA", None, None], function_type="lambda", arguments={})
OWN = entry("Attending", "attending", units=7)


def test_what_has_no_equal_is_named_and_can_be_given(tmp_path: Path) -> None:
    kernel, bias = random(3, 2), random(2)
    own = [random(2, 4), random(4)]
    config = sequential(entry("Dense", "d", units=2), LAMBDA, OWN, shape=(None, 3))
    path = write(tmp_path / "a.h5", config, {"d": [kernel, bias], "twice": [], "attending": own}, "2.4.0")
    with pytest.raises(ValueError, match=r"a\.h5 does not fit: layer 'twice' \(Lambda\): .*custom=\{'twice': layer\}"):
        keras.load_model(path)
    given: dict[str, Any] = {"twice": layers.Rescaling(2.0)}
    with pytest.raises(ValueError, match=r"layer 'attending' \(Attending\): this layer has no equal here"):
        keras.load_model(path, given)
    x = random(5, 3)
    expected = np.tanh(2 * (x @ kernel + bias) @ own[0] + own[1])
    for layer in (
        layers.Dense(4, "tanh"),
        lambda config: layers.Dense(4, "tanh", name=config["name"]),
        models.Sequential([layers.Dense(4), layers.Activation("tanh")]),
    ):
        model = keras.load_model(path, {**given, "Attending": layer})
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    with pytest.raises(ValueError, match="custom must give a layer for it, got int"):
        keras.load_model(path, {**given, "Attending": lambda config: 3})
    with pytest.raises(ValueError, match=r"layer 'attending' has weights of shapes \[\(2, 5\)"):
        keras.load_model(path, {**given, "attending": layers.Dense(5)})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (entry("LSTM", "r", units=2, time_major=True), r"layer 'r' \(LSTM\): time_major=True has no equal"),
        (entry("MaxPooling1D", "c", data_format="channels_first"), r"layer 'c' \(MaxPooling1D\): .*data_format"),
        (entry("Conv2D", "c", filters=2, kernel_size=2), r"layer 'c' \(Conv2D\): this layer has no equal here"),
        (entry("Dense", "d", units=2, activation="my_own"), r"layer 'd' \(Dense\): unknown activation 'my_own'"),
        (entry("Dense", "d", units=[2]), r"layer 'd' \(Dense\): units must be an integer"),
        (entry("BatchNormalization", "b", mode=1), r"layer 'b' \(BatchNormalization\): mode must be 0"),
        (entry("Dense", "d", units=2, wings=4), r"layer 'd' \(Dense\): wings=4 has no equal here"),
    ],
)
def test_arguments_without_an_equal_are_named(tmp_path: Path, part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        keras.load_model(write(tmp_path / "a.h5", sequential(part), {}, "2.4.0"))


def test_rules_of_training_that_are_not_known_are_left_out_with_a_warning(tmp_path: Path) -> None:
    own = {"class_name": "MyPenalty", "config": {}}
    part = entry("Dense", "d", units=2, kernel_regularizer=own, kernel_initializer={"class_name": "Mine", "config": {}})
    path = write(tmp_path / "a.h5", sequential(part, shape=(None, 3)), {"d": [random(3, 2), random(2)]}, "2.4.0")
    with pytest.warns(UserWarning, match=r"layer 'd' \(Dense\): its kernel_regularizer is left out"):
        assert keras.load_model(path).layers[0].kernel_regularizer is None  # type: ignore[attr-defined]


def test_a_description_and_weights_may_lie_in_two_files(tmp_path: Path) -> None:
    of_gates = gates("icfo", 3, 4)
    config = [entry("LSTM", "lstm_1", batch_input_shape=[None, None, 3], **OLD_LSTM), entry("Flipped", "f", length=2)]
    text = json.dumps({"class_name": "Sequential", "config": config, "keras_version": "1.2.2"})
    with pytest.raises(ValueError, match=r"json_string does not fit: layer 'f' \(Flipped\)"):
        keras.model_from_json(text)
    with pytest.raises(TypeError, match="json_string must be text, got dict"):
        keras.model_from_json({})  # type: ignore[arg-type]
    model = keras.model_from_json(text, {"Flipped": lambda config: layers.Rescaling(-1.0, name=config["name"])})
    path = write(tmp_path / "weights.h5", None, {"lstm_1": flat(of_gates), "f": []})
    keras.load_weights(model, path)
    x = random(2, 5, 3)
    np.testing.assert_allclose(model.predict(x, verbose=0), -lstm_of_gates(x, of_gates), atol=1e-6)


def test_a_function_gets_the_config_in_the_words_of_today(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []

    def lstm(config: dict[str, Any]) -> layers.Layer:
        given.append(config)
        return layers.LSTM(config["units"], recurrent_activation=config["recurrent_activation"], name=config["name"])

    of_gates = gates("icfo", 3, 4)
    config = {"class_name": "Sequential", "config": [entry("My", "my", batch_input_shape=[None, None, 3], **OLD_LSTM)]}
    config["config"].insert(0, entry("InputLayer", "x", batch_input_shape=[None, None, 3]))
    model = keras.load_model(write(tmp_path / "a.h5", config, {"my": flat(of_gates)}), {"My": lstm})
    assert given[0]["units"] == 4
    x = random(2, 5, 3)
    np.testing.assert_allclose(model.predict(x, verbose=0), lstm_of_gates(x, of_gates), atol=1e-6)


def test_a_gru_of_another_kind_is_told_from_its_bias(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", None, {"gru": [random(3, 12), random(4, 12), random(12)]}, "2.0.6")
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
    with pytest.raises(ValueError, match=r"\(12,\)\]: that of a GRU with reset_after=False"):
        keras.load_weights(model, path)


def test_a_loss_that_is_not_known_leaves_the_model_uncompiled(tmp_path: Path) -> None:
    training = '{"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.1}}, "loss": "my_own", "metrics": []}'
    weights = {"d": [random(3, 2), random(2)]}
    config = sequential(entry("Dense", "d", units=2), shape=(None, 3))
    path = write(tmp_path / "a.h5", config, weights, "2.4.0", training_config=training)
    with pytest.warns(UserWarning, match="not compiled.*my_own"):
        assert not keras.load_model(path).compiled
    known = write(tmp_path / "b.h5", config, weights, "2.4.0", training_config=training.replace("my_own", "mae"))
    assert float(keras.load_model(known).optimizer.learning_rate) == 0.1


def test_early_weights_alone_point_to_the_sigmoid_of_their_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", None, {"lstm": [random(3, 16), random(4, 16), random(16)]}, "2.2.2")
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4)])
    with pytest.warns(UserWarning, match=r"activations\.HardSigmoid\(alpha=0\.2, beta=0\.5\)"):
        keras.load_weights(model, path)
