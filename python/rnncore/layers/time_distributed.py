"""A layer applied to every time step."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder, emit_graph
from rnncore.layers.embedding import Embedding
from rnncore.layers.graph import Graph
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.registry import deserialize
from rnncore.layers.symbolic import Call, SymbolicValue, walk
from rnncore.layers.wrapper import Wrapper
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["TimeDistributed"]


class TimeDistributed(Wrapper):
    """Apply a layer to each step of a sequence by itself: (N, T, ...) to (N, T, ...).

    Parameters
    ----------
    layer : Layer
        With one input and one output. It sees each step as a sample of its own.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    layer : Layer

    Raises
    ------
    TypeError, ValueError
        If `layer` is no layer, or takes no such steps.

    Notes
    -----
    A mask (N, T) that comes with the input, or that a call is given as `mask`, goes on with the output.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.TimeDistributed(layers.Flatten())(layers.Input((None, 5, 3))).shape
    (None, None, 15)
    """

    _acts_per_step = True
    _takes_mask = True

    def __init__(self, layer: Layer, **arguments: Unpack[LayerArguments]) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"layer of TimeDistributed must be a Layer, got {type(layer).__name__}; wrap each layer")
        if getattr(layer, "stateful", False):
            raise ValueError(f"layer of TimeDistributed must not be stateful, got {layer.name!r}")
        self.layer = layer
        super().__init__((layer,), **arguments)
        self._output_dtype = layer._output_dtype

    @property
    def _treats_steps_as_samples(self) -> bool:  # type: ignore[override]
        return self.layer._treats_steps_as_samples

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, ...) with steps that the layer takes."""
        if len(shape) < 3:
            check.sequence_shape(self.name, shape, "...")
        with self._naming():
            self.layer._check_input(_step(shape))

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless there is one input of the layer's dtype."""
        self.layer._check_values(values)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """The layer's."""
        if not self.layer.built:
            self.layer.build(_step(input_shape))
        for call in self._readers_of_ids():
            if not isinstance(call.layer, Embedding) or call.layer.mask_zero:
                raise ValueError(
                    f"{self.name!r} takes a model that reads ids by an Embedding without mask_zero, in this one they go"
                    f" to {call.layer.name!r}"
                )
        return list(self.layer.weights)

    def _readers_of_ids(self) -> list[Call]:
        """The calls within a model that read the ids of a step, which cannot become samples before."""
        if not isinstance(self.layer, Graph) or self.layer.inputs[0].dtype != "int":
            return []
        (ids,) = self.layer.inputs
        return [call for call in walk([ids], self.layer.outputs) if ids in call.reads]

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """(N, T) and what the layer makes of a step."""
        shapes = self.layer._output_shapes(_step(input_shape))
        if len(shapes) != 1:
            raise ValueError(f"layer of {self.name!r} must have one output, got {len(shapes)}")
        return ((*input_shape[:2], *shapes[0][1:]),)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the layer's nodes; steps become samples unless the layer treats steps by themselves anyway."""
        if self.layer._treats_steps_as_samples:
            return self.layer._emit(builder, inputs, masks)
        (x,) = inputs
        shape = builder.shape(x)
        readers = {call: call.layer._emit(builder, inputs, (NO_MASK,))[0] for call in self._readers_of_ids()}
        steps = {value: self._folded(builder, value) for value in readers.values() or inputs}
        before = builder.carries, builder.batch
        builder.carries, builder.batch = False, next(iter(steps.values()))  # each step is a sequence of its own
        if readers:
            assert isinstance(self.layer, Graph)
            made = self._emit_rest(builder, self.layer, {call: steps[value] for call, value in readers.items()})
        else:
            (made,) = self.layer._emit(builder, (steps[x],), (NO_MASK,))
        builder.carries, builder.batch = before
        output = builder.value(self.name, self._output_shapes(shape)[0])
        builder.node("unfold_time", f"{self.name}/unfold", (made, x), (output,))
        return (output,)

    def _folded(self, builder: ProgramBuilder, x: int) -> int:
        """Steps as samples."""
        steps = builder.value(f"{self.name}/steps", _step(builder.shape(x)))
        builder.node("fold_time", f"{self.name}/fold", (x,), (steps,))
        return steps

    @staticmethod
    def _emit_rest(builder: ProgramBuilder, model: Graph, made: dict[Call, int]) -> int:
        """Append the calls of a model but for those that are made."""
        read = [value for call in walk(model.inputs, model.outputs) for value in call.inputs]
        given = list(dict.fromkeys(value for value in [*read, *model.outputs] if value.call in made))
        values = [made[value.call] for value in given]
        (output,), _ = emit_graph(builder, given, model.outputs, values, [NO_MASK] * len(given))
        return output

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer, without weights, from what `get_config` gave."""
        return cls._restored({**config, "layer": deserialize(config["layer"])})


def _step(shape: Shape) -> Shape:
    """The shape of a step as a sample."""
    return (None, *shape[2:])
