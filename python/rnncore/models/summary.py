"""The table that `summary` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnncore.layers import Layer

if TYPE_CHECKING:
    from rnncore.models.model import Model

HEADER = ("Layer (type)", "Output Shape", "Param #")


def summary(model: Model) -> str:
    """Layers, shapes and numbers of weights as plain text."""
    rows = [HEADER, *map(_row, model.layers)]
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(3)]
    header, *lines = [f"{name:<{widths[0]}}{shape:<{widths[1]}}{size:>{widths[2]}}" for name, shape, size in rows]
    trainable = sum(weight.size for weight in model.trainable_weights)
    total = sum(weight.size for weight in model.weights)
    item = np.dtype(model.dtype).itemsize
    counts = (("Total", total), ("Trainable", trainable), ("Non-trainable", total - trainable))
    return "\n".join(
        [
            f'Model: "{model.name}"',
            header,
            "-" * len(header),
            *lines,
            "-" * len(header),
            *(f"{label} params: {count:,} ({_bytes(count * item)})" for label, count in counts),
        ]
    )


def _row(layer: Layer) -> tuple[str, str, str]:
    title = f"{layer.name} ({type(layer).__name__})"
    if not layer.built:
        return title, "?", "not built"
    shapes = layer.output_shape
    return title, ", ".join(map(str, shapes if isinstance(shapes, list) else [shapes])), f"{layer.count_params():,}"


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"
