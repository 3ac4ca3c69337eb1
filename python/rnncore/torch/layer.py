"""One layer of a recurrent module as autograd, and as compilers and other tracers see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncore.torch import kernels
from rnncore.torch.ops import layer_op

__all__ = ["is_traced", "layer"]


def layer(
    cell: str,
    directions: int,
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Run one layer in one or both directions.

    Parameters
    ----------
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    directions : int
        D, 1 or 2.
    x : Tensor (T, N, I)
    states : sequence of Tensor (D, N, H)
        One for each state of the cell before the first step, or none for zeros.
    lengths : Tensor of int32 (N,) or None
    resets : Tensor of bool (N, T) or None
    weights : sequence of Tensor
        PyTorch's, of one direction after the other.
    batch_sizes : Tensor of int64 (T,) or None
        Of a PackedSequence, whose data (Σ, I) is x then. Not for compilers.

    Returns
    -------
    tuple of Tensor
        Output (T, N, D·H), or (Σ, D·H), and each last state (D, N, H).
    """
    training = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *states, *weights))
    if is_traced():
        output, h, c, _ = layer_op(cell, directions, x, list(states), lengths, resets, list(weights), training)
        return (output, h, c) if cell == "lstm" else (output, h)
    if training:
        found: tuple[Tensor, ...] = _Layer.apply(
            cell, directions, len(states), lengths, resets, batch_sizes, x, *states, *weights
        )
        return found
    return kernels.forward(cell, directions, x, states, lengths, resets, weights, batch_sizes, training=False)[0]


def is_traced() -> bool:
    """Whether somebody looks at each operation, to whom the layer shows as one."""
    return torch.compiler.is_compiling() or bool(torch._C._len_torch_dispatch_stack())


class _Layer(torch.autograd.Function):
    """The layer as autograd sees it."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        directions: int,
        states: int,
        lengths: Tensor | None,
        resets: Tensor | None,
        batch_sizes: Tensor | None,
        x: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        call = cell, directions, x, tensors[:states], lengths, resets, tensors[states:], batch_sizes
        found, ctx.tapes = kernels.forward(*call, training=True)
        ctx.options, ctx.states = (cell, directions, lengths, resets, batch_sizes), states
        ctx.save_for_backward(x, *tensors)
        # The tapes read the output, too, which may change, as PyTorch's may.
        ctx.output, ctx.version = found[0].detach(), found[0]._version
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, doutput: Tensor | None, *dstates: Tensor | None) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        states, weights = tensors[: ctx.states], tensors[ctx.states :]
        cell, directions, lengths, resets, batch_sizes = ctx.options
        call = cell, directions, x, states, lengths, resets, weights, batch_sizes
        nothing = (None,) * 6
        if torch.is_grad_enabled():
            return *nothing, *_backward_by_torch(call, (doutput, *dstates), again=True)
        if any(map(_is_batch, (doutput, *dstates))):
            with torch.enable_grad():
                return *nothing, *_backward_by_torch(call, (doutput, *dstates), again=False)
        tapes, ctx.tapes = ctx.tapes, None
        # Either backward has been here, and the graph was retained; or the output is another by now.
        if tapes is None or ctx.output._version != ctx.version:
            tapes = kernels.forward(*call, training=True)[1]
        wants_x, wants_states = ctx.needs_input_grad[6], any(ctx.needs_input_grad[7 : 7 + ctx.states])
        dx, dinitial, dweights = kernels.backward(tapes, doutput, dstates, wants_x=wants_x, wants_states=wants_states)
        return *nothing, dx, *(dinitial or [None] * ctx.states), *dweights


def _is_batch(gradient: Tensor | None) -> bool:
    """Whether a tensor stands for many, as gradients do where autograd is asked for a batch of them."""
    return gradient is not None and torch._C._functorch.is_legacy_batchedtensor(gradient)


def _backward_by_torch(call: tuple[Any, ...], doutputs: Sequence[Tensor | None], *, again: bool) -> list[Tensor | None]:
    """Gradients of x, states and weights by PyTorch's own operations, which may be differentiated `again`."""
    _, _, x, states, _, resets, weights, _ = call
    if resets is not None:
        raise NotImplementedError("create_graph: gradients of a call with resets cannot be differentiated again")
    inputs = [tensor for tensor in (x, *states, *weights) if tensor.requires_grad]
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # its LSTM has no second derivative
    try:
        found = _by_torch(*call)
    finally:
        torch._C._set_mkldnn_enabled(enabled)
    pairs = [pair for pair in zip(found, doutputs, strict=True) if pair[1] is not None]
    outputs, known = zip(*pairs, strict=True)
    gradients = iter(torch.autograd.grad(outputs, inputs, known, create_graph=again, allow_unused=True))
    return [next(gradients) if tensor.requires_grad else None for tensor in (x, *states, *weights)]


def _by_torch(
    cell: str,
    directions: int,
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
    resets: None,
    weights: Sequence[Tensor],
    batch_sizes: Tensor | None,
) -> tuple[Tensor, ...]:
    """What `layer` computes, but zeros behind the end of a row."""
    function = getattr(torch, cell)
    if not states:
        rows = x.shape[1] if batch_sizes is None else int(batch_sizes[0])
        zeros = x.new_zeros(directions, rows, weights[1].shape[1])
        states = (zeros,) * (2 if cell == "lstm" else 1)
    options = len(weights) > 2 * directions, 1, 0.0, False, directions == 2
    if batch_sizes is not None:
        return tuple(function(x, batch_sizes, _hidden(states), weights, *options))
    if lengths is None:
        found: tuple[Tensor, ...] = function(x, _hidden(states), weights, *options, False)
        return found
    packed = pack_padded_sequence(x, lengths.long(), enforce_sorted=False)
    states = [state[:, packed.sorted_indices] for state in states]
    output, *lasts = function(packed.data, packed.batch_sizes, _hidden(states), weights, *options)
    output, _ = pad_packed_sequence(packed._replace(data=output), total_length=x.shape[0])
    return output, *(last[:, packed.unsorted_indices] for last in lasts)


def _hidden(states: Sequence[Tensor]) -> Any:
    """States as PyTorch's functions take them."""
    return states if len(states) == 2 else states[0]
