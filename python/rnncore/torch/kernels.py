"""The kernels on tensors: one layer in one or both directions, forward and backward, without autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from rnncore import _core, functional
from rnncore._gate_orders import permutation
from rnncore._sequence_arguments import Array

__all__ = ["backward", "forward"]

# The cells and their activations, by the names that PyTorch's modules give their kinds, in small letters.
CELLS = {
    "rnn_tanh": ("simple_rnn", "tanh"),
    "rnn_relu": ("simple_rnn", "relu"),
    "lstm": ("lstm", "tanh"),
    "gru": ("gru", "tanh"),
}
FEW = 512  # steps of rows, for which packing the weights takes a good part of the time
GRU_ORDER = permutation("gru", "torch", "rnncore")  # and back: two gates change places


def forward(
    cell: str,
    directions: int,
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None = None,
    *,
    training: bool,
) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    """Output (T, N, D·H) and last states (D, N, H), and with `training` a tape for each direction.

    `x` is (T, N, I), `states` are none or (D, N, H) each, `lengths` (N,) int32, `resets` (N, T) bool. Weights are
    PyTorch's, of one direction after the other. With `batch_sizes` (T,) int64, x and output are the packed rows of a
    PackedSequence. A tape reads x, states and output, which must stay as they are until `backward`.
    """
    count = len(weights) // directions
    each = [weights] if directions == 1 else [weights[:count], weights[count:]]
    keeps = not training and x.numel() <= FEW * x.shape[-1]
    kept = tuple(_kept(cell, mine) for mine in each) if keeps else ()
    sizes, ends, begins = (None if tensor is None else tensor.numpy() for tensor in (batch_sizes, lengths, resets))
    for array in (_array, _plain):
        own: tuple[Any, ...] = kept or tuple(tuple(map(array, mine)) for mine in each)
        options = sizes, own, tuple(map(array, states)), ends, begins, training
        found = _limited(_core.layer, *CELLS[cell], array(x), *options)
        if found is not None:
            break
    output, lasts, tapes = found
    return (torch.from_numpy(output), *map(torch.from_numpy, lasts)), tapes or ()


def backward(
    tapes: Sequence[Any],
    doutput: Tensor | None,
    dstates: Sequence[Tensor | None],
    *,
    wants_x: bool = True,
    wants_states: bool = True,
) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
    """Gradients of x, of the states before the first step, and of PyTorch's weights; uses up the tapes."""
    for array in (_array, _plain):
        dy, *dlasts = (None if tensor is None else array(tensor) for tensor in (doutput, *dstates))
        found = _limited(_core.layer_backward, tuple(tapes), dy, tuple(dlasts), wants_x, wants_states)
        if found is not None:
            break
    dx, dinitial, dweights = found
    weights: list[Array] = []
    each = len(dweights) // len(tapes)
    for first in range(0, len(dweights), each):
        kernel, recurrent_kernel, *biases = dweights[first : first + each]
        weights += [kernel, recurrent_kernel, *(bias for both in biases for bias in both)]
    return (
        None if dx is None else torch.from_numpy(dx),
        list(map(torch.from_numpy, dinitial)),
        list(map(torch.from_numpy, weights)),
    )


def _limited(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call with as many threads as PyTorch may use."""
    own, threads = _core.get_num_threads(), torch.get_num_threads()
    if own == threads:
        return function(*arguments)
    _core.set_num_threads(threads)
    try:
        return function(*arguments)
    finally:
        _core.set_num_threads(own)


def _array(tensor: Tensor) -> Array:
    """The tensor's memory."""
    array: Array = tensor.numpy(force=True)  # of the CPU: it copies what is negated in name alone
    return array


def _plain(tensor: Tensor) -> Array:
    """The tensor's memory, or a copy without strides."""
    return _array(tensor.contiguous())


# Packed weights by the first tensor of them, with copies of all: whether somebody has changed one is seen by comparing,
# as writing to `tensor.data` leaves no other trace.
_KEPT: Any = WeakTensorKeyDictionary()


def _kept(cell: str, weights: Sequence[Tensor]) -> functional.PackedWeights:
    """The packed weights of a call before, if they are still those."""
    arrays = tuple(map(_array, weights))
    copies, packed = _KEPT.get(weights[0], ((), None))
    if packed is None or not _core.same_bytes(arrays, copies):
        packed = functional.pack(*_packed(cell, weights), CELLS[cell][0])
        _KEPT[weights[0]] = tuple(array.copy() for array in arrays), packed
    found: functional.PackedWeights = packed
    return found


def _packed(cell: str, weights: Sequence[Tensor]) -> tuple[Array, Array, Array | None]:
    """Kernel (I, G·H), recurrent kernel (H, G·H) and bias, as the kernels read them."""
    weights = [_other_order(cell, weight.detach()) for weight in weights]
    kernel, recurrent_kernel = (_array(weight.t().contiguous()) for weight in weights[:2])
    if len(weights) == 2:
        return kernel, recurrent_kernel, None
    bias = torch.stack(weights[2:]) if cell == "gru" else weights[2] + weights[3]
    return kernel, recurrent_kernel, _array(bias)


def _other_order(cell: str, weight: Tensor) -> Tensor:
    """From PyTorch's order of gates (G·H, ...) to that of the kernels, or back."""
    if cell != "gru":
        return weight
    blocks = weight.chunk(3)
    found: Tensor = torch.cat([blocks[k] for k in GRU_ORDER])
    return found
