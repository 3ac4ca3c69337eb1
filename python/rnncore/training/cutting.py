"""Cuts a graph where a layer reads steps from before: what it reads must be known before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnncore.layers.attention import AttentionLayer
from rnncore.layers.base import Layer
from rnncore.layers.builder import PartInputs
from rnncore.layers.input import Input
from rnncore.layers.multi_head_attention import MultiHeadAttention, Projections
from rnncore.layers.symbolic import Call, SymbolicValue, walk
from rnncore.layers.window import WindowLayer
from rnncore.training.engine import Engine
from rnncore.training.memory import Memory
from rnncore.training.parts import Feed, Part
from rnncore.training.timeline import Clock, Place, Timeline, outputs_of, place_of

__all__ = ["Cutter", "MakeEngine"]

MakeEngine = Callable[[Sequence[SymbolicValue], Sequence[SymbolicValue], PartInputs], Engine]


@dataclass(eq=False)
class Entry:
    """A call in a part: it makes the values of `call` from these inputs."""

    call: Call
    inputs: tuple[SymbolicValue, ...]
    remembered: dict[int, str] = field(default_factory=dict)  # the inputs read with the steps from before, and as what

    @property
    def as_they_come(self) -> list[SymbolicValue]:
        """What is read of the chunk alone."""
        found = [value for k, value in enumerate(self.inputs) if k not in self.remembered]
        return [*found, *self.call.of_steps.values()]

    @property
    def reads(self) -> list[SymbolicValue]:
        """All that is read."""
        return [*self.inputs, *self.as_they_come]


@dataclass(eq=False)
class Draft:
    """A part in the making: calls whose sequences have one clock, none of which waits for what another one makes."""

    level: int
    clock: Clock | None
    entries: list[Entry] = field(default_factory=list)
    feeds: dict[Any, Feed] = field(default_factory=dict)
    made: dict[Place, SymbolicValue] = field(default_factory=dict)
    twins: dict[Layer, Any] = field(default_factory=dict)
    anew: set[Call] = field(default_factory=set)
    sequences: set[Place] = field(default_factory=set)


class Cutter:
    """Makes the parts of a graph, in the order in which they run."""

    def __init__(
        self,
        inputs: Sequence[SymbolicValue],
        outputs: Sequence[SymbolicValue],
        line: Timeline,
        dtype: np.dtype[Any],
        make: MakeEngine,
    ) -> None:
        self._inputs, self._line, self._dtype, self._make = inputs, line, dtype, make
        self._given = set(map(place_of, inputs))
        self._projections: dict[Layer, Projections] = {}
        self._drafts: dict[tuple[int, Clock | None], Draft] = {}
        self._draft_of: dict[Place, Draft] = {}
        self._masked: set[Place] = set()  # values with a mask of their own
        self._masks_read: set[Place] = set()  # those of them whose masks another part reads
        calls = walk(inputs, outputs)
        for call in calls:
            if (call, 0) in line.clocks or (call, 0) in line.ends:
                for entry in self._entries(call):
                    self._take(entry)
        self._anew = {call for call in calls if place_of(call.inputs[0]) not in line.clocks}
        alone = [v for v in outputs if self._line.is_static(v) and place_of(v) not in self._given]
        first = self._draft(0, Clock()) if alone or not self._drafts else None
        drafts = sorted(self._drafts.values(), key=lambda draft: draft.level)
        self.parts = [self._part(draft, [*outputs], alone if draft is first else []) for draft in drafts]
        for part in self.parts:
            part.masked = [place for place in part.outputs if place in self._masks_read]

    # Which part computes what

    def _entries(self, call: Call) -> Iterator[Entry]:
        """A call as the parts have it."""
        layer, clocks = call.layer, self._line.clocks
        if isinstance(layer, AttentionLayer) and (call, 0) in clocks:
            told = layer._told[call.index]
            given = dict(zip(told["roles"], call.inputs, strict=True))
            roles = layer._roles_over_border(told)
            values = [given[role] if role in given else given[role.replace("key", "value")] for role in roles]
            if isinstance(layer, MultiHeadAttention):
                projections = self._projections.setdefault(layer, Projections(layer))
                projected = Call(projections, call.index, tuple(values[:3]))
                yield Entry(projected, projected.inputs)
                values[:3] = outputs_of(projected)
                clocks.update(dict.fromkeys(map(place_of, values[:3]), clocks[call, 0]))
            remembered = {k: role for k, role in enumerate(roles) if not role.startswith("query")}
            yield Entry(call, tuple(values), remembered)
        elif (
            isinstance(layer, WindowLayer)
            and place_of(call.inputs[0]) in clocks
            and (layer._span() > 1 or layer.window_stride > 1)
        ):
            yield Entry(call, call.inputs, {0: "border"})
        else:
            yield Entry(call, call.inputs)

    def _draft(self, level: int, clock: Clock | None) -> Draft:
        return self._drafts.setdefault((level, clock), Draft(level, clock))

    def _take(self, entry: Entry) -> None:
        """Put an entry in the first part that it can be in."""
        clocks, call = self._line.clocks, entry.call
        read = {self._draft_of[place_of(v)] for v in entry.as_they_come if place_of(v) in self._draft_of}
        sources = [place_of(entry.inputs[k]) for k in entry.remembered]
        waits = [self._draft_of[place] for place in sources if place in self._draft_of]
        level = max([draft.level for draft in read] + [draft.level + 1 for draft in waits], default=0)
        beside = [draft for draft in read if draft.level == level]
        ticking = [clocks[place_of(v)] for v in entry.as_they_come if place_of(v) in clocks]
        clock = clocks[call, 0] if entry.remembered else next(iter(ticking), None)
        alone = clock is None and len(beside) == 1
        draft = beside[0] if alone else self._draft(level + (clock is None), clock)
        draft.entries.append(entry)
        self._draft_of.update(dict.fromkeys(map(place_of, outputs_of(call)), draft))

    # What a part is made of

    def _part(self, draft: Draft, outputs: list[SymbolicValue], alone: list[SymbolicValue]) -> Part:
        """The part of a draft; `alone` are outputs of the model that depend on no sequence."""
        memories: dict[Any, Memory] = {}
        for entry in draft.entries:
            self._make_call(draft, entry, memories)
        others = [v for other in self._drafts.values() if other is not draft for e in other.entries for v in e.reads]
        needed = {place_of(v): v for v in [*outputs, *others] if self._draft_of.get(place_of(v)) is draft}
        local = [*(draft.made[place] for place in needed), *(self._as_it_comes(draft, v) for v in alone)]
        places = [*needed, *map(place_of, alone)]
        feeds = list(draft.feeds.values())
        number = {key: k for k, key in enumerate(draft.feeds)}
        clocked = [k for k, feed in enumerate(feeds) if feed.has_lengths]
        masks = {number[key[1]]: k for key, k in number.items() if key[0] == "mask"}
        given = PartInputs(frozenset(clocked), masks, draft.anew | self._anew, draft.sequences)
        engine = self._make([feed.symbol for feed in feeds], local, given)
        self._masked |= {places[k] for k in engine.masked_outputs}
        return Part(engine, feeds, list(memories.values()), places, draft.clock, self._line)

    def _make_call(self, draft: Draft, entry: Entry, memories: dict[Any, Memory]) -> None:
        """Describe a call again, on what its part has."""
        call = entry.call
        layer: Any = call.layer
        if entry.remembered:
            layer = draft.twins.setdefault(layer, layer._over_border())
        inputs = [
            self._remembered(draft, entry, k, memories) if k in entry.remembered else self._as_it_comes(draft, value)
            for k, value in enumerate(entry.inputs)
        ]
        if entry.remembered and isinstance(layer, AttentionLayer):
            symbol = Input((None, None), dtype="int32", name=f"{layer.name}/seen")
            draft.feeds["seen", call] = Feed(symbol, keys=self._line.clocks[call, 0])
            inputs.append(symbol)
        of_steps = {name: self._as_it_comes(draft, value) for name, value in call.of_steps.items()}
        made = call
        if layer is not call.layer or tuple(inputs) != call.inputs or of_steps != call.of_steps:
            made = Call(layer, call.index, tuple(inputs), **of_steps)
        if call in self._anew:
            draft.anew.add(made)
        for value in outputs_of(call):
            draft.made[place_of(value)] = SymbolicValue(value.shape, made, value.index)
            if place_of(value) in self._line.clocks:
                draft.sequences.add((made, value.index))

    def _as_it_comes(self, draft: Draft, value: SymbolicValue) -> SymbolicValue:
        """A value as a part reads it: made there, computed from inputs alone, or an input of the part."""
        place = place_of(value)
        if place in draft.made:
            return draft.made[place]
        if self._line.is_static(value) and place not in self._given:
            for read in value.call.reads:
                self._as_it_comes(draft, read)
            return value
        if ("value", place) not in draft.feeds:
            draft.feeds["value", place] = Feed(value, place, has_lengths=place in self._line.clocks)
            if place in self._line.clocks:
                draft.sequences.add(place)
            if place in self._masked:
                self._masks_read.add(place)
                symbol = Input((None,), dtype="int32", name=f"{value.name}/mask")
                draft.feeds["mask", ("value", place)] = Feed(symbol, place, is_mask=True)
        return value

    def _remembered(self, draft: Draft, entry: Entry, number: int, memories: dict[Any, Memory]) -> SymbolicValue:
        """An input of a part that has steps from before."""
        value, layer, role = entry.inputs[number], entry.call.layer, entry.remembered[number]
        sizes = tuple(size for size in value.shape[2:] if size is not None)  # layers with memories know all of them
        of_ints = value.dtype == "int"
        memory = Memory(
            f"{layer.name}/{role}",
            place_of(value),
            self._line.clocks[place_of(value)],
            sizes,
            np.dtype(np.int32) if of_ints else self._dtype,
        )
        if isinstance(layer, WindowLayer):
            span = layer._span()
            padded = span - 1 if layer.padding == "causal" else 0
            memory = replace(memory, span=span, stride=layer.window_stride, padded=padded)
        key = (entry.call, role)
        symbol = Input((None, *sizes), dtype="int32" if of_ints else None, name=memory.name)
        draft.feeds["memory", key] = Feed(symbol, memory=memory, has_lengths=memory.span is not None)
        memories[key] = memory
        if memory.span is None and memory.source in self._masked:
            self._masks_read.add(memory.source)
            name = f"{memory.name}/mask"
            kept = replace(memory, name=name, shape=(), dtype=np.dtype(np.int32), of_mask=True)
            symbol_of_mask = Input((None,), dtype="int32", name=name)
            draft.feeds["mask", ("memory", key)] = Feed(symbol_of_mask, memory=kept)
            memories["mask", key] = kept
        return symbol
