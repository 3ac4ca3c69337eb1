"""The commands on files of models."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnncore import layers, models
from rnncore.__main__ import main
from rnncore.formats import FORMATS, format_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which commands run in, with a model, its weights, and an array that it takes."""
    monkeypatch.chdir(tmp_path)
    words = layers.Input((None,), dtype="int32", name="words")
    x = layers.Bidirectional(layers.GRU(4, name="cell"), name="both")(layers.Embedding(7, 3, name="table")(words))
    model = models.Model(words, layers.Dense(2, name="head")(x), name="tagger")
    model.save("model.rnn")
    model.save_weights("model.weights.safetensors")
    np.save("words.npy", np.arange(6).reshape(2, 3))
    return tmp_path


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "model.rnn"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in printed.splitlines()}
    assert lines["rnncore,"] == ["rnncore,", "version", "1"]
    assert "tagger" in printed
    assert lines["table"][1:] == ["(Embedding)", "(None,", "None,", "3)", "(7,3)", "21"]
    assert lines["head"][1:] == ["(Dense)", "(None,", "2)", "(8,2)", "(2,)", "18"]
    assert lines["Total"] == ["Total", "params:", "255"]


def test_inspect_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "model.weights.safetensors"]) == 0
    printed = capsys.readouterr().out
    assert "rnncore weights, version 1" in printed
    assert "Total params: 255" in printed


def test_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "model.rnn", "words.npy", "out.npy"]) == 0
    assert capsys.readouterr().out == "head: (2, 2) float32\n"
    expected = models.load_model("model.rnn").predict(np.arange(6).reshape(2, 3), verbose=0)
    np.testing.assert_array_equal(np.load("out.npy"), expected)


def test_predict_several(folder: Path) -> None:
    a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b")
    model = models.Model([a, b], [layers.Dense(1, name="first")(a), layers.Dense(1, name="second")(b)])
    model.save("two.rnn")
    x = {"a": np.ones((3, 2)), "b": np.zeros((3, 2))}
    np.savez("in.npz", **x)
    assert main(["predict", "two.rnn", "in.npz", "out.npz"]) == 0
    with np.load("out.npz") as found:
        assert sorted(found) == ["first", "second"]
        np.testing.assert_array_equal(found["first"], model.predict(x, verbose=0)[0])


def test_convert(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="writes ONNX files")
    assert main(["convert", "model.rnn", "model.onnx"]) == 0
    printed = capsys.readouterr().out
    assert "model.rnn -> model.onnx: 255 parameters" in printed
    assert float(printed.rsplit(maxsplit=1)[1]) < 1e-6
    assert main(["convert", "model.onnx", "again.rnn"]) == 0
    x = np.arange(6).reshape(2, 3)
    first, second = (models.load_model(file).predict(x, verbose=0) for file in ("model.rnn", "again.rnn"))
    np.testing.assert_allclose(first, second, atol=1e-6)
    capsys.readouterr()
    assert main(["inspect", "model.onnx"]) == 0
    printed = capsys.readouterr().out
    assert "ONNX, opset 17, IR version 8" in printed
    assert "words (Input)" in printed
    assert "(1,12,3)" in printed


def test_keras(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("h5py", reason="reads and writes files of Keras")
    assert main(["convert", "model.rnn", "model.keras"]) == 0
    assert float(capsys.readouterr().out.rsplit(maxsplit=1)[1]) < 1e-6
    assert main(["inspect", "model.keras"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in printed.splitlines()}
    assert printed.startswith("Keras, version 3")
    assert lines["head"][1:] == ["(Dense)", "(None,", "2)", "(8,2)", "(2,)", "18"]
    assert main(["convert", "model.keras", "again.rnn"]) == 0
    with zipfile.ZipFile("model.keras") as files:
        (folder / "model.weights.h5").write_bytes(files.read("model.weights.h5"))
    capsys.readouterr()
    assert main(["inspect", "model.weights.h5"]) == 0
    printed = capsys.readouterr().out
    assert "Keras weights, version 3" in printed
    assert "Total params: 255" in printed


def test_inspect_weights_of_pytorch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="writes the file")
    torch.save({"model": torch.nn.Sequential(torch.nn.GRU(3, 4), torch.nn.Linear(4, 2)).state_dict()}, "model.pt")
    assert main(["inspect", "model.pt"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["model.0"][1:] == ["(module)", "?", "(12,3)", "(12,4)", "(12,)", "(12,)", "108"]
    assert lines["Total"] == ["Total", "params:", "118"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["inspect", "model.txt"], "the ending of 'model.txt' says no kind of file that is known: "),
        (["inspect", "missing.rnn"], "missing.rnn"),
        (["convert", "model.weights.safetensors", "model.rnn"], "holds weights without a model"),
        (["convert", "model.rnn", "model.weights.safetensors"], "one of .rnn, .onnx, .keras, got 'model.weights"),
        (["predict", "model.rnn", "objects.npy", "out.npy"], "'objects.npy' holds no arrays of numbers"),
        (["predict", "model.rnn", "words.csv", "out.npy"], "'words.csv' holds no arrays of numbers: give an .npy or"),
        (["predict", "model.rnn", "words.npy", "out.csv"], "an .npy or .npz file, got 'out.csv'"),
        (["predict", "model.rnn", "numbers.npy", "out.npy"], "rnncore predict: "),
    ],
)
def test_what_does_not_fit_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.save("numbers.npy", np.ones((2, 3, 4)))
    np.savetxt("words.csv", np.ones((2, 3)), delimiter=",")
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert not list(folder.glob("out.*"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="^0$"):
        main(["--version"])
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    version = re.search('^version = "(.+)"', project, re.MULTILINE)[1]
    assert capsys.readouterr().out == f"rnncore {version}\n"


def test_each_ending_has_one_kind() -> None:
    endings = [ending for found in FORMATS for ending in found.endings]
    assert len(endings) == len(set(endings))
    assert all(format_of(f"some{ending.upper()}") is found for found in FORMATS for ending in found.endings)
