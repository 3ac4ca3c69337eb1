"""y = function(x)."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .activations import activation_of
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    function = activation_of(attributes, "function")
    y = function.forward(x)
    return [y], (function, x, y)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    function, x, y = saved
    (dy,) = doutputs
    return [function.backward(x, y, dy)], []
