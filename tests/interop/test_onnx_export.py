"""Models as ONNX files: onnxruntime computes the same, and what is read back is the model again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import model_zoo
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX files")
onnxruntime = pytest.importorskip("onnxruntime", reason="runs exported models")

from rnncore import activations, layers, models  # noqa: E402
from rnncore import onnx as rnncore_onnx  # noqa: E402
from rnncore.onnx.exporting import IR_VERSION, OPSET  # noqa: E402


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def trained_a_little(model: models.Model) -> models.Model:
    """The model with weights that no initializer gives: biases, peepholes and statistics are random too."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        positive = weight.name == "moving_variance"
        value = rng.normal(size=weight.shape) / max(1, weight.shape[0]) ** 0.5
        weight.assign(np.abs(value) + 0.1 if positive else value)
    return model


def by_onnxruntime(path: Path, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(str(path)).run(None, arrays)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def options() -> models.Model:
    """Every option of recurrent layers that ONNX has."""
    given = layers.Input((None, 3), name="x")
    x = layers.SimpleRNN(5, activations.Affine(0.5, 0.1), return_sequences=True, use_bias=False)(given)
    x = layers.LSTM(
        4, activations.ScaledTanh(1.2, 0.8), activations.HardSigmoid(0.2), return_sequences=True, peepholes=True
    )(x)
    x = layers.GRU(
        6, "softsign", reset_after=False, return_sequences=True, go_backwards=True, trainable_initial_state=True
    )(x)
    x, *states = layers.Bidirectional(layers.LSTM(3, return_sequences=True, return_state=True))(x)
    x = layers.GRU(6, activations.ELU(0.7), return_sequences=True)(
        x, initial_state=layers.concatenate([states[0], states[3]])
    )
    x = layers.RNN([layers.GRUCell(3), layers.LSTMCell(4)], return_sequences=True)(x)
    return models.Model(given, [layers.Dense(2)(x), *states], name="options")


def windows() -> models.Model:
    """Windows with strides, dilations and all kinds of padding, one step at a time too."""
    given = layers.Input((12, 3), name="x")
    x = layers.Conv1D(4, 3, padding="same", activation="gelu")(given)
    x = layers.Conv1D(5, 2, strides=2, padding="same", activation="mish")(x)
    x = layers.Conv1D(5, 3, padding="causal", dilation_rate=2)(x)
    x = layers.ReflectionPadding1D(2)(layers.ZeroPadding1D((1, 0))(x))
    x = layers.AveragePooling1D(2, strides=1, padding="same")(layers.MaxPooling1D(3, strides=2)(x))
    x = layers.BatchNormalization()(layers.UpSampling1D(2)(x))
    folded = layers.TimeDistributed(layers.Conv1D(2, 2))(layers.Reshape((-1, 5, 1))(x))
    x = layers.Softmax(axis=1)(layers.TimeDistributed(layers.Flatten())(folded))
    x = layers.Elementwise("sqrt")(layers.Elementwise("clip", min_value=0.01)(layers.Elementwise("abs")(x)))
    return models.Model(given, [layers.LayerNormalization()(x), layers.Activation("silu")(x)])


CASES = {
    "options": (options, lambda: [random(2, 7, 3)]),
    "windows": (windows, lambda: [random(2, 12, 3)]),
    "front end": (lambda: model_zoo.front_end().model, lambda: [model_zoo.front_end().x]),
    "branches": (lambda: model_zoo.branches().model, lambda: model_zoo.branches().x),
    "reader": (lambda: model_zoo.reader().model, lambda: [model_zoo.reader().x]),
}


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_the_same(name: str, tmp_path: Path) -> None:
    make, data = CASES[name]
    model, x = trained_a_little(make()), [array.astype(np.float32) for array in data()]
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    found = by_onnxruntime(tmp_path / "model.onnx", dict(zip(model.input_names, x, strict=True)))
    expected = as_list(model.predict(x, verbose=0))
    for theirs, mine in zip(found, expected, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_file_read_back_is_the_model_again(name: str, tmp_path: Path) -> None:
    make, data = CASES[name]
    model, x = trained_a_little(make()), [array.astype(np.float32) for array in data()]
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    again = rnncore_onnx.load(tmp_path / "model.onnx")
    assert again.input_names == model.input_names
    for found, expected in zip(as_list(again.predict(x, verbose=0)), as_list(model.predict(x, verbose=0)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_training_goes_on_with_equal_losses(tmp_path: Path) -> None:
    model = models.Sequential(
        [
            layers.Input((None, 3)),
            layers.Conv1D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.GRU(7, return_sequences=True),
            layers.LayerNormalization(),
            layers.SimpleRNN(4),
            layers.Dense(2),
        ]
    )
    x, y = random(24, 9, 3), random(24, 2, seed=1)

    def fitted(some: models.Model) -> list[float]:
        some.compile("adam", "mse")
        return list(some.fit(x, y, batch_size=8, epochs=4, shuffle=False, verbose=0).history["loss"])

    fitted(model)
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    again = rnncore_onnx.load(tmp_path / "model.onnx")
    found, expected = fitted(again), fitted(model)
    assert expected[-1] < 0.98 * expected[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_embeddings_and_states_that_a_layer_keeps(tmp_path: Path) -> None:
    words = layers.Input(batch_shape=(2, 4), dtype="int32", name="words")
    x = layers.GRU(3, return_sequences=True, stateful=True, name="gru")(layers.Embedding(9, 5)(words))
    model = trained_a_little(models.Model(words, x))
    ids = np.random.default_rng(0).integers(0, 9, (2, 4)).astype(np.int32)
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    state = np.zeros((2, 3), np.float32)
    again = rnncore_onnx.load(tmp_path / "model.onnx")
    for _ in range(2):
        y, after = by_onnxruntime(tmp_path / "model.onnx", {"words": ids, "gru/h.in": state})
        np.testing.assert_allclose(y, model.predict_on_batch(ids), rtol=1e-5, atol=1e-6)
        for mine, theirs in zip(again.predict([ids, state], verbose=0), (y, after), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
        state = after


def test_learned_initial_states(tmp_path: Path) -> None:
    x = layers.LSTM(4, return_sequences=True, trainable_initial_state=True)(layers.Input((None, 3), name="x"))
    model = trained_a_little(models.Model(x.call.inputs[0], layers.GRU(2, trainable_initial_state=True)(x)))
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    given = random(2, 5, 3).astype(np.float32)
    (found,) = by_onnxruntime(tmp_path / "model.onnx", {"x": given})
    np.testing.assert_allclose(found, model.predict(given, verbose=0), rtol=1e-5, atol=2e-6)


def test_what_the_file_says(tmp_path: Path) -> None:
    model = models.Sequential(
        [layers.Input((None, 3), name="x"), layers.LSTM(4, name="lstm"), layers.Dense(2, name="y")]
    )
    rnncore_onnx.export(model, tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.opset_import[0].version, proto.ir_version, proto.producer_name) == (OPSET, IR_VERSION, "rnncore")
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in dims] == ["batch", "time", 3]
    with pytest.raises(FileExistsError):
        rnncore_onnx.export(model, tmp_path / "model.onnx", overwrite=False)


def refused() -> dict[str, models.Model]:
    x = layers.Input((None, 3), name="x")
    made = {
        "masking": layers.GRU(2)(layers.Masking(name="rows")(x)),
        "zoneout": layers.LSTM(2, zoneout=0.1, name="rows")(x),
        "projection": layers.LSTM(4, projection_units=2, name="rows")(x),
        "layer_normalization": layers.GRU(2, layer_normalization=True, name="rows")(x),
        "attention": layers.Attention(name="rows")([x, x]),
        "resets": layers.LSTM(2, name="rows")(x, resets=layers.Input((None,), dtype="int32", name="marks")),
        "gelu": layers.SimpleRNN(2, activation="gelu", name="rows")(x),
    }
    return {name: models.Model([x, *y.call.of_steps.values()], y) for name, y in made.items()}


@pytest.mark.parametrize("name", refused())
def test_what_onnx_cannot_say_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'rows' cannot be written to an ONNX file"):
        rnncore_onnx.export(refused()[name], tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_only_models_are_exported(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="model must be a Model or Sequential, got int"):
        rnncore_onnx.export(3, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="must be built"):
        rnncore_onnx.export(models.Sequential([layers.GRU(2)]), tmp_path / "model.onnx")
