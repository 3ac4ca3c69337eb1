"""Comparisons with a number, and the activations that choose by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore import activations, layers
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.attributes import Reader
from rnncore.onnx.importing import Importer, operator
from rnncore.onnx.operators.arithmetic import applied
from rnncore.onnx.tensors import Tensor

__all__: list[str] = []

CHOICES = (
    "; it may choose between a tensor and a number or a multiple of the same tensor, by comparing that with a number"
)


@dataclass(frozen=True)
class Comparison:
    """Where a tensor is above a number; `equal` says what holds where it is the number itself."""

    x: Tensor
    number: float
    above: bool
    equal: bool


@operator("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def _compare(importer: Importer, reader: Reader, inputs: list[Any]) -> Comparison:
    turned = isinstance(inputs[0], np.ndarray)
    number = inputs[0 if turned else 1]
    if not isinstance(number, np.ndarray) or number.size != 1 or number.dtype == object:
        reader.fail("it compares with other than one number, which is not supported")
    above = reader.op.startswith("Greater") != turned
    return Comparison(
        importer.tensor(reader, inputs, int(turned)), float(number.ravel()[0]), above, reader.op.endswith("OrEqual")
    )


@operator("Where")
def _where(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    found, *choices = inputs
    if not isinstance(found, Comparison):
        reader.fail("its condition depends on the data" + CHOICES)
    above, below = choices if found.above else reversed(choices)
    above_at_number = found.equal == found.above
    x, number = found.x, found.number
    if not isinstance(above, Tensor) or above.value is not x.value or above.axes != x.axes:
        reader.fail("its choices are not supported" + CHOICES)
    if isinstance(below, np.ndarray) and below.size == 1 and not above_at_number:
        return applied(importer, reader, x, activations.Threshold(number, float(below.ravel()[0])))
    line = _line(below.value, x.value) if isinstance(below, Tensor) and below.axes == x.axes else None
    if line is None or not above_at_number or line[0] < 0 or number < 0:
        reader.fail("its choices are not supported" + CHOICES)
    slope, offset = line
    if not np.isclose(offset, -slope * number, rtol=1e-6, atol=1e-9):
        reader.fail("its choices are not supported" + CHOICES)
    return applied(importer, reader, x, activations.ReLU(negative_slope=slope, threshold=number))


def _line(value: SymbolicValue, start: SymbolicValue) -> tuple[float, float] | None:
    """Slope and offset of one value as a function of another, or None."""
    if value is start:
        return 1.0, 0.0
    layer: Any = value.layer
    if not isinstance(layer, layers.Rescaling):
        return None
    before = _line(value.call.inputs[0], start)
    return None if before is None else (layer.scale * before[0], layer.scale * before[1] + layer.offset)
