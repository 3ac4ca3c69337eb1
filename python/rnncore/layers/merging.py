"""Merging: several values into one, element by element."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from rnncore.layers.arguments import LayerArguments, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.symbolic import SymbolicValue
from rnncore.program import Shape

__all__ = [
    "Add",
    "Average",
    "Maximum",
    "Merge",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class Merge(Layer, registered=False):
    """Base of the layers that take a list of values and give one.

    An axis of size 1 is repeated to fit the others, and a value with fewer axes gets axes of size 1 after
    the batch, as in Keras. Where all inputs have a mask, a step of the output is real if it is real in any of them;
    where one has none, none goes on. The lengths of a batch go on in any case.
    """

    _sections = """
    Parameters
    ----------
    **arguments
        `name`, `trainable`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        For inputs whose shapes do not fit.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.NAME()([layers.Input((5, 3)), layers.Input((1, 3))]).shape
    (None, 5, 3)
    """
    _op = "merge"
    _acts_per_step = True
    _kind: ClassVar[str]
    _least: ClassVar[int] = 1
    _leaves_out_masked: ClassVar[bool] = False  # inputs where their step is not valid, but others' are

    def __call__(self, inputs: Any, mask: SymbolicValue | None = None) -> Any:
        """Describe this layer applied to a list of symbolic values; it takes no mask."""
        if isinstance(inputs, SymbolicValue):
            raise ValueError(f"{self.name!r} takes a list of values, got {inputs}")
        return super().__call__(inputs, mask)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are float values whose shapes fit."""
        if len(values) < self._least:
            raise ValueError(f"{self.name!r} takes at least {self._least} inputs, got {len(values)}")
        for value in values:
            if value.dtype != "float":
                raise TypeError(f"{self.name!r} takes float values, got {value}")
        self._merged_shape(tuple(value.shape for value in values))

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The shape of the merged value."""
        return (self._merged_shape(tuple(value.shape for value in values)),)

    def _merged_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """The shape that all shapes can be repeated to."""
        rank = max(map(len, shapes))
        merged: list[int | None] = [shapes[0][0], *[1] * (rank - 1)]
        for shape in shapes:
            full = (shape[0], *[1] * (rank - len(shape)), *shape[1:])
            for a, (size, other) in enumerate(zip(merged, full, strict=True)):
                if size is None or (size == 1 and a > 0):
                    merged[a] = size if other == 1 and a > 0 else other
                elif other not in (None, size) and (other != 1 or a == 0):
                    raise ValueError(f"{self.name!r} needs inputs whose shapes fit, got {list(shapes)}")
        return tuple(merged)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output, batch first, from the list of shapes of the inputs.

        Examples
        --------
        >>> from rnncore import layers
        >>> layers.Add().compute_output_shape([(None, 5, 3), (None, 1, 3)])
        (None, 5, 3)
        """
        if not isinstance(input_shape, (list, tuple)) or not all(isinstance(s, (list, tuple)) for s in input_shape):
            raise ValueError(f"{self.name!r} takes a list of shapes, got {input_shape!r}")
        return self._merged_shape(tuple(tuple(shape) for shape in input_shape))

    @property
    def output_shape(self) -> Any:
        """Shape of the last output."""
        return self.output.shape

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append one node."""
        shape = self._merged_shape(tuple(builder.shape(value) for value in inputs))
        output = builder.value(self.name, shape)
        own = tuple(
            mask.own if len(builder.shape(x)) == len(shape) else -1 for x, mask in zip(inputs, masks, strict=True)
        )
        if self._leaves_out_masked and any(mask >= 0 for mask in own):
            builder.node(self._op, self.name, (*inputs, *own), (output,), (), {**self._attributes(), "masked": True})
        else:
            builder.node(self._op, self.name, inputs, (output,), (), self._attributes())
        return (output,)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """Keras's rule for masks; of lengths those of all inputs whose steps are the output's."""
        rank = max(len(builder.shape(x)) for x in inputs)
        pairs = [(x, mask if len(builder.shape(x)) == rank else NO_MASK) for x, mask in zip(inputs, masks, strict=True)]
        axes = {builder.shape(x)[1] for x, _ in pairs}
        timed = [(x, mask) for x, mask in pairs if builder.shape(x)[1] != 1 or axes == {1}]
        own = builder.merge_own("or", self.name, pairs)
        return (Mask(builder.both(self.name, *timed).padding if timed else -1, own),)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return {"kind": self._kind}


class Add(Merge):
    """Add values element by element."""

    _kind = "add"


class Subtract(Merge):
    """Subtract the second of two values from the first."""

    _kind = "subtract"

    _least = 2

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are two float values whose shapes fit."""
        if len(values) != 2:
            raise ValueError(f"{self.name!r} takes two inputs, got {len(values)}")
        super()._check_values(values)


class Multiply(Merge):
    """Multiply values element by element.

    At a masked step an input counts as ones; where all are masked, the product is zero.
    """

    _kind = "multiply"
    _leaves_out_masked = True


class Average(Merge):
    """The mean of values, element by element."""

    _kind = "average"


class Maximum(Merge):
    """The greatest of values, element by element.

    At a masked step an input does not take part, unless all are masked there: then it is the first.
    Equal elements share the gradient, as in a chain of pairwise comparisons.
    """

    _kind = "maximum"
    _leaves_out_masked = True


class Minimum(Merge):
    """The least of values, element by element.

    At a masked step an input does not take part, unless all are masked there: then it is the first.
    Equal elements share the gradient, as in a chain of pairwise comparisons.
    """

    _kind = "minimum"
    _leaves_out_masked = True


class Function(Protocol):
    """A merging layer as a function."""

    def __call__(self, inputs: Any, **arguments: Unpack[LayerArguments]) -> Any: ...


_DOC = """{summary} The same as `{cls}(**arguments)(inputs)`.

Examples
--------
>>> from rnncore import layers
>>> layers.{function}([layers.Input((3,)), layers.Input((3,))]).shape
(None, 3)
"""


def _function(cls: type[Merge]) -> Function:
    def function(inputs: Any, **arguments: Unpack[LayerArguments]) -> Any:
        return cls(**arguments)(inputs)

    function.__name__ = function.__qualname__ = cls._kind
    summary = (cls.__doc__ or "").partition("\n")[0]
    function.__doc__ = _DOC.format(summary=summary, cls=cls.__name__, function=cls._kind)
    return function


add, subtract, multiply = _function(Add), _function(Subtract), _function(Multiply)
average, maximum, minimum = _function(Average), _function(Maximum), _function(Minimum)
