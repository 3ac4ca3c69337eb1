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
from rnncore.training.parts import Chunk
from rnncore.training.timeline import Clock, Place, Timeline, is_sequence, place_of

__all__ = ["Kept", "Streaming"]


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

    def stepper(self, rows: int) -> tuple[_core.Stream, Array] | None:
        """What does a step in one call into the core, and the states (N·S,) that it goes on from and changes.

        Only a graph of one input and one output has it, computed by one Program without memories.
        """
        part, one = self._only_part, len(self.clocks) == len(self.are_sequences) == 1
        if part is None or not one or not isinstance(part.engine.executor, _core.Executor):
            return None
        spec = self.input_values[0]
        sizes = [size for size in spec.shape[2:] if size is not None]
        if len(sizes) < len(spec.shape[2:]):
            return None
        x = np.zeros((rows, 1, *sizes), np.dtype(np.int32) if spec.dtype == "int" else self.dtype)
        states = np.zeros(rows * part.engine.program.state_size, self.dtype)
        return part.engine.executor.stream(x, (rows, *sizes), (rows, *self.tails([x])[0]), states), states

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
