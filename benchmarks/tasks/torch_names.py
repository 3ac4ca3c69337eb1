"""The model of examples/names.py, and the same in PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch_training import accuracy, fit, nn, tensors

import names as example


class Classifier(nn.Module):
    """Ids (N, T) and lengths (N,) to the logits of the languages."""

    def __init__(self, letters: int, languages: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, 64)
        self.gru = nn.GRU(64, 128, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(256, languages)

    def forward(self, ids, lengths):
        ids = ids[:, : int(lengths.max())]
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        last = self.gru(packed)[1]  # (2, N, 128)
        return self.head(self.dropout(last.transpose(0, 1).flatten(1)))


def data(folder: Path) -> tuple[Any, ...]:
    names, labels, languages = example.load(folder / "names")
    kept, held = example.split(len(names))
    letters = example.alphabet([names[i] for i in kept])
    parts = [(*example.encode([names[i] for i in part], letters), labels[part]) for part in (kept, held)]
    return len(letters) + 2, len(languages), *parts


def ours(folder: Path, epochs: int = 12) -> tuple[float, float]:
    """Accuracy on the names held back, and seconds of training."""
    letters, languages, rows, held = data(folder)
    model = example.build_model(letters, languages)
    start = time.perf_counter()
    example.train(model, *rows, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, *held), seconds


def theirs(folder: Path, epochs: int = 12) -> tuple[float, float]:
    """The same in PyTorch."""
    letters, languages, rows, held = data(folder)
    (ids, lengths, labels), (held_ids, held_lengths, held_labels) = tensors(*rows), tensors(*held)
    model = Classifier(letters, languages)
    start = time.perf_counter()
    loss = nn.functional.cross_entropy
    fit(model, lambda i: loss(model(ids[i], lengths[i]), labels[i]), len(ids), epochs, 64, rate=5e-3)
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        return accuracy(model(held_ids, held_lengths), held_labels), seconds
