"""Say how English words are spoken, with the network of the package g2p-en (Apache-2.0 licence).

The package is a file, never imported: ``pip download --no-deps g2p-en==2.1.0`` fetches it. Its network is a NumPy file
with weights in PyTorch's layout: a GRU reads the letters of a word, and a second one goes on from its last state and
writes the phonemes of the ARPAbet one by one, each after the one before. The package runs them in Python, one word at a
time; here all words go side by side.

Run it with ``python examples/grapheme_to_phoneme.py --package FILE [WORD ...]``.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import layers, models
from rnncore.decoding import greedy_search
from rnncore.torch import load_state_dict

Array = npt.NDArray[Any]

NETWORK = "g2p_en/checkpoint20.npz"
LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
ARPABET = """
AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2
F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH
"""
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *ARPABET.split()]
UNKNOWN = LETTERS.index("<unk>")
LONGEST = 20  # phonemes of a word
WORDS = ("recurrent", "networks", "read", "letters", "aloud")


def read_weights(package: Path) -> dict[str, Array]:
    """The arrays in the package's file."""
    with zipfile.ZipFile(package) as files:
        return dict(np.load(io.BytesIO(files.read(NETWORK))))


def encode(word: str) -> list[int]:
    """Letters as numbers, and the end."""
    return [LETTERS.index(letter) if letter in LETTERS else UNKNOWN for letter in word] + [LETTERS.index("</s>")]


class Speaker:
    """The network of a package: a model that reads letters, and one that writes the next phoneme."""

    def __init__(self, package: Path) -> None:
        weights = read_weights(package)
        units = weights["enc_w_hh"].shape[1]
        self.reader = models.Sequential(
            [layers.Input((None,), dtype="int32"), layers.Embedding(len(LETTERS), units), layers.GRU(units)]
        )
        self.writer = models.Sequential(
            [
                layers.Input((None,), dtype="int32"),
                layers.Embedding(len(PHONEMES), units),
                layers.GRU(units, name="writer"),
                layers.Dense(len(PHONEMES)),
            ]
        )
        load_state_dict(self.reader, _modules(weights, "enc"))
        head = {"fc.weight": weights["fc_w"], "fc.bias": weights["fc_b"]}
        load_state_dict(self.writer, _modules(weights, "dec") | head)
        self._streams: dict[int, Any] = {}  # by the number of words

    def __call__(self, words: Sequence[str]) -> list[list[str]]:
        """The phonemes of some words in lower case."""
        rows = [encode(word) for word in words]
        letters = np.zeros((len(rows), max(map(len, rows))), np.int32)
        for row, place in zip(rows, letters, strict=True):
            place[: len(row)] = row
        if len(rows) not in self._streams:
            self._streams[len(rows)] = self.writer.stream(len(rows))
        stream = self._streams[len(rows)]
        stream.states = {"steps": 1, "writer/h": self.reader(letters, lengths=[len(row) for row in rows])}
        start = np.full(len(rows), PHONEMES.index("<s>"))
        end = PHONEMES.index("</s>")
        found = greedy_search(lambda last, _: (stream.step(last), None), None, start, end=end, max_length=LONGEST)
        return [[PHONEMES[token] for token in word.tokens] for word in found]


def phonemes_in_numpy(weights: dict[str, Array], word: str) -> list[str]:
    """The same for one word in plain NumPy, step by step, as the package does it."""

    def step(side: str, token: int, h: Array) -> Array:
        x = np.matmul(weights[f"{side}_emb"][token : token + 1], weights[f"{side}_w_ih"].T) + weights[f"{side}_b_ih"]
        (xr, xz, xn), past = np.split(x, 3, 1), np.matmul(h, weights[f"{side}_w_hh"].T) + weights[f"{side}_b_hh"]
        hr, hz, hn = np.split(past, 3, 1)
        r, z = 1 / (1 + np.exp(-xr - hr)), 1 / (1 + np.exp(-xz - hz))
        kept: Array = (1 - z) * np.tanh(xn + r * hn) + z * h
        return kept

    h = np.zeros((1, weights["enc_w_hh"].shape[1]), np.float32)
    for letter in encode(word):
        h = step("enc", letter, h)
    token = PHONEMES.index("<s>")
    spoken: list[str] = []
    while len(spoken) < LONGEST:
        h = step("dec", token, h)
        token = int((np.matmul(h, weights["fc_w"].T) + weights["fc_b"]).argmax())
        if PHONEMES[token] == "</s>":
            break
        spoken.append(PHONEMES[token])
    return spoken


def _modules(weights: Any, side: str) -> dict[str, Array]:
    """Embedding and GRU of one side, as PyTorch's modules name their weights."""
    names = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
    gru = {f"gru.{name}": weights[f"{side}_{given}"] for given, name in names.items()}
    return {"embedding.weight": weights[f"{side}_emb"], **gru}


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Print the phonemes of some words."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--package", type=Path, required=True, metavar="FILE", help="the file of g2p-en")
    parser.add_argument("words", nargs="*", default=WORDS, metavar="WORD", help="in letters from a to z")
    options = parser.parse_args(given)
    speaker, weights = Speaker(options.package), read_weights(options.package)
    words = [word.lower() for word in options.words]
    ways: dict[str, Callable[[], list[list[str]]]] = {
        "side by side": lambda: speaker(words),
        "one by one": lambda: [speaker([word])[0] for word in words],
        "one by one in NumPy, as the package does": lambda: [phonemes_in_numpy(weights, word) for word in words],
    }
    for word, phonemes in zip(words, ways["side by side"](), strict=True):
        print(f"{word}: {' '.join(phonemes)}")
    for way, speak in ways.items():
        spoken = speak()
        begin = time.perf_counter()
        speak()
        print(f"{len(words)} words {way}: {1e3 * (time.perf_counter() - begin):.1f} ms")
    return {"words": len(words), "phonemes": sum(map(len, spoken))}


if __name__ == "__main__":
    main()
