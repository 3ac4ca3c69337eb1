"""PyTorch's recurrent cells, one step at a time, on the kernels of rnncore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnncore.torch.layer import layer
from rnncore.torch.support import unsupported_call

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class Cell(nn.RNNCellBase):
    """What the three cells share: whatever the kernels cannot do, PyTorch's own cell does."""

    _state_count = 1

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run one step.

        Parameters
        ----------
        input : Tensor (N, I) or (I,)
        hx : Tensor or tuple of two, optional
            States before the step, (N, H) each or (H,); zeros by default.

        Returns
        -------
        Tensor or tuple of two
            The states after it.

        Raises
        ------
        ValueError, RuntimeError
            PyTorch's errors.
        """
        states = () if hx is None else hx if self._state_count == 2 else (hx,)
        weights = [
            weight for weight in (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh) if weight is not None
        ]
        if not self._fits(input, states, weights):
            return super().forward(input, hx)
        shape = *input.shape[:-1], self.hidden_size
        x = input.reshape(1, -1, self.input_size)
        initial = [state.reshape(1, -1, self.hidden_size) for state in states]
        _, *lasts = layer(self._kind(), 1, x, initial, None, None, weights)
        found = tuple(state.reshape(shape) for state in lasts)
        return found if len(found) == 2 else found[0]

    def _kind(self) -> str:
        """The cell's name among the kernels."""
        raise NotImplementedError

    def _fits(self, x: Any, states: Sequence[Any], weights: Sequence[Tensor]) -> bool:
        """Whether the kernels can do the call; one that is wrong they cannot, as PyTorch's cell says what is."""
        if torch.jit.is_tracing() or not isinstance(x, Tensor) or x.dim() not in (1, 2) or x.numel() == 0:
            return False
        if x.shape[-1] != self.input_size or len(states) not in (0, self._state_count):
            return False
        shape = *x.shape[:-1], self.hidden_size
        if any(not isinstance(state, Tensor) or state.shape != shape for state in states):
            return False
        return unsupported_call((x, *states, *weights)) is None


class RNNCell(Cell, nn.RNNCell):
    """`torch.nn.RNNCell` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, bias, nonlinearity, device, dtype
        As of `torch.nn.RNNCell`, whose subclass it is.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    A loop over a cell is slower than one call of `RNN`, and slower than a loop over PyTorch's cell.

    Examples
    --------
    >>> import torch
    >>> from rnncore.torch import RNNCell
    >>> RNNCell(3, 4)(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def _kind(self) -> str:
        """The cell's name among the kernels."""
        return f"rnn_{self.nonlinearity}"


class LSTMCell(Cell, nn.LSTMCell):
    """`torch.nn.LSTMCell` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As of `torch.nn.LSTMCell`, whose subclass it is.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    A loop over a cell is slower than one call of `LSTM`, and often slower than a loop over PyTorch's cell.

    Examples
    --------
    >>> import torch
    >>> from rnncore.torch import LSTMCell
    >>> h, c = LSTMCell(3, 4)(torch.zeros(2, 3))
    >>> h.shape, c.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    _state_count = 2

    def _kind(self) -> str:
        """The cell's name among the kernels."""
        return "lstm"


class GRUCell(Cell, nn.GRUCell):
    """`torch.nn.GRUCell` on the kernels of rnncore.

    Parameters
    ----------
    input_size, hidden_size, bias, device, dtype
        As of `torch.nn.GRUCell`, whose subclass it is.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh

    Raises
    ------
    ValueError, TypeError
        PyTorch's errors.

    Notes
    -----
    A loop over a cell is slower than one call of `GRU`, and slower than a loop over PyTorch's cell.

    Examples
    --------
    >>> import torch
    >>> from rnncore.torch import GRUCell
    >>> GRUCell(3, 4)(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def _kind(self) -> str:
        """The cell's name among the kernels."""
        return "gru"
