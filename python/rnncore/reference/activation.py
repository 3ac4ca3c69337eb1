"""y = function(x)."""

from __future__ import annotations

from typing import Any

from .._sequence_arguments import Array
from .functions import function_of
from .op import Arrays, Run

__all__ = ["backward", "forward"]


def forward(inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[list[Array], Any]:
    (x,) = inputs
    function, options = function_of(attributes, "function")
    y = function.forward(x, **options)
    return [y], (function, options, x, y)


def backward(doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
    function, options, x, y = saved
    (dy,) = doutputs
    return [function.backward(x, y, dy, **options)], []
