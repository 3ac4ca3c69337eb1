"""Cells: one step of a recurrent layer, for `RNN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _validation as check
from rnncore import activations, initializers, regularizers
from rnncore._configurable import Configurable, fields, passed_on
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.gru import GRU
from rnncore.layers.lstm import LSTM
from rnncore.layers.recurrent import Recurrent
from rnncore.layers.registry import deserialize, serialize
from rnncore.layers.simple_rnn import SimpleRNN

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"]


SEQUENCE_ARGUMENTS = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")


class Cell(Recurrent, registered=False):
    """Base of the cells: the recurrent layer without what belongs to sequences."""

    _parameters = ""
    _fixed = SEQUENCE_ARGUMENTS

    def __init__(self, **arguments: Any) -> None:
        for argument in SEQUENCE_ARGUMENTS:
            if argument in arguments:
                raise TypeError(f"{type(self).__name__} takes no {argument}: it is an argument of RNN")
        super().__init__(**arguments)

    @property
    def state_size(self) -> Any:
        """The size of the state, or a list with the size of each."""
        sizes = [size for _, size in self._state_sizes()]
        return sizes[0] if len(sizes) == 1 else sizes

    def __call__(  # type: ignore[override]  # Keras's arguments
        self, inputs: Any, initial_state: Any = None, mask: Any = None
    ) -> Any:
        """Refuse: a cell is one step of a layer."""
        raise TypeError(f"{self.name!r} is a cell and not called itself: use RNN({type(self).__name__}(...))(inputs)")


class SimpleRNNCell(Cell, SimpleRNN):
    """One step of `SimpleRNN`: h = activation(x·W + h·U + b).

    Parameters
    ----------
    units : int
        H, the size of the state.
    **arguments
        The other arguments are those of `SimpleRNN` with the same names and defaults, in Keras's order.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> cell = layers.SimpleRNNCell(4)
    >>> layers.RNN(cell, return_sequences=True)(layers.Input((None, 3))).shape
    (None, None, 4)
    >>> [weight.shape for weight in cell.weights]
    [(3, 4), (4, 4), (4,)]
    """

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        recurrent_initializer: initializers.Identifier = "orthogonal",
        bias_initializer: initializers.Identifier = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        recurrent_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**passed_on(locals()))


class LSTMCell(Cell, LSTM):
    """One step of `LSTM`, with the states h and c.

    Parameters
    ----------
    units : int
        H, the size of the state.
    **arguments
        The other arguments are those of `LSTM` with the same names and defaults, in Keras's order.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> cell = layers.LSTMCell(4)
    >>> layers.RNN(cell, return_sequences=True)(layers.Input((None, 3))).shape
    (None, None, 4)
    >>> [weight.shape for weight in cell.weights]
    [(3, 16), (4, 16), (16,)]
    """

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
        recurrent_activation: activations.Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        recurrent_initializer: initializers.Identifier = "orthogonal",
        bias_initializer: initializers.Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: regularizers.Identifier = None,
        recurrent_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**passed_on(locals()))


class GRUCell(Cell, GRU):
    """One step of `GRU`.

    Parameters
    ----------
    units : int
        H, the size of the state.
    **arguments
        The other arguments are those of `GRU` with the same names and defaults, in Keras's order.

    Raises
    ------
    TypeError, ValueError
        For a bad argument.

    Examples
    --------
    >>> from rnncore import layers
    >>> cell = layers.GRUCell(4)
    >>> layers.RNN(cell, return_sequences=True)(layers.Input((None, 3))).shape
    (None, None, 4)
    >>> [weight.shape for weight in cell.weights]
    [(3, 12), (4, 12), (2, 12)]
    """

    def __init__(
        self,
        units: int,
        activation: activations.Identifier = "tanh",
        recurrent_activation: activations.Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: initializers.Identifier = "glorot_uniform",
        recurrent_initializer: initializers.Identifier = "orthogonal",
        bias_initializer: initializers.Identifier = "zeros",
        kernel_regularizer: regularizers.Identifier = None,
        recurrent_regularizer: regularizers.Identifier = None,
        bias_regularizer: regularizers.Identifier = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        super().__init__(**passed_on(locals()))


class StackedRNNCells(Configurable, registered=False):
    """Cells of which each reads the output of the one before, as one cell for `RNN`.

    Parameters
    ----------
    cells : sequence of SimpleRNNCell, LSTMCell or GRUCell
    trainable : bool, default True
        False keeps training from all of them.

    Raises
    ------
    TypeError, ValueError
        If something is no such cell, or there is none.

    Examples
    --------
    >>> from rnncore import layers
    >>> cells = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(2)])
    >>> cells.state_size
    [[4, 4], 2]
    >>> layers.RNN(cells)(layers.Input((None, 3))).shape
    (None, 2)
    """

    def __init__(self, cells: Any, trainable: bool = True) -> None:
        if not isinstance(cells, Sequence) or not cells:
            raise ValueError(f"cells of StackedRNNCells must be a list of at least one cell, got {cells!r}")
        self.cells = [check_cell("each of cells", cell) for cell in cells]
        if not check.boolean("trainable", trainable):
            self.trainable = False

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights of any cell; setting it sets that of all."""
        return any(cell.trainable for cell in self.cells)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for cell in self.cells:
            cell.trainable = value

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def _output_size(self) -> int:
        """The output size of the last cell."""
        return self.cells[-1]._output_size

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data.

        Examples
        --------
        >>> from rnncore import layers
        >>> len(layers.StackedRNNCells([layers.GRUCell(2)]).get_config()["cells"])
        1
        """
        return {"cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the cells, without weights, from what `get_config` gave.

        Examples
        --------
        >>> from rnncore import layers
        >>> cells = layers.StackedRNNCells([layers.GRUCell(2)])
        >>> layers.StackedRNNCells.from_config(cells.get_config()).state_size
        [2]
        """
        return cls([deserialize(cell) for cell in fields("stacked cells", config, ("cells",))["cells"]])


def check_cell(argument: str, cell: Any) -> Cell:
    """The cell itself; TypeError unless it is one of the cells there are."""
    if not isinstance(cell, Cell):
        raise TypeError(
            f"{argument} must be a SimpleRNNCell, LSTMCell or GRUCell, or StackedRNNCells of them, got {cell!r}; cells"
            " written in Python do not run here: combine these cells with other layers, or use Model.forward and"
            " Model.backward for a loop of your own"
        )
    return cell
