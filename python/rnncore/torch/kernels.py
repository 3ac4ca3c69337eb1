"""The kernels on tensors: one layer in one or both directions, forward and backward, without autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from rnncore import _core, functional
from rnncore._gate_orders import permutation
from rnncore._sequence_arguments import Array, SequenceGradients, SequenceResult

__all__ = ["backward", "forward"]

# By the names that PyTorch's modules give their kinds, in small letters.
FUNCTIONS: dict[str, Callable[..., SequenceResult]] = {
    "rnn_tanh": functional.simple_rnn,
    "rnn_relu": functional.simple_rnn,
    "lstm": functional.lstm,
    "gru": functional.gru,
}
OPTIONS = {"rnn_relu": {"activation": "relu"}}
NAMES = {"rnn_tanh": "simple_rnn", "rnn_relu": "simple_rnn", "lstm": "lstm", "gru": "gru"}
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
    *,
    training: bool,
) -> tuple[tuple[Tensor, ...], list[Any]]:
    """Output (T, N, D·H) and last states (D, N, H), and with `training` a tape for each direction.

    `x` is (T, N, I), `states` are none or (D, N, H) each, `lengths` (N,) int32, `resets` (N, T) bool. Weights are
    PyTorch's, of one direction after the other.
    """
    function, options = FUNCTIONS[cell], OPTIONS.get(cell, {})
    sequence = _array(x).swapaxes(0, 1)
    initial = [_array(state) for state in states]
    ends, begins = (None if tensor is None else tensor.numpy() for tensor in (lengths, resets))
    count = len(weights) // directions
    keeps = not training and x.shape[0] * x.shape[1] <= FEW
    results = []
    with _threads():
        for d in range(directions):
            mine = weights[d * count : (d + 1) * count]
            results.append(
                function(
                    sequence,
                    *([_kept(cell, mine)] if keeps else _packed(cell, mine)),
                    initial_state=tuple(state[d] for state in initial) or None,
                    lengths=ends,
                    resets=begins,
                    reverse=d == 1,
                    training=training,
                    **options,
                )
            )
    outputs = [result.output.swapaxes(0, 1) for result in results]
    # Not `from_numpy`, which warns about memory that a tape reads.
    output = torch.from_dlpack(outputs[0] if directions == 1 else np.concatenate(outputs, axis=-1))
    return (output, *(_stacked(states) for states in zip(*(result.state for result in results), strict=True))), [
        result.tape for result in results
    ]


def backward(
    cell: str, tapes: Sequence[Any], doutput: Tensor | None, dstates: Sequence[Tensor | None], biased: bool
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Gradients of x, of the states before the first step, and of PyTorch's weights; uses up the tapes."""
    units = tapes[0].shape[2]
    gradients: list[SequenceGradients] = []
    with _threads():
        for d, tape in enumerate(tapes):
            part = None if doutput is None else _array(doutput)[..., d * units : (d + 1) * units].swapaxes(0, 1)
            dstate = tuple(None if state is None else _array(state[d]) for state in dstates)
            gradients.append(functional.backward(tape, part, dstate if any(s is not None for s in dstate) else None))
    dx = torch.from_numpy(gradients[0].x)
    for other in gradients[1:]:
        dx += torch.from_numpy(other.x)
    dinitial = [_stacked(states) for states in zip(*(gradient.initial_state for gradient in gradients), strict=True)]
    return dx.transpose(0, 1), dinitial, [d for gradient in gradients for d in _unpacked(cell, gradient, biased)]


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    own = _core.get_num_threads()
    _core.set_num_threads(threads)
    try:
        yield
    finally:
        _core.set_num_threads(own)


def _threads() -> AbstractContextManager[None]:
    """As many threads as PyTorch may use, while the calls of a layer run."""
    threads = torch.get_num_threads()
    return nullcontext() if threads == _core.get_num_threads() else _torch_threads(threads)


def _stacked(states: Sequence[Array]) -> Tensor:
    """States (N, H) of the directions as (D, N, H)."""
    tensor: Tensor = torch.from_numpy(states[0][np.newaxis] if len(states) == 1 else np.stack(states))
    return tensor


def _array(tensor: Tensor) -> Array:
    """The tensor's memory."""
    array: Array = tensor.detach().numpy()
    return array


# Packed weights by the first tensor of them, with copies of all: whether somebody has changed one is seen by comparing,
# as writing to `tensor.data` leaves no other trace.
_KEPT: Any = WeakTensorKeyDictionary()


def _kept(cell: str, weights: Sequence[Tensor]) -> functional.PackedWeights:
    """The packed weights of a call before, if they are still those."""
    arrays = [_array(weight) for weight in weights]
    bits = [array.view(f"i{array.itemsize}") for array in arrays]
    copies, packed = _KEPT.get(weights[0], ([], None))
    if packed is None or len(copies) != len(bits) or not all(map(np.array_equal, bits, copies)):
        packed = functional.pack(*_packed(cell, weights), NAMES[cell])
        _KEPT[weights[0]] = [array.copy() for array in bits], packed
    found: functional.PackedWeights = packed
    return found


def _packed(cell: str, weights: Sequence[Tensor]) -> tuple[Array, Array, Array | None]:
    """Kernel (I, G·H), recurrent kernel (H, G·H) and bias, as the kernels read them."""
    weights = [_other_order(cell, weight.detach()) for weight in weights]
    kernel, recurrent_kernel = (weight.t().contiguous().numpy() for weight in weights[:2])
    if len(weights) == 2:
        return kernel, recurrent_kernel, None
    bias = torch.stack(weights[2:]) if cell == "gru" else weights[2] + weights[3]
    return kernel, recurrent_kernel, bias.numpy()


def _unpacked(cell: str, gradients: SequenceGradients, biased: bool) -> list[Tensor]:
    """Gradients of PyTorch's weights, each in memory of its own."""
    kernels = gradients.kernel, gradients.recurrent_kernel
    weights = [_other_order(cell, torch.from_numpy(kernel).t().contiguous()) for kernel in kernels]
    if not biased:
        return weights
    bias = torch.from_numpy(gradients.bias)
    if cell == "gru":
        return [*weights, *(_other_order(cell, part) for part in bias)]
    return [*weights, bias, bias.clone()]


def _other_order(cell: str, weight: Tensor) -> Tensor:
    """From PyTorch's order of gates (G·H, ...) to that of the kernels, or back."""
    if cell != "gru":
        return weight
    blocks = weight.chunk(3)
    found: Tensor = torch.cat([blocks[k] for k in GRU_ORDER])
    return found
