"""Compiling a model and making it ready to run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from rnncore import _validation as check
from rnncore import data
from rnncore._overrides import NoIgnoredOverrides
from rnncore._turns import Turns
from rnncore.batches import Samples
from rnncore.callbacks.base import Callback, CallbackList, History, Logs
from rnncore.config import current_policy
from rnncore.data import Array
from rnncore.layers.graph import Graph
from rnncore.layers.trainable import TrainableState
from rnncore.metrics import Metric
from rnncore.optimizers import Optimizer
from rnncore.policies import POLICIES
from rnncore.training import epoch
from rnncore.training.compilation import Compilation
from rnncore.training.engine import Engine, choose_backend
from rnncore.training.feed import ArrayFeed, StreamFeed
from rnncore.training.progress import ProgressBar
from rnncore.training.sharing import trains

if TYPE_CHECKING:
    from rnncore.models import Model

NOTHING_TO_TAKE_BACK = nullcontext()  # around checks that build no model


class Base(NoIgnoredOverrides, Graph):
    """What a model needs to compute: its compilation and the engine that runs it."""

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
        self.history: History | None = None
        self._backend: str | None = None
        self._policy = current_policy()
        self._compilation: Compilation | None = None
        self._trainable_state = TrainableState()  # found by `compile`
        self._engine: Engine | None = None
        self._checkpoint_every: int | None = None
        self._carrying_engine: Engine | None = None
        self._carried_with: Engine | None = None  # the engine that `_carrying_engine` belongs to
        self._making = Turns()  # of engines
        self._training = Turns()  # of threads that train, or change what training does

    @trains("compile")
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        backend: str | None = None,
        dtype_policy: str | None = None,
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say what training minimises, what it measures and how it updates the weights.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str, Loss, or callable, optional
            For several outputs a list, or a dict by output name. A callable
            `loss(y_true, y_pred) -> (value, gradient)` gets the arrays of a batch and returns its loss and
            the derivative by `y_pred`, of the same shape. It sees padded positions too and must leave them
            out itself; metrics do not count them.
        loss_weights : float, list, or dict by output name, optional
        metrics, weighted_metrics : list of str, Metric or callable, optional
            For several outputs a list of lists, or a dict by output name. "accuracy" becomes the accuracy
            that fits the output. Weighted metrics use the sample weights. A callable
            `metric(y_true, y_pred)` gets the arrays of a batch and returns a value for each sample: see
            `metrics.MeanMetricWrapper`. It costs one more forward pass over each batch.
        backend : {"compiled", "reference"}, optional
            "compiled" by default. The environment variable RNNCORE_BACKEND overrides it.
        dtype_policy : {"float32", "float64", "mixed_bfloat16"}, optional
            By default the global one, `config.dtype_policy()`, which is "float32" unless it was set.
            With "mixed_bfloat16" weights, states, gradients and updates are float32, while the matrix products of
            recurrent layers take their factors rounded to bfloat16 (8 bits of mantissa) and add up in float32; that
            is faster where the processor has AVX512_BF16. A GRU with `reset_after=False`, an LSTM with
            `projection_units` and layers with `layer_normalization` compute in float32.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Kept for compatibility: the numbers and the hooks of callbacks are the same.

        Notes
        -----
        What trains is what `trainable` of the model, its layers and their weights is now. A change afterwards waits
        for the next `compile`, and `fit`, `train_on_batch` and `forward(training=True)` warn of it.

        Raises
        ------
        TypeError, ValueError
            For unknown names, which come with the nearest known ones, or losses and metrics that do not
            fit the outputs.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4), layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        """
        for argument, value in (("run_eagerly", run_eagerly), ("auto_scale_loss", auto_scale_loss)):
            check.boolean(argument, value)
        check.positive_int("steps_per_execution", steps_per_execution)
        if jit_compile != "auto":
            check.boolean('jit_compile (True, False or "auto")', jit_compile)
        self._refuse_overrides()
        compilation = Compilation(optimizer, loss, loss_weights, metrics, weighted_metrics)
        backend = choose_backend(backend)
        policy = current_policy() if dtype_policy is None else check.lookup("dtype_policy", dtype_policy, POLICIES)
        if self.built:
            compilation.bind(self.outputs, self.output_names)
        self._compilation, self._backend, self._policy, self._engine = compilation, backend, policy, None
        self._trainable_state = TrainableState(self.trainable, self.layers)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer given to `compile`."""
        return self._compiled("it has an optimizer").optimizer

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compilation is not None

    @property
    def loss(self) -> Any:
        """The loss as `compile` was given it, or None."""
        return None if self._compilation is None else self._compilation.given_loss

    @property
    def metrics(self) -> list[Metric]:
        """The metrics given to `compile`, in the order of the logs; empty before the model is built and compiled.

        What they measured is in the logs; their own state is for `update_state` in your own loops.
        """
        return [] if self._compilation is None else [measure.metric for measure in self._compilation.measures]

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs, in the order in which `evaluate` returns them."""
        compilation = self._compiled("it has metrics")
        self._ready()
        return list(compilation.logs(compilation.state()))

    def direction(self, key: str) -> str:
        """Whether the quantity logged as `key` should fall ("min") or rise ("max"); ValueError if unknown."""
        return self._compiled("it can be monitored").direction(key)

    def _build_for(self, x: Any) -> None:
        """Build for the shape of `x`; only a Sequential can."""
        raise NotImplementedError

    def _compiled(self, purpose: str) -> Compilation:
        if self._compilation is None:
            raise ValueError(f"the model must be compiled before {purpose}: call compile(optimizer, loss)")
        return self._compilation

    def _ready(self, x: Any = None) -> Engine:
        """The engine for where the weights are now; builds the model for `x` if need be."""
        engine = self._engine
        if self._is_current(engine):
            return engine
        with self._making:
            if not self.built:
                if x is None:
                    raise ValueError(
                        "the model is not built: give its first layer an input shape, or call build or fit"
                    )
                self._build_for(x)
            engine = self._engine
            if not self._is_current(engine):
                engine = self._engine = self._new_engine(engine)
            return engine

    def _is_current(self, engine: Engine | None) -> TypeGuard[Engine]:
        return engine is not None and engine.is_current and engine.checkpoint_every == self._checkpoint_every

    def _new_engine(self, stale: Engine | None) -> Engine:
        compilation = self._compilation
        if compilation is None:
            self._trainable_state = TrainableState(self.trainable, self.layers)
        else:
            compilation.bind(self.outputs, self.output_names)
            self._trainable_state.complete(self.layers)
        engine = Engine(
            self.inputs,
            self.outputs,
            choose_backend(self._backend),
            self._policy,
            self._checkpoint_every,
            trainable=self._trainable_state,
        )
        if compilation is not None:
            optimizer = compilation.optimizer
            if stale is not None and optimizer.slots is not None:
                optimizer.slots = stale.store.transfer(optimizer.slots)
            engine.configure(compilation)
        return engine

    def _carrying(self) -> Engine:
        """An engine on the same weights in which all recurrent layers carry their states on; any number of steps."""
        engine = self._ready()
        with self._making:
            carrying = self._carrying_engine
            if carrying is None or self._carried_with is not engine:
                carrying = Engine(
                    self.inputs,
                    self.outputs,
                    choose_backend(self._backend),
                    self._policy,
                    self._checkpoint_every,
                    carries=True,
                    trainable=engine.trainable,
                )
                if self._compilation is not None:
                    carrying.configure(self._compilation)
                self._carrying_engine, self._carried_with = carrying, engine
            return carrying

    def _built_only_on_success(self) -> AbstractContextManager[None]:
        """Around the checks of data that may build the model; a Sequential takes its building back on an error."""
        return NOTHING_TO_TAKE_BACK

    def _arrays(self, x: Any, lengths: Any) -> tuple[Engine, dict[str, Array], Array | None]:
        """The engine, and the checked inputs by argument name and lengths."""
        with self._built_only_on_success():
            engine = self._ready(x)
            inputs = engine.inputs(x, self.input_names)
            data.same_rows(inputs)
            return engine, inputs, engine.lengths(lengths, next(iter(inputs.values())))

    def _warn_of_trainable(self, known: Sequence[str] = ()) -> list[str]:
        """Before training: the names of those whose `trainable` waits for the next `compile`, said unless known."""
        waiting = self._trainable_state.changes(self.trainable)
        if not set(waiting) <= set(known):
            warnings.warn(
                f"trainable was changed after compile, for {', '.join(waiting)}: it takes effect at the next compile",
                stacklevel=3,
            )
        return waiting

    def _needs_loss(self) -> Compilation:
        compilation = self._compiled("it can be trained or evaluated")
        if not compilation.has_loss:
            raise ValueError("the model was compiled without a loss: call compile(optimizer, loss)")
        return compilation

    def _samples(self, x: Any, y: Any, sample_weight: Any, class_weight: Any, lengths: Any) -> Samples:
        """The checked arrays for training or evaluation."""
        compilation = self._needs_loss()
        if x is None or y is None:
            raise ValueError(f"{'x' if x is None else 'y'} must be given, got None")
        with self._built_only_on_success():
            engine, named, steps = self._arrays(x, lengths)
            inputs = list(named.values())
            sizes = engine.output_sizes(inputs)
            given = compilation.targets(y, sizes, engine.dtype)
            rows = data.same_rows({**named, **{key: target for key, target in given.items() if target is not None}})
            weights = compilation.sample_weights(sample_weight, list(given.values()), sizes, engine.dtype)
            targets = [np.empty((rows, 0), engine.dtype) if target is None else target for target in given.values()]
            samples = Samples(inputs, targets, weights, steps)
            return compilation.with_class_weight(samples, class_weight, engine.dtype)

    def _hooks(self, callbacks: Callback | Sequence[Callback] | None, params: dict[str, Any]) -> CallbackList:
        """The callbacks of a run, checked and introduced to the model."""
        found: list[Any] = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        if callbacks is None:
            found = []
        for callback in found:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks must be a Callback or a list of them, got {type(callback).__name__}")
        return CallbackList(found, cast("Model", self), params)

    def _test(self, feed: ArrayFeed | StreamFeed, hooks: CallbackList, bar: ProgressBar) -> Logs:
        """Measure one epoch of a feed; no logs if it had no batch left."""
        if isinstance(feed, StreamFeed) and not self.built:
            feed.peek()
        compilation = self._compiled("evaluation")
        logs, samples = epoch.evaluate(self._ready(), compilation, feed.epoch(0), hooks, bar)
        return logs if samples else {}
