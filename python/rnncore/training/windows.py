"""Training on windows of steps, and which models can be cut into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncore._data import Array
from rnncore.batches import Batches, Samples, Update
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.symbolic import SymbolicValue, walk
from rnncore.optimizers import Optimizer
from rnncore.training.engine import Engine
from rnncore.training.timeline import Place, is_sequence, outputs_of, place_of


def check_windows(inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue]) -> None:
    """ValueError unless all that a model computes are sequences that windows of its inputs can be cut from.

    A layer must not need more of a sequence than one step and the states before it.
    """
    timed: set[Place] = {place_of(value) for value in inputs if is_sequence(value)}
    if not timed:
        raise ValueError(f"truncate needs a model that reads a sequence (N, T, ...), got inputs {list(inputs)}")
    ends: set[Place] = set()
    for call in walk(inputs, outputs):
        layer, places = call.layer, [place_of(value) for value in call.inputs]
        late = [place for place in places if place in ends]
        if not any(place in timed for place in places):
            ends |= {(call, 0)} if late else set()
            continue
        problem = None
        if isinstance(layer, Bidirectional) or getattr(layer, "go_backwards", False):
            problem = "reads its sequence from the end"
        elif isinstance(layer, TakesInitialState):
            if layer.stateful:
                problem = "is stateful"
            elif not getattr(layer, "return_sequences", False):
                problem = "does not return sequences"
            elif late:
                problem = "begins with a state that is only known at the end of another sequence"
        elif late:
            problem = "reads what is only known at the end of a sequence together with its steps"
        elif not layer._acts_per_step:
            problem = "does not treat each step by itself"
        if problem is not None:
            raise ValueError(f"truncate needs layers that go step by step, but {layer.name!r} {problem}")
        timed.add((call, 0))
        ends |= set(map(place_of, outputs_of(call)[1:]))
    wrong = [value for value in outputs if place_of(value) not in timed]
    if wrong:
        raise ValueError(f"truncate needs outputs (N, T, ...) with a value for each step, got {wrong[0]}")


def train_windows(engine: Engine, optimizer: Optimizer, batch: Samples, window: int, seed: int, state: Array) -> None:
    """Train on a batch `window` time steps at a time, with one update for each window.

    Values of the states, not gradients, go from a window to the next.
    """
    timed = [is_sequence(value) for value in engine.input_values]
    total = batch.inputs[timed.index(True)].shape[1]
    states = np.zeros(batch.rows * engine.program.state_size, engine.dtype)
    for start in range(0, total, window):
        part = Batches.whole(_window(batch, slice(start, start + window), timed), states=states, resume=start > 0)
        seen = state[1]
        try:
            engine.trainer.train(part, Update(optimizer.rates(1), optimizer.iterations, seed), state)
        finally:  # an interrupt leaves the step it comes in whole
            optimizer.iterations += int(state[1] > seen)


def _window(samples: Samples, cut: slice, timed: Sequence[bool]) -> Samples:
    """Some time steps of a batch."""

    def part(array: Array) -> Array:
        return np.ascontiguousarray(array[:, cut])

    lengths = samples.lengths
    return Samples(
        [part(array) if sequence else array for array, sequence in zip(samples.inputs, timed, strict=True)],
        [part(array) for array in samples.targets],
        [array if array is None or array.ndim == 1 else part(array) for array in samples.weights],
        None if lengths is None else np.clip(lengths - cut.start, 0, cut.stop - cut.start).astype(np.int32),
    )
