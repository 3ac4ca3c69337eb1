"""unfold_time: y (T·N, ...), and an array (N, T, ...) that tells N and T -> (N, T, ...); undoes fold_time."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .fold_time import fold, unfold
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    y, like = inputs
    return [unfold(y, *like.shape[:2])], None


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    (dx,) = doutputs
    return [fold(dx), None], []
