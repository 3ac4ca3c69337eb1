"""The classifier of examples/images.py, and the same in PyTorch."""

from __future__ import annotations

import time
from pathlib import Path

from torch_training import accuracy, fit, nn, tensors

import images as example


class Classifier(nn.Module):
    """Rows of pixels to the logits of ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 64, batch_first=True)
        self.head = nn.Linear(64, example.CLASSES)

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][0])


def ours(folder: Path, epochs: int = 60) -> tuple[float, float]:
    """Accuracy on the images held back, and seconds of training."""
    x, y, held_x, held_y = example.split(*example.load())
    model = example.build_model()
    start = time.perf_counter()
    example.train(model, x, y, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, held_x, held_y), seconds


def theirs(folder: Path, epochs: int = 60) -> tuple[float, float]:
    """The same in PyTorch."""
    x, y, held_x, held_y = tensors(*example.split(*example.load()))
    model = Classifier()
    start = time.perf_counter()
    fit(model, lambda i: nn.functional.cross_entropy(model(x[i]), y[i]), len(x), epochs, 32, rate=5e-3)
    seconds = time.perf_counter() - start
    return accuracy(model(held_x), held_y), seconds
