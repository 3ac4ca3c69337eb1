"""Reading a sequence in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rnncore import _validation as check
from rnncore.layers.arguments import LayerArguments, Self, Unpack
from rnncore.layers.base import Layer
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.reads_sequences import ReadsSequences
from rnncore.layers.registry import deserialize, serialize
from rnncore.layers.wrapper import Wrapper
from rnncore.parameters import Array, Weight
from rnncore.program import Shape

__all__ = ["Bidirectional"]

MERGES = {"sum": "add", "mul": "multiply", "ave": "average", "concat": "concatenate"}


class Bidirectional(Wrapper, TakesInitialState):
    """Two recurrent layers, one from each end of the sequence, and their outputs merged (Schuster and Paliwal 1997).

    Position t of both sequences belongs to time t. At masked steps they are zero, as in Keras.

    Parameters
    ----------
    layer : SimpleRNN, LSTM, GRU or RNN
        Copied with new weights, as `forward_<name>` and, with `go_backwards`, `backward_<name>`.
    merge_mode : {"concat", "sum", "mul", "ave", None}, default "concat"
        What becomes of the two outputs; None returns both.
    weights : list of array_like, optional
        Weights to begin with: those of the forward layer, then those of the backward layer.
    backward_layer : layer like `layer` with `go_backwards=True`, optional
        Reads from the end instead of a copy of `layer`.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`.

    Attributes
    ----------
    forward_layer, backward_layer : Layer

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or layers that do not go together.

    Notes
    -----
    `initial_state` of a call holds the states of the forward layer, then those of the backward layer; with
    `return_state` both follow the output in this order.

    Examples
    --------
    >>> from rnncore import layers
    >>> x = layers.Input((None, 3))
    >>> layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x).shape
    (None, None, 8)
    """

    _fixed = ("backward_layer",)  # as it follows from `layer`, unless it was given

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[npt.ArrayLike] | None = None,
        backward_layer: Any = None,
        **arguments: Unpack[LayerArguments],
    ) -> None:
        for argument, given in (("layer", layer), ("backward_layer", backward_layer or layer)):
            if not isinstance(given, ReadsSequences):
                raise TypeError(f"{argument} of Bidirectional must be a recurrent layer, got {given!r}")
        if layer.go_backwards:
            raise ValueError("layer of Bidirectional must go forwards, got go_backwards=True")
        self.forward_layer = _copy(layer, "forward_")
        self.backward_layer = _copy(layer, "backward_", go_backwards=True) if backward_layer is None else backward_layer
        if not self.backward_layer.go_backwards:
            raise ValueError("backward_layer of Bidirectional must have go_backwards=True, got False")
        for name in ("stateful", "return_sequences", "return_state"):
            forward, backward = getattr(layer, name, False), getattr(self.backward_layer, name, False)
            if forward != backward:
                raise ValueError(f"Bidirectional: {name} of layer is {forward}, of backward_layer {backward}")
        self._given_backward = backward_layer is not None
        super().__init__((self.forward_layer, self.backward_layer), **arguments)
        self.merge_mode = None if merge_mode is None else check.lookup("merge_mode", merge_mode, {m: m for m in MERGES})
        self.stateful = self.forward_layer.stateful
        self.return_sequences: bool = layer.return_sequences
        self.return_state: bool = layer.return_state
        self._keeps_time = self.return_sequences
        self._initial_weights = None if weights is None else list(weights)

    def _keeps_own_states(self) -> bool:
        """No: its layers do."""
        return False

    def reset_states(self, states: Any = None) -> None:
        """Let the next batch begin from zeros, or from the states of the forward, then the backward layer."""
        if not self.forward_layer.stateful:
            raise ValueError(f"{self.name!r} keeps no states to reset: make its layer with stateful=True")
        half = len(self.forward_layer._state_sizes())
        if states is not None and (not isinstance(states, (list, tuple)) or len(states) != len(self._state_sizes())):
            raise ValueError(f"states of {self.name!r} must be a list of {len(self._state_sizes())} arrays")
        self.forward_layer.reset_states(None if states is None else list(states[:half]))
        self.backward_layer.reset_states(None if states is None else list(states[half:]))

    reset_state = reset_states

    @property
    def states(self) -> list[Array]:
        """The live states (N, H) of both layers."""
        states: list[Array] = [*self.forward_layer.states, *self.backward_layer.states]
        return states

    def _state_sizes(self) -> tuple[tuple[str, int], ...]:
        """The states of the forward layer, then those of the backward layer."""
        return (*self.forward_layer._state_sizes(), *self.backward_layer._state_sizes())

    def _features(self, shape: Shape) -> int:
        """The size of the last axis, which both layers must take."""
        with self._naming():
            self.backward_layer._features(shape)
            features: int = self.forward_layer._features(shape)
        return features

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Those of the forward layer, then those of the backward layer."""
        for layer in self._inner:
            layer.build(input_shape)
        weights = [weight for layer in self._inner for weight in layer.weights]
        if self._initial_weights is not None:
            if len(self._initial_weights) != len(weights):
                raise ValueError(
                    f"weights of {self.name!r} must be {len(weights)} arrays, got {len(self._initial_weights)}"
                )
            checked = [weight.checked(value) for weight, value in zip(weights, self._initial_weights, strict=True)]
            for weight, value in zip(weights, checked, strict=True):
                weight.assign(value)
        return weights

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The merged output, or both outputs, then the states if they are returned."""
        forward, *states = self.forward_layer._output_shapes(input_shape)
        backward, *more = self.backward_layer._output_shapes(input_shape)
        if self.merge_mode is None:
            return (forward, backward, *states, *more)
        if self.merge_mode == "concat":
            return ((*forward[:-1], forward[-1] + backward[-1]), *states, *more)
        if forward != backward:
            raise ValueError(f"{self.name!r} needs outputs of equal shapes, got {forward} and {backward}")
        return (forward, *states, *more)

    def _emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]) -> tuple[int, ...]:
        """Append both layers' nodes, with sequences in the order of time, and the merge."""
        x, *initial = inputs
        count = len(self.forward_layer._state_sizes())
        mask = builder.real(x, masks[0])
        outputs: list[int] = []
        states: list[int] = []
        for layer, given in zip(self._inner, (initial[:count], initial[count:]), strict=True):
            keeper = (layer, 0) if layer.stateful else None  # type: ignore[attr-defined]
            sequence, ends = layer._emit_sequence(  # type: ignore[attr-defined]
                builder, x, mask, tuple(given), aligned=True, zero_output=self.return_sequences, keeper=keeper
            )
            outputs.append(sequence if self.return_sequences else layer._last_output(ends))  # type: ignore[attr-defined]
            returned = ends if self.return_state else ()
            states += returned
            builder.penalise((outputs[-1], *returned), layer.activity_regularizer)
        if self.merge_mode is None:
            return (*outputs, *states)
        (shape, *_) = self._output_shapes(builder.shape(x))
        merged = builder.value(self.name, shape)
        kind = MERGES[self.merge_mode]
        op, attributes = ("merge", {"kind": kind}) if kind != "concatenate" else (kind, {"axis": -1})
        builder.node(op, self.name, tuple(outputs), (merged,), (), attributes)
        return (merged, *states)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of the input goes on with each sequence."""
        outputs = len(self._output_shapes(builder.shape(inputs[0])))
        sequences = (2 if self.merge_mode is None else 1) if self.return_sequences else 0
        return (*[masks[0]] * sequences, *[NO_MASK] * (outputs - sequences))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        config = {**super().get_config(), "layer": serialize(self.forward_layer), "merge_mode": self.merge_mode}
        if self._given_backward or self.backward_layer.trainable != self.forward_layer.trainable:
            config["backward_layer"] = serialize(self.backward_layer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a layer, without weights, from what `get_config` gave."""
        config = dict(config)
        for argument in ("layer", "backward_layer"):
            if config.get(argument) is not None:
                config[argument] = deserialize(config[argument])
        return cls._restored(config)


def _copy(layer: Layer, prefix: str, **changes: Any) -> Any:
    """A layer like this one, without weights, whose name begins with the prefix."""
    name = f"{prefix}{layer.name.removeprefix('forward_').removeprefix('backward_')}"
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})
