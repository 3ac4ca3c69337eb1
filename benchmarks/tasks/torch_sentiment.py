"""The model of examples/sentiment.py, and the same in PyTorch."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from torch_training import fit, nn, tensors

import sentiment as example


class Classifier(nn.Module):
    """Ids (N, T) and lengths (N,) to the logit of praise (N,)."""

    def __init__(self, words: int) -> None:
        super().__init__()
        units = 2 * example.UNITS
        self.embedding = nn.Embedding(words, 64)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)  # as in Keras
        self.before, self.after = nn.Dropout(0.7), nn.Dropout(0.5)
        self.lstm = nn.LSTM(64, example.UNITS, batch_first=True, bidirectional=True)
        self.key = nn.Linear(units, units)
        self.scale = nn.Parameter(torch.empty(units).uniform_(-0.15, 0.15))
        self.head = nn.Linear(units, 1)

    def forward(self, ids, lengths):
        ids = ids[:, : int(lengths.max())]
        x = self.before(self.embedding(ids))
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        packed, (last, _) = self.lstm(packed)
        sequence, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        query = last.transpose(0, 1).flatten(1)[:, None]  # (N, 1, 128)
        scores = torch.tanh(query + self.key(sequence)) @ self.scale  # (N, T)
        padding = torch.arange(ids.shape[1]) >= lengths[:, None]
        weights = scores.masked_fill(padding, -1e9).softmax(dim=1)
        return self.head(self.after((weights[:, None] @ sequence)[:, 0]))[:, 0]


def data(folder: Path) -> tuple[Any, ...]:
    sentences, labels = example.load(folder / "rt-polarity")
    parts = example.split(len(sentences))
    words = example.vocabulary(sentences[i] for i in parts[0])
    return len(words) + 2, *((*example.encode([sentences[i] for i in part], words), labels[part]) for part in parts)


def ours(folder: Path, epochs: int = 10) -> tuple[float, float]:
    """Accuracy on the sentences held back, and seconds of training."""
    words, rows, watched, held = data(folder)
    model = example.build_model(words)
    start = time.perf_counter()
    example.train(model, rows, watched, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, *held), seconds


def theirs(folder: Path, epochs: int = 10) -> tuple[float, float]:
    """The same in PyTorch."""
    words, *parts = data(folder)
    (ids, lengths, labels), watched, held = (tensors(*part) for part in parts)
    model = Classifier(words)
    best: list[Any] = [0.0, model.state_dict(), 0]

    def right(ids, lengths, labels) -> float:
        with torch.inference_mode():
            return float(((model(ids, lengths) > 0) == (labels > 0.5)).float().mean())

    def stop_early() -> bool:
        best[2] += 1
        if (found := right(*watched)) > best[0]:
            best[:] = found, copy.deepcopy(model.state_dict()), 0
        return best[2] >= 3

    start = time.perf_counter()
    loss = nn.functional.binary_cross_entropy_with_logits
    batch_loss = lambda i: loss(model(ids[i], lengths[i]), labels[i])  # noqa: E731
    fit(model, batch_loss, len(ids), epochs, 32, rate=1e-3, falling=False, after=stop_early)
    seconds = time.perf_counter() - start
    model.load_state_dict(best[1])
    return right(*held), seconds
