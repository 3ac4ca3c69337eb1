"""Layers that are Python code: both executors find them here by their numbers, in the middle of a step."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import _core

Array = npt.NDArray[Any]

_numbers = itertools.count()
_known: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_number_of: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


class OwnCode(Protocol):
    """What runs here."""

    def _run(self, x: list[Array], mask: Array | None, training: bool) -> list[Array]: ...
    def _run_back(
        self, x: list[Array], y: list[Array], dy: list[Array], mask: Array | None, training: bool
    ) -> tuple[list[Array | None], list[Array]]: ...
    def _sizes_of(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]: ...


def number_of(layer: OwnCode) -> int:
    """The number of a layer, which counts as long as somebody holds the layer."""
    if layer not in _number_of:
        number = next(_numbers)
        _known[number] = layer
        _number_of[layer] = number
    return _number_of[layer]


def found(number: int) -> OwnCode:
    """The layer of a number."""
    layer: OwnCode | None = _known.get(number)
    if layer is None:
        raise ValueError(f"own_code: there is no layer of number {number} any more")
    return layer


def _run(
    number: int,
    training: bool,
    mask: Array | None,
    inputs: list[Array],
    outputs: list[Array | None],
    output_gradients: list[Array | None],
    input_gradients: list[Array | None],
    parameter_gradients: list[Array | None],
) -> None:
    """What the compiled executor calls: arrays are views of its memory, of which code gets copies."""
    layer, x = found(number), [array.copy(order="C") for array in inputs]
    mask = None if mask is None else mask != 0
    if not output_gradients:
        for view, made in zip(outputs, layer._run(x, mask, training), strict=True):
            if view is not None:
                view[...] = made
        return
    y = [np.zeros(0) if view is None else view.copy(order="C") for view in outputs]
    dy = [np.zeros_like(a) if g is None else g.copy(order="C") for g, a in zip(output_gradients, y, strict=True)]
    dinputs, dweights = layer._run_back(x, y, dy, mask, training)
    for view, gradient in zip(input_gradients, dinputs, strict=True):
        if view is not None:
            view[...] = 0 if gradient is None else gradient
    for view, gradient in zip(parameter_gradients, dweights, strict=True):
        if view is not None:
            view[...] = gradient.ravel()


def _shapes(number: int, shapes: list[list[int]]) -> list[tuple[int, ...]]:
    return found(number)._sizes_of([tuple(shape) for shape in shapes])


_core.set_host(_run, _shapes)
