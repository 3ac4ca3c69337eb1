"""What SimpleRNN, LSTM and GRU share: everything but the cell."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.reads_sequences import ReadsSequences
from rnncore.parameters import Array, Weight
from rnncore.program import Shape, excluded_options

__all__ = ["Gated", "Recurrent"]


class Recurrent(ReadsSequences, registered=False):
    """Base of the recurrent layers: (N, T, I) to (N, H), or (N, T, H) with `return_sequences`.

    A subclass names its op, the number of gates and the states, and passes its constructor's
    arguments on.
    """

    _parameters = """
    use_bias : bool, default True
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    activity_regularizer : str or Regularizer, optional
        The penalty on the outputs: see `Layer`.
    return_sequences : bool, default False
        Whether the output is h of every step (N, T, H) rather than of the last (N, H).
    go_backwards : bool, default False
        Read the sequence from its end; a returned sequence stays in the order of processing.
    stateful : bool, default False
        Whether each batch begins with the states after the batch before; the batch size is then fixed, see
        `Input`, and `reset_states` begins anew.
    unroll : bool, default False
        Kept for compatibility: the numbers are the same.
    dropout : float, default 0.0
        In training, the part of the features of x that is set to zero, the same at all steps and for all gates; the
        others are scaled by 1 / (1 - dropout). From 0 to below 1.
    recurrent_dropout : float, default 0.0
        The same for h in the product with the recurrent kernel: one mask for all steps (Gal and Ghahramani 2016) and
        all gates, where Keras draws one for each gate. Elsewhere h is read whole.
    zoneout : float, default 0.0
        In training, the part of the units of h that a step leaves as they were, drawn anew for every step; otherwise
        h is the mean over such draws (Krueger et al. 2016). From 0 to below 1; beyond Keras, by keyword only.
    trainable_initial_state : bool, default False
        Whether the states that a sequence begins with, where a call gives none, and after its `resets`, are weights:
        one row (1, H) for each, the last ones, at first zeros. A stateful layer copies them when it is built and at
        `reset_states`. Beyond Keras, by keyword only.
    seed : int, optional
        Added to the seed of the run for dropout and zoneout.
    **arguments
        `name`, `trainable`, `input_shape`: see `Layer`. `zero_output_for_mask`, default False: whether a returned
        sequence is zero at masked steps, not the state held.
    """
    _gates: ClassVar[int]
    _state_names: ClassVar[tuple[str, ...]]
    _normalization_rows: ClassVar[int]

    kernel = WeightView()
    recurrent_kernel = WeightView()
    bias = WeightView()
    normalization_weights = WeightView()
    initial_h = WeightView()

    def __init__(
        self,
        *,
        units: int,
        activation: activations.Identifier,
        use_bias: bool,
        kernel_initializer: initializers.Identifier,
        recurrent_initializer: initializers.Identifier,
        bias_initializer: initializers.Identifier,
        kernel_regularizer: regularizers.Identifier,
        recurrent_regularizer: regularizers.Identifier,
        bias_regularizer: regularizers.Identifier,
        kernel_constraint: constraints.Identifier,
        recurrent_constraint: constraints.Identifier,
        bias_constraint: constraints.Identifier,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        unroll: bool,
        stateful: bool,
        dropout: float,
        recurrent_dropout: float,
        zoneout: float,
        layer_normalization: bool,
        trainable_initial_state: bool,
        seed: int | None,
        **arguments: Any,
    ) -> None:
        zero_output_for_mask = check.boolean("zero_output_for_mask", arguments.pop("zero_output_for_mask", False))
        super().__init__(**arguments)
        self.units = check.positive_int("units", units)
        self.activation = activations.kept(activation, elementwise=True)
        self.use_bias = check.boolean("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._keep_sequence_arguments(
            return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        )
        self.dropout = unit_rate("dropout", dropout)
        self.recurrent_dropout = unit_rate("recurrent_dropout", recurrent_dropout)
        self.zoneout = unit_rate("zoneout", zoneout)
        self.layer_normalization = check.boolean("layer_normalization", layer_normalization)
        self.trainable_initial_state = check.boolean("trainable_initial_state", trainable_initial_state)
        self.seed = None if seed is None else check.integer("seed", seed, low=0)

    def _declared_shape(self, arguments: dict[str, Any]) -> Shape | None:
        """As in `Layer`, but `input_dim` is the number of features and `input_length` that of steps."""
        steps = arguments.pop("input_length", None)
        if "input_dim" in arguments:
            arguments["input_shape"] = (steps, arguments.pop("input_dim"))
        return super()._declared_shape(arguments)

    def _state_sizes(self) -> tuple[tuple[str, int], ...]:
        """The name and the size of each state."""
        return tuple((state, self._output_size if k == 0 else self.units) for k, state in enumerate(self._state_names))

    @property
    def _output_size(self) -> int:
        """The size of h: H, unless a layer projects it."""
        return self.units

    def _check_options(self) -> None:
        """ValueError for two options that do not go together."""
        if pair := excluded_options(self._attributes()):
            option, other = ("projection_units" if name == "projected" else name for name in pair)
            off = "True" if other == "reset_after" else "off"
            raise ValueError(
                f"{other} of {type(self).__name__} must be {off} with {option}, got {getattr(self, other)}"
            )

    def _bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self._gates * self.units,)

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Those of the cell, then the initial states that are learned."""
        weights = self._make_cell_weights(input_shape)
        if self.trainable_initial_state:
            for state, size in self._state_sizes():
                weights.append(self._weight(f"initial_{state}", (1, size), initializers.Zeros(), None))
        return weights

    @property
    def _learned(self) -> list[Weight]:
        """The initial states that are learned, in the order of the states."""
        return self.weights[-len(self._state_names) :] if self.trainable_initial_state else []

    def _make_cell_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel (I, G·H), recurrent kernel (H, G·H), bias and normalization weights."""
        width = self._gates * self.units
        weights = [
            self._own_weight("kernel", (self._features(input_shape), width)),
            self._own_weight("recurrent_kernel", (self._output_size, width), of="recurrent"),
        ]
        if self.use_bias:
            weights.append(self._own_weight("bias", self._bias_shape()))
        if self.layer_normalization:
            shape = (self._normalization_rows, self.units)
            weights.append(self._weight("normalization_weights", shape, initializers.Ones(), None, None))
        return weights

    def _first_states(self, rows: int) -> list[Array]:
        """The states (rows, H) that a sequence begins with."""
        if not self.trainable_initial_state:
            return super()._first_states(rows)
        return [np.repeat(weight.value, rows, axis=0) for weight in self._learned]

    def _emit_weights(self, builder: ProgramBuilder) -> tuple[int, ...]:
        """Append the parameters of the recurrent node."""
        return tuple(builder.parameter(weight) for weight in self.weights if weight not in self._learned)

    def _emit_learned(self, builder: ProgramBuilder, weight: Weight) -> int:
        """Append the node that gives each sample the row of an initial state."""
        rows = builder.value(weight.path, (None, weight.shape[1]))
        builder.node("repeat_row", weight.path, (builder.batch,), (rows,), (builder.parameter(weight),))
        return rows

    def _emit_sequence(
        self,
        builder: ProgramBuilder,
        x: int,
        mask: int,
        initial: tuple[int, ...],
        *,
        go_backwards: bool | None = None,
        aligned: bool = False,
        zero_output: bool = False,
        keeper: tuple[Layer, int] | None = None,
    ) -> tuple[int, tuple[int, ...]]:
        """Append one node, after the dropout of x if there is any."""
        shape = builder.shape(x)
        if self.dropout > 0:
            dropped = builder.value(f"{self.name}/dropout", shape)
            attributes = {"rate": self.dropout, "seed": self.seed or 0, "shared_axes": [1]}
            builder.node("dropout", f"{self.name}/dropout", (x,), (dropped,), (), attributes)
            x = dropped
        sequence = builder.value(f"{self.name}/sequence", (*shape[:2], self._output_size))
        sizes = [size for _, size in self._state_sizes()]
        states = tuple(
            builder.value(f"{self.name}/{state}", (shape[0], size))
            for state, size in zip(self._state_names, sizes, strict=True)
        )
        attributes = {
            **self._attributes(),
            "go_backwards": self.go_backwards if go_backwards is None else go_backwards,
            **({"aligned": True} if aligned else {}),
            **({"zero_output_for_mask": True} if zero_output or self.zero_output_for_mask else {}),
        }
        kept = builder.kept_states(keeper, sizes)
        begin, resets = initial or (-1,) * len(states), builder.resets
        learned: tuple[int, ...] = ()
        if self.trainable_initial_state and (resets >= 0 or not initial):
            learned = tuple(self._emit_learned(builder, weight) for weight in self._learned)
            begin = initial or learned
        if builder.carries or not initial:
            for k, offset in enumerate(kept):
                read = builder.read_state(f"{self.name}/{self._state_names[k]}", offset, sizes[k], begin[k])
                begin = (*begin[:k], read, *begin[k + 1 :])
        builder.node(
            self._op,
            self.name,
            (x, mask, *begin, *((resets, *learned) if resets >= 0 else ())),
            (sequence, *states),
            self._emit_weights(builder),
            attributes,
        )
        for name, state, offset in zip(self._state_names, states, kept, strict=False):
            builder.write_state(f"{self.name}/{name}", state, offset)
        return sequence, states

    @property
    def _zeros(self) -> dict[str, Any]:
        """The option that is an attribute of the node, and in the config, only when it is on."""
        return {"zero_output_for_mask": True} if self.zero_output_for_mask else {}

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        attributes = activations.attributes("activation", self.activation)
        if self.recurrent_dropout > 0:
            attributes |= {"recurrent_dropout": self.recurrent_dropout, "seed": self.seed or 0}
        if self.zoneout > 0:
            attributes |= {"zoneout": self.zoneout, "seed": self.seed or 0}
        if self.layer_normalization:
            attributes["layer_normalization"] = True
        return attributes

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        config = {**super().get_config(), **self._zeros}
        if not self.trainable_initial_state:
            del config["trainable_initial_state"]
        return config


class Gated(Recurrent, registered=False):
    """Base of those with gates, which have an activation of their own."""

    def __init__(
        self,
        *,
        recurrent_activation: activations.Identifier,
        use_cudnn: str | bool = "auto",
        **arguments: Any,
    ) -> None:
        check.unsupported(type(self).__name__, use_cudnn=use_cudnn != "auto" and use_cudnn)
        super().__init__(**arguments)
        self.recurrent_activation = activations.kept(recurrent_activation, "recurrent_activation", elementwise=True)

    def _attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        return super()._attributes() | activations.attributes("recurrent_activation", self.recurrent_activation)


def unit_rate(argument: str, rate: float) -> float:
    """A number from 0 to below 1."""
    value = check.number(argument, rate, low=0.0)
    if value >= 1:
        raise ValueError(f"{argument} must be below 1, got {rate}")
    return value
