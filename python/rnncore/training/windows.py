"""Sequences step by step: which models can be cut in time, and training on windows of steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncore.batches import Batches, Samples, Update
from rnncore.data import Array
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.symbolic import Call, SymbolicValue, walk
from rnncore.optimizers import Optimizer
from rnncore.program import Value
from rnncore.training.engine import Engine

Place = tuple[Call, int]  # of a symbolic value: models made twice from one graph have equal places


def is_sequence(value: SymbolicValue | Value) -> bool:
    """Whether an input has a time axis: (N, T, ...), or ids (N, T)."""
    return len(value.shape) > (1 if value.dtype == "int" else 2)


def timed_outputs(
    purpose: str, inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], *, every_step: bool
) -> list[bool]:
    """Which outputs have the time axis of the inputs, in a model that can read its inputs a few steps at a time.

    Parameters
    ----------
    purpose : str
        Begins the message of an error.
    inputs, outputs : sequences of SymbolicValue
    every_step : bool
        Whether all that the model computes must be sequences; otherwise what depends on the last step alone is
        welcome, too.

    Raises
    ------
    ValueError
        If a layer needs more of a sequence than one step and the states before it.
    """
    timed: set[Place] = {(value.call, value.index) for value in inputs if is_sequence(value)}
    if not timed:
        raise ValueError(f"{purpose} needs a model that reads a sequence (N, T, ...), got inputs {list(inputs)}")
    ends: set[Place] = set()
    for call in walk(inputs, outputs):
        layer, places = call.layer, [(value.call, value.index) for value in call.inputs]
        late = [place for place in places if place in ends]
        if not any(place in timed for place in places):
            ends |= {(call, 0)} if late else set()
            continue
        problem = None
        if isinstance(layer, Bidirectional) or getattr(layer, "go_backwards", False):
            problem = "reads its sequence from the end"
        elif isinstance(layer, TakesInitialState):
            if every_step and layer.stateful:
                problem = "is stateful"
            elif every_step and not getattr(layer, "return_sequences", False):
                problem = "does not return sequences"
            elif late:
                problem = "begins with a state that is only known at the end of another sequence"
        elif late:
            problem = "reads what is only known at the end of a sequence together with its steps"
        elif not layer._acts_per_step:
            problem = "does not treat each step by itself"
        if problem is not None:
            raise ValueError(f"{purpose} needs layers that go step by step, but {layer.name!r} {problem}")
        sequence = not isinstance(layer, TakesInitialState) or getattr(layer, "return_sequences", False)
        timed |= {(call, 0)} if sequence else set()
        ends |= {(call, index) for index in range(0 if not sequence else 1, 9)}
    found = [(value.call, value.index) in timed for value in outputs]
    if every_step and not all(found):
        wrong = outputs[found.index(False)]
        raise ValueError(f"{purpose} needs outputs (N, T, ...) with a value for each step, got {wrong}")
    return found


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
