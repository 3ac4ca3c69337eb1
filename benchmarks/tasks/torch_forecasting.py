"""The network of examples/forecasting.py, and the same in PyTorch."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from torch_training import fit, nn, tensors

import forecasting as example


class Forecaster(nn.Module):
    """Differences (N, 96, 1) to those of the next day (N, 24)."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 64, batch_first=True)
        self.head = nn.Linear(64, example.FUTURE)

    def forward(self, x):
        return self.head(self.gru(x)[1][0])


def ours(folder: Path, epochs: int = 10) -> tuple[float, float]:
    """Mean squared error on the test months of ETTh1, and seconds of training."""
    data = example.split(example.load(folder / "ett" / "ETTh1.csv"))
    model = example.build_model()
    start = time.perf_counter()
    example.train(model, data, epochs, verbose=0)
    seconds = time.perf_counter() - start
    return example.evaluate(model, data["test"]), seconds


def theirs(folder: Path, epochs: int = 10) -> tuple[float, float]:
    """The same in PyTorch."""
    data = example.split(example.load(folder / "ett" / "ETTh1.csv"))
    parts = {name: tensors(*example.differences(*windows)) for name, windows in data.items()}
    (x, y), model = parts["training"], Forecaster()
    best = [float("inf"), model.state_dict()]

    def error(part: str) -> float:
        with torch.inference_mode():
            x, y = parts[part]
            wrong = [
                nn.functional.mse_loss(model(a), b, reduction="sum")
                for a, b in zip(x.split(256), y.split(256), strict=True)
            ]
            return float(sum(wrong)) / y.numel()

    def keep_best() -> None:
        if (found := error("validation")) < best[0]:
            best[:] = found, copy.deepcopy(model.state_dict())

    start = time.perf_counter()
    fit(model, lambda i: nn.functional.mse_loss(model(x[i]), y[i]), len(x), epochs, 64, rate=2e-3, after=keep_best)
    seconds = time.perf_counter() - start
    model.load_state_dict(best[1])
    return error("test"), seconds
