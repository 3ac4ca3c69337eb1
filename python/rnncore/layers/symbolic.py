"""Symbolic values: what a layer is called on and gives back while a model is described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rnncore.layers.operators import Operators
from rnncore.program import Shape

if TYPE_CHECKING:
    from rnncore.layers.base import Layer

__all__ = ["Call", "SymbolicValue", "distinct_names", "keyed_values", "packed", "symbolic_values", "walk"]

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: the edge of a model's graph.

    Attributes
    ----------
    layer : Layer
    index : int
        How many times the layer had been called before.
    inputs : tuple of SymbolicValue
    mask : SymbolicValue or None
        Given instead of the mask that comes with the first input.
    resets : SymbolicValue or None
        Which steps of the first input begin a new sequence.
    """

    layer: Layer
    index: int
    inputs: tuple[SymbolicValue, ...]
    mask: SymbolicValue | None = None
    resets: SymbolicValue | None = None

    @property
    def of_steps(self) -> dict[str, SymbolicValue]:
        """What else tells something of each step, by the name of its argument."""
        given = {"mask": self.mask, "resets": self.resets}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def reads(self) -> tuple[SymbolicValue, ...]:
        """All values that the call reads."""
        return (*self.inputs, *self.of_steps.values())


@dataclass(frozen=True, eq=False)
class SymbolicValue(Operators):
    """A value that a model will compute: `Input` makes the first, calling a layer the next.

    `x + y`, `x - y`, `x * y` and `x ** 2` are calls of `Add`, `Subtract` and `Multiply`; with a number for y, also
    `x / 2`, `-x` and `1 - x`, calls of `Rescaling`; `x[:, -1]`, `x[:, 2:5]` and `x[..., 0]` calls of `GetItem`.

    Attributes
    ----------
    shape : tuple of int or None
        The batch comes first; None marks sizes known only at run time.
    call : Call
        The call of a layer that makes this value.
    index : int
        Which output of the call it is.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((None, 3), name="x")
    >>> layers.LSTM(4, name="cell")(x)
    <SymbolicValue (None, 4) float of 'cell'>
    """

    shape: Shape
    call: Call
    index: int

    @property
    def dtype(self) -> str:
        """`"float"`, the precision of the model, or `"int"`."""
        return self.layer._output_dtype

    @property
    def ndim(self) -> int:
        """The number of axes, the batch's included."""
        return len(self.shape)

    @property
    def layer(self) -> Layer:
        """The layer that makes this value."""
        return self.call.layer

    @property
    def name(self) -> str:
        """The name of the layer that makes this value."""
        return self.layer.name

    def __repr__(self) -> str:
        return f"<SymbolicValue {self.shape} {self.dtype} of {self.name!r}>"


def symbolic_values(argument: str, values: Any) -> tuple[SymbolicValue, ...]:
    """One symbolic value or a sequence of them, as a tuple; TypeError for anything else."""
    items = values if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
    for item in items:
        if not isinstance(item, SymbolicValue):
            raise TypeError(
                f"{argument} must be a symbolic value made by Input() or by calling a layer, got {type(item).__name__}"
            )
    if not items:
        raise ValueError(f"{argument} must hold at least one symbolic value")
    return tuple(items)


def keyed_values(argument: str, values: Any) -> tuple[tuple[str, ...] | None, list[SymbolicValue]]:
    """The symbolic values of a model's inputs or outputs, and their keys if they came in a dict: in sorted order."""
    if not isinstance(values, Mapping):
        return None, list(symbolic_values(argument, values))
    if not all(isinstance(key, str) for key in values):
        raise TypeError(f"{argument} must have strings as keys, got {list(values)}")
    keys = tuple(sorted(values))
    return keys, list(symbolic_values(argument, [values[key] for key in keys]))


def distinct_names(values: Sequence[SymbolicValue]) -> list[str]:
    """The names of values, with a number where several would have one name: lstm, lstm_1, lstm_2."""
    taken = {value.name for value in values}
    names: list[str] = []
    for value in values:
        name, number = value.name, 0
        while name in names or (number and name in taken):
            number += 1
            name = f"{value.name}_{number}"
        names.append(name)
    return names


def walk(inputs: Iterable[SymbolicValue], outputs: Iterable[SymbolicValue]) -> list[Call]:
    """The calls that lead from `inputs` to `outputs`, each after the calls it reads.

    Calls farther from the outputs come first, as in Keras, so that layers and weights are numbered
    alike. The calls that made `inputs` are not part of the result.
    """
    given = set(inputs)
    # Depth first; a call is met (numbered) on the way down and finished once all it reads is finished.
    met: dict[Call, int] = {}
    finished: list[Call] = []
    stack = [(value.call, False) for value in reversed(list(outputs)) if value not in given]
    while stack:
        call, is_done = stack.pop()
        if is_done:
            finished.append(call)
        elif call not in met:
            met[call] = len(met)
            stack.append((call, True))
            stack.extend((value.call, False) for value in reversed(call.reads) if value not in given)
    # Depth: the longest way to an output. All earlier calls of a layer are as deep as its later ones.
    depth = dict.fromkeys(finished, 0)
    layer_depth: dict[Layer, int] = {}
    for call in reversed(finished):
        depth[call] = layer_depth[call.layer] = max(depth[call], layer_depth.get(call.layer, 0))
        for value in call.reads:
            if value not in given:
                depth[value.call] = max(depth[value.call], depth[call] + 1)
    order: dict[Layer, int] = {}
    for call in met:
        order.setdefault(call.layer, len(order))
    return sorted(finished, key=lambda call: (-depth[call], order[call.layer]))


def packed(values: Sequence[Value], keys: tuple[str, ...] | None) -> Any:
    """What belongs to a model's inputs or outputs as users see it: one value, a list, or a dict by key."""
    if keys is not None:
        return dict(zip(keys, values, strict=True))
    return values[0] if len(values) == 1 else list(values)
