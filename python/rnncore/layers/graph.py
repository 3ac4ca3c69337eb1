"""The graph of a model: layers from inputs to outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from rnncore import _validation as check
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder, emit_graph
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.masks import Mask
from rnncore.layers.shapes import shapes_of
from rnncore.layers.symbolic import Call, SymbolicValue, distinct_names, packed, symbolic_values, walk
from rnncore.parameters import Array, Weight, assign_all
from rnncore.policies import Policy
from rnncore.program import Shape

__all__ = ["Graph"]


class Graph(Layer, registered=False):
    """Base of the models: the layers, their weights and the shapes of what goes in and out.

    It is a layer of another model when it is called on symbolic values; its calls append its own graph.
    """

    activity_regularizer = None
    dtype_wanted = None
    inputs: list[SymbolicValue]
    outputs: list[SymbolicValue]
    _input_keys: tuple[str, ...] | None = None  # of a dict that the inputs came in
    _output_keys: tuple[str, ...] | None = None
    _layers: list[Layer]
    _policy: Policy
    _masks: tuple[Mask, ...] = ()  # of the outputs that were appended last

    @property
    def built(self) -> bool:  # type: ignore[override]
        """Whether the shape of the input is known and the weights are made."""
        return bool(self.outputs)

    def _input_calls(self) -> list[Call]:
        return [value.call for value in self.inputs]

    def _calls(self) -> list[Call]:
        """The calls of layers in the order of the graph, inputs first."""
        return [*self._input_calls(), *walk(self.inputs, self.outputs)]

    # Layers and weights

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order of the graph."""
        return list(self._layers)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Find a layer by name or by its place in `layers`.

        Raises
        ------
        ValueError
            If there is no such layer, or not exactly one of the two is given.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="head")])
        >>> model.get_layer("head") is model.get_layer(index=0)
        True
        """
        if (name is None) == (index is None):
            raise ValueError(f"give either name or index, got name={name!r} and index={index!r}")
        if name is not None:
            return check.lookup("layer", name, {layer.name: layer for layer in self.layers})
        number = check.integer("index", index)
        if not -len(self.layers) <= number < len(self.layers):
            raise ValueError(f"index must be that of one of {len(self.layers)} layers, got {number}")
        return self.layers[number]

    @property
    def _inner(self) -> tuple[Layer, ...]:  # type: ignore[override]
        return tuple(self._layers)

    @property
    def weights(self) -> list[Weight]:  # type: ignore[override]
        """The weights of all layers, each once."""
        return list(dict.fromkeys(weight for layer in self.layers for weight in layer.weights))

    @property
    def trainable(self) -> bool:
        """Whether training changes any weights; setting it reaches all layers and counts from the next `compile` on.

        A model whose `trainable` is False trains nothing, whatever its layers say.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4), layers.Dense(1)])
        >>> model.trainable = False
        >>> model.layers[0].trainable, len(model.trainable_weights)
        (False, 0)
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = check.boolean("trainable", value)
        Weight.times_set += 1
        for layer in self.layers:
            layer.trainable = value

    @property
    def gradients(self) -> list[Array]:
        """The gradients of the trainable weights from the last step or `backward`: views of the live arrays."""
        return [weight.gradient for weight in self.trainable_weights]

    @property
    def dtype(self) -> str:
        """The precision of the weights: "float32" or "float64"."""
        return self.weights[0].dtype.name if self.weights else self._policy.dtype.name

    @property
    def dtype_policy(self) -> str:
        """The `dtype_policy` the model computes with: "float32", "float64" or "mixed_bfloat16"."""
        return self._policy.name

    def count_params(self) -> int:
        """Number of weight elements.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> models.Sequential([layers.Input((None, 3)), layers.LSTM(4)]).count_params()
        128
        """
        self._require_built("it has weights to count")
        return sum(weight.size for weight in self.weights)

    def reset_states(self) -> None:
        """Let the stateful layers begin the next batch from zeros.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> x = np.ones((1, 5, 3))
        >>> model = models.Sequential([layers.Input(batch_shape=(1, 5, 3)), layers.GRU(2, stateful=True)])
        >>> first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
        >>> model.reset_states()
        >>> again = model.predict(x, verbose=0)
        >>> bool((again == first).all()), bool((again == second).all())
        (True, False)
        """
        self._require_built("its states are reset")
        for layer in self.layers:
            if isinstance(layer, (TakesInitialState, Graph)) and layer.stateful:
                layer.reset_states()

    @property
    def stateful(self) -> bool:
        """Whether a layer keeps states from batch to batch."""
        return any(getattr(layer, "stateful", False) for layer in self.layers)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, layer by layer in Keras's order.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
        >>> [w.shape for w in model.get_weights()]
        [(3, 12), (4, 12), (2, 12)]
        """
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Overwrite the weights; nothing changes unless all fit.

        Parameters
        ----------
        weights : sequence of array_like
            As `get_weights` gives them.

        Raises
        ------
        TypeError, ValueError
            If the model is not built, or the number, shape or kind of arrays is wrong.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> a, b = (models.Sequential([layers.Input((3,)), layers.Dense(2)]) for _ in range(2))
        >>> b.set_weights(a.get_weights())
        >>> all((u == v).all() for u, v in zip(a.get_weights(), b.get_weights()))
        True
        """
        self._require_built("its weights are set")
        assign_all("weights", self.weights, weights)

    def _require_built(self, purpose: str) -> None:
        if not self.built:
            raise ValueError(f"the model must be built before {purpose}: give an input shape, or call build or fit")

    # Shapes and description

    @property
    def input_shape(self) -> Any:  # type: ignore[override]
        """Shape of the input, batch first, or a list of shapes."""
        return self._shapes(self.inputs)

    @property
    def output_shape(self) -> Any:
        """Shape of the output, batch first, or a list of shapes."""
        return self._shapes(self.outputs)

    def _shapes(self, values: Sequence[SymbolicValue]) -> Any:
        self._require_built("it has shapes")
        return values[0].shape if len(values) == 1 else [value.shape for value in values]

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, for dicts of arrays: the keys they were given with, or those of their layers."""
        return [value.name for value in self.inputs] if self._input_keys is None else list(self._input_keys)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, for dicts of losses, metrics and targets; as those of the inputs."""
        return distinct_names(self.outputs) if self._output_keys is None else list(self._output_keys)

    @property
    def input(self) -> Any:
        """The symbolic value that is the input, or a list or dict of them, as the model was made of."""
        return self._symbolic("input", self.inputs, self._input_keys)

    @property
    def output(self) -> Any:
        """The symbolic value that is the output, or a list or dict of them, as the model was made of."""
        return self._symbolic("output", self.outputs, self._output_keys)

    def _symbolic(self, side: str, values: Sequence[SymbolicValue], keys: tuple[str, ...] | None) -> Any:
        if not self.built:
            raise AttributeError(f"{self.name!r} has no {side} before it is built: give its first layer an input shape")
        return packed(values, keys)

    # As a layer of another model

    @property
    def batch_input_shape(self) -> Shape | None:  # type: ignore[override]
        """The shape of the only input, batch first; None before the model is built."""
        return self.inputs[0].shape if len(self.inputs) == 1 else None

    @property
    def _input_dtype(self) -> str:  # type: ignore[override]
        return self.inputs[0].dtype if self.inputs else self._layers[0]._input_dtype

    @property
    def _treats_steps_as_samples(self) -> bool:  # type: ignore[override]
        return all(layer._treats_steps_as_samples for layer in self.layers if layer not in self._input_layers())

    def _input_layers(self) -> list[Layer]:
        return [value.layer for value in self.inputs]

    def build(self, input_shape: Shape) -> None:
        """Check that the model takes an input of this shape: it is built already.

        Raises
        ------
        ValueError
            If it takes another one.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> x = layers.Input((None, 3))
        >>> models.Model(x, layers.GRU(2)(x)).build((None, 7, 3))
        """
        self._check_input(check.shape("input_shape", input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output, or a list of shapes, for the shape of the input, batch first, or a list of shapes.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> x = layers.Input((None, 3))
        >>> models.Model(x, layers.Conv1D(2, 3)(x)).compute_output_shape((None, 7, 3))
        (None, 5, 2)
        """
        is_list = isinstance(input_shape, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in input_shape)
        given = [check.shape("input_shape", shape) for shape in (input_shape if is_list else [input_shape])]
        if self.inputs and len(given) != len(self.inputs):
            raise ValueError(f"input_shape of {self.name!r} must be {len(self.inputs)} shapes, got {len(given)}")
        shapes = self._shapes_for(given) if len(given) > 1 else self._output_shapes(given[0])
        return shapes[0] if len(shapes) == 1 else list(shapes)

    def _called_on(self, inputs: Any) -> Any:
        """Describe the model applied to symbolic values: one, a list, or a dict by the names of inputs."""
        if isinstance(inputs, Mapping):
            if set(inputs) != set(self.input_names):
                raise ValueError(f"inputs of {self.name!r} must be {self.input_names}, got {list(inputs)}")
            inputs = [inputs[name] for name in self.input_names]
        made = self._describe(symbolic_values(f"inputs of {self.name!r}", inputs))
        return packed(symbolic_values("outputs", made), self._output_keys)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless there is a value for each input, of its dtype and a shape that it may have."""
        if len(values) != len(self.inputs):
            raise ValueError(f"{self.name!r} takes {len(self.inputs)} inputs, got {len(values)}")
        for value, own in zip(values, self.inputs, strict=True):
            if own.dtype == "int":
                value.layer._become_integers()
            if value.dtype != own.dtype:
                raise TypeError(f"{self.name!r} takes {own.dtype} values for {own.name!r}, got {value}")
        if any(value.dtype != "float" for value in self.outputs):
            raise TypeError(f"{self.name!r} has an output of integers, which no other layer can read")

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is one that the first input may have."""
        self._check_sizes(self.inputs[0], shape)

    def _check_sizes(self, own: SymbolicValue, shape: Shape) -> None:
        sizes = zip(own.shape[1:], shape[1:], strict=False)
        if len(shape) != len(own.shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
            raise ValueError(f"{self.name!r} is built for {own.shape} as {own.name!r}, got {shape}")

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """What the layers make of these shapes."""
        return self._shapes_for([value.shape for value in values])

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """What the layers make of the shape of the only input."""
        if len(self.inputs) != 1:
            raise ValueError(f"{self.name!r} has {len(self.inputs)} inputs, got the shape of one")
        return self._shapes_for([input_shape])

    def _shapes_for(self, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        for own, shape in zip(self.inputs, shapes, strict=True):
            self._check_sizes(own, shape)
        made = shapes_of(self.inputs, self.outputs, [shape[1:] for shape in shapes])
        return tuple((shapes[0][0], *shape[1:]) for shape in made)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append the model's own graph."""
        scope, builder.scope = builder.scope, f"{builder.scope}{self.name}/"
        outputs, self._masks = emit_graph(builder, self.inputs, self.outputs, inputs, masks)
        builder.scope = scope
        return outputs

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """Those that the graph ended with."""
        return self._masks
