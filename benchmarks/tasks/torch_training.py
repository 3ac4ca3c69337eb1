"""What the PyTorch twins share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

__all__ = ["accuracy", "fit", "nn", "tensors"]


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    """Arrays as tensors; ids become int64, as PyTorch wants them."""
    return [torch.tensor(array).long() if array.dtype.kind in "iu" else torch.tensor(array) for array in arrays]


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of rows whose largest logit is that of the label."""
    return float((logits.argmax(-1) == labels).float().mean())


def fit(
    model: nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    rows: int,
    epochs: int,
    batch_size: int,
    *,
    rate: float,
    batches: Callable[[], Iterable[torch.Tensor]] | None = None,
    after: Callable[[], object] = lambda: None,
    falling: bool = True,
    clip: float | None = None,
) -> None:
    """Train with Adam, and a learning rate that falls to zero in a cosine unless not `falling`, as the examples do.

    `loss` takes the numbers of the rows of a batch. `batches` makes those of an epoch; by default all rows, shuffled.
    `after` is called after each epoch and ends training with True.
    """

    def shuffled() -> Iterable[torch.Tensor]:
        return torch.randperm(rows).split(batch_size)

    optimizer = torch.optim.Adam(model.parameters(), rate, eps=1e-7)
    steps = epochs * math.ceil(rows / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        model.train()
        for batch in (batches or shuffled)():
            optimizer.zero_grad(set_to_none=True)
            loss(batch).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if falling:
                schedule.step()
        model.eval()
        if after():
            break
