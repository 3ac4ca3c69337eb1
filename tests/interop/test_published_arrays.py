"""A network inside a published package whose weights are plain arrays: words give the phonemes of its own equations."""

from __future__ import annotations

import importlib
import io
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from packages import package

WORDS = ["activationist", "recurrent", "zymurgy", "a", "o'clock", "supercalifragilisticexpialidocious", "qwrtzx"]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    return importlib.import_module("grapheme_to_phoneme")


def gru(weights: Any, side: str, x: Any, h: Any) -> Any:
    """One step as PyTorch defines it, gates r, z and n."""
    x_part = weights[f"{side}_w_ih"] @ x + weights[f"{side}_b_ih"]
    h_part = weights[f"{side}_w_hh"] @ h + weights[f"{side}_b_hh"]
    (xr, xz, xn), (hr, hz, hn) = np.split(x_part, 3), np.split(h_part, 3)
    r, z = 1 / (1 + np.exp(-xr - hr)), 1 / (1 + np.exp(-xz - hz))
    return (1 - z) * np.tanh(xn + r * hn) + z * h


def test_words_give_the_phonemes_of_the_equations(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    file = package("g2p_en")
    with zipfile.ZipFile(file) as files:
        stored = np.load(io.BytesIO(files.read(example.NETWORK)))
        weights = {name: stored[name].astype(np.float64) for name in stored.files}
    expected = []
    for word in WORDS:
        h = np.zeros(256)
        for letter in [example.LETTERS.index(c) if c in example.LETTERS else 1 for c in word] + [2]:
            h = gru(weights, "enc", weights["enc_emb"][letter], h)
        token, phonemes = 2, []
        while len(phonemes) < example.LONGEST:
            h = gru(weights, "dec", weights["dec_emb"][token], h)
            token = int(np.argmax(weights["fc_w"] @ h + weights["fc_b"]))
            if token == 3:
                break
            phonemes.append(example.PHONEMES[token])
        expected.append(phonemes)
    assert example.Speaker(file)(WORDS) == expected
    assert example.main([f"--package={file}", "recurrent"])["words"] == 1
    assert "recurrent: R IH0 K ER1 AH0 N T" in capsys.readouterr().out
