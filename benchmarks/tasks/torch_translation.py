"""The model of examples/translation.py, and the same in PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_training import fit, nn, tensors

import translation as example

UNITS = example.UNITS


class Translator(nn.Module):
    """Source ids (N, T) and written ids (N, S) to logits (N, S, V)."""

    def __init__(self, english: int, german: int) -> None:
        super().__init__()
        self.english = nn.Embedding(english, UNITS, padding_idx=0)
        self.german = nn.Embedding(german, UNITS, padding_idx=0)
        self.dropout = nn.Dropout(0.4)
        self.encoder = nn.GRU(UNITS, UNITS, batch_first=True, bidirectional=True)
        self.memory, self.first = nn.Linear(2 * UNITS, UNITS), nn.Linear(2 * UNITS, UNITS)
        self.decoder = nn.GRU(UNITS, UNITS, batch_first=True)
        self.join, self.name = nn.Linear(2 * UNITS, UNITS), nn.Linear(UNITS, german)
        for words in (self.english, self.german, self.name):  # as the example begins
            nn.init.uniform_(words.weight, -0.3, 0.3)
        nn.init.zeros_(self.name.bias)

    def read(self, source):
        lengths = (source != 0).sum(1)
        x = self.dropout(self.english(source))
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        packed, last = self.encoder(packed)
        sequence, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        return self.memory(sequence), torch.tanh(self.first(last.transpose(0, 1).flatten(1)))[None], source == 0

    def write(self, written, memory, state, padding):
        query, state = self.decoder(self.dropout(self.german(written)), state)
        scores = (query @ memory.transpose(1, 2)).masked_fill(padding[:, None], -1e9)
        context = scores.softmax(-1) @ memory
        return self.name(self.dropout(torch.tanh(self.join(torch.cat([query, context], -1))))), state

    def forward(self, source, written):
        return self.write(written, *self.read(source))[0]


def data(folder: Path) -> tuple[Any, ...]:
    folder = folder / "multi30k"
    sides, held = example.load(folder, "train"), example.load(folder, "val")
    words = [example.vocabulary(side) for side in sides]
    pairs = list(zip(*map(example.encode, sides, words), strict=True))
    return words, pairs, example.encode(held[0], words[0]), held[1]


def ours(folder: Path, epochs: int = 7) -> tuple[float, float]:
    """BLEU of greedy translations of the sentences held back, and seconds of training."""
    words, pairs, sources, wanted = data(folder)
    translator = example.Translator(*map(len, words))
    start = time.perf_counter()
    example.train(translator, pairs, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(translator, sources, wanted, words[1]), seconds


def theirs(folder: Path, epochs: int = 7) -> tuple[float, float]:
    """The same in PyTorch."""
    words, pairs, sources, wanted = data(folder)
    model, rng = Translator(*map(len, words)), np.random.default_rng(0)
    batches = example.Batches(pairs, 64, seed=0)

    def shuffled():
        yield from (batches[i] for i in rng.permutation(len(batches)))
        batches.on_epoch_end()

    def loss(batch):
        (source, written), target = batch
        source, written, target = tensors(source, written, target)
        return nn.functional.cross_entropy(model(source, written).flatten(0, 1), target.flatten(), ignore_index=0)

    start = time.perf_counter()
    fit(model, loss, len(pairs), epochs, 64, rate=3e-3, batches=shuffled, clip=1.0)
    seconds = time.perf_counter() - start
    found = [greedy(model, source) for source in sources]
    return example.bleu([[words[1][i] for i in row] for row in found], wanted), seconds


@torch.inference_mode()
def greedy(model: Translator, source: Any) -> list[int]:
    """The likeliest word each time."""
    memory, state, padding = model.read(torch.from_numpy(source[np.newaxis]))
    written, word = [], example.START
    while len(written) < example.LONGEST:
        logits, state = model.write(torch.tensor([[word]]), memory, state, padding)
        logits[..., example.UNKNOWN] = -torch.inf
        word = int(logits.argmax())
        if word == example.END:
            break
        written.append(word)
    return written
