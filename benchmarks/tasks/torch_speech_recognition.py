"""The model of examples/speech_recognition.py, and the same in PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch_training import accuracy, fit, nn, tensors

import speech_recognition as example


class Recogniser(nn.Module):
    """Frames (N, T, 40) and lengths (N,) to the logits of the digits."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(example.BANDS, 64, 5, padding=2)
        self.lstm = nn.LSTM(64, 96, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(192, example.DIGITS)

    def forward(self, frames, lengths):
        x = frames[:, : int(lengths.max())].transpose(1, 2)
        x = self.dropout(torch.relu(self.convolution(x)).transpose(1, 2))
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        last = self.lstm(packed)[1][0]
        return self.head(self.dropout(last.transpose(0, 1).flatten(1)))


def data(folder: Path) -> list[tuple[Any, Any]]:
    parts = (example.recordings(folder / "fsdd" / "recordings", indices) for indices in (range(10, 50), range(5, 10)))
    return [(example.features(waves), digits) for waves, digits, *_ in parts]


def ours(folder: Path, epochs: int = 15) -> tuple[float, float]:
    """Accuracy on the recordings held back, and seconds of training."""
    rows, held = data(folder)
    model = example.build_model()
    start = time.perf_counter()
    example.train(model, *rows, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, *held), seconds


def theirs(folder: Path, epochs: int = 15) -> tuple[float, float]:
    """The same in PyTorch."""
    (rows, digits), (held_rows, held_digits) = data(folder)
    frames, lengths, digits = tensors(*example.padded(rows), digits)
    held_frames, held_lengths, held_digits = tensors(*example.padded(held_rows), held_digits)
    model = Recogniser()
    start = time.perf_counter()
    loss = nn.functional.cross_entropy
    batch_loss = lambda i: loss(model(frames[i], lengths[i]), digits[i])  # noqa: E731
    fit(model, batch_loss, len(rows), epochs, 32, rate=3e-3, clip=1.0)
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        return accuracy(model(held_frames, held_lengths), held_digits), seconds
