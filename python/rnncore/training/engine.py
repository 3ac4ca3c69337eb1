"""A model at work: its Program, the store of its weights and the executor that runs them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnncore import _data as data
from rnncore import _validation as check
from rnncore._data import Array
from rnncore.layers.base import Layer
from rnncore.layers.builder import PartInputs, ProgramBuilder, build_program
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.shapes import shapes_of
from rnncore.layers.symbolic import SymbolicValue, walk
from rnncore.layers.trainable import TrainableState, parts
from rnncore.policies import Policy
from rnncore.program import Training
from rnncore.training.compilation import Compilation
from rnncore.training.functions import FunctionExecutor, WeightPenalties

BACKENDS = {"compiled": "compiled", "reference": "reference"}


def choose_backend(backend: str | None) -> str:
    """The backend that the environment variable RNNCORE_BACKEND names, else the one asked for, else "compiled"."""
    chosen = check.lookup("backend", "compiled" if backend is None else backend, BACKENDS)
    return check.lookup("backend in RNNCORE_BACKEND", os.environ.get("RNNCORE_BACKEND", chosen), BACKENDS)


def executor_class(backend: str) -> Any:
    """The class that runs Programs."""
    if backend == "reference":
        from rnncore.reference import Executor

        return Executor
    from rnncore import _core

    return _core.Executor


class ForwardShapes(threading.local):
    """Shapes of the outputs of a thread's last forward pass in training."""

    last: list[tuple[int, ...]] | None = None


def check_precision(layer: Layer, policy: Policy) -> None:
    """ValueError if a layer, or one inside it, was made for another precision than the model's."""
    for part in parts([layer]):
        if part.dtype_wanted not in (None, policy.name, policy.dtype.name):
            raise ValueError(
                f"{part.name!r} was made with dtype={part.dtype_wanted!r}, but the model computes with {policy.name!r}:"
                f" all layers of a model have one precision, give dtype_policy to compile"
            )


def _batch_size_of(windows: dict[tuple[Layer, int], tuple[int, int]]) -> int | None:
    """The batch size for which the stateful layers keep states; ValueError if they disagree."""
    sizes: dict[int, str] = {}
    for layer, _ in windows:
        assert isinstance(layer, TakesInitialState)
        sizes.setdefault(len(layer.states[0]), layer.name)
    if len(sizes) > 1:
        came = ", ".join(f"{size} for {name!r}" for size, name in sizes.items())
        raise ValueError(f"the stateful layers of a model must be built for one batch size, got {came}")
    return next(iter(sizes), None)


class Engine:
    """Runs one graph of layers; made anew when the layers' weights move to another store."""

    def __init__(
        self,
        inputs: Sequence[SymbolicValue],
        outputs: Sequence[SymbolicValue],
        backend: str,
        policy: Policy,
        checkpoint_every: int | None = None,
        carries: bool = False,
        trainable: TrainableState | None = None,
        part: PartInputs | None = None,
    ) -> None:
        builder = ProgramBuilder(carries, trainable, policy, checkpoint_every, part)
        self.trainable = builder.trainable  # what the Program was built by
        self.program, store = build_program(inputs, outputs, builder)
        for call in walk(inputs, outputs):
            check_precision(call.layer, policy)
        self.checkpoint_every = checkpoint_every
        self.masked_outputs = builder.masked_outputs
        self.penalties = builder.penalties
        self.store = store.astype(policy.dtype)
        self.dtype = self.store.dtype
        self._backend = backend
        self.executor = self._executor(backend)
        self.trainer: Any = self.executor  # what trains and tests: the executor, or one that calls functions, too
        self.input_values = [self.program.values[number] for number in self.program.inputs]
        self.output_values = [self.program.values[number] for number in self.program.outputs]
        self._limits = [self._id_limit(number) for number in self.program.inputs]
        self.batch_size = _batch_size_of(builder.windows)  # the only one, where a layer is stateful
        size = (self.batch_size or 0) * self.program.state_size
        self.states = np.zeros(size, self.dtype) if builder.windows else None  # of stateful layers, (N·S,)
        self._kept = self._keep_states(builder.windows)
        self.forward_shapes = ForwardShapes()
        self._graph = inputs, outputs
        self._is_open = any(None in value.shape[1:] for value in self.input_values)
        self._output_sizes: dict[tuple[tuple[int, ...], ...], list[tuple[int, ...]]] = {}

    def _executor(self, backend: str) -> Any:
        store = self.store
        if backend == "compiled":
            return executor_class(backend)(self.program, store.vector, store.gradients, store.memory)
        return executor_class(backend)(self.program, np.asarray(store.memory), store.gradients)

    @property
    def is_current(self) -> bool:
        """Whether the weights, and the states of stateful layers, are still where the executor reads them."""
        here = self.store.current is self.store
        return here and (not self._kept or all(layer._states_kept is kept for layer, kept in self._kept))

    def _keep_states(
        self, windows: dict[tuple[Layer, int], tuple[int, int]]
    ) -> list[tuple[TakesInitialState, list[Array]]]:
        """Let the states of stateful layers live in one vector (N·S,): a window (N, H) each."""
        if self.states is None:
            return []
        rows = self.batch_size or 0
        found: dict[TakesInitialState, list[Array]] = {}
        for (layer, _), (offset, size) in sorted(windows.items(), key=lambda item: item[0][1]):
            assert isinstance(layer, TakesInitialState)
            window = self.states[rows * offset : rows * (offset + size)].reshape(rows, size)
            found.setdefault(layer, []).append(window)
        for layer, kept in found.items():
            for window, state in zip(kept, layer._states_kept or (), strict=layer._states_kept is not None):
                window[...] = state
            layer._states_kept = kept
        return list(found.items())

    def states_for(self, rows: int, batch_size: int) -> Array | None:
        """The states that batches of so many rows begin with and leave theirs in; ValueError if they do not fit."""
        self.whole_batches(rows, batch_size)
        return self.states

    def whole_batches(self, rows: int, batch_size: int) -> None:
        """ValueError if stateful layers need another batch size, or one that divides `rows`."""
        if self.batch_size is None:
            return
        if batch_size != self.batch_size:
            raise ValueError(
                f"batch_size must be {self.batch_size}, which the stateful layers of this model are built for, got"
                f" {batch_size}"
            )
        if rows % self.batch_size:
            raise ValueError(
                f"the number of rows must be a multiple of {self.batch_size}, the batch size that the stateful layers"
                f" of this model are built for, got {rows}"
            )

    def _id_limit(self, value: int) -> int | None:
        """How many ids the embeddings that read an input know."""
        sizes = [
            self.program.parameters[node.parameters[0]].shape[0]
            for node in self.program.nodes
            if node.op == "embedding" and node.inputs[0] == value
        ]
        return min(sizes, default=None)

    def configure(self, compilation: Compilation) -> None:
        """Tell the executor what to minimise, to measure and how to update."""
        penalties = self.penalties
        if compilation.function is not None and penalties.activity_regularizers:
            raise ValueError("a loss that is a function takes no layers with activity_regularizer, use a named loss")
        training = compilation.training(penalties)
        self.executor.configure(training, compilation.optimizer.build(self.store.size, self.dtype))
        self.trainer = self._calling(self.executor, compilation, training)

    def differentiator(self, compilation: Compilation, *, sums: bool = False) -> tuple[Any, Training]:
        """What trains as `trainer` does, but stops at the gradients of losses and activities, and what it was told.

        Its state has the divisors of the losses, after the metrics that executors know. With `sums` losses are not
        divided.
        """
        given = compilation.training(self.penalties)
        losses = tuple(
            replace(loss, attributes={**loss.attributes, "reduction": "sum"}) if sums else loss for loss in given.losses
        )
        training = replace(given, losses=losses, regularizers=(), constraints=(), optimizer=None, divisors=True)
        executor = self._executor(self._backend)
        executor.configure(training, np.zeros((0, self.store.size), self.dtype))
        return self._calling(executor, compilation, training), training

    def _calling(self, executor: Any, compilation: Compilation, training: Training) -> Any:
        """An executor, or where the loss or a metric is a function, one that calls it between."""
        if not compilation.calls_functions:
            return executor
        return FunctionExecutor(
            executor, compilation, training, self.program, (self.store.vector, self.store.gradients)
        )

    def weight_penalties(self) -> WeightPenalties:
        """The penalties on the weights."""
        return WeightPenalties(self.program, self.penalties.regularizers, self.store.vector, self.store.gradients)

    def take_average(self, average: Array | None) -> None:
        """Put the moving average (P,) of the optimizer, if there is one, in the place of the weights that train."""
        if average is not None:
            for parameter in self.program.parameters:
                if parameter.trainable:
                    window = slice(parameter.offset, parameter.offset + parameter.size)
                    self.store.vector[window] = average[window]
            self.store.memory.note_writing()

    def inputs(self, x: Any, names: Sequence[str]) -> dict[str, Array]:
        """The arrays of all inputs by argument name, checked; in a dict they have these names."""
        entries = data.named("x", x, names)
        found = {
            argument: data.one_input(argument, value, spec, limit, self.dtype)
            for (argument, value), spec, limit in zip(entries.items(), self.input_values, self._limits, strict=True)
        }
        if self._is_open:
            self.output_sizes(list(found.values()))
        return found

    def lengths(self, value: Any, x: Array, ends: Array | None) -> Array | None:
        """The lengths of the rows of the first input, checked; `ends` are those that the rows came with."""
        if value is None and ends is None:
            return None
        if self.program.lengths < 0:
            if ends is None:
                raise ValueError("lengths must be left out: no layer of this model reads them")
            raise ValueError("x must have rows of one length and no masked steps: no layer of this model reads lengths")
        if ends is not None:
            return ends if value is None else data.lengths_within(ends, value, x.shape[1])
        found = data.lengths(value, len(x), x.shape[1])
        data.warn_of_leading_padding(x, found)
        return found

    def output_sizes(self, inputs: Sequence[Array]) -> list[tuple[int, ...]]:
        """The shapes of the outputs without the batch, for inputs like these; ValueError where a layer refuses them."""
        key = tuple(array.shape[1:] for array in inputs)
        if key not in self._output_sizes:
            shapes = shapes_of(*self._graph, key)
            self._output_sizes[key] = [tuple(size for size in shape[1:] if size is not None) for shape in shapes]
        return self._output_sizes[key]
