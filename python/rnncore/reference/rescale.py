"""y = x · scale + offset, two numbers."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    scale, offset = (x.dtype.type(attributes.get(name, default)) for name, default in (("scale", 1.0), ("offset", 0.0)))
    return [x * scale + offset], scale


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dy,) = doutputs
    return [dy * saved], []
