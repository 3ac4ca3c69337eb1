"""A chain of layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore import layers as all_layers
from rnncore._configurable import fields
from rnncore._data import real
from rnncore._naming import given_name
from rnncore.layers import InputLayer, Layer
from rnncore.layers.symbolic import SymbolicValue
from rnncore.layers.trainable import parts
from rnncore.models.description import described_layers, refuse_shared
from rnncore.models.model import Model
from rnncore.program import Shape
from rnncore.training.session import NOTHING_TO_TAKE_BACK, Runnable


class Sequential(Model):
    """A chain of layers, each with one input and one output.

    When no layer tells the shape of the input, the model is built for the first data it sees.

    Parameters
    ----------
    layers : iterable of Layer, optional
        May begin with `Input(...)`, or its first layer may have an `input_shape`.
    trainable : bool, default True
        False is set for the model and these layers.
    name : str, optional

    Attributes
    ----------
    layers : list of Layer
        Without the input.

    Raises
    ------
    TypeError, ValueError
        If something is no layer, a shape does not fit, or two layers have one name.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> model = models.Sequential()
    >>> model.add(layers.SimpleRNN(10, input_shape=(1, 1)))
    >>> model.add(layers.Dense(1))
    >>> model.output_shape
    (None, 1)
    """

    _ignored = Runnable._ignored

    def __init__(
        self,
        layers: Iterable[Layer | SymbolicValue] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        Runnable.__init__(self)
        self.name = given_name(self, name)
        self._trainable = check.boolean("trainable", trainable)
        self.inputs, self.outputs = [], []
        self._layers: list[Layer] = []
        self._values: list[SymbolicValue] = []  # the input and the output of each layer, once the shape is known
        for layer in layers or ():
            self.add(layer)
        if not self._trainable:
            self.trainable = False

    def add(self, layer: Layer | SymbolicValue) -> None:
        """Append a layer.

        Raises
        ------
        TypeError, ValueError
            As for the constructor; the model is unchanged.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,))])
        >>> model.add(layers.Dense(2))
        >>> model.output_shape
        (None, 2)
        """
        if isinstance(layer, SymbolicValue):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"layer must be a Layer, got {type(layer).__name__}")
        if isinstance(layer, InputLayer):
            if self._layers or self._values:
                raise ValueError(f"Input must come first, got {layer.name!r} after {len(self._layers)} layers")
            self._values = [layer.output]
            return
        if any(part is self for part in parts([layer])):
            raise ValueError(f"layer must not hold the model that it is added to, got {layer.name!r}")
        if layer.name in [known.name for known in self._layers]:
            raise ValueError(f"layer names must be unique in a model, got {layer.name!r} twice")
        values = list(self._values)
        if not values and not self._layers and layer.batch_input_shape is not None:
            values = [_input(layer.batch_input_shape, layer)]
        if values:
            values.append(_chained(layer, values[-1]))
        self._layers.append(layer)
        self._set_values(values)

    def pop(self) -> Layer:
        """Remove the last layer and return it.

        Raises
        ------
        ValueError
            If there is none.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
        >>> layer = model.pop()
        >>> model.output_shape
        (None, 2)
        """
        if not self._layers:
            raise ValueError("pop needs a layer, got an empty model")
        layer = self._layers.pop()
        told_the_shape = not self._layers and layer.batch_input_shape is not None
        self._set_values([] if told_the_shape else self._values[:-1])
        return layer

    def build(self, input_shape: Shape) -> None:
        """Make the weights for an input of this shape.

        Parameters
        ----------
        input_shape : tuple of int or None
            With the batch first.

        Raises
        ------
        ValueError
            If there are no layers, the shape does not fit, or the model is built already for another one.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.LSTM(4), layers.Dense(1)])
        >>> model.build((None, None, 3))
        >>> model.output_shape
        (None, 1)
        """
        if not self._layers:
            raise ValueError("build needs at least one layer, got an empty model")
        if self.built:
            if tuple(input_shape[1:]) != self.inputs[0].shape[1:]:
                raise ValueError(f"the model is built for {self.inputs[0].shape}, got input_shape={input_shape}")
            return
        self._output_shapes(input_shape)  # a rehearsal, so that a shape that does not fit makes no weights
        values = [_input(input_shape, self._layers[0])]
        for layer in self._layers:
            values.append(_chained(layer, values[-1]))
        self._set_values(values)

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """What the layers make of the shape, also before the model is built."""
        if self.built:
            return super()._output_shapes(input_shape)
        shape = input_shape
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return (shape,)

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """As for every model; before it is built the first layer decides."""
        if self.built:
            super()._check_values(values)
        elif self._layers:
            self._layers[0]._check_values(values)
        else:
            raise ValueError(f"{self.name!r} has no layers: add some first")

    def _check_input(self, shape: Shape) -> None:
        """As for every model; before it is built the first layer decides."""
        if self.built:
            super()._check_input(shape)
        elif self._layers:
            self._layers[0]._check_input(shape)

    def _shapes_of_call(self, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """What the layers make of the shape."""
        return self._output_shapes(values[0].shape)

    def _build_for(self, x: Any) -> None:
        if not self._layers:
            raise ValueError("the model has no layers: add some first")
        shape = real("x", x).shape
        try:
            self.build((None, *shape[1:]))
        except ValueError as error:
            raise ValueError(f"x must fit the first layer, got shape {shape}: {error}") from error

    def _built_only_on_success(self) -> AbstractContextManager[None]:
        return NOTHING_TO_TAKE_BACK if self.built else self._taking_back()

    @contextlib.contextmanager
    def _taking_back(self) -> Iterator[None]:
        layers = list(parts(self._layers))
        before = [dict(vars(layer)) for layer in layers]
        try:
            yield
        except BaseException:
            for layer, attributes in zip(layers, before, strict=True):
                vars(layer).clear()
                vars(layer).update(attributes)
            self._set_values([])
            raise

    def _set_values(self, values: Sequence[SymbolicValue]) -> None:
        self._values = list(values)
        complete = len(self._values) == len(self._layers) + 1 and bool(self._layers)
        self.inputs, self.outputs = (list(values[:1]), list(values[-1:])) if complete else ([], [])
        self._session.forget_engine()

    def get_config(self) -> dict[str, Any]:
        """The layers as JSON-serialisable data.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
        >>> [layer["class_name"] for layer in model.get_config()["layers"]]
        ['InputLayer', 'Dense']
        """
        refuse_shared(self._layers)
        first = [value.layer for value in self._values[:1]]
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [all_layers.serialize(layer) for layer in [*first, *self._layers]],
        }

    @classmethod
    def _from_description(cls, config: dict[str, Any], layers: list[Layer] | None = None) -> Sequential:
        fields("a model", config, ("name", "layers"), ("trainable",))
        return cls(described_layers(config) if layers is None else layers, name=config["name"])

    def _described_layers(self) -> list[Layer]:
        return [*(value.layer for value in self._values[:1]), *self._layers]


def _input(batch_shape: Sequence[int | None], first: Layer) -> SymbolicValue:
    """The input that the first layer asks for."""
    return all_layers.Input(batch_shape=batch_shape, dtype=np.int32 if first._input_dtype == "int" else None)


def _chained(layer: Layer, value: SymbolicValue) -> SymbolicValue:
    result = layer(value)
    if not isinstance(result, SymbolicValue):
        raise ValueError(f"{layer.name!r} has {len(result)} outputs; a Sequential needs layers with one")
    return result
