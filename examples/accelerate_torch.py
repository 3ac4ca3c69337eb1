"""A PyTorch script, and the one line that lets its recurrent modules run on rnncore.

`Classifier` and `train` are what a PyTorch user writes, and know nothing of rnncore: a bidirectional GRU reads packed
surnames and names their language, as in ``names.py``. The script trains twice from the same seed, the second time
after ``rnncore.torch.accelerate(model)``, and prints loss, accuracy and seconds of both.

Run it with ``python examples/accelerate_torch.py --data DIR [--quick] [--epochs 4] [--seed 0]``; it needs PyTorch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import rnncore.torch
from _common import arguments
from names import alphabet, encode, load, split


class Classifier(nn.Module):
    """Ids (N, T) and lengths (N,) to the logits of the languages."""

    def __init__(self, letters: int, languages: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, 64)
        self.gru = nn.GRU(64, 128, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(256, languages)

    def forward(self, ids: Any, lengths: Any) -> Any:
        """Read each name from both ends."""
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.gru(packed)
        return self.head(self.dropout(torch.cat((h[0], h[1]), 1)))


def train(model: nn.Module, rows: Sequence[Any], epochs: int) -> float:
    """Train with Adam on batches of 64, and return the mean loss of the last epoch."""
    ids, lengths, labels = rows
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    mean = float("nan")
    model.train()
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(ids)).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(ids[batch], lengths[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        mean = total / len(ids)
    return mean


def accuracy(model: nn.Module, rows: Sequence[Any]) -> float:
    """The share of names whose language is found."""
    ids, lengths, labels = rows
    model.eval()
    with torch.inference_mode():
        return float((model(ids, lengths).argmax(1) == labels).float().mean())


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train before and after, and compare."""
    options = arguments(__doc__ or "", given, epochs=4, quick=1, data="names/*.txt")
    names, labels, languages = load(options.data / "names")
    kept, held = split(len(names))
    if options.quick:
        kept = kept[::4]
    letters = alphabet([names[i] for i in kept])
    rows, held_rows = (
        (*map(torch.tensor, encode([names[i] for i in part], letters)), torch.tensor(labels[part], dtype=torch.int64))
        for part in (kept, held)
    )
    found: dict[str, float] = {}
    for name in ("PyTorch", "rnncore"):
        torch.manual_seed(options.seed)
        model = Classifier(len(letters) + 2, len(languages))
        if name == "rnncore":
            print(rnncore.torch.accelerate(model))
        start = time.perf_counter()
        loss = train(model, rows, options.epochs)
        seconds = time.perf_counter() - start
        found |= {f"{name} loss": loss, f"{name} accuracy": accuracy(model, held_rows), f"{name} seconds": seconds}
        print(f"{name:<8} loss {loss:.4f}, {found[f'{name} accuracy']:.1%} named right, {seconds:.1f} s")
    print(f"{found['PyTorch seconds'] / found['rnncore seconds']:.1f} times as fast")
    return found


if __name__ == "__main__":
    main()
