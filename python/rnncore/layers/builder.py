"""From a graph of layer calls to a Program."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rnncore import regularizers
from rnncore.layers.masks import Mask
from rnncore.layers.symbolic import Call, SymbolicValue, symbolic_values, walk
from rnncore.layers.trainable import TrainableState
from rnncore.parameters import ParameterStore, Weight
from rnncore.policies import Policy
from rnncore.program import (
    RECURRENT_OPS,
    ActivityRegularizer,
    Constraint,
    Node,
    Parameter,
    Program,
    Regularizer,
    Shape,
    Value,
)

if TYPE_CHECKING:
    from rnncore.layers.base import Layer

__all__ = ["ProgramBuilder", "build_program", "emit_graph", "layers_of"]


Time = tuple[Any, ...]  # the number of an input, then the windows that its time axis went through


@dataclass(frozen=True)
class Penalties:
    """What layers ask of training: penalties on their weights and outputs, and constraints on weights."""

    regularizers: tuple[Regularizer, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    activity_regularizers: tuple[ActivityRegularizer, ...] = ()


@dataclass(frozen=True)
class PartInputs:
    """What is known of the inputs of a part of a graph that the part itself does not tell."""

    with_lengths: frozenset[int]  # those that the lengths of a batch belong to
    masks: Mapping[int, int]  # of an input, the input that is its own mask (N, T)
    anew: Collection[Call]  # calls of layers that carry no states
    sequences: Collection[tuple[Call, int]]  # places of values (N, T, ...) whose number of steps is open


class ProgramBuilder:
    """Collects what layers append: values, parameters and nodes are named by their index."""

    def __init__(
        self,
        carries: bool = False,
        trainable: TrainableState | None = None,
        policy: Policy | None = None,
        checkpoint_every: int | None = None,
        part: PartInputs | None = None,
    ) -> None:
        self.part = part
        self.masked_outputs: frozenset[int] = frozenset()  # those with a mask of their own
        self.carries = carries  # whether all recurrent layers go on from the states of the step before
        self._policy = policy
        self._checkpoint_every = checkpoint_every  # steps between those whose states recurrent nodes keep
        self.trainable = TrainableState() if trainable is None else trainable
        self.batch = -1  # a value that tells the number of samples
        self.resets = -1  # of the call that is appended: a mask (N, T) of the steps that begin a new sequence
        self.windows: dict[tuple[Layer, int], tuple[int, int]] = {}  # of a stateful layer's states: offset and size
        self._state_size = 0
        self._values: list[Value] = []
        self._parameters: list[Parameter] = []
        self._nodes: list[Node] = []
        self._known: dict[Weight, int] = {}
        self._maskings: dict[tuple[int, int, float], tuple[int, int]] = {}
        self._merged_masks: dict[tuple[Any, ...], int] = {}
        self._within: dict[int, set[int]] = {}  # of a mask: those that are not 0 where it is not
        self.times: dict[int, set[Time]] = {}  # of padding: the time axes it belongs to
        self.shared_times: list[set[Time]] = []  # groups of time axes whose steps are merged with each other
        self.row_ends: set[int] = set()  # masks (N, T) that say, as lengths do, where rows end
        self.open_values: set[int] = set()  # with any number of steps, whatever their declared shape
        self.penalties = Penalties()  # of a finished Program
        self._penalised: list[tuple[int, regularizers.Regularizer]] = []
        self.lengths = -1  # the value that carries the lengths of a batch
        self.scope = ""  # how the names of nodes begin: with those of the models that they are in

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
        attributes = attributes or {}
        if op in RECURRENT_OPS and self._policy is not None:
            attributes = self._policy.of_recurrent(attributes)
        if op in RECURRENT_OPS and self._checkpoint_every is not None:
            if self.resets >= 0:
                raise ValueError(f"checkpoint_every must be None with resets, which {name!r} is called with")
            attributes = {**attributes, "checkpoint_every": self._checkpoint_every}
        self._nodes.append(Node(op, self.scope + name, inputs, outputs, parameters, attributes))

    def penalise(self, values: Sequence[int], regularizer: regularizers.Regularizer | None) -> None:
        """Let training penalise outputs of a layer, if it has an activity regularizer."""
        if regularizer is not None:
            self._penalised += [(value, regularizer) for value in values if self._values[value].dtype == "float"]

    def ends_rows(self, mask: int) -> bool:
        """Whether a mask says where rows end: it is the lengths, or says what lengths can say."""
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
            self._within[self._maskings[key][1]] = self._narrower(mask)
        return self._maskings[key]

    def _narrower(self, mask: int) -> set[int]:
        return {mask, *self._within.get(mask, ())} - {-1}

    def merge_masks(self, kind: str, name: str, values: Sequence[int], masks: Sequence[int]) -> int:
        """Add the node that makes one mask of the masks of some values; see the op. Once however often asked for.

        A mask that says what another one says, too, is left out; -1 where nothing is left to say.
        """
        pairs = list(zip(values, masks, strict=True))
        if kind == "or" and any(mask < 0 for mask in masks):
            return -1
        if kind in ("and", "or"):
            pairs = list({mask: (value, mask) for value, mask in pairs if mask >= 0}.values())
        if kind == "and":
            known = {mask for _, mask in pairs}
            pairs = [(x, m) for x, m in pairs if not any(m in self._within.get(other, ()) for other in known - {m})]
        if kind in ("and", "or") and len(pairs) < 2:
            return pairs[0][1] if pairs else -1
        if all(mask < 0 for _, mask in pairs):
            return -1
        key = (kind, *pairs)
        if key not in self._merged_masks:
            axes = [self.shape(value)[1] for value, _ in pairs]
            if kind == "concatenate":
                steps = None if None in axes else sum(size for size in axes if size is not None)
            else:
                steps = next((size for size in axes if size not in (None, 1)), axes[0])
                steps = None if steps == 1 and None in axes else steps
            made = self.value(f"{name}/mask", (None, steps), "int")
            self.node("merge_masks", f"{name}/mask", sum(pairs, ()), (made,), (), {"kind": kind})
            self._merged_masks[key] = made
            if kind != "concatenate":
                self.times[made] = set().union(*(self.times.get(mask, ()) for _, mask in pairs))
            narrower = [self._narrower(mask) for _, mask in pairs]
            if kind == "and":
                self._within[made] = set().union(*narrower)
                if all(self.ends_rows(mask) for _, mask in pairs):
                    self.row_ends.add(made)
            elif kind == "or":
                self._within[made] = set.intersection(*narrower)
        return self._merged_masks[key]

    def windows_mask(self, name: str, shape: Shape, mask: int, windows: Hashable) -> int:
        """The mask (N, T') that an op will make of one that says where rows end: which windows have them."""
        made = self.value(f"{name}/mask", shape[:2], "int")
        self.row_ends.add(made)
        self.times[made] = {(*time, windows) for time in self.times.get(mask, ())}
        return made

    def merge_own(self, kind: str, name: str, of: Sequence[tuple[int, Mask]]) -> int:
        """The own masks of some values merged; a mask tells its number of steps itself, before its value is made."""
        values = [x if mask.own < 0 else mask.own for x, mask in of]
        return self.merge_masks(kind, name, values, [mask.own for _, mask in of])

    def both(self, name: str, *of: tuple[int, Mask]) -> Mask:
        """The steps that are valid in all of some values with one time axis."""
        values = [value for value, _ in of]
        self.shared_times.append(set().union(*(self.times.get(mask.padding, ()) for _, mask in of)))
        padding = self.merge_masks("and", name, values, [mask.padding for _, mask in of])
        return Mask(padding, self.merge_own("and", name, of))

    def real(self, x: int, mask: Mask) -> int:
        """The one value that says which steps of x are valid: the lengths, a mask (N, T), or -1."""
        of = x if mask.own < 0 else mask.own
        return self.merge_masks("and", self._values[x].name, (of, of), (mask.padding, mask.own))

    def reversed_mask(self, name: str, x: int, mask: Mask) -> Mask:
        """The mask of x in reversed order of time.

        Without padding, masks stay as they are, as in Keras; with it, they are what they would be without those steps.
        """
        if mask.padding < 0:
            return mask
        padding = self.merge_masks("reverse", name, (x, x), (mask.padding, -1))
        if mask.own < 0:
            return Mask(padding)
        own = self.merge_masks("reverse", name, (mask.own, mask.own), (mask.padding, mask.own))
        self._within[own] = self._narrower(padding)
        return Mask(padding, own)

    def kept_states(self, keeper: tuple[Layer, int] | None, sizes: Sequence[int]) -> list[int]:
        """Where states of these sizes are kept between steps: an offset for each, or none if they are not kept.

        `keeper` is the stateful layer and the number of its first state among these, or None.
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

        trained = [(weight, k) for weight, k in self._known.items() if self._parameters[k].trainable]
        self.penalties = Penalties(
            tuple(weight.regularizer.describe(k) for weight, k in trained if weight.regularizer is not None),
            tuple(
                weight.constraint.describe(k, len(self._parameters[k].shape))
                for weight, k in trained
                if weight.constraint is not None
            ),
            tuple(ActivityRegularizer(number[value], penalty.l1, penalty.l2) for value, penalty in self._penalised),
        )
        nodes = tuple(
            Node(node.op, node.name, renumber(node.inputs), renumber(node.outputs), node.parameters, node.attributes)
            for node in self._nodes
        )
        return Program(
            values=tuple(
                _any_steps(self._values[k], k in self.open_values) if self.carries else self._values[k] for k in kept
            ),
            parameters=tuple(self._parameters),
            nodes=nodes,
            inputs=renumber(inputs),
            outputs=renumber(outputs),
            lengths=number.get(self.lengths, -1),
            masks=renumber(masks) if any(mask >= 0 for mask in masks) else (),
        )


def _any_steps(value: Value, is_open: bool) -> Value:
    """The same value for any number of time steps, if it has some."""
    has_steps = is_open or len(value.shape) > (1 if value.dtype == "int" else 2)
    return replace(value, shape=(*value.shape[:1], None, *value.shape[2:])) if has_steps else value


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

    The lengths of a batch belong to the time axis (axis 1) of the first input, and of others that are merged with
    it step by step. They, and masks that layers make, go where the layers pass them on (see `Mask`); when nothing
    reads the lengths, `Program.lengths` is -1.

    Parameters
    ----------
    inputs, outputs : sequences of SymbolicValue
    builder : ProgramBuilder, optional
        An empty one, to say whether states are carried, and what is known of a part's inputs, or to learn where states
        are kept.

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
    graph = _Graph(builder, inputs, [builder.value(x.name, x.shape, x.dtype) for x in inputs])
    builder.batch = graph.value(inputs[0])
    builder.lengths = builder.value("lengths", (None,), "int")
    part = builder.part
    timed = _timed_inputs(inputs, calls) if part is None else part.with_lengths
    own = {} if part is None else {k: graph.value(inputs[number]) for k, number in part.masks.items()}
    graph.emit(calls, [Mask(builder.lengths if k in timed else -1, own.get(k, -1)) for k in range(len(inputs))])
    builder.masked_outputs = frozenset(k for k, value in enumerate(outputs) if graph.mask(value).own >= 0)
    # A mask is of use to losses and metrics where the steps of an output are positions of theirs.
    masks = [graph.real(value) if len(value.shape) > 2 else -1 for value in outputs]
    return builder.finish([graph.value(x) for x in inputs], [graph.value(y) for y in outputs], masks), store


def emit_graph(
    builder: ProgramBuilder,
    inputs: Sequence[SymbolicValue],
    outputs: Sequence[SymbolicValue],
    values: Sequence[int],
    masks: Sequence[Mask],
) -> tuple[tuple[int, ...], tuple[Mask, ...]]:
    """Append all calls of a graph, whose inputs are these values with these masks; the values and masks of outputs."""
    graph = _Graph(builder, inputs, values)
    graph.emit(walk(inputs, outputs), masks)
    return tuple(map(graph.value, outputs)), tuple(map(graph.mask, outputs))


class _Graph:
    """The values and masks of a graph, as a builder knows them."""

    def __init__(self, builder: ProgramBuilder, inputs: Sequence[SymbolicValue], values: Sequence[int]) -> None:
        self._builder, self._inputs = builder, [(x.call, x.index) for x in inputs]
        self._values = dict(zip(self._inputs, values, strict=True))
        self._masks: dict[tuple[Call, int], Mask] = {}

    def value(self, value: SymbolicValue) -> int:
        return self._values[value.call, value.index]

    def mask(self, value: SymbolicValue) -> Mask:
        return self._masks[value.call, value.index]

    def real(self, value: SymbolicValue) -> int:
        return self._builder.real(self.value(value), self.mask(value))

    def emit(self, calls: Sequence[Call], masks_of_inputs: Sequence[Mask]) -> None:
        """Append the calls."""
        builder, part, carries = self._builder, self._builder.part, self._builder.carries
        self._masks.update(zip(self._inputs, masks_of_inputs, strict=True))
        for call in calls:
            builder.carries = carries and (part is None or call not in part.anew)
            inputs = tuple(self.value(x) for x in call.inputs)
            masks = [self.mask(x) for x in call.inputs]
            if call.mask is not None:
                masks[0] = replace(masks[0], own=self.value(call.mask))
            builder.resets = -1 if call.resets is None else self.value(call.resets)
            call.layer._recall(call.index)
            outputs = call.layer._emit(builder, inputs, tuple(masks))
            masks_of_outputs = call.layer._emit_masks(builder, inputs, tuple(masks))
            for index, (output, mask) in enumerate(zip(outputs, masks_of_outputs, strict=True)):
                self._values.setdefault((call, index), output)  # an input may be an output of a layer, too
                self._masks.setdefault((call, index), mask)
            builder.penalise(outputs, call.layer.activity_regularizer)
        builder.carries = carries
        if part is not None:
            builder.open_values |= {value for place, value in self._values.items() if place in part.sequences}


def _timed_inputs(inputs: Sequence[SymbolicValue], calls: Sequence[Call]) -> set[int]:
    """Which inputs the lengths belong to: the first, and those whose steps are merged with its own, one by one."""
    timed = {0}
    if len(inputs) == 1:
        return timed
    probe = ProgramBuilder()
    graph = _Graph(probe, inputs, [probe.value(x.name, x.shape, x.dtype) for x in inputs])
    probe.batch = graph.value(inputs[0])
    lengths = [probe.value("lengths", (None,), "int") for _ in inputs]
    probe.times = {padding: {(k,)} for k, padding in enumerate(lengths)}
    graph.emit(calls, list(map(Mask, lengths)))
    groups = [
        {time[0] for time in times if time[1:] == windows}
        for times in probe.shared_times
        for windows in {time[1:] for time in times}
    ]
    for _ in inputs:
        timed = timed.union(*(group for group in groups if group & timed))
    return timed
