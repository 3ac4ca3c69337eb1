"""Training, evaluation and prediction: what every model can do with data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import data, epoch, utils
from rnncore.callbacks.base import Callback, CallbackList, History, Logs
from rnncore.compilation import Compilation
from rnncore.data import Samples
from rnncore.engine import DTYPES, Engine, choose_backend
from rnncore.layers.symbolic import SymbolicValue
from rnncore.optimizers import Optimizer
from rnncore.progress import ProgressBar, verbosity

if TYPE_CHECKING:
    from rnncore.models import Model

BATCH_SIZE = 32


class Trainer:
    """The half of `Model` that computes; the other half describes."""

    inputs: tuple[SymbolicValue, ...]
    outputs: tuple[SymbolicValue, ...]

    def __init__(self) -> None:
        self.stop_training = False
        self.history: History | None = None
        self._backend: str | None = None
        self._dtype = DTYPES["float32"]
        self._compilation: Compilation | None = None
        self._engine: Engine | None = None
        self._forward_shapes: list[tuple[int, ...]] | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        backend: str | None = None,
        dtype_policy: str = "float32",
    ) -> None:
        """Say what training minimises, what it measures and how it updates the weights.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str, Loss, or callable, optional
            For several outputs a list, or a dict by output name. A callable
            `loss(y_true, y_pred) -> (value, gradient)` gets the arrays of a batch and returns its loss and
            the derivative by `y_pred`, of the same shape.
        loss_weights : float, list, or dict by output name, optional
        metrics, weighted_metrics : list of str or Metric, optional
            For several outputs a list of lists, or a dict by output name. "accuracy" becomes the accuracy
            that fits the output. Weighted metrics use the sample weights.
        backend : {"compiled", "reference"}, optional
            By default the environment variable RNNCORE_BACKEND, or "compiled".
        dtype_policy : {"float32", "float64"}, default "float32"

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
        compilation = Compilation(optimizer, loss, loss_weights, metrics, weighted_metrics)
        backend = choose_backend(backend)
        dtype = check.lookup("dtype_policy", dtype_policy, DTYPES)
        if self.built:
            compilation.bind(self.outputs)
        self._compilation, self._backend, self._dtype, self._engine = compilation, backend, dtype, None

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer given to `compile`."""
        return self._compiled("it has an optimizer").optimizer

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs, in the order in which `evaluate` returns them."""
        compilation = self._compiled("it has metrics")
        self._ready()
        return list(compilation.logs(compilation.state()))

    def direction(self, key: str) -> str:
        """Whether the quantity logged as `key` should fall ("min") or rise ("max"); ValueError if unknown."""
        return self._compiled("it can be monitored").direction(key)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x : array_like, shape (N, T, I), or (N, ...) as the model's input
            Real numbers of any dtype. A list, or a dict by input name, for several inputs. A last axis of
            size 1 may be left out. A model without input shape is built for this one.
        y : array_like, shape (N, ..., U) as the output, or (N, ...) class ids for a sparse loss
            A last axis of size 1 may be left out.
        batch_size : int, default 32
        epochs : int, default 1
            Number of the epoch at which training ends.
        verbose : {"auto", 0, 1, 2}, default "auto"
            Silent, a progress bar, or one line per epoch; "auto" is 1. Where output is no terminal, 1
            prints one line per epoch too.
        callbacks : Callback or list of Callback, optional
        validation_split : float in [0, 1), default 0.0
            The share of the samples, the last ones, that is kept from training and evaluated after epochs.
        validation_data : tuple (x, y), (x, y, sample_weight) or (x, y, sample_weight, lengths), optional
            What is evaluated after epochs; beats `validation_split`.
        shuffle : bool, default True
            Whether each epoch visits the samples in a new order, drawn after `utils.set_random_seed`.
        class_weight : dict of int to float, optional
            Weights of the samples by class id; 1 for classes not named. Multiplies `sample_weight`.
        sample_weight : array_like, shape (N,) or (N, T), optional
            Weights of samples or of their time steps. The loss is Σ w·l / N, not divided by Σ w.
        initial_epoch : int, default 0
        steps_per_epoch : int, optional
            Batches per epoch; the next epoch goes on where the last one stopped. By default all samples.
        validation_steps, validation_batch_size : int, optional
        validation_freq : int or list of int, default 1
            Validate after every so many epochs, or after the listed ones, counted from 1.
        lengths : array_like of int, shape (N,), optional
            How many leading time steps of each row are real, from 0 to T; the others are padding.

        Returns
        -------
        History
            `.history` maps `loss`, metrics and `val_...` to one number per epoch. The loss of an epoch is
            the mean over its samples while training, not a measurement at its end.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled with a loss, or an argument does not fit; the model is unchanged.
        KeyboardInterrupt
            After Ctrl-C: training stopped after a whole step, and the model can be used and trained on.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models, utils
        >>> utils.set_random_seed(1)
        >>> x = np.random.default_rng(1).normal(size=(64, 5, 2))
        >>> model = models.Sequential([layers.Input((5, 2)), layers.GRU(8), layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> history = model.fit(x, x.sum(axis=(1, 2)), epochs=30, verbose=0)
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
        """
        verbose = verbosity(verbose)
        epochs = check.integer("epochs", epochs, low=0)
        first = check.integer("initial_epoch", initial_epoch, low=0)
        batch_size = _batch_size(batch_size)
        shuffle = check.boolean("shuffle", shuffle)
        validated = _validated_epochs(validation_freq)
        samples = self._samples(x, y, sample_weight, class_weight, lengths)
        validation = None
        if validation_data is not None:
            validation = self._validation_samples(validation_data)
        elif validation_split:
            kept = _kept_rows(samples.rows, validation_split)
            samples, validation = samples[:kept], samples[kept:]
        rows, steps = samples.rows, _limit("steps_per_epoch", steps_per_epoch)
        per_epoch = rows if steps is None else steps * batch_size
        validation_size = _batch_size(validation_batch_size) if validation_batch_size is not None else batch_size
        validation_steps = _limit("validation_steps", validation_steps)

        history = History()
        parameters = {"verbose": verbose, "epochs": epochs, "steps": -(-per_epoch // batch_size)}
        hooks = CallbackList([*_callbacks(callbacks), history], cast("Model", self), parameters)
        rng = np.random.default_rng(utils.next_seed())
        seed = int(rng.integers(2**32))
        self.history = history
        self.stop_training = False
        order = np.empty(0, np.int64)
        logs: Logs = {}
        hooks.begin("train")
        for number in range(first, epochs):
            while len(order) < per_epoch:
                order = np.concatenate([order, rng.permutation(rows) if shuffle else np.arange(rows)])
            now, order = order[:per_epoch], order[per_epoch:]
            hooks.on_epoch_begin(number)
            bar = ProgressBar(parameters["steps"], verbose, f"Epoch {number + 1}/{epochs}")
            with bar:
                engine, compilation = self._ready(), self._compiled("training")
                logs = epoch.train(self, engine.trainer, compilation, samples, now, batch_size, seed, hooks, bar)
                if validation is not None and validated(number + 1):
                    silent = ProgressBar(1, 0)
                    found = self._test(validation, validation_size, validation_steps, hooks, silent)
                    logs.update({f"val_{key}": value for key, value in found.items()})
                bar.finish(logs)
            hooks.on_epoch_end(number, logs)
            if self.stop_training:
                break
        hooks.end("train", logs)
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        return_dict: bool = False,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> float | list[float] | Logs:
        """Measure the loss and the metrics.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks, lengths
            As for `fit`.
        steps : int, optional
            Number of batches, from the first; by default all.
        return_dict : bool, default False

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics a list in the order of `metrics_names`; a dict with `return_dict`.

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled with a loss, or an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mse", metrics=["mae"])
        >>> model.evaluate(np.ones((4, 2)), np.full(4, 2.0), verbose=0)
        [4.0, 2.0]
        """
        samples = self._samples(x, y, sample_weight, None, lengths)
        batch_size = _batch_size(batch_size)
        steps = _limit("steps", steps)
        count = -(-samples.rows // batch_size) if steps is None else steps
        hooks = CallbackList(_callbacks(callbacks), cast("Model", self), {"verbose": verbose, "steps": count})
        with ProgressBar(count, verbosity(verbose)) as bar:
            logs = self._test(samples, batch_size, steps, hooks, bar)
            bar.finish(logs)
        return _result(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> Any:
        """Compute the outputs, batch by batch. The model need not be compiled.

        Parameters
        ----------
        x, batch_size, verbose, callbacks, lengths
            As for `fit`.
        steps : int, optional
            Number of batches, from the first; by default all.

        Returns
        -------
        ndarray, shape (N, ..., U), or list of ndarray
            In the model's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4, return_sequences=True)])
        >>> model.predict(np.zeros((2, 5, 3)), verbose=0).shape
        (2, 5, 4)
        """
        engine = self._ready(x)
        named = engine.inputs(x)
        rows = data.same_rows(named)
        inputs = list(named.values())
        steps_of_rows = engine.lengths(lengths, inputs[0])
        batch_size = _batch_size(batch_size)
        order = np.arange(_first_rows(rows, batch_size, _limit("steps", steps)))
        outputs = [np.empty((len(order), *sizes), engine.dtype) for sizes in engine.output_sizes(inputs)]
        count = epoch.steps_of(order, batch_size)
        hooks = CallbackList(_callbacks(callbacks), cast("Model", self), {"verbose": verbose, "steps": count})
        with ProgressBar(count, verbosity(verbose)) as bar:
            epoch.predict(engine.executor, inputs, steps_of_rows, order, batch_size, outputs, hooks, bar)
            bar.finish({})
        return outputs[0] if len(outputs) == 1 else outputs

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> float | list[float] | Logs:
        """Do one training step on all rows of `x`.

        Parameters
        ----------
        x, y, sample_weight, class_weight, lengths
            As for `fit`.
        return_dict : bool, default False

        Returns
        -------
        float, list of float, or dict
            Loss and metrics of this batch before the step, as from `evaluate`.

        Raises
        ------
        TypeError, ValueError
            As for `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.train_on_batch(np.ones((4, 2)), np.ones(4))
        1.0
        """
        samples = self._samples(x, y, sample_weight, class_weight, lengths)
        order = np.arange(samples.rows)
        hooks = CallbackList([], cast("Model", self), {})
        engine, compilation, bar = self._ready(), self._compiled("training"), ProgressBar(1, 0)
        self.stop_training = False
        seed = utils.next_seed()
        logs = epoch.train(self, engine.trainer, compilation, samples, order, samples.rows, seed, hooks, bar)
        return _result(logs, return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
        *,
        lengths: npt.ArrayLike | None = None,
    ) -> float | list[float] | Logs:
        """Measure the loss and the metrics of one batch, all rows of `x`; otherwise as `evaluate`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> model.test_on_batch(np.ones((4, 2)), np.ones(4))
        1.0
        """
        samples = self._samples(x, y, sample_weight, None, lengths)
        hooks = CallbackList([], cast("Model", self), {})
        return _result(self._test(samples, samples.rows, None, hooks, ProgressBar(1, 0)), return_dict)

    def predict_on_batch(self, x: Any, *, lengths: npt.ArrayLike | None = None) -> Any:
        """Compute the outputs of one batch, all rows of `x`; otherwise as `predict`.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict_on_batch(np.ones((1, 2)))
        array([[2.]], dtype=float32)
        """
        return self.forward(x, lengths)

    def forward(self, x: Any, lengths: npt.ArrayLike | None = None, training: bool = False) -> Any:
        """Compute the outputs for all rows at once.

        Parameters
        ----------
        x, lengths
            As for `fit`.
        training : bool, default False
            Whether dropout is on and `backward` may follow.

        Returns
        -------
        ndarray, shape (N, ..., U), or list of ndarray

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit.

        Examples
        --------
        A training step with a loss of one's own:

        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd")
        >>> y = model.forward(np.ones((1, 2)), training=True)
        >>> dx = model.backward(y - 1.0)
        >>> model.apply_gradients()
        >>> model.get_weights()[0].ravel()
        array([0.01, 0.01], dtype=float32)
        """
        engine = self._ready(x)
        named = engine.inputs(x)
        data.same_rows(named)
        inputs = list(named.values())
        steps = engine.lengths(lengths, inputs[0])
        training = check.boolean("training", training)
        seed = utils.next_seed() if training else 0
        outputs = engine.executor.forward(inputs, steps, training=training, seed=seed)
        self._forward_shapes = [output.shape for output in outputs] if training else None
        return outputs[0] if len(outputs) == 1 else outputs

    def backward(self, dy: Any) -> Any:
        """Compute the gradients of the weights, and of the inputs, from those of the outputs.

        Follows `forward(..., training=True)`. The gradients of the weights are then in `gradients`;
        penalties on weights are not part of them.

        Parameters
        ----------
        dy : array_like, shape of the output, or a list with None where there is no gradient

        Returns
        -------
        ndarray, shape of x, or list of ndarray
            Gradients of the inputs; None for an integer input.

        Raises
        ------
        TypeError, ValueError
            Without a forward pass before, or if `dy` does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
        >>> y = model.forward(np.ones((3, 2)), training=True)
        >>> model.backward(np.ones_like(y)).shape
        (3, 2)
        """
        engine, shapes = self._engine, self._forward_shapes
        if engine is None or shapes is None or not engine.is_current:
            raise ValueError("backward must follow forward(x, training=True) on the same model")
        entries = data.named("dy", dy, [value.name for value in engine.output_values])
        gradients = [
            None if value is None else np.ascontiguousarray(check.real_array(argument, value, shape), engine.dtype)
            for (argument, value), shape in zip(entries.items(), shapes, strict=True)
        ]
        found = engine.executor.backward(gradients)
        return found[0] if len(found) == 1 else found

    def apply_gradients(self) -> None:
        """Update the weights from their gradients with the compiled optimizer: one step.

        Raises
        ------
        ValueError
            If the model is not compiled or not built.

        Examples
        --------
        See `forward`.
        """
        optimizer = self._compiled("apply_gradients").optimizer
        engine = self._ready()
        engine.executor.apply_gradients(optimizer.learning_rate, optimizer.iterations)
        optimizer.iterations += 1

    # Shared

    @property
    def built(self) -> bool:
        """Whether the shape of the input is known and the weights are made."""
        return bool(self.outputs)

    def _build_for(self, x: Any) -> None:
        """Build for the shape of `x`; only a Sequential can."""
        raise NotImplementedError

    def _compiled(self, purpose: str) -> Compilation:
        if self._compilation is None:
            raise ValueError(f"the model must be compiled before {purpose}: call compile(optimizer, loss)")
        return self._compilation

    def _ready(self, x: Any = None) -> Engine:
        """The engine for where the weights are now; builds the model for `x` if need be."""
        if not self.built:
            if x is None:
                raise ValueError("the model is not built: give its first layer an input shape, or call build or fit")
            self._build_for(x)
        stale, compilation = self._engine, self._compilation
        if stale is not None and stale.is_current:
            return stale
        if compilation is not None:
            compilation.bind(self.outputs)
        engine = Engine(self.inputs, self.outputs, choose_backend(self._backend), self._dtype)
        if compilation is not None:
            optimizer = compilation.optimizer
            if stale is not None and optimizer.slots is not None:
                optimizer.slots = stale.store.transfer(optimizer.slots)
            engine.configure(compilation)
        self._engine = engine
        return engine

    def _samples(self, x: Any, y: Any, sample_weight: Any, class_weight: Any, lengths: Any) -> Samples:
        """The checked arrays for training or evaluation."""
        compilation = self._compiled("it can be trained or evaluated")
        if not compilation.has_loss:
            raise ValueError("the model was compiled without a loss: call compile(optimizer, loss)")
        for argument, value in (("x", x), ("y", y)):
            if value is None:
                raise ValueError(f"{argument} must be given, got None")
        engine = self._ready(x)
        named = engine.inputs(x)
        data.same_rows(named)
        inputs = list(named.values())
        targets = compilation.targets(y, engine.output_sizes(inputs), engine.dtype)
        data.same_rows({**named, **targets})
        weights = compilation.sample_weights(sample_weight, class_weight, targets, engine.dtype)
        return Samples(inputs, list(targets.values()), weights, engine.lengths(lengths, inputs[0]))

    def _validation_samples(self, given: Sequence[Any]) -> Samples:
        if not isinstance(given, (tuple, list)) or not 2 <= len(given) <= 4:
            raise ValueError("validation_data must be (x, y), (x, y, sample_weight) or (x, y, sample_weight, lengths)")
        x, y, sample_weight, lengths = (*given, None, None)[:4]
        return self._samples(x, y, sample_weight, None, lengths)

    def _test(
        self, samples: Samples, batch_size: int, steps: int | None, hooks: CallbackList, bar: ProgressBar
    ) -> Logs:
        order = np.arange(_first_rows(samples.rows, batch_size, steps))
        engine, compilation = self._ready(), self._compiled("evaluation")
        return epoch.evaluate(engine.trainer, compilation, samples, order, batch_size, hooks, bar)


def _result(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values


def _batch_size(value: int | None) -> int:
    return BATCH_SIZE if value is None else check.positive_int("batch_size", value)


def _limit(argument: str, value: int | None) -> int | None:
    return None if value is None else check.positive_int(argument, value)


def _first_rows(rows: int, batch_size: int, steps: int | None) -> int:
    return rows if steps is None else min(rows, steps * batch_size)


def _kept_rows(rows: int, validation_split: float) -> int:
    share = check.number("validation_split", validation_split, low=0.0, high=1.0)
    kept = int(rows * (1 - share))
    if not 0 < kept < rows:
        raise ValueError(f"validation_split {validation_split} of {rows} rows must leave rows on both sides")
    return kept


def _validated_epochs(freq: int | Sequence[int]) -> Any:
    """Whether epoch number k, counted from 1, is validated."""
    if isinstance(freq, (list, tuple, set)):
        chosen = {check.positive_int("each of validation_freq", number) for number in freq}
        return lambda number: number in chosen
    every = check.positive_int("validation_freq", freq)
    return lambda number: number % every == 0


def _callbacks(given: Callback | Iterable[Callback] | None) -> list[Callback]:
    found = [] if given is None else [given] if isinstance(given, Callback) else list(given)
    for callback in found:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks must be Callback objects, got {type(callback).__name__}")
    return found
