"""Files that Keras 2.15 and Keras 3 have written: what they load to computes and trains as it did there."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed")

from keras_at_hand import ARCHIVE, inputs_and_outputs, numbers, stored
from keras_models import Array, fitted, listed, one_or_list

from rnncore import activations, keras, layers, models
from rnncore.__main__ import main

with zipfile.ZipFile(ARCHIVE) as archive:
    FILES = [name for name in archive.namelist() if not name.endswith(".npz")]
MODELS = [name for name in FILES if not any(word in name for word in ("trained", "alone", ".weights."))]
TRAINED = [name for name in FILES if "trained" in name]
WEIGHTS = [name for name in FILES if "alone" in name or ".weights." in name]


def data_of(name: str) -> tuple[list[Array], list[Array]]:
    stem = name.partition(".")[0].removesuffix("_trained").removesuffix("_alone")
    return inputs_and_outputs(numbers(f"{stem}.npz"))


def close(model: models.Model, inputs: list[Array], outputs: list[Array]) -> None:
    for found, expected in zip(listed(model.predict(one_or_list(inputs), verbose=0)), outputs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        assert np.abs(expected).max() > 0.05


@pytest.mark.parametrize("name", MODELS)
def test_models_compute_what_they_computed(tmp_path: Path, name: str) -> None:
    model = keras.load_model(stored(name, tmp_path))
    assert not model.compiled
    close(model, *data_of(name))


@pytest.mark.parametrize("name", TRAINED)
def test_training_goes_on(tmp_path: Path, name: str) -> None:
    inputs, outputs = data_of(name)
    model = keras.load_model(stored(name, tmp_path))
    losses = numbers(f"{name.partition('_')[0]}.npz")["losses"]
    np.testing.assert_allclose(fitted(model, inputs, outputs, 3), losses, rtol=1e-5)
    alone = keras.load_model(stored(name, tmp_path), compile=False)
    assert not alone.compiled


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_alone_find_their_layers(tmp_path: Path, name: str) -> None:
    whole = f"{name.partition('.')[0].removesuffix('_alone')}.h5"
    model = models.clone_model(keras.load_model(stored(whole, tmp_path)))
    with pytest.raises(AssertionError):
        close(model, *data_of(name))
    keras.load_weights(model, stored(name, tmp_path))
    close(model, *data_of(name))


def test_a_model_of_ones_own_takes_weights_by_order_and_by_name(tmp_path: Path) -> None:
    path = stored("2/states.h5", tmp_path)
    there = keras.load_model(path)
    x, h = layers.Input((None, 3)), layers.Input((4,))
    _, end = layers.GRU(4, return_sequences=True, return_state=True, name="g")(x, initial_state=h)
    shared = layers.Dense(4, "tanh", name="shared")
    model = models.Model([x, h], shared(end))
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"has 2 layers with weights, 'g', 'shared', but the file has 3.*by_name=True"):
        keras.load_weights(model, path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    keras.load_weights(model, path, by_name=True)
    for name in ("g", "shared"):
        for a, b in zip(model.get_layer(name).get_weights(), there.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    unnamed = models.Sequential([layers.Input((None, 3)), layers.GRU(4), layers.Dense(4), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"layer 'dense.*' has weights of shapes \[\(4, 2\)"):
        keras.load_weights(unnamed, path)
    with pytest.warns(UserWarning, match="layers that do not fit keep their weights: layer 'dense"):
        keras.load_weights(unnamed, path, skip_mismatch=True)
    np.testing.assert_array_equal(unnamed.layers[0].get_weights()[0], there.get_layer("g").get_weights()[0])
    wider = models.Sequential([layers.Input((None, 5)), layers.GRU(4, name="g"), layers.Dense(2)])
    with pytest.raises(ValueError, match="layer 'g' has weights of shapes"):
        keras.load_weights(wider, path, by_name=True)


def test_an_old_hard_sigmoid_is_the_old_one(tmp_path: Path) -> None:
    old = activations.HardSigmoid(alpha=0.2, beta=0.5)
    lstm, *_, dense, last = keras.load_model(stored("2/gates.h5", tmp_path)).layers
    assert [lstm.recurrent_activation, dense.activation, last.activation] == [old] * 3


def test_commands_know_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = str(stored("2/states.h5", tmp_path)), str(tmp_path / "new.keras")
    assert main(["inspect", old]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Keras, version 2.15\n")
    assert "g (GRU)" in printed
    assert main(["convert", old, new]) == 0
    assert capsys.readouterr().out.endswith("differ by at most 0.0e+00\n")
    close(keras.load_model(new), *data_of("2/states.h5"))
    for name in WEIGHTS:
        assert main(["inspect", str(stored(name, tmp_path))]) == 0
        assert capsys.readouterr().out.startswith("Keras weights, version ")


def test_layers_of_models_inside_are_found(tmp_path: Path) -> None:
    model = keras.load_model(stored("2/nested.h5", tmp_path))
    assert [type(layer).__name__ for layer in model.layers].count("Sequential") == 1
    assert isinstance(model.get_layer("two"), models.Model)
    model.save(tmp_path / "nested.rnn")
    close(models.load_model(tmp_path / "nested.rnn"), *data_of("2/nested.h5"))


def test_arguments_are_checked(tmp_path: Path) -> None:
    path = stored("2/cells.h5", tmp_path)
    with pytest.raises(TypeError, match="compile must be True or False"):
        keras.load_model(path, compile=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="custom must be a dict of layers by name"):
        keras.load_model(path, custom=[layers.Dense(2)])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"custom\['a'\] must be a layer"):
        keras.load_model(path, custom={"a": 2})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="model must be a Model or Sequential, got Dense"):
        keras.load_weights(layers.Dense(2), path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be built"):
        keras.load_weights(models.Sequential([layers.Dense(2)]), path)
    with pytest.raises(FileNotFoundError):
        keras.load_model(tmp_path / "no.h5")
    with pytest.raises(ValueError, match="is a folder"):
        keras.load_model(tmp_path)
    alone = stored("2/nested_alone.h5", tmp_path)
    with pytest.raises(ValueError, match=r"weights without a model: .*rnncore\.keras\.load_weights"):
        keras.load_model(alone)
