"""From a graph of layer calls to a Program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import regularizers
from rnncore.layers.base import Layer
from rnncore.layers.symbolic import Call, SymbolicValue, symbolic_values, walk
from rnncore.layers.trainable import TrainableState
from rnncore.parameters import ParameterStore, Weight
from rnncore.program import ActivityRegularizer, Node, Parameter, Program, Shape, Value

__all__ = ["ProgramBuilder", "build_program", "layers_of"]


class ProgramBuilder:
    """Collects what layers append: values, parameters and nodes are named by their index."""

    def __init__(self, carries: bool = False, trainable: TrainableState | None = None) -> None:
        self.carries = carries  # whether all recurrent layers go on from the states of the step before
        self.trainable = TrainableState() if trainable is None else trainable
        self.batch = -1  # a value that tells the number of samples
        self.windows: dict[tuple[Layer, int], tuple[int, int]] = {}  # of a stateful layer's states: offset and size
        self._state_size = 0
        self._values: list[Value] = []
        self._parameters: list[Parameter] = []
        self._nodes: list[Node] = []
        self._known: dict[Weight, int] = {}
        self._maskings: dict[tuple[int, int, float], tuple[int, int]] = {}
        self.row_ends: set[int] = set()  # masks (N, T) that follow from lengths
        self.activity_regularizers: tuple[ActivityRegularizer, ...] = ()  # of a finished Program
        self._penalised: list[tuple[int, regularizers.Regularizer]] = []
        self.lengths = -1  # the value that carries the lengths of a batch

    def value(self, name: str, shape: Shape, dtype: str = "float") -> int:
        """Add a value; the batch axis is free whatever its symbolic size."""
        self._values.append(Value(name, (None, *shape[1:]), dtype))
        return len(self._values) - 1

    def shape(self, value: int) -> Shape:
        """The shape of a value."""
        return self._values[value].shape

    def parameter(self, weight: Weight, shape: tuple[int, ...] | None = None) -> int:
        """Add a weight, once however often it is used; `shape` may join axes of it."""
        if weight not in self._known:
            self._known[weight] = len(self._parameters)
            trainable = self.trainable.trains(weight)
            self._parameters.append(Parameter(weight.path, shape or weight.shape, weight.offset, trainable))
        return self._known[weight]

    def node(
        self,
        op: str,
        name: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        parameters: tuple[int, ...] = (),
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Add an operation that reads values made before it."""
        self._nodes.append(Node(op, name, inputs, outputs, parameters, attributes or {}))

    def penalise(self, values: Sequence[int], regularizer: regularizers.Regularizer | None) -> None:
        """Let training penalise outputs of a layer, if it has an activity regularizer."""
        if regularizer is not None:
            self._penalised += [(value, regularizer) for value in values if self._values[value].dtype == "float"]

    def ends_rows(self, mask: int) -> bool:
        """Whether a mask says where rows end, as lengths do: it is the lengths, or follows from them."""
        return mask in self.row_ends or (mask >= 0 and len(self.shape(mask)) == 1)

    def masking(self, name: str, x: int, mask: int, mask_value: float = 0.0) -> tuple[int, int]:
        """Add the node that masks the steps of x (N, T, F) equal to a value, or the zeros of ids (N, T).

        The values, with zeros at masked steps, and the mask, which `mask` narrows if it is not -1; once however
        often asked for.
        """
        key = (x, mask, mask_value)
        if key not in self._maskings:
            of = self._values[x]
            values = -1 if of.dtype == "int" else self.value(name, of.shape)
            self._maskings[key] = values, self.value(f"{name}/mask", of.shape[:2], "int")
            self.node("masking", name, (x, mask), self._maskings[key], attributes={"mask_value": mask_value})
        return self._maskings[key]

    def kept_states(self, keeper: tuple[Layer, int] | None, sizes: Sequence[int]) -> list[int]:
        """Where states are kept between steps: an offset for each, or none if they are not kept.

        Parameters
        ----------
        keeper : tuple of Layer and int, or None
            The stateful layer and the number of its first state among these, or None.
        sizes : sequence of int
        """
        if keeper is None and not self.carries:
            return []
        offsets = []
        for number, size in enumerate(sizes):
            key = None if self.carries or keeper is None else (keeper[0], keeper[1] + number)
            if key is None or key not in self.windows:
                window = self._state_size, size
                self._state_size += size
                if key is not None:
                    self.windows[key] = window
            else:
                window = self.windows[key]
            offsets.append(window[0])
        return offsets

    def read_state(self, name: str, offset: int, units: int, initial: int = -1) -> int:
        """Add the node that reads a kept state, which begins as `initial` or zeros."""
        state = self.value(f"{name}/kept", (None, units))
        attributes = {"state_offset": offset, "units": units}
        self.node("read_state", f"{name}/read", (self.batch, initial), (state,), (), attributes)
        return state

    def write_state(self, name: str, state: int, offset: int) -> None:
        """Add the node that keeps a state."""
        attributes = {"state_offset": offset, "units": self.shape(state)[-1]}
        self.node("write_state", f"{name}/write", (state,), (), (), attributes)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], masks: Sequence[int] = ()) -> Program:
        """Make the Program: outputs nobody reads become -1, the values that remain are numbered anew."""
        read = {value for node in self._nodes for value in node.inputs} | {*outputs, *inputs, *masks}
        read |= {value for value, _ in self._penalised}
        kept = [value for value in range(len(self._values)) if value in read]
        number = {-1: -1, **{value: k for k, value in enumerate(kept)}}

        def renumber(values: Sequence[int]) -> tuple[int, ...]:
            return tuple(number.get(value, -1) for value in values)

        self.activity_regularizers = tuple(
            ActivityRegularizer(number[value], penalty.l1, penalty.l2) for value, penalty in self._penalised
        )
        nodes = tuple(
            Node(node.op, node.name, renumber(node.inputs), renumber(node.outputs), node.parameters, node.attributes)
            for node in self._nodes
        )
        return Program(
            values=tuple(self._values[value] for value in kept),
            parameters=tuple(self._parameters),
            nodes=nodes,
            inputs=renumber(inputs),
            outputs=renumber(outputs),
            lengths=number.get(self.lengths, -1),
            masks=renumber(masks) if any(mask >= 0 for mask in masks) else (),
        )


def layers_of(calls: Sequence[Call]) -> list[Layer]:
    """The layers of some calls, each once; ValueError if two have one name."""
    layers = list(dict.fromkeys(call.layer for call in calls))
    names = [layer.name for layer in layers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"layer names must be unique in a model, got {', '.join(map(repr, twice))} more than once")
    return layers


def build_program(
    inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], builder: ProgramBuilder | None = None
) -> tuple[Program, ParameterStore]:
    """Describe the computation of `outputs` from `inputs` as a Program over one store of weights.

    Weights that live in one store stay there; otherwise the stores are joined. A layer called
    several times appears as several nodes with one set of parameters.

    The lengths of a batch belong to the time axis (axis 1) of the first input. They, and masks that layers
    make, go where the layers pass them on; when nothing reads the lengths, `Program.lengths` is -1.

    Parameters
    ----------
    inputs, outputs : sequences of SymbolicValue
    builder : ProgramBuilder, optional
        An empty one, to say whether states are carried or to learn where they are kept.

    Returns
    -------
    Program, ParameterStore

    Raises
    ------
    ValueError
        If an output depends on an `Input` that is not among `inputs`, or two layers have one name.

    Examples
    --------
    >>> from rnncore.layers import Dense, Input
    >>> from rnncore.layers.builder import build_program
    >>> x = Input((3,))
    >>> program, store = build_program([x], [Dense(2, name="dense")(x)])
    >>> print(program)
    inputs %0
    %1 (None, 2) = dense(%0) {activation='linear'} [dense/kernel(3, 2), dense/bias(2,)]
    outputs %1
    >>> store.size
    8
    """
    inputs, outputs = symbolic_values("inputs", inputs), symbolic_values("outputs", outputs)
    calls = walk(inputs, outputs)
    layers = layers_of(calls)
    store = ParameterStore.join([weight for layer in layers for weight in layer.weights])

    builder = ProgramBuilder() if builder is None else builder
    number = {value: builder.value(value.name, value.shape, value.dtype) for value in inputs}
    builder.batch = number[inputs[0]]
    builder.lengths = builder.value("lengths", (None,), "int")
    made: dict[Call, tuple[int, ...]] = {}
    masks: dict[Call, tuple[int, ...]] = {}

    def value_of(value: SymbolicValue) -> int:
        return number[value] if value in number else made[value.call][value.index]

    def mask_of(value: SymbolicValue) -> int:
        if value in number:
            return builder.lengths if value is inputs[0] else -1
        return masks[value.call][value.index]

    for call in calls:
        came = tuple(map(mask_of, call.inputs))
        given = came if call.mask is None else (value_of(call.mask), *came[1:])
        read = tuple(map(value_of, call.inputs)), given
        call.layer.recall(call.index)
        made[call] = call.layer.emit(builder, *read)
        masks[call] = call.layer.emit_masks(builder, *read)
        builder.penalise(made[call], call.layer.activity_regularizer)

    # A mask is of use to losses and metrics where the steps of an output are positions of theirs.
    masks_of_outputs = tuple(mask_of(value) if len(value.shape) > 2 else -1 for value in outputs)
    return builder.finish(tuple(map(value_of, inputs)), tuple(map(value_of, outputs)), masks_of_outputs), store
