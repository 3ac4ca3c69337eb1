"""y = embeddings[ids]."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (ids,) = inputs  # (...)
    (embeddings,) = weights  # (V, D)
    if ids.size and not 0 <= ids.min() <= ids.max() < len(embeddings):
        raise ValueError(f"expected ids from 0 to {len(embeddings) - 1}, got {ids.min()} to {ids.max()}")
    return [embeddings[ids]], (ids, embeddings.shape)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    ids, shape = saved
    (dy,) = doutputs
    dembeddings = np.zeros(shape, dy.dtype)
    np.add.at(dembeddings, ids, dy)  # y = embeddings[ids]; an id may occur many times
    return [None], [dembeddings]
