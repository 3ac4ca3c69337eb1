"""Parts of a graph that run a chunk of steps at a time, one part after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnncore._data import Array
from rnncore.layers.symbolic import SymbolicValue
from rnncore.training.engine import Engine
from rnncore.training.memory import Memory
from rnncore.training.timeline import Clock, Place, Timeline

__all__ = ["Chunk", "Feed", "Part"]


@dataclass(eq=False)
class Feed:
    """An input of a part: a value as it comes, what a memory gives, a mask of either, or what queries see."""

    symbol: SymbolicValue
    place: Place | None = None
    memory: Memory | None = None
    is_mask: bool = False
    keys: Clock | None = None  # of those that queries see
    has_lengths: bool = False  # whether a chunk without steps is said by the lengths of its rows


@dataclass(eq=False)
class Chunk:
    """What is known while a chunk goes through the parts; None stands for a sequence of no steps."""

    before: int
    after: int
    rows: int
    values: dict[Place, Array | None]
    masks: dict[Place, Array | None] = field(default_factory=dict)
    read: dict[Memory, Array | None] = field(default_factory=dict)


class Part:
    """Calls that one Program computes: they read values of earlier parts, and memories."""

    def __init__(
        self,
        engine: Engine,
        feeds: list[Feed],
        memories: list[Memory],
        outputs: list[Place],
        clock: Clock | None,
        line: Timeline,
    ) -> None:
        self.engine, self.feeds, self.memories, self.outputs, self.clock = engine, feeds, memories, outputs, clock
        self._line = line
        self.masked: list[Place] = []  # outputs whose masks later parts read
        # What is known at the end of a sequence is computed for a chunk without steps, too.
        self.has_ends = any(place not in line.clocks for place in outputs)
        self._takes_lengths = engine.program.lengths >= 0
        assert self._takes_lengths or clock is None or not any(place in line.ends for place in outputs)
        written = {
            node.attributes["state_offset"]: (node.name.removesuffix("/write"), node.attributes["units"])
            for node in engine.program.nodes
            if node.op == "write_state"
        }
        self.states = [(name, offset, units) for offset, (name, units) in sorted(written.items())]
        nodes = engine.program.nodes
        learned = {node.outputs[0]: node.parameters[0] for node in nodes if node.op == "repeat_row" and node.parameters}
        begin = {n.attributes["state_offset"]: n.inputs[1] for n in nodes if n.op == "read_state" and n.inputs[1] >= 0}
        self._learned = {offset: learned[value] for offset, value in begin.items() if value in learned}
        self.takes_states = len(self._learned) < len(begin)  # as inputs

    def first_states(self) -> list[Array]:
        """What each state (1, H) begins with: zeros, or what has been learned."""
        parameters, vector = self.engine.program.parameters, self.engine.store.vector
        found = []
        for _, offset, units in self.states:
            first = np.zeros((1, units), vector.dtype)
            if offset in self._learned:
                place = parameters[self._learned[offset]].offset
                first[0] = vector[place : place + units]
            found.append(first)
        return found

    def run(self, chunk: Chunk, states: Array) -> None:
        """Compute the outputs for a chunk; `states` are changed in place."""
        begun, steps = True, 1
        if self.clock is not None:
            count = self.clock.count(chunk.before)
            begun, steps = count > 0, self.clock.count(chunk.after) - count
        if steps == 0 and not self.has_ends:
            chunk.values |= dict.fromkeys(self.outputs)
            return
        inputs = [self._array(feed, chunk, steps) for feed in self.feeds]
        # A sequence of no steps is one step that is not valid: recurrent layers hold their states there.
        lengths = np.zeros(chunk.rows, np.int32) if steps == 0 and self._takes_lengths else None
        found = self.forward(inputs, lengths, states, begun)
        for place, value in zip(self.outputs, found, strict=False):
            chunk.values[place] = None if steps == 0 and place in self._line.clocks else value
        if self.masked:
            masks = dict(zip(self.outputs, found[len(self.outputs) :], strict=True))
            chunk.masks |= {place: masks[place] if steps else None for place in self.masked}

    def forward(self, inputs: Sequence[Array], lengths: Array | None, states: Array, begun: bool) -> list[Array]:
        """Run the Program: the one place where a stream calls an executor."""
        masked = bool(self.masked)
        found: list[Array] = self.engine.executor.forward(inputs, lengths, states=states, resume=begun, masks=masked)
        return found

    def _array(self, feed: Feed, chunk: Chunk, steps: int) -> Array:
        """What an input gets."""
        if feed.keys is not None:
            keys = max(feed.keys.count(chunk.after), 1)
            sees = np.tri(max(steps, 1), keys, feed.keys.count(chunk.before), np.int32) * np.int32(steps > 0)
            return np.ascontiguousarray(np.broadcast_to(sees, (chunk.rows, *sees.shape)))
        if feed.memory is not None:
            array, length = chunk.read[feed.memory], feed.memory.span or 1
        else:
            assert feed.place is not None
            array, length = chunk.masks.get(feed.place) if feed.is_mask else chunk.values[feed.place], 1
        if array is not None:
            return array
        value, of_ints = feed.symbol, feed.is_mask or feed.symbol.dtype == "int"
        shape = (chunk.rows, length, *(size or 1 for size in value.shape[2:]))
        return np.zeros(shape, np.int32 if of_ints else self.engine.dtype)
