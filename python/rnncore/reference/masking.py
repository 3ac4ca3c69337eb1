"""Which steps are valid: a feature differs from mask_value, or the id from 0. y is x there and 0 elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward", "real_steps"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    x, given = inputs  # (N, T, F) or ids (N, T); lengths (N,), mask (N, T) or None
    given = real_steps(given, x.shape)
    if x.dtype == np.int32:
        return [None, ((x != 0) & given).astype(np.int32)], None
    real = np.any(x != x.dtype.type(attributes.get("mask_value", 0.0)), axis=-1) & given
    return [np.where(real[..., None], x, x.dtype.type(0)), real.astype(np.int32)], real


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    dy, _ = doutputs
    return [np.where(saved[..., None], dy, dy.dtype.type(0)), None], []  # y = where(real, x, 0)


def real_steps(mask: Array | None, shape: tuple[int, ...]) -> Array:
    """Which steps of an array of `shape` (N, T, ...) are valid (N, T), from lengths (N,), a mask (N, T) or None."""
    rows, steps = shape[:2]
    if mask is None:
        return np.ones((rows, steps), bool)
    if mask.ndim == 1:
        if mask.size and not 0 <= mask.min() <= mask.max() <= steps:
            raise ValueError(f"lengths: expected values from 0 to {steps}, got {mask.min()} to {mask.max()}")
        mask = np.arange(steps) < mask[:, None]
    if mask.shape != (rows, steps):
        raise ValueError(f"mask: expected shape {(rows, steps)}, got {mask.shape}")
    real: Array = mask != 0
    return real
