"""PyTorch's recurrent modules on the kernels of rnncore."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncore.torch.layer import is_traced, layer
from rnncore.torch.support import gains_nothing, unsupported_call, unsupported_weights

__all__ = ["GRU", "LSTM", "RNN"]


class Recurrent(nn.RNNBase):
    """What the three modules share: whatever the kernels cannot do, PyTorch's own module does."""

    def forward(self, input: Any, hx: Any = None, lengths: Any = None, resets: Any = None) -> Any:
        """Run the layers.

        Parameters
        ----------
        input : Tensor (T, N, I), (N, T, I) with `batch_first`, or (T, I); or PackedSequence
        hx : Tensor or tuple of two, optional
            States before the first step, (L·D, N, H) each; zeros by default.
        lengths : Tensor or sequence of int (N,), optional
            How many leading steps of each row are valid; all by default. Behind them the output is zero, as after
            `pad_packed_sequence`. Rows may have any order, and no steps at all.
        resets : Tensor of bool, the first two axes of `input`, optional
            Where it is set a new sequence begins: the state before that step is zero, in each layer and direction, and
            no gradient passes.

        Returns
        -------
        output, state
            As PyTorch's module returns them.

        Raises
        ------
        ValueError, RuntimeError
            PyTorch's errors for PyTorch's arguments; ValueError for lengths and resets that do not fit, and for resets
            where PyTorch's own module would have to run.
        TypeError
            If lengths are no integers, or resets neither booleans nor integers.
        """
        if lengths is None and resets is None and self._gains_nothing(input, hx):
            return super().forward(input, hx)
        self._find_weights()
        if lengths is not None or resets is not None:
            return self._forward_with_ends(input, hx, lengths, resets)
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        states = self._states(input, hx, 0 if self.batch_first else 1)
        if states is None:
            return super().forward(input, hx)
        single = input.dim() == 2
        x = input.unsqueeze(1) if single else self._turned(input)
        if single:
            output, hidden = self._run(x, [state.unsqueeze(1) for state in states])
            return output.squeeze(1), self._hidden([state.squeeze(1) for state in hidden])
        output, hidden = self._run(x, states)
        return self._turned(output), self._hidden(hidden)

    def _find_weights(self) -> None:
        """Look for weights that were replaced, as PyTorch's module does, but faster where none was."""
        if not all(map(operator.is_, map(self._parameters.get, self._flat_weights_names), self._flat_weights)):
            self._update_flat_weights()

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> Any:
        """Run rows that are packed, and pack the output in the same way."""
        rows = int(packed.batch_sizes[0])
        states = self._states(packed.data, hx, 0, rows)
        if states is None:
            return super().forward(packed, hx)
        if packed.sorted_indices is not None:
            states = [state.index_select(1, packed.sorted_indices) for state in states]
        if is_traced():
            x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
            padded, hidden = self._run(x, states, lengths, packed=True)
            output = pack_padded_sequence(padded, lengths).data
        else:
            output, hidden = self._run(packed.data, states, batch_sizes=packed.batch_sizes)
        if packed.unsorted_indices is not None:
            hidden = [state.index_select(1, packed.unsorted_indices) for state in hidden]
        return packed._replace(data=output), self._hidden(hidden)

    def _forward_with_ends(self, input: Any, hx: Any, lengths: Any, resets: Any) -> Any:
        """Run rows that end early, or begin anew."""
        argument = "resets" if lengths is None else "lengths"
        if isinstance(input, PackedSequence) or input.dim() != 3:
            kind = "a PackedSequence" if isinstance(input, PackedSequence) else f"{input.dim()} axes"
            raise ValueError(f"{argument}: expected an input of padded rows with 3 axes, got {kind}")
        steps, rows = self._turned(input).shape[:2]
        lengths = None if lengths is None else _checked_lengths(lengths, rows, steps)
        resets = None if resets is None else _checked_resets(resets, input.shape[:2])
        states = self._states(input, hx, 0 if self.batch_first else 1)
        if states is None:
            if resets is not None:
                reason = left_to_torch(self) or unsupported_call((input, *self._flat_weights)) or "hx does not fit"
                raise ValueError(f"resets: expected a call that the kernels can do, got one with {reason}")
            packed = pack_padded_sequence(input, lengths, self.batch_first, enforce_sorted=False)
            output, hidden = super().forward(packed, hx)
            return pad_packed_sequence(output, self.batch_first, total_length=steps)[0], hidden
        begins = None if resets is None else self._turned(resets).T.contiguous()
        output, hidden = self._run(self._turned(input), states, lengths, begins)
        if lengths is not None:
            ended = torch.arange(steps).unsqueeze(1) >= lengths
            output = output.masked_fill(ended.unsqueeze(2), 0)
        return self._turned(output), self._hidden(hidden)

    def _run(
        self,
        x: Tensor,
        states: Sequence[Tensor],
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        batch_sizes: Tensor | None = None,
        *,
        packed: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """The output (T, N, D·H) of the last layer and the last states of all.

        With `batch_sizes` x and output are packed rows; with `packed` they were.
        """
        directions = 2 if self.bidirectional else 1
        cell, count = self.mode.lower(), len(self._flat_weights) // self.num_layers
        ends = None if lengths is None else lengths.int()
        lasts = []
        for k in range(self.num_layers):
            initial = [state[k * directions : (k + 1) * directions] for state in states]
            weights = self._flat_weights[k * count : (k + 1) * count]
            x, *last = layer(cell, directions, x, initial, ends, resets, weights, batch_sizes)
            lasts.append(last)
            if self.dropout and self.training and k < self.num_layers - 1:
                x = self._dropped(x, lengths if packed else None)
        return x, lasts[0] if len(lasts) == 1 else [torch.cat(parts) for parts in zip(*lasts, strict=True)]

    def _dropped(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Drop elements; for a PackedSequence as PyTorch does, which draws for valid steps alone."""
        if lengths is None:
            return torch.dropout(x, self.dropout, True)
        packed = pack_padded_sequence(x, lengths)
        data = torch.dropout(packed.data, self.dropout, True)
        padded: Tensor = pad_packed_sequence(packed._replace(data=data))[0]
        return padded

    def _states(self, x: Any, hx: Any, batch_axis: int, rows: int | None = None) -> Sequence[Tensor] | None:
        """The states of a call as a list, empty for zeros; None if the kernels cannot do it.

        That includes calls that are wrong, since PyTorch's module says what is. `rows` tells that x is packed.
        """
        states = () if hx is None else hx if isinstance(hx, (tuple, list)) else (hx,)
        directions = 2 if self.bidirectional else 1
        if (
            torch.jit.is_tracing()
            or self.proj_size
            or not isinstance(x, Tensor)
            or x.dim() not in ((2, 3) if rows is None else (2,))
        ):
            return None
        if rows is None and x.dim() == 3:
            rows = x.shape[batch_axis]
        shape = (self.num_layers * directions, *(() if rows is None else (rows,)), self.hidden_size)
        fits = x.shape[-1] == self.input_size and x.numel() > 0
        if not fits or (hx is not None and (isinstance(hx, Tensor), len(states)) != _form_of_states(self.mode)):
            return None
        if any(not isinstance(state, Tensor) or state.shape != shape for state in states):
            return None
        if any(weight is None for weight in self._flat_weights):
            return None
        return states if unsupported_call((x, *states, *self._flat_weights)) is None else None

    def _gains_nothing(self, input: Any, hx: Any) -> bool:
        """Whether it is a call that PyTorch's own kernels do as fast."""
        x = input.data if isinstance(input, PackedSequence) else input
        if not isinstance(x, Tensor) or not 0 < x.numel() < 16 * self.input_size:
            return False
        steps = len(input.batch_sizes) if x is not input else x.shape[self.batch_first and x.dim() == 3]
        states = hx if isinstance(hx, (tuple, list)) else (hx,)
        tensors = (x, *states, *self._flat_weights)
        training = torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)
        rows, size = x.numel() // (steps * self.input_size), self.hidden_size * (self.input_size + self.hidden_size)
        return gains_nothing(self.mode, steps, rows, size, training=training)

    def _turned(self, sequence: Tensor) -> Tensor:
        """Batch-first to time-major or back, where the module is batch-first."""
        return sequence.transpose(0, 1) if self.batch_first else sequence

    def _hidden(self, states: Sequence[Tensor]) -> Any:
        """States as the module returns them."""
        return tuple(states) if self.mode == "LSTM" else states[0]


class RNN(Recurrent, nn.RNN):
    """`torch.nn.RNN` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, device, dtype
        As of `torch.nn.RNN`, whose subclass it is.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...
        As there: names, shapes and the order of gates are PyTorch's.

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    Calls take `lengths` and `resets` besides PyTorch's arguments, see `LSTM`.

    Examples
    --------
    >>> import torch
    >>> from rnncore.torch import RNN
    >>> rnn = RNN(3, 4, nonlinearity="relu", batch_first=True)
    >>> output, h = rnn(torch.zeros(2, 5, 3))
    >>> output.shape, h.shape
    (torch.Size([2, 5, 4]), torch.Size([1, 2, 4]))
    """


class LSTM(Recurrent, nn.LSTM):
    """`torch.nn.LSTM` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        As of `torch.nn.LSTM`, whose subclass it is.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...
        As there: names, shapes and the order of gates are PyTorch's.

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    Calls take `lengths` (N,) besides PyTorch's arguments: how many leading steps of each row are valid, in any order.
    Behind them the output is zero, and the last states are those after the last valid step, as with
    `pack_padded_sequence` and `pad_packed_sequence`. Where `resets`, of the first two axes of the input, is set a new
    sequence begins within the row.

    What the kernels cannot do, or not faster, is left to PyTorch's own: single steps of few rows and many units, other
    dtypes than float32 and float64, other devices than the CPU, `proj_size`, autocast, transforms of `torch.func`,
    second derivatives.

    Examples
    --------
    >>> import torch
    >>> from rnncore.torch import LSTM
    >>> lstm = LSTM(3, 4, bidirectional=True)
    >>> output, (h, c) = lstm(torch.ones(5, 2, 3), lengths=[5, 2])
    >>> output.shape, h.shape, bool((output[2:, 1] == 0).all())
    (torch.Size([5, 2, 8]), torch.Size([2, 2, 4]), True)
    """


class GRU(Recurrent, nn.GRU):
    """`torch.nn.GRU` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As of `torch.nn.GRU`, whose subclass it is.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ...
        As there: names, shapes and the order of gates are PyTorch's.

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    Calls take `lengths` and `resets` besides PyTorch's arguments, see `LSTM`.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from rnncore.torch import GRU
    >>> gru, theirs = GRU(3, 4), nn.GRU(3, 4)
    >>> _ = gru.load_state_dict(theirs.state_dict())
    >>> x = torch.ones(5, 2, 3)
    >>> torch.allclose(gru(x)[0], theirs(x)[0], atol=1e-6)
    True
    """


def left_to_torch(module: nn.RNNBase) -> str | None:
    """Why a module would run on PyTorch's own kernels whatever its input is, or None."""
    if module.proj_size:
        return f"proj_size={module.proj_size}"
    return unsupported_weights(module._flat_weights)


def _form_of_states(mode: str) -> tuple[bool, int]:
    """Whether the states of a call are a tensor, and how many they are."""
    return (False, 2) if mode == "LSTM" else (True, 1)


def _tensor(argument: str, value: Any) -> Tensor:
    """On the CPU."""
    try:
        return torch.as_tensor(value).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{argument}: expected a tensor or numbers, got {type(value).__name__}: {error}") from error


def _checked_lengths(lengths: Any, rows: int, steps: int) -> Tensor:
    """(N,) int64 on the CPU."""
    found = _tensor("lengths", lengths)
    if found.dtype.is_floating_point or found.dtype.is_complex or found.dtype == torch.bool:
        raise TypeError(f"lengths: expected integers, got dtype {found.dtype}")
    if found.shape != (rows,):
        raise ValueError(f"lengths: expected shape {(rows,)}, one per row of the input, got {tuple(found.shape)}")
    outside = found[(found < 0) | (found > steps)]
    if outside.numel():
        raise ValueError(f"lengths: expected values from 0 to {steps}, the time steps, got {int(outside[0])}")
    return found.long()


def _checked_resets(resets: Any, shape: Sequence[int]) -> Tensor:
    """Of the first two axes of the input, bool on the CPU."""
    found = _tensor("resets", resets)
    if found.dtype.is_floating_point or found.dtype.is_complex:
        raise TypeError(f"resets: expected booleans or integers, got dtype {found.dtype}")
    if found.shape != tuple(shape):
        raise ValueError(f"resets: expected shape {tuple(shape)}, as the input begins, got {tuple(found.shape)}")
    return found.bool()
