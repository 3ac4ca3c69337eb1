"""What SimpleRNN, LSTM and GRU share: everything but the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rnncore import _validation as check
from rnncore import activations, constraints, initializers, regularizers
from rnncore._sequence_arguments import RECURRENT_ACTIVATIONS
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.symbolic import SymbolicValue, symbolic_values
from rnncore.parameters import Weight
from rnncore.program import Shape

if TYPE_CHECKING:
    from rnncore.layers.builder import ProgramBuilder

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """Base of the recurrent layers: (N, T, I) to (N, H), or (N, T, H) with `return_sequences`.

    A subclass names its op, the number of gates and the states, and passes its constructor's
    arguments on.
    """

    gates: ClassVar[int]
    states: ClassVar[tuple[str, ...]]

    kernel = WeightView()
    recurrent_kernel = WeightView()
    bias = WeightView()

    def __init__(
        self,
        *,
        units: int,
        activation: str | activations.Function | None,
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
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        unsupported: dict[str, Any],
        arguments: dict[str, Any],
    ) -> None:
        check.unsupported(type(self).__name__, **unsupported)
        zero_output_for_mask = check.boolean("zero_output_for_mask", arguments.pop("zero_output_for_mask", False))
        super().__init__(**arguments)
        self.zero_output_for_mask = zero_output_for_mask
        self.units = check.positive_int("units", units)
        self.activation = elementwise("activation", activation)
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
        self.return_sequences = check.boolean("return_sequences", return_sequences)
        self.return_state = check.boolean("return_state", return_state)
        self.go_backwards = check.boolean("go_backwards", go_backwards)
        self.unroll = check.boolean("unroll", unroll)
        self.dropout = _rate("dropout", dropout)
        self.recurrent_dropout = _rate("recurrent_dropout", recurrent_dropout)
        self.seed = None if seed is None else check.integer("seed", seed, low=0)
        self.keeps_time = self.return_sequences

    def _declared_shape(self, arguments: dict[str, Any]) -> Shape | None:
        """As in `Layer`, but `input_dim` is the number of features and `input_length` that of steps."""
        steps = arguments.pop("input_length", None)
        if "input_dim" in arguments:
            arguments["input_shape"] = (steps, arguments.pop("input_dim"))
        return super()._declared_shape(arguments)

    def check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless the shape is (N, T, I) with a known I."""
        if len(shape) != 3:
            raise ValueError(f"{self.name!r} needs an input of shape (N, T, features), got {shape}")
        self.features(shape)

    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * self.units,)

    def make_weights(self, input_shape: Shape) -> list[Weight]:
        """Kernel (I, G·H), recurrent kernel (H, G·H) and bias."""
        width = self.gates * self.units
        inputs = (self.features(input_shape), width)
        recurrent = (self.units, width)
        weights = [
            self.weight("kernel", inputs, self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint),
            self.weight(
                "recurrent_kernel",
                recurrent,
                self.recurrent_initializer,
                self.recurrent_regularizer,
                self.recurrent_constraint,
            ),
        ]
        if self.use_bias:
            bias = self.bias_shape()
            weights.append(
                self.weight("bias", bias, self.bias_initializer, self.bias_regularizer, self.bias_constraint)
            )
        return weights

    def output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """Sequence or last output, then the states if they are returned."""
        state = (input_shape[0], self.units)
        sequence = (*input_shape[:2], self.units)
        return (sequence if self.return_sequences else state, *([state] * len(self.states) * self.return_state))

    def __call__(self, inputs: Any, initial_state: Any = None, mask: SymbolicValue | None = None) -> Any:
        """Describe this layer applied to a sequence, from zeros or from the given states.

        Parameters
        ----------
        inputs : SymbolicValue of shape (N, T, I), or a list of it and the initial states
        initial_state : SymbolicValue or list of them, each of shape (N, units), optional
        mask : SymbolicValue of shape (N, T), optional
            An `Input` of integers or booleans, zero where a step is to be skipped: the state is held there. It takes
            the place of the mask that comes with `inputs`.

        Returns
        -------
        SymbolicValue, or with `return_state` a list of the output and each state.
        """
        values = symbolic_values(f"inputs of {self.name!r}", inputs)
        if initial_state is not None:
            values = (*values, *symbolic_values(f"initial_state of {self.name!r}", initial_state))
        return self.describe(values, mask)

    def check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless these are a sequence and no or all initial states."""
        super().check_values(values[:1])
        states = values[1:]
        if len(states) not in (0, len(self.states)):
            raise ValueError(
                f"initial_state of {self.name!r} must be {len(self.states)} values ({', '.join(self.states)}), "
                f"got {len(states)}"
            )
        for state in states:
            if len(state.shape) != 2 or state.shape[1] != self.units or state.dtype != "float":
                raise ValueError(f"initial_state of {self.name!r} must have shape (N, {self.units}), got {state}")

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[int, ...]) -> tuple[int, ...]:
        """Append one node: sequence and states from x, its mask and initial states; dropout of x is one before."""
        x, *initial = inputs
        shape = builder.shape(x)
        if self.dropout > 0:
            dropped = builder.value(f"{self.name}/dropout", shape)
            attributes = {"rate": self.dropout, "seed": self.seed or 0, "shared_axes": [1]}
            builder.node("dropout", f"{self.name}/dropout", (x,), (dropped,), (), attributes)
            x = dropped
        sequence = builder.value(f"{self.name}/sequence", (*shape[:2], self.units))
        states = [builder.value(f"{self.name}/{state}", (shape[0], self.units)) for state in self.states]
        builder.node(
            self.op,
            self.name,
            (x, masks[0], *(initial or [-1] * len(states))),
            (sequence, *states),
            self.emit_weights(builder),
            {**self.attributes(), "go_backwards": self.go_backwards, **self._zeros},
        )
        return (sequence if self.return_sequences else states[0], *(states if self.return_state else ()))

    def emit_masks(self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[int, ...]) -> tuple[int, ...]:
        """As in `Layer`, but lengths, which count leading steps, do not go on with a reversed sequence."""
        given = super().emit_masks(builder, inputs, masks)
        return (-1, *given[1:]) if self.go_backwards and given[0] == builder.lengths else given

    @property
    def _zeros(self) -> dict[str, Any]:
        """The option that is an attribute of the node, and in the config, only when it is on."""
        return {"zero_output_for_mask": True} if self.zero_output_for_mask else {}

    def attributes(self) -> dict[str, Any]:
        """Attributes of the layer's node."""
        attributes: dict[str, Any] = {"activation": self.activation}
        if self.recurrent_dropout > 0:
            attributes |= {"recurrent_dropout": self.recurrent_dropout, "seed": self.seed or 0}
        return attributes

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable data."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": constraints.serialize(self.recurrent_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            **self._zeros,
            "unroll": self.unroll,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def elementwise(argument: str, identifier: str | activations.Function | None) -> str:
    """The name of an activation that a cell can apply."""
    name = activations.serialize(identifier)
    if name == "softmax":
        raise ValueError(f"{argument} of a recurrent layer must be elementwise, got 'softmax'")
    if name not in RECURRENT_ACTIVATIONS:
        raise ValueError(
            f"{argument} of a recurrent layer must be one of {', '.join(RECURRENT_ACTIVATIONS)}, got {name!r}"
        )
    return name


def _rate(argument: str, rate: float) -> float:
    """A number from 0 to below 1."""
    value = check.number(argument, rate, low=0.0)
    if value >= 1:
        raise ValueError(f"{argument} must be below 1, got {rate}")
    return value
