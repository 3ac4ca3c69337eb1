"""The graph of a model: layers from inputs to outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rnncore import _validation as check
from rnncore.layers.base import Layer
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.symbolic import Call, SymbolicValue, distinct_names, packed, walk
from rnncore.parameters import Array, HasWeights, Weight, assign_all
from rnncore.policies import Policy

__all__ = ["Graph"]


class Graph(HasWeights):
    """Base of the models: the layers, their weights and the shapes of what goes in and out."""

    name: str
    inputs: list[SymbolicValue]
    outputs: list[SymbolicValue]
    _input_keys: tuple[str, ...] | None = None  # of a dict that the inputs came in
    _output_keys: tuple[str, ...] | None = None
    _layers: list[Layer]
    _trainable: bool
    _policy: Policy

    @property
    def built(self) -> bool:
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
    def weights(self) -> list[Weight]:
        """The weights of all layers."""
        return [weight for layer in self.layers for weight in layer.weights]

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
            if isinstance(layer, TakesInitialState) and layer.stateful:
                layer.reset_states()

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
    def input_shape(self) -> Any:
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
