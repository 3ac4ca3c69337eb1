"""Recurrent layers as functions of NumPy arrays, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import activations
from .._core import PackedWeights
from .._quiet import quiet
from .._sequence_arguments import (
    SequenceArguments,
    SequenceGradients,
    SequenceResult,
    gradient_arguments,
    sequence_arguments,
)
from . import sequence
from .activations import Activation, elementwise_of
from .cell import Cell
from .gru import GRUCell
from .lstm import LSTMCell
from .masking import real_steps
from .sequence import Tape
from .simple_rnn import SimpleRNNCell

__all__ = ["backward", "gru", "lstm", "simple_rnn"]


def simple_rnn(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    activation: activations.Identifier = "tanh",
) -> SequenceResult:
    """Run a simple recurrent layer, h' = activation(x @ kernel + h @ recurrent_kernel + bias), in NumPy.

    Parameters, result and errors are those of `rnncore.functional.simple_rnn`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import simple_rnn
    >>> x = np.array([[[1.0], [2.0], [4.0]]])
    >>> simple_rnn(x, [[1.0]], [[0.5]], activation="linear").output[0, :, 0]
    array([1.  , 2.5 , 5.25])
    """
    cell = SimpleRNNCell(applied("activation", activation))
    return _run(cell, x, kernel, recurrent_kernel, bias, initial_state, lengths, resets, reverse, training)


def lstm(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    activation: activations.Identifier = "tanh",
    recurrent_activation: activations.Identifier = "sigmoid",
) -> SequenceResult:
    """Run an LSTM layer in NumPy. Gates are blocks of H columns in the order i, f, c, o.

    Parameters, result and errors are those of `rnncore.functional.lstm`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import lstm
    >>> result = lstm(np.ones((2, 5, 3)), np.zeros((3, 16)), np.zeros((4, 16)))
    >>> result.output.shape, [part.shape for part in result.state]
    ((2, 5, 4), [(2, 4), (2, 4)])
    """
    cell = LSTMCell(applied("activation", activation), applied("recurrent_activation", recurrent_activation))
    return _run(cell, x, kernel, recurrent_kernel, bias, initial_state, lengths, resets, reverse, training)


def gru(
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    *,
    initial_state: Any = None,
    lengths: npt.ArrayLike | None = None,
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    training: bool = False,
    reset_after: bool = True,
    activation: activations.Identifier = "tanh",
    recurrent_activation: activations.Identifier = "sigmoid",
) -> SequenceResult:
    """Run a GRU layer in NumPy. Gates are blocks of H columns in the order z, r, h.

    Parameters, result and errors are those of `rnncore.functional.gru`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import gru
    >>> x = np.ones((1, 3, 1))
    >>> result = gru(x, np.zeros((1, 3)), np.zeros((1, 3)), initial_state=[[8.0]], lengths=[2])
    >>> result.output[0, :, 0]
    array([4., 2., 2.])
    """
    cell = GRUCell(
        applied("activation", activation),
        applied("recurrent_activation", recurrent_activation),
        reset_after,
    )
    return _run(cell, x, kernel, recurrent_kernel, bias, initial_state, lengths, resets, reverse, training)


@quiet
def backward(tape: Tape, doutput: npt.ArrayLike | None = None, dstate: Any = None) -> SequenceGradients:
    """Back-propagate through time in NumPy.

    Parameters, result and errors are those of `rnncore.functional.backward`, but that a tape may be used again.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference import backward, simple_rnn
    >>> result = simple_rnn(np.ones((1, 3, 1)), [[1.0]], [[0.5]], training=True, activation="linear")
    >>> backward(result.tape, dstate=[[1.0]]).x[0, :, 0]
    array([0.25, 0.5 , 1.  ])
    """
    if not isinstance(tape, Tape):
        raise TypeError(f"tape: expected the tape of a result computed with training=True, got {type(tape).__name__}")
    rows, steps, _ = tape.arguments.x.shape
    units = tape.arguments.recurrent_kernel.shape[0]
    doutput, dstate = gradient_arguments(
        doutput, dstate, sizes=(units,) * tape.cell.STATES, shape=(rows, steps, units), dtype=tape.arguments.x.dtype
    )
    if doutput is not None:  # output[rows, times] = state[0][rows] at padded times
        padded = ~tape.real[..., None]
        dstate = (dstate[0] + np.where(padded, doutput, 0).sum(axis=1), *dstate[1:])
        doutput = np.where(padded, 0, doutput)
    return sequence.backward(tape, doutput, dstate)


def applied(argument: str, identifier: activations.Identifier) -> Activation:
    """The activation of a cell that an argument stands for."""
    kept = activations.kept(identifier, argument, elementwise=True)
    return elementwise_of(activations.attributes(argument, kept), argument)


@quiet
def _run(
    cell: Cell,
    x: npt.ArrayLike,
    kernel: npt.ArrayLike | PackedWeights,
    recurrent_kernel: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    initial_state: Any,
    lengths: npt.ArrayLike | None,
    resets: npt.ArrayLike | None,
    reverse: bool,
    training: bool,
) -> SequenceResult:
    if isinstance(kernel, PackedWeights):
        raise TypeError("kernel: expected an array, only rnncore.functional reads packed weights")
    arguments = sequence_arguments(
        x,
        kernel,
        recurrent_kernel,
        bias,
        initial_state,
        lengths,
        gates=cell.GATES,
        states=cell.STATES,
        split_bias=cell.split_bias,
        resets=resets,
    )
    if training:
        arguments = _owned(arguments)
    real = real_steps(arguments.lengths, arguments.x.shape)
    cuts = None
    if arguments.resets is not None:
        cuts = sequence.Resets(arguments.resets, tuple(np.zeros_like(part) for part in arguments.initial_state))
    output, state, tape = sequence.forward(cell, arguments, real, reverse, training, resets=cuts)
    output = np.where(real[..., None], output, state[0][:, None])
    output.flags.writeable = not training
    return SequenceResult(output, state, tape)


def _owned(arguments: SequenceArguments) -> SequenceArguments:
    """Copies: what the caller does to the arrays is not felt by the tape."""
    x, kernel, recurrent_kernel, bias, state, lengths, resets = arguments
    return SequenceArguments(
        x.copy(),
        kernel.copy(),
        recurrent_kernel.copy(),
        None if bias is None else bias.copy(),
        tuple(part.copy() for part in state),
        None if lengths is None else lengths.copy(),
        None if resets is None else resets.copy(),
    )
