"""Model files: what they keep, and that nothing half-read or half-written gets through."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster, same

from rnncore import layers, losses, metrics, models, optimizers, tensor_file
from rnncore.optimizers import schedules


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_model_predicts_the_same_bits_and_trains_on(
    tmp_path: Path, backend: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNCORE_BACKEND", backend)
    x, y = data()
    model = forecaster(optimizer=optimizers.Adam(0.01, clipnorm=1.0), loss="mse", metrics=["mae"], dtype_policy=dtype)
    model.fit(x, y, epochs=3, verbose=0)
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")

    assert type(again) is models.Sequential
    assert again.predict(x, verbose=0).dtype == dtype
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.optimizer.iterations == model.optimizer.iterations == 3
    assert np.array_equal(again.optimizer.slots, model.optimizer.slots)
    first, second = (m.fit(x, y, epochs=2, shuffle=False, verbose=0).history for m in (model, again))
    assert first == second
    assert same(again.get_weights(), model.get_weights())


def test_a_model_of_several_outputs_keeps_its_graph_and_compilation(tmp_path: Path) -> None:
    x, y = data()
    given = layers.Input((None, 3), name="past")
    sequence, last = layers.GRU(4, return_sequences=True, return_state=True)(given)
    shared = layers.Dense(2, name="head")
    model = models.Model(given, [shared(sequence), layers.Dense(1, name="sum")(last)])
    model.compile(
        optimizers.SGD(schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.9),
        loss={"head": losses.Huber(0.5), "sum": "mse"},
        loss_weights=[1.0, 0.5],
        metrics={"sum": ["mae", metrics.RootMeanSquaredError(name="rms")]},
    )
    targets = [np.repeat(y[:, None], x.shape[1], axis=1), y.sum(axis=1)]
    history = model.fit(x, targets, verbose=0)
    assert list(history.history) == ["loss", "head_loss", "sum_loss", "sum_mae", "sum_rms"]
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    assert again.get_config() == model.get_config()
    assert again.metrics_names == model.metrics_names
    assert again.optimizer.learning_rate == model.optimizer.learning_rate
    assert again.evaluate(x, targets, verbose=0) == model.evaluate(x, targets, verbose=0)
    assert models.load_model(tmp_path / "model.rnn", compile=False)._session.compilation is None


def test_weights_alone_fit_the_same_layers_under_other_names(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.safetensors"
    a, b = forecaster(), forecaster()
    assert a.layers[0].name != b.layers[0].name
    a.save_weights(path)
    b.load_weights(path)
    assert same(a.get_weights(), b.get_weights())

    other = models.Sequential([layers.Input((None, 3)), layers.GRU(5, return_sequences=True), layers.LSTM(4)])
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"a\.weights\.safetensors.*unknown \['layers\.2\.0\.kernel'"):
        other.load_weights(path)
    wider = forecaster()
    wider.pop()
    wider.add(layers.Dense(3))
    kept = wider.get_weights()
    with pytest.raises(ValueError, match=r"layers\.2\.0\.kernel must have shape \(4, 3\), got \(4, 2\)"):
        wider.load_weights(path)
    assert same(other.get_weights(), before)
    assert same(wider.get_weights(), kept)


def test_the_layout_is_that_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.safetensors"
    model = forecaster()
    model.save_weights(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "rnncore", "version": "1"}
    assert length % 8 == 0
    ends = [0]
    for entry, weight in zip(header.values(), model.get_weights(), strict=True):
        start, stop = entry["data_offsets"]
        assert start == ends[-1]
        ends.append(stop)
        stored = np.frombuffer(content[8 + length + start : 8 + length + stop], "<f4").reshape(entry["shape"])
        assert entry["dtype"] == "F32"
        assert np.array_equal(stored, weight)
    assert ends[-1] == len(content) - 8 - length


def _header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Rewrite the header of a file."""

    def damage(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return damage


def _config(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Rewrite the description of the model in a file."""

    def apply(header: dict[str, Any]) -> None:
        config = json.loads(header["__metadata__"]["model"])
        change(config)
        header["__metadata__"]["model"] = json.dumps(config)

    return _header(apply)


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "it has 0 bytes"),
    "cut in the length": (lambda content: content[:5], "it has 5 bytes"),
    "cut in the header": (lambda content: content[:100], "its header would be"),
    "cut in the numbers": (lambda content: content[:-1], "would lie at bytes"),
    "longer": (lambda content: content + b"\0", "bytes of numbers"),
    "a zip file": (lambda content: b"PK\x03\x04" + content, "its header would be"),
    "text": (lambda content: b"a plain text file with some words", "its header would be"),
    "a pickle": (lambda content: b"\x80\x04\x95" + bytes(60), "its header would be"),
    "no json": (lambda content: content[:8] + b"(" + content[9:], "Expecting"),
    "not utf-8": (lambda content: content[:8] + b"\xff" + content[9:], "utf-8"),
    "a list": (lambda content: (2).to_bytes(8, "little") + b"[]", "its header is not an object"),
    "foreign": (_header(lambda h: h["__metadata__"].update(format="pt")), "does not name the format"),
    "without metadata": (_header(lambda h: h.pop("__metadata__")), "does not name the format"),
    "newer": (_header(lambda h: h["__metadata__"].update(version="9")), "it has version '9', known is '1'"),
    "other dtype": (
        _header(lambda h: h["layers.0.0.kernel"].update(dtype="BF16")),
        "layers.0.0.kernel is not described",
    ),
    "no shape": (_header(lambda h: h["layers.0.0.kernel"].pop("shape")), "layers.0.0.kernel is not described"),
    "negative shape": (_header(lambda h: h["layers.0.0.kernel"].update(shape=[-3, -15])), "has shape"),
    "huge shape": (_header(lambda h: h["layers.0.0.kernel"].update(shape=[2**40, 2**40])), "has shape"),
    "overlap": (_header(lambda h: h["layers.0.1.recurrent_kernel"].update(data_offsets=[0, 300])), "would lie at"),
    "missing weight": (
        _header(lambda h: h.update({"x": h.pop("layers.2.1.bias")})),
        "its weights are those of other layers",
    ),
    "other shape": (_config(lambda c: c["config"]["layers"][-1]["config"].update(units=3)), "must have shape"),
    "unknown layer": (_config(lambda c: c["config"]["layers"][1].update(class_name="Gru")), "unknown layer 'Gru'"),
    "unknown class": (_config(lambda c: c.update(class_name="Os")), "unknown model class 'Os'"),
    "no layers": (_config(lambda c: c["config"].pop("layers")), "it lacks 'layers'"),
    "bad argument": (_config(lambda c: c["config"]["layers"][1]["config"].update(units=-1)), "units must be"),
    "bad compile": (_config(lambda c: c["compile"].update(optimizer="x")), "unknown optimizer 'x'"),
    "bad iterations": (_config(lambda c: c.update(iterations=-1)), "iterations must be"),
    "bad dtype": (_config(lambda c: c.update(dtype="int8")), "unknown dtype"),
    "missing slot": (
        _header(lambda h: h.update({"x": h.pop("optimizer.0.layers.2.1.bias")})),
        "optimizer.0.layers.2.1",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_and_foreign_files_are_refused_by_name_and_reason(tmp_path: Path, damage: str) -> None:
    x, y = data()
    model = forecaster(optimizer=optimizers.SGD(momentum=0.5), loss="mse")
    model.fit(x, y, verbose=0)
    path = tmp_path / "model.rnn"
    model.save(path)
    change, reason = DAMAGE[damage]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"model\.rnn (is not|does not)(.|\n)*{reason}"):
        models.load_model(path)


@pytest.mark.parametrize("cut", [0, 4, 60, -1])
def test_loading_damaged_weights_changes_nothing(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.weights.safetensors"
    model = forecaster()
    model.save_weights(path)
    path.write_bytes(path.read_bytes()[:cut])
    other = forecaster()
    before = other.get_weights()
    with pytest.raises(ValueError, match="is not a whole rnncore file"):
        other.load_weights(path)
    assert same(other.get_weights(), before)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.rnn"
    model = forecaster()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saved_files_have_ordinary_permissions(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    forecaster().save(tmp_path / "model.rnn")
    assert stat.S_IMODE((tmp_path / "model.rnn").stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_saving_asks_before_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "model.rnn"
    forecaster().save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        forecaster().save(path, overwrite=False)


def test_paths_and_readiness_are_checked(tmp_path: Path) -> None:
    for name in ("model.keras", "model.h5", "model"):
        with pytest.raises(ValueError, match=r"filepath of a model must end in '\.rnn'"):
            forecaster().save(tmp_path / name)
    with pytest.raises(ValueError, match=r"filepath of weights must end in '\.weights\.safetensors'"):
        forecaster().save_weights(tmp_path / "w.h5")
    with pytest.raises(FileNotFoundError, match=r"model\.rnn cannot be written: there is no directory .*nowhere"):
        forecaster().save(tmp_path / "nowhere" / "model.rnn")
    with pytest.raises(ValueError, match="must be built before it is saved"):
        models.Sequential([layers.Dense(2)]).save(tmp_path / "model.rnn")
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "nowhere.rnn")
    forecaster().save_weights(tmp_path / "a.weights.safetensors")
    with pytest.raises(ValueError, match="holds weights without a model"):
        models.load_model(tmp_path / "a.weights.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.weights.safetensors"]


def test_a_function_as_loss_is_left_out_with_a_warning(tmp_path: Path) -> None:
    model = forecaster(loss=lambda y, p: (((p - y) ** 2).mean(), 2 * (p - y) / p.size))
    with pytest.warns(UserWarning, match="loss is a function and is not saved"):
        model.save(tmp_path / "model.rnn")
    with pytest.raises(ValueError, match="must be compiled before"):
        models.load_model(tmp_path / "model.rnn").fit(*data(), verbose=0)


def test_tensors_of_both_dtypes_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=5).astype(np.float32), "none": np.zeros((0, 4))}
    tensor_file.write(tmp_path / "t", tensors, {"note": "é"})
    with tensor_file.TensorFile(tmp_path / "t") as file:
        assert file.metadata["note"] == "é"
        assert list(file.entries) == list(tensors)
        for name, array in tensors.items():
            assert file.read(name).dtype == array.dtype
            assert np.array_equal(file.read(name), array)
