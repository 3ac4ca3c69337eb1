"""The layer as operators of PyTorch's library, `rnncore::layer` and its backward, which compilers can trace."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnncore.torch import kernels

__all__ = ["layer_backward_op", "layer_op"]

# Tapes by the address of the tensor that stands for them; they go when its memory goes.
_TAPES: dict[int, tuple[Any, ...]] = {}


@torch.library.custom_op(
    "rnncore::layer",
    mutates_args=(),
    schema="(str cell, int directions, Tensor x, Tensor[] states, Tensor? lengths, Tensor? resets, Tensor[] weights,"
    " bool training)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def layer_op(
    cell: str,
    directions: int,
    x: Tensor,
    states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: list[Tensor],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output (T, N, D·H), h and c (D, N, H), empty where the cell has no c, and what stands for the tapes."""
    (output, h, *c), tapes = kernels.forward(cell, directions, x, states, lengths, resets, weights, training=training)
    return output, h, c[0] if c else x.new_empty(0), _token(tapes)


@layer_op.register_fake
def _(
    cell: str,
    directions: int,
    x: Tensor,
    states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: list[Tensor],
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    steps, rows, _ = x.shape
    state = directions, rows, weights[1].shape[1]
    c = x.new_empty(state if cell == "lstm" else 0)
    return x.new_empty(steps, rows, directions * state[2]), x.new_empty(state), c, x.new_empty(1, dtype=torch.uint8)


@torch.library.custom_op(
    "rnncore::layer_backward",
    mutates_args=(),
    schema="(Tensor? doutput, Tensor?[] dstates, Tensor token, str cell, int directions, Tensor x, Tensor[] states,"
    " Tensor? lengths, Tensor? resets, Tensor[] weights) -> Tensor[]",
)
def layer_backward_op(
    doutput: Tensor | None,
    dstates: list[Tensor | None],
    token: Tensor,
    cell: str,
    directions: int,
    x: Tensor,
    states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: list[Tensor],
) -> list[Tensor]:
    """Gradients of x, each state and each weight; where the tapes are used up, the forward pass is run once more."""
    tapes = _TAPES.pop(token.data_ptr(), ())
    if not tapes:
        _, tapes = kernels.forward(cell, directions, x, states, lengths, resets, weights, training=True)
    dx, dinitial, dweights = kernels.backward(tapes, doutput, dstates)
    assert dx is not None
    return [dx.contiguous(), *dinitial[: len(states)], *dweights]


@layer_backward_op.register_fake
def _(
    doutput: Tensor | None,
    dstates: list[Tensor | None],
    token: Tensor,
    cell: str,
    directions: int,
    x: Tensor,
    states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: list[Tensor],
) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in (x, *states, *weights)]


def _token(tapes: tuple[Any, ...]) -> Tensor:
    """A byte that stands for tapes."""
    place = np.zeros(1, np.uint8)
    if tapes:
        _TAPES[place.ctypes.data] = tapes
        weakref.finalize(place, _TAPES.pop, place.ctypes.data, None).atexit = False
    return torch.from_numpy(place)  # which holds `place`


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Save what backward needs."""
    ctx.cell, ctx.directions, x, states, lengths, resets, weights, _ = inputs
    ctx.states = len(states)
    # A tape may read the output: autograd notices when somebody has changed it.
    ctx.save_for_backward(output[0], output[3], x, *states, *weights, lengths, resets)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, doutput: Tensor | None, *dstates: Tensor | None) -> tuple[Any, ...]:
    _, token, x, *tensors, lengths, resets = ctx.saved_tensors
    states, weights = tensors[: ctx.states], tensors[ctx.states :]
    known = list(dstates[: 2 if ctx.cell == "lstm" else 1])
    found = layer_backward_op(doutput, known, token, ctx.cell, ctx.directions, x, states, lengths, resets, weights)
    return None, None, found[0], found[1 : 1 + ctx.states], None, None, found[1 + ctx.states :], None


layer_op.register_autograd(_backward, setup_context=_keep)
