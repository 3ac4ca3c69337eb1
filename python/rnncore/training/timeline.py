"""Which values of a graph are sequences whose steps become known one after the other, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rnncore._pages import see
from rnncore.layers.attention import AttentionLayer
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.concatenate import Concatenate
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.normalization import BatchNormalization
from rnncore.layers.pooling import GlobalPooling
from rnncore.layers.symbolic import Call, SymbolicValue, walk
from rnncore.layers.window import WindowLayer
from rnncore.program import Value

__all__ = ["Clock", "Place", "Timeline", "is_sequence", "outputs_of", "place_of"]

Place = tuple[Call, int]  # of a symbolic value: models made twice from one graph have equal places


def is_sequence(value: SymbolicValue | Value) -> bool:
    """Whether an input has a time axis: (N, T, ...), or ids (N, T)."""
    return len(value.shape) > (1 if value.dtype == "int" else 2)


def place_of(value: SymbolicValue) -> Place:
    """Where a value is made."""
    return value.call, value.index


def outputs_of(call: Call) -> list[SymbolicValue]:
    """The values that a call makes."""
    call.layer._recall(call.index)
    shapes = call.layer._shapes_of_call(call.inputs)
    return [SymbolicValue(shape, call, index) for index, shape in enumerate(shapes)]


@dataclass(frozen=True)
class Clock:
    """When the steps of a sequence are known: one after `first` steps of the input, then one every `stride` steps."""

    first: int = 1
    stride: int = 1

    def count(self, steps: int) -> int:
        """How many there are after so many steps of the input."""
        return max((steps - self.first) // self.stride + 1, 0)

    def of_windows(self, first: int, stride: int) -> Clock:
        """That of windows, one after `first` steps of this sequence, then one every `stride` of its steps."""
        return Clock(self.first + self.stride * (first - 1), self.stride * stride)


@dataclass
class Timeline:
    """What is known of the values of a graph that reads its inputs a few steps at a time.

    Attributes
    ----------
    clocks : dict
        Of the places of all sequences.
    ends : set
        Places of what is only known at the end of a sequence: as it is if the sequence ends here.
    scores : set
        Places of attention scores, which grow with the sequence and are not computed.
    """

    clocks: dict[Place, Clock] = field(default_factory=dict)
    ends: set[Place] = field(default_factory=set)
    scores: set[Place] = field(default_factory=set)

    @classmethod
    def of(cls, purpose: str, inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue]) -> Timeline:
        """That of a graph; ValueError, which begins with `purpose`, if a layer needs steps that come later."""
        line = cls({place_of(value): Clock() for value in inputs if is_sequence(value)})
        if not line.clocks:
            raise ValueError(f"{purpose} needs a model that reads a sequence (N, T, ...), got inputs {list(inputs)}")
        for call in walk(inputs, outputs):
            if problem := line._problem(call):
                raise ValueError(
                    f"{purpose} needs layers that go step by step, but {call.layer.name!r} {problem}"
                    + see("guide/streams")
                )
            line._follow(call)
        for value in outputs:
            if place_of(value) in line.scores:
                raise ValueError(f"{purpose} has no attention scores of {value.name!r}: they grow with the sequence")
        return line

    def is_static(self, value: SymbolicValue) -> bool:
        """Whether a value does not depend on any sequence."""
        return place_of(value) not in self.clocks and place_of(value) not in self.ends

    def _follow(self, call: Call) -> None:
        """Take up the outputs of a call."""
        layer, places = call.layer, list(map(place_of, outputs_of(call)))
        clock = next((self.clocks[place_of(value)] for value in call.reads if place_of(value) in self.clocks), None)
        if clock is None:
            self.ends |= set(places) if any(place_of(value) in self.ends for value in call.inputs) else set()
        elif isinstance(layer, AttentionLayer):
            self.clocks[call, 0] = clock
            self.scores |= set(places[1:])
        elif isinstance(layer, TakesInitialState):
            if getattr(layer, "return_sequences", False):
                self.clocks[places.pop(0)] = clock
            self.ends |= set(places)
        elif isinstance(layer, WindowLayer):
            first = layer._span() if layer.padding == "valid" else 1
            self.clocks[call, 0] = clock.of_windows(first, layer.window_stride)
        else:
            self.clocks[call, 0] = clock

    def _problem(self, call: Call) -> str | None:
        """Why a call cannot go step by step, if it cannot."""
        layer, reads = call.layer, call.reads
        late = any(place_of(value) in self.ends for value in reads)
        if any(place_of(value) in self.scores for value in reads):
            return "reads attention scores, which grow with the sequence"
        if not any(place_of(value) in self.clocks for value in reads):
            stateful = isinstance(layer, TakesInitialState) and layer.stateful
            return "is stateful and reads what is only known at the end of a sequence" if late and stateful else None
        problem = self._problem_of_layer(call)
        if problem is None and late:
            if isinstance(layer, TakesInitialState):
                problem = "begins with a state that is only known at the end of another sequence"
            else:
                problem = "reads what is only known at the end of a sequence together with its steps"
        return problem or self._problem_of_steps(call)

    def _problem_of_layer(self, call: Call) -> str | None:
        """Why a layer cannot read a sequence step by step."""
        layer = call.layer
        if isinstance(layer, Bidirectional) or getattr(layer, "go_backwards", False):
            return "reads its sequence from the end"
        if isinstance(layer, AttentionLayer):
            told = layer._told[call.index]
            if not told["use_causal_mask"]:
                return "lets each step see later ones: call it with use_causal_mask=True"
            return "has an attention_mask, which grows with the sequence" if "attention_mask" in told["roles"] else None
        if isinstance(layer, WindowLayer):
            at_both_ends = layer.padding == "same" and layer._span() > 1
            return "pads its sequence at both ends: padding='same'" if at_both_ends else None
        if isinstance(layer, GlobalPooling):
            return "pools all steps"
        if isinstance(layer, (TakesInitialState, BatchNormalization)):
            return None  # the latter reads its moving means here
        return None if layer._acts_per_step else "does not treat each step by itself"

    def _problem_of_steps(self, call: Call) -> str | None:
        """Why the inputs of a call do not go together step by step."""
        layer = call.layer
        ranks = [len(value.shape) for value in call.inputs]
        takes_features = layer._mixes_features or isinstance(layer, (BatchNormalization, Concatenate))
        clocks = {self.clocks[place_of(value)] for value in call.reads if place_of(value) in self.clocks}
        for number, value in enumerate(call.reads):
            if place_of(value) in self.clocks:
                if value.dtype == "float" and len(value.shape) == 2 and (takes_features or max(ranks) > 2):
                    return "takes the steps of a sequence (N, T) for features"
            elif isinstance(layer, TakesInitialState):
                if number == 0 or number >= len(call.inputs):
                    return "reads a sequence together with one of a fixed number of steps"
            elif isinstance(layer, (AttentionLayer, Concatenate)) or (
                len(value.shape) == max(ranks) and value.shape[1] != 1
            ):
                return "reads a sequence together with one of a fixed number of steps"
        if len(clocks) < 2:
            return None
        one, other = sorted(clocks, key=lambda clock: (clock.stride, clock.first))[:2]
        if one.stride != other.stride:
            return f"reads sequences with a step for every {one.stride} and every {other.stride} steps of the input"
        return (
            f"reads sequences of different numbers of steps, which begin after {one.first} and after {other.first}"
            " steps of the input"
        )
