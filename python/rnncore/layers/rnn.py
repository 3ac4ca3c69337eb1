"""Recurrent layers made of cells."""

from __future__ import annotations

from typing import Any

from rnncore._configurable import FROM_KERAS, fields
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.cells import Cell, StackedRNNCells, check_cell
from rnncore.layers.reads_sequences import ReadsSequences
from rnncore.layers.registry import deserialize
from rnncore.layers.wrapper import Wrapper
from rnncore.parameters import Array, Weight
from rnncore.program import Shape

__all__ = ["RNN"]


class RNN(Wrapper, ReadsSequences):
    """Run a cell, or a stack of cells, over a sequence: (N, T, I) to (N, H), or (N, T, H) with `return_sequences`.

    The same computation as the layer of the cell's name; stacked cells are as fast as stacked layers.

    Parameters
    ----------
    cell : SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells, or list of cells
    return_sequences : bool, default False
        Whether the output is that of every step (N, T, H) rather than of the last (N, H).
    return_state : bool, default False
        Whether the last states of all cells, (N, H) each, are returned too.
    go_backwards : bool, default False
        Read the sequence from its end; a returned sequence stays in the order of processing.
    stateful : bool, default False
        Whether each batch begins with the states after the batch before; the batch size is then fixed, see
        `Input`, and `reset_states` begins anew.
    unroll : bool, default False
        Kept for compatibility: the numbers are the same.
    zero_output_for_mask : bool, default False
        Whether the sequence is zero at masked steps rather than the last state repeated.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    cell : Cell or StackedRNNCells

    Raises
    ------
    TypeError, ValueError
        For a bad argument; a cell of another kind cannot be run.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((None, 3))
    >>> output, h, c = layers.RNN(layers.LSTMCell(4), return_state=True)(x)
    >>> output.shape
    (None, 4)
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        self.cell = cell if isinstance(cell, StackedRNNCells) else check_cell("cell of RNN", cell)
        self.cells: list[Cell] = self.cell.cells if isinstance(self.cell, StackedRNNCells) else [self.cell]
        super().__init__(tuple(self.cells), **arguments)
        self._keep_sequence_arguments(
            return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        )

    def _state_sizes(self) -> tuple[tuple[str, int], ...]:
        """The states of all cells, one cell after another."""
        if len(self.cells) == 1:
            return self.cells[0]._state_sizes()
        return tuple((f"{cell.name}/{name}", size) for cell in self.cells for name, size in cell._state_sizes())

    def _first_states(self, rows: int) -> list[Array]:
        """The states (rows, H) that a sequence begins with: those of all cells."""
        return [state for cell in self.cells for state in cell._first_states(rows)]

    def _features(self, shape: Shape) -> int:
        """The size of the last axis, which the first cell must take."""
        with self._naming():
            return self.cells[0]._features(shape)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Those of all cells, one cell after another."""
        shape = input_shape
        for cell in self.cells:
            with self._naming():
                cell.build(shape)
            shape = (*shape[:2], cell._output_size)
        return [weight for cell in self.cells for weight in cell.weights]

    @property
    def _output_size(self) -> int:
        """The size of the last cell's output."""
        return self.cells[-1]._output_size

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
        """Append the nodes of all cells."""
        backwards = self.go_backwards if go_backwards is None else go_backwards
        states: list[int] = []
        for cell in self.cells:
            # Sequences between cells stay in the order of time, where the mask belongs.
            last = cell is self.cells[-1] and len(states) + len(cell._state_names) == len(self._state_sizes())
            given = initial[len(states) : len(states) + len(cell._state_names)]
            x, ends = cell._emit_sequence(
                builder,
                x,
                mask,
                given,
                go_backwards=backwards,
                aligned=backwards and (aligned or not last),
                zero_output=zero_output and last,
                keeper=None if keeper is None else (keeper[0], keeper[1] + len(states)),
            )
            states += ends
        return x, tuple(states)

    def _last_output(self, states: tuple[int, ...]) -> int:
        """The first state of the last cell."""
        return states[-len(self.cells[-1]._state_names)]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer, without weights, from what `get_config` gave."""
        cell = fields("the description of a cell", config["cell"], ("class_name", "config"), FROM_KERAS)
        stacked = cell["class_name"] == StackedRNNCells.__name__
        made: Any = StackedRNNCells.from_config(cell["config"]) if stacked else deserialize(cell)
        return cls._restored({**config, "cell": made})
