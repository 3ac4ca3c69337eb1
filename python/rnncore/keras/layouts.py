"""How the weights of a layer are laid out in files: by Keras since 2, by Keras 1, and by the cells of cuDNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from rnncore import layers
from rnncore._data import Array
from rnncore.layers import Layer
from rnncore.layers.bidirectional import Bidirectional

__all__ = ["Layout", "layouts"]

Shapes = list[tuple[int, ...]]


@dataclass
class Layout:
    """One way to store the weights of a layer.

    Attributes
    ----------
    shapes : list of tuple of int
        Of the arrays in the file.
    convert : function
        Makes of these arrays those of the layer.
    """

    shapes: Shapes
    convert: Callable[[list[Array]], list[Array]]


def layouts(layer: Layer, *, reversed_kernels: bool = False) -> list[Layout]:
    """The ways in which files hold the weights of a layer, today's first.

    Parameters
    ----------
    layer : Layer
        Built; its own weights may be new.
    reversed_kernels : bool, default False
        Whether convolutions are stored from their last step to the first, as Theano had them.
    """
    shapes = [weight.shape for weight in layer.weights]
    found = [Layout(shapes, list)]
    if isinstance(layer, Bidirectional):
        halves = (layouts(layer.forward_layer), layouts(layer.backward_layer))
        return [_joined(forward, backward) for forward, backward in product(*halves)]
    if isinstance(layer, layers.TimeDistributed):
        return layouts(layer.layer, reversed_kernels=reversed_kernels)
    if isinstance(layer, (layers.LSTM, layers.GRU)) and layer.use_bias and len(shapes) == 3:
        found += _of_cells(layer)
    if isinstance(layer, layers.Conv1D):
        found += _of_convolution(layer)
        if reversed_kernels:
            found = [Layout(layout.shapes, _after(layout.convert, _reversed)) for layout in found]
    return found


def _joined(forward: Layout, backward: Layout) -> Layout:
    count = len(forward.shapes)

    def convert(arrays: list[Array]) -> list[Array]:
        return [*forward.convert(arrays[:count]), *backward.convert(arrays[count:])]

    return Layout([*forward.shapes, *backward.shapes], convert)


def _after(
    first: Callable[[list[Array]], list[Array]], then: Callable[[list[Array]], list[Array]]
) -> Callable[[list[Array]], list[Array]]:
    return lambda arrays: then(first(arrays))


# LSTM and GRU


def _of_cells(layer: layers.LSTM | layers.GRU) -> list[Layout]:
    """Those of cuDNN, and of Keras 1, which had three arrays for each gate."""
    (inputs, width), (units, _), _ = (weight.shape for weight in layer.weights)
    gates = width // units
    found = []
    if isinstance(layer, layers.LSTM) or layer.reset_after:
        found.append(Layout([(inputs, width), (units, width), (2 * width,)], _from_cudnn(gates)))
    if isinstance(layer, layers.LSTM) or not layer.reset_after:
        order = (0, 2, 1, 3) if gates == 4 else (0, 1, 2)  # of Keras 1: i, c, f, o
        found.append(Layout([(inputs, units), (units, units), (units,)] * gates, _from_gates(order)))
    return found


def _from_cudnn(gates: int) -> Callable[[list[Array]], list[Array]]:
    """Kernels that are transposed gate by gate, and a bias for each of the two products."""

    def convert(arrays: list[Array]) -> list[Array]:
        kernel, recurrent, bias = arrays
        parts = [part.reshape(part.shape[::-1]).T for part in np.split(kernel, gates, axis=1)]
        states = [part.T for part in np.split(recurrent, gates, axis=1)]
        two = bias.reshape(2, -1)
        return [np.concatenate(parts, axis=1), np.concatenate(states, axis=1), two.sum(axis=0) if gates == 4 else two]

    return convert


def _from_gates(order: Sequence[int]) -> Callable[[list[Array]], list[Array]]:
    def convert(arrays: list[Array]) -> list[Array]:
        return [np.concatenate([arrays[3 * gate + kind] for gate in order], axis=-1) for kind in range(3)]

    return convert


# Conv1D


def _of_convolution(layer: layers.Conv1D) -> list[Layout]:
    """Those of Keras 1, which had images of height one: channels last, and channels first."""
    (steps, channels, filters), *bias = (weight.shape for weight in layer.weights)

    def last(arrays: list[Array]) -> list[Array]:
        return [arrays[0][:, 0], *arrays[1:]]

    def first(arrays: list[Array]) -> list[Array]:
        return [arrays[0][..., 0].transpose(2, 1, 0), *arrays[1:]]

    return [
        Layout([(steps, 1, channels, filters), *bias], last),
        Layout([(filters, channels, steps, 1), *bias], first),
    ]


def _reversed(arrays: list[Array]) -> list[Array]:
    return [arrays[0][::-1], *arrays[1:]]
