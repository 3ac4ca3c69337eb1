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
from collections.abc import Sequence
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
LONGEST = 20  # phonemes of a word
WORDS = ("recurrent", "networks", "read", "letters", "aloud")


class Speaker:
    """The network of a package: a model that reads letters, and one that writes the next phoneme."""

    def __init__(self, package: Path) -> None:
        with zipfile.ZipFile(package) as files:
            weights = np.load(io.BytesIO(files.read(NETWORK)))
        units = weights["enc_w_hh"].shape[1]
        letters = layers.Input((None,), dtype="int32")
        read = layers.GRU(units)(layers.Embedding(len(LETTERS), units)(letters))
        self.reader = models.Model(letters, read)
        phoneme, state = layers.Input((1,), dtype="int32"), layers.Input((units,))
        _, written = layers.GRU(units, return_state=True)(
            layers.Embedding(len(PHONEMES), units)(phoneme), initial_state=state
        )
        self.writer = models.Model([phoneme, state], [layers.Dense(len(PHONEMES))(written), written])
        load_state_dict(self.reader, _modules(weights, "enc"))
        load_state_dict(
            self.writer, _modules(weights, "dec") | {"fc.weight": weights["fc_w"], "fc.bias": weights["fc_b"]}
        )

    def __call__(self, words: Sequence[str]) -> list[list[str]]:
        """The phonemes of some words in lower case."""
        rows = [[LETTERS.index(letter) if letter in LETTERS else 1 for letter in word] + [2] for word in words]
        letters = np.zeros((len(rows), max(map(len, rows))), np.int32)
        for row, place in zip(rows, letters, strict=True):
            place[: len(row)] = row
        state = self.reader.predict(letters, lengths=np.array([len(row) for row in rows]), verbose=0)
        start = np.full(len(rows), PHONEMES.index("<s>"))
        found = greedy_search(self._write, state, start, end=PHONEMES.index("</s>"), max_length=LONGEST)
        return [[PHONEMES[token] for token in word.tokens] for word in found]

    def _write(self, phonemes: Array, state: Array) -> tuple[Array, Array]:
        """Scores of the next phoneme, and the next state."""
        scores, state = self.writer.forward([phonemes[:, np.newaxis], state])
        return scores, state


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
    speaker = Speaker(options.package)
    words = [word.lower() for word in options.words]
    speaker(words)
    begin = time.perf_counter()
    spoken = speaker(words)
    seconds = time.perf_counter() - begin
    for word, phonemes in zip(words, spoken, strict=True):
        print(f"{word}: {' '.join(phonemes)}")
    print(f"{len(words)} words in {1e3 * seconds:.1f} ms")
    return {"words": len(words), "phonemes": sum(map(len, spoken))}


if __name__ == "__main__":
    main()
