"""The model of examples/language_model.py, and the same in PyTorch, both for six epochs and without dropout."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch_training import fit, nn, tensors

import language_model as example


class LanguageModel(nn.Module):
    """Characters (N, T) and states to logits (N, T, V) and states."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 64)
        self.lstm = nn.LSTM(64, example.UNITS, num_layers=2, batch_first=True)
        self.head = nn.Linear(example.UNITS, characters)

    def forward(self, x, states=None):
        y, states = self.lstm(self.embedding(x), states)
        return self.head(y), states


def data(folder: Path) -> tuple[str, object, object]:
    training, held = example.split(example.load(folder / "tinyshakespeare" / "input.txt"))
    characters = "".join(sorted(set(training)))
    return characters, example.encode(training, characters), example.encode(held, characters)


def ours(folder: Path, epochs: int = 6) -> tuple[float, float]:
    """Bits per character of the text held back, and seconds of training."""
    characters, training, held = data(folder)
    model = example.build_model(len(characters))
    start = time.perf_counter()
    example.train(model, training, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, held), seconds


def theirs(folder: Path, epochs: int = 6) -> tuple[float, float]:
    """The same in PyTorch."""
    characters, training, held = data(folder)
    model = LanguageModel(len(characters))
    read, following = tensors(*example.in_streams(training, example.STREAMS))
    batches = list(zip(read.split(example.STEPS, dim=1), following.split(example.STEPS, dim=1), strict=True))
    states = None

    def bits(x, y):
        nonlocal states
        logits, states = model(x, states)
        states = [state.detach() for state in states]
        return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()) / math.log(2)

    def in_order():
        nonlocal states
        states = None
        return batches

    start = time.perf_counter()
    # The clipping is of the gradient in nats.
    loss = lambda batch: bits(*batch) * math.log(2)  # noqa: E731
    fit(model, loss, len(batches), epochs, 1, rate=4e-3, batches=in_order, clip=5.0)
    seconds = time.perf_counter() - start
    states = None
    with torch.inference_mode():
        return float(bits(*tensors(*example.in_streams(held, 20)))), seconds
