"""The Programs of a stream, and what it remembers between its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore import _core
from rnncore._data import Array
from rnncore.layers.shapes import shapes_of
from rnncore.layers.symbolic import SymbolicValue
from rnncore.training.cutting import Cutter, MakeEngine
from rnncore.training.engine import Engine
from rnncore.training.memory import Memory
from rnncore.training.parts import Chunk
from rnncore.training.timeline import Clock, Place, Timeline, is_sequence, place_of

__all__ = ["Kept", "Streaming"]

MOST_ARRAYS = 16  # of inputs and outputs, in the core


@dataclass
class Kept:
    """All that a stream remembers; never changed, but made anew."""

    rows: int
    steps: int  # of the input, so far
    states: list[Array]  # of each part, (N·S,)
    memories: list[Array]  # (N, steps, ...) each


class Streaming:
    """A graph that reads its inputs a chunk of steps at a time.

    Parameters
    ----------
    inputs, outputs : sequences of SymbolicValue
    make : function
        Makes an engine that carries states, for a part of the graph.
    of : Engine
        That of the whole graph.

    Raises
    ------
    ValueError
        If a layer needs steps that come later.
    """

    def __init__(
        self, inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], make: MakeEngine, of: Engine
    ) -> None:
        line = Timeline.of("stream", inputs, outputs)
        self._line = line
        self.clocks = [line.clocks.get(place_of(value)) for value in outputs]  # None: an output without a time axis
        self.dtype, self.input_values = of.dtype, of.input_values
        self.are_sequences = list(map(is_sequence, inputs))
        self._graph, self._store = (list(inputs), list(outputs)), of.store
        self._places = list(map(place_of, inputs)), list(map(place_of, outputs))
        self._parts = Cutter(inputs, outputs, line, of.dtype, make).parts
        self._memories = [memory for part in self._parts for memory in part.memories]
        part = self._parts[0]
        places = [feed.place for feed in part.feeds], part.outputs
        self._only_part = part if len(self._parts) == 1 and not self._memories and places == self._places else None
        self._reach = max(clock.first for clock in line.clocks.values())
        self._tails: dict[Any, list[tuple[int, ...]]] = {}
        self.rows_go_together = self._reason(line)  # why rows cannot begin by themselves, or None
        names = [name for part in self._parts for name, _, _ in part.states]
        names += [memory.name for memory in self._memories]
        self.names = [f"{name}_{names[:k].count(name)}" if name in names[:k] else name for k, name in enumerate(names)]

    def _reason(self, line: Timeline) -> str | None:
        if any(clock != Clock() for clock in line.clocks.values()):
            return "not every layer has a step for each step of the input"
        if any(memory.span is None for memory in self._memories):
            return "attention keeps the steps of all rows"
        given = any(part.takes_states for part in self._parts)
        return "the model has initial states as inputs" if given else None

    @property
    def is_current(self) -> bool:
        """Whether the weights are still where the executors read them."""
        return self._store.current is self._store

    def begin(self, rows: int) -> Kept:
        """What is kept before the first step."""
        states = [np.repeat(first, rows, axis=0) for first in self.first_states()]
        return self.kept([*states, *(memory.empty(rows) for memory in self._memories)], rows, 0)

    def first_states(self) -> list[Array]:
        """What each state (1, H) begins with."""
        return [first for part in self._parts for first in part.first_states()]

    def advance(self, kept: Kept, inputs: Sequence[Array], steps: int) -> tuple[list[Array], Kept]:
        """The outputs for so many more steps, those of sequences with their time axis, and what is then kept."""
        part = self._only_part
        if part is not None and steps:
            vector = kept.states[0].copy()
            outputs = part.forward(inputs, None, vector, kept.steps > 0)
            return outputs, Kept(kept.rows, kept.steps + steps, [vector], kept.memories)
        values: dict[Place, Array | None] = {
            place: array if steps or not sequence else None
            for place, array, sequence in zip(self._places[0], inputs, self.are_sequences, strict=True)
        }
        chunk = Chunk(kept.steps, kept.steps + steps, kept.rows, values)
        states, memories, before = [array.copy() for array in kept.states], [], iter(kept.memories)
        for part, of_part in zip(self._parts, states, strict=True):
            for memory in part.memories:
                new = chunk.masks.get(memory.source) if memory.of_mask else chunk.values[memory.source]
                chunk.read[memory], after = memory.extend(next(before), new, chunk.before, chunk.after)
                memories.append(after)
            part.run(chunk, of_part)
        results: list[Array] = []
        for number, place in enumerate(self._places[1]):
            array = chunk.values[place]
            if array is None:
                array = np.zeros((kept.rows, 0, *self.tails(inputs)[number]), self.dtype)
            elif place in self._places[0] or place in self._places[1][:number]:
                array = array.copy()  # of the caller, or given already
            results.append(array)
        return results, Kept(kept.rows, chunk.after, states, memories)

    def stepper(self, rows: int, **groups: Any) -> _core.Stream | None:
        """What does steps in one call into the core, once it is given what is kept; None where that cannot be.

        `groups` says how users group inputs and outputs.
        """
        specs = list(zip(self.input_values, self.are_sequences, strict=True))
        shapes = [spec.shape[1 + sequence :] for spec, sequence in specs]
        is_open = any(None in shape for shape in shapes)
        executors = [part.engine.executor for part in self._parts]
        if not isinstance(executors[0], _core.Executor) or is_open or max(map(len, self._places)) > MOST_ARRAYS:
            return None
        if any(node.op == "own_code" for part in self._parts for node in part.engine.program.nodes):
            return None  # which may run models from within
        inputs: list[int] = []
        for (spec, sequence), shape in zip(specs, shapes, strict=True):
            sizes = [rows, *[1] * sequence, *map(int, shape)]  # type: ignore[arg-type]
            inputs += [spec.dtype == "int", len(sizes), *sizes]
        # Values and masks by place, the inputs first.
        numbers: dict[tuple[bool, Any], int] = {(False, place): k for k, place in enumerate(self._places[0])}
        memories: dict[Memory | None, int] = {}
        parts: list[int] = []
        for part in self._parts:
            filled = [memories.setdefault(memory, len(memories)) for memory in part.memories]
            parts += [*_ticks(part.clock), part.has_ends, len(part.feeds)]
            for feed in part.feeds:
                if feed.keys is not None:
                    parts += [2, 0]
                elif feed.memory is not None:
                    parts += [1, memories[feed.memory]]
                else:
                    parts += [0, numbers[feed.is_mask, feed.place]]
            outputs = [numbers.setdefault((False, place), len(numbers)) for place in part.outputs]
            parts += [len(filled), *filled, len(outputs), *outputs, len(part.masked)]
            for place in part.masked:
                parts += [part.outputs.index(place), numbers.setdefault((True, place), len(numbers))]
        ticks = [number for _, place in numbers for number in _ticks(self._line.clocks.get(place))]
        kept = [
            number for m in self._memories for number in (numbers[m.of_mask, m.source], m.span or 0, m.stride, m.padded)
        ]
        given = [numbers[False, place] for place in self._places[1]]
        graph = [len(self.input_values), *inputs, len(numbers), *ticks, len(self._memories), *kept]
        graph += [len(self._parts), *parts, len(given), *given]
        return _core.stream(executors, list(map(int, graph)), **groups)

    def tails(self, inputs: Sequence[Array]) -> list[tuple[int, ...]]:
        """The sizes of each output without batch and time, for inputs that have these sizes."""
        key = tuple(array.shape[1 + sequence :] for array, sequence in zip(inputs, self.are_sequences, strict=True))
        if key not in self._tails:
            sizes = [
                (self._reach, *size) if sequence else size
                for size, sequence in zip(key, self.are_sequences, strict=True)
            ]
            shapes = zip(shapes_of(*self._graph, sizes), self.clocks, strict=True)
            self._tails[key] = [
                tuple(size or 0 for size in (shape[1:] if clock is None else shape[2:])) for shape, clock in shapes
            ]
        return self._tails[key]

    def arrays(self, kept: Kept) -> list[Array]:
        """Copies of what is kept, as named by `names`: states (N, H), then steps (N, steps, ...)."""
        states = [
            vector[kept.rows * offset : kept.rows * (offset + units)].reshape(kept.rows, units).copy()
            for part, vector in zip(self._parts, kept.states, strict=True)
            for _, offset, units in part.states
        ]
        return states + [array.copy() for array in kept.memories]

    def kept(self, arrays: Sequence[Array], rows: int, steps: int) -> Kept:
        """What is kept, from arrays as `arrays` gives them."""
        taken, states = iter(arrays), []
        for part in self._parts:
            of_part = [next(taken).ravel() for _ in part.states]
            states.append(np.concatenate([np.zeros(0, self.dtype), *of_part], dtype=self.dtype))
        memories = [np.asarray(next(taken), memory.dtype) for memory in self._memories]
        return Kept(rows, steps, states, memories)

    def specs(self, rows: int, steps: int) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
        """The shape and the dtype of each of these arrays after so many steps."""
        states = [((rows, units), self.dtype) for part in self._parts for _, _, units in part.states]
        return states + [((rows, memory.length(steps), *memory.shape), memory.dtype) for memory in self._memories]


def _ticks(clock: Clock | None) -> list[int]:
    """A clock as the core has it."""
    return [1, 0] if clock is None else [clock.first, clock.stride]
