"""The shapes of a graph's values once the sizes of its inputs are known."""

from __future__ import annotations

from collections.abc import Sequence

from rnncore.layers.symbolic import Call, SymbolicValue, walk
from rnncore.program import Shape

__all__ = ["shapes_of"]


def shapes_of(inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], sizes: Sequence[Shape]) -> list[Shape]:
    """The shapes of `outputs`, batch first, where the inputs have these sizes without the batch, None if unknown.

    Every layer checks what it reads as in its call, so sizes that do not fit are refused in its words.

    Examples
    --------
    >>> from rnncore import layers
    >>> from rnncore.layers.shapes import shapes_of
    >>> x = layers.Input((None, 3))
    >>> shapes_of([x], [layers.Conv1D(4, 3)(x)], [(7, 3)])
    [(None, 5, 4)]
    """
    known = {
        (value.call, value.index): SymbolicValue((value.shape[0], *size), value.call, value.index)
        for value, size in zip(inputs, sizes, strict=True)
    }

    def sized(value: SymbolicValue) -> SymbolicValue:
        return known[value.call, value.index]

    def of_call(call: Call) -> tuple[Shape, ...]:
        call.layer._recall(call.index)
        of_steps = {name: sized(value) for name, value in call.of_steps.items()}
        return call.layer._checked_shapes(tuple(map(sized, call.inputs)), **of_steps)

    for call in walk(inputs, outputs):
        for index, shape in enumerate(of_call(call)):
            known[call, index] = SymbolicValue(shape, call, index)
    return [sized(value).shape for value in outputs]
