"""What SimpleRNN, LSTM, GRU and RNN share: how they read a sequence, and what they return of it."""

from __future__ import annotations

from rnncore import _validation as check
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.masks import Mask
from rnncore.program import Shape

__all__ = ["ReadsSequences"]


class ReadsSequences(TakesInitialState, registered=False):
    """Base of these layers: (N, T, I) to (N, H), or (N, T, H) with `return_sequences`."""

    def _keep_sequence_arguments(
        self,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        unroll: bool,
        zero_output_for_mask: bool,
    ) -> None:
        self.return_sequences = check.boolean("return_sequences", return_sequences)
        self.return_state = check.boolean("return_state", return_state)
        self.go_backwards = check.boolean("go_backwards", go_backwards)
        self.stateful = check.boolean("stateful", stateful)
        self.unroll = check.boolean("unroll", unroll)
        self.zero_output_for_mask = check.boolean("zero_output_for_mask", zero_output_for_mask)
        self._keeps_time = self.return_sequences
        self._acts_per_step = self.return_sequences and not self.go_backwards

    @property
    def _output_size(self) -> int:
        """The size of an output."""
        raise NotImplementedError

    def _last_output(self, states: tuple[int, ...]) -> int:
        """Which of the last states is the last output."""
        return states[0]

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """Sequence or last output, then the states if they are returned."""
        output = (*input_shape[: 2 if self.return_sequences else 1], self._output_size)
        states = [(input_shape[0], size) for _, size in self._state_sizes()]
        return (output, *states[: len(states) * self.return_state])

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the nodes that make sequence and states from x, its mask and initial states."""
        x, *initial = inputs
        sequence, states = self._emit_sequence(
            builder,
            x,
            builder.real(x, masks[0]),
            tuple(initial),
            zero_output=self.zero_output_for_mask,
            keeper=(self, 0) if self.stateful else None,
        )
        return (
            sequence if self.return_sequences else self._last_output(states),
            *(states if self.return_state else ()),
        )

    def _emit_sequence(
        self,
        builder: ProgramBuilder,
        x: int,
        mask: int,
        initial: tuple[int, ...],
        *,
        go_backwards: bool | None = None,
        aligned: bool = False,
        zero_output: bool = False,
        keeper: tuple[Layer, int] | None = None,
    ) -> tuple[int, tuple[int, ...]]:
        """Append the node and return its sequence and its last states, whatever the layer itself returns.

        Parameters
        ----------
        builder : ProgramBuilder
        x, mask : int
            Values; the mask may be -1.
        initial : tuple of int
            Values of the initial states, or empty.
        go_backwards : bool, optional
            By default as the layer says.
        aligned : bool, default False
            Whether a sequence read from its end stays in the order of time.
        zero_output : bool, default False
            Whether the sequence is zero at masked steps; it then repeats no state.
        keeper : tuple of Layer and int, optional
            The stateful layer that keeps the states from batch to batch, and the number of the first one.
        """
        raise NotImplementedError
