"""What computes a model's graph: what `compile` was given, and the engines that run it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeGuard

import numpy as np

from rnncore import _data as data
from rnncore._data import Array
from rnncore._pages import see
from rnncore._turns import Turns
from rnncore.batches import Samples
from rnncore.callbacks.base import CallbackList, History, Logs
from rnncore.config import current_policy
from rnncore.layers.builder import PartInputs
from rnncore.layers.expansion import expanded
from rnncore.layers.graph import Graph
from rnncore.layers.symbolic import SymbolicValue
from rnncore.layers.trainable import TrainableState
from rnncore.parameters import ParameterStore
from rnncore.policies import Policy
from rnncore.training import epoch
from rnncore.training.compilation import Compilation
from rnncore.training.draws import Draws
from rnncore.training.engine import Engine, choose_backend
from rnncore.training.feed import ArrayFeed, StreamFeed
from rnncore.training.progress import ProgressBar
from rnncore.training.streaming import Streaming

NOTHING_TO_TAKE_BACK = nullcontext()  # around checks that build no model


class Runnable(Graph, registered=False):
    """A graph and its session: what the public methods of models work on."""

    _ignored = frozenset(
        {
            "__call__",
            "backward",
            "build_from_config",
            "call",
            "compile_from_config",
            "compute_loss",
            "compute_loss_and_updates",
            "compute_mask",
            "compute_metrics",
            "compute_output_shape",
            "compute_output_spec",
            "forward",
            "get_build_config",
            "get_compile_config",
            "get_metrics_result",
            "load_assets",
            "load_own_variables",
            "losses",
            "make_predict_function",
            "make_test_function",
            "make_train_function",
            "metrics",
            "non_trainable_variables",
            "non_trainable_weights",
            "predict_step",
            "reset_metrics",
            "save_assets",
            "save_own_variables",
            "stateless_call",
            "stateless_compute_loss",
            "symbolic_call",
            "test_step",
            "train_step",
            "trainable_variables",
            "trainable_weights",
        }
    )
    _instead = (
        "fit, evaluate and predict run the graph of layers that the model is made of; connect layers with"
        " Model(inputs, outputs), give compile a loss that is a function, or train in a loop of your own with"
        " model.forward, model.backward and model.apply_gradients"
    )

    def __init__(self) -> None:
        self.stop_training = False
        self.first_epoch = 0
        self.draws: Draws | None = None  # of the last `fit`
        self.history: History | None = None
        self._policy = current_policy()
        self._session = Session()

    def _stops(self) -> bool:
        """Whether training is to end after this batch."""
        return self.stop_training

    def _build_for(self, x: Any) -> None:
        """Build for the shape of `x`; only a Sequential can."""
        raise NotImplementedError

    def _built_only_on_success(self) -> AbstractContextManager[None]:
        """Around the checks of data that may build the model; a Sequential takes its building back on an error."""
        return NOTHING_TO_TAKE_BACK


class Session:
    """The compilation of a graph, and the engines on its weights, made when they are needed.

    It does not hold the graph, so that a model gives its memory back as soon as nobody holds it.
    """

    def __init__(self) -> None:
        self.compilation: Compilation | None = None
        self.trainable = TrainableState()  # found by `compile`
        self.checkpoint_every: int | None = None
        self.training = Turns()  # of threads that train, or change what training does
        self._backend: str | None = None
        self._engine: Engine | None = None
        self._carrying: tuple[Engine, Engine] | None = None  # the engine that carries states, for which other one
        self._streaming: dict[
            str | None, tuple[Streaming, Engine]
        ] = {}  # what streams run, for which engine, by weights
        self._making = Turns()  # of engines

    def compile(self, graph: Runnable, compilation: Compilation, backend: str | None, policy: Policy) -> None:
        """Take what training minimises, measures and updates by; ValueError if it does not fit a built graph."""
        backend = choose_backend(backend)
        if graph.built:
            compilation.bind(graph.outputs, graph.output_names)
        self.compilation, self._backend, graph._policy = compilation, backend, policy
        self.trainable = TrainableState(graph.trainable, graph.layers)
        self.forget_engine()
        if not any(weight.is_new for weight in graph.weights):  # what is set before the first run keeps its digits
            store = ParameterStore.join(graph.weights)
            store.astype(np.promote_types(store.dtype, policy.dtype))

    def compiled(self, purpose: str) -> Compilation:
        """What `compile` was given; ValueError before it was."""
        if self.compilation is None:
            raise ValueError(f"the model must be compiled before {purpose}: call compile(optimizer, loss)")
        return self.compilation

    def with_loss(self) -> Compilation:
        """What `compile` was given, a loss included."""
        compilation = self.compiled("it can be trained or evaluated")
        if not compilation.has_loss:
            raise ValueError("the model was compiled without a loss: call compile(optimizer, loss)")
        return compilation

    def forget_engine(self) -> None:
        """Let the next engine be made anew."""
        self._engine = None

    @property
    def last_engine(self) -> Engine | None:
        """The engine that was made last, if its weights are still where it reads them."""
        return None if self._engine is None or not self._engine.is_current else self._engine

    def engine(self, graph: Runnable, x: Any = None) -> Engine:
        """The engine for where the weights are now; builds the graph for `x` if need be."""
        engine = self._engine
        if self._is_current(engine):
            return engine
        with self._making:
            if not graph.built:
                if x is None:
                    raise ValueError(
                        "the model is not built: give its first layer an input shape, or call build or fit"
                    )
                graph._build_for(x)
            engine = self._engine
            if not self._is_current(engine):
                engine = self._engine = self._new_engine(graph, engine)
            return engine

    def _is_current(self, engine: Engine | None) -> TypeGuard[Engine]:
        return engine is not None and engine.is_current and engine.checkpoint_every == self.checkpoint_every

    def _new_engine(self, graph: Runnable, stale: Engine | None) -> Engine:
        compilation = self.compilation
        if compilation is None:
            self.trainable = TrainableState(graph.trainable, graph.layers)
        else:
            compilation.bind(graph.outputs, graph.output_names)
            self.trainable.complete(graph.layers)
        engine = self._unconfigured(graph, self.trainable)
        if compilation is not None:
            optimizer = compilation.optimizer
            slots = optimizer.slots
            try:
                if stale is not None and slots is not None:
                    optimizer.slots = stale.store.transfer(slots)
                engine.configure(compilation)
            except BaseException:
                optimizer.slots = slots  # those of the stale engine, which is the last one still
                raise
        return engine

    def carrying(self, graph: Runnable) -> Engine:
        """An engine on the same weights in which all recurrent layers carry their states on; any number of steps."""
        engine = self.engine(graph)
        with self._making:
            if self._carrying is None or self._carrying[1] is not engine:
                carrying = self._unconfigured(graph, engine.trainable, carries=True)
                if self.compilation is not None:
                    carrying.configure(self.compilation)
                self._carrying = carrying, engine
            return self._carrying[0]

    def streaming(self, graph: Runnable, weights: str | None = None) -> Streaming:
        """The Programs, on the same weights, that read the inputs of a graph a chunk of steps at a time."""
        engine, policy = self.engine(graph), graph._policy.with_weights(weights)
        with self._making:
            found = self._streaming.get(weights)
            if found is None or found[1] is not engine:
                backend = choose_backend(self._backend)

                def make(inputs: Sequence[SymbolicValue], outputs: Sequence[SymbolicValue], part: PartInputs) -> Engine:
                    return Engine(inputs, outputs, backend, policy, None, True, engine.trainable, part)

                outputs = expanded(graph.inputs, graph.outputs)
                found = self._streaming[weights] = Streaming(graph.inputs, outputs, make, engine), engine
            return found[0]

    def _unconfigured(self, graph: Runnable, trainable: TrainableState, *, carries: bool = False) -> Engine:
        backend = choose_backend(self._backend)
        return Engine(graph.inputs, graph.outputs, backend, graph._policy, self.checkpoint_every, carries, trainable)

    def arrays(self, graph: Runnable, x: Any, lengths: Any) -> tuple[Engine, dict[str, Array], Array | None]:
        """The engine, and the checked inputs by argument name and lengths."""
        with graph._built_only_on_success():
            x, ends = data.sequences(x, graph.input_names if graph.built else ["x"])
            engine = self.engine(graph, x)
            inputs = engine.inputs(x, graph.input_names)
            data.same_rows(inputs)
            return engine, inputs, engine.lengths(lengths, next(iter(inputs.values())), ends)

    def samples(
        self, graph: Runnable, x: Any, y: Any, sample_weight: Any, lengths: Any, class_weight: Any = None
    ) -> Samples:
        """The checked arrays for training or evaluation."""
        compilation = self.with_loss()
        if x is None or y is None:
            raise ValueError(f"{'x' if x is None else 'y'} must be given, got None")
        with graph._built_only_on_success():
            engine, named, steps = self.arrays(graph, x, lengths)
            inputs = list(named.values())
            sizes = engine.output_sizes(inputs)
            given = compilation.targets(y, sizes, engine.dtype, steps)
            rows = data.same_rows({**named, **{key: target for key, target in given.items() if target is not None}})
            weights = compilation.sample_weights(sample_weight, list(given.values()), sizes, engine.dtype, steps)
            targets = [np.empty((rows, 0), engine.dtype) if target is None else target for target in given.values()]
            samples = Samples(inputs, targets, weights, steps)
            return compilation.with_class_weight(samples, class_weight, engine.dtype)

    def warn_of_trainable(self, graph: Runnable, known: Sequence[str] = ()) -> list[str]:
        """Before training: the names of those whose `trainable` waits for the next `compile`, said unless known."""
        waiting = self.trainable.changes(graph.trainable)
        if not set(waiting) <= set(known):
            warnings.warn(
                f"trainable was changed after compile, for {', '.join(waiting)}: it takes effect at the next compile"
                + see("guide/training"),
                stacklevel=3,
            )
        return waiting

    def evaluate(self, graph: Runnable, feed: ArrayFeed | StreamFeed, hooks: CallbackList, bar: ProgressBar) -> Logs:
        """Measure one epoch of a feed; no logs if it had no batch left."""
        if isinstance(feed, StreamFeed) and not graph.built:
            feed.peek()
        compilation = self.compiled("evaluation")
        logs, samples = epoch.evaluate(self.engine(graph), compilation, feed.epoch(0), hooks, bar)
        return logs if samples else {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_carrying": None, "_streaming": {}}
