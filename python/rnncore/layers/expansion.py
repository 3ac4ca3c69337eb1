"""A graph without models inside: their own graphs stand where they were called."""

from __future__ import annotations

from collections.abc import Sequence

from rnncore.layers.graph import Graph
from rnncore.layers.symbolic import Call, SymbolicValue, walk

__all__ = ["expanded"]


def expanded(
    inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], given: Sequence[SymbolicValue] | None = None
) -> list[SymbolicValue]:
    """What `outputs` are where calls of models are replaced by the calls of their layers.

    Parameters
    ----------
    inputs, outputs : sequences of SymbolicValue
    given : sequence of SymbolicValue, optional
        What takes the place of the inputs.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> from rnncore.layers.expansion import expanded
    >>> x = layers.Input((None, 3))
    >>> y = models.Sequential([layers.GRU(2, name="inside")])(x)
    >>> expanded([x], [y])
    [<SymbolicValue (None, 2) float of 'inside'>]
    """
    known = {(x.call, x.index): value for x, value in zip(inputs, inputs if given is None else given, strict=True)}

    def now(value: SymbolicValue) -> SymbolicValue:
        return known.get((value.call, value.index), value)

    for call in walk(inputs, outputs):
        layer, reads = call.layer, tuple(map(now, call.inputs))
        of_steps = {name: now(value) for name, value in call.of_steps.items()}
        if isinstance(layer, Graph):
            made = expanded(layer.inputs, layer.outputs, reads)
        elif reads == call.inputs and of_steps == call.of_steps:
            continue
        else:
            layer._recall(call.index)
            again = Call(layer, call.index, reads, **of_steps)
            shapes = layer._checked_shapes(reads, **of_steps)
            made = [SymbolicValue(shape, again, index) for index, shape in enumerate(shapes)]
        known |= {(call, index): value for index, value in enumerate(made)}
    return list(map(now, outputs))
