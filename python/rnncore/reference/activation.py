"""y = function(x)."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .activations import ACTIVATIONS
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    function = ACTIVATIONS[attributes["function"]]
    y = function.forward(x)
    return [y], (function, y)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    function, y = saved
    (dy,) = doutputs
    return [function.backward(y, dy)], []
