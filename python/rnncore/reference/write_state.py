"""write_state: h (N, H) -> nothing; keeps h for the step after if the caller keeps states."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (h,) = inputs
    if run.states is not None:
        run.state(attributes["state_offset"], h.shape)[...] = h
    return [], None


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    return [None], []
