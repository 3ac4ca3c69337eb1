"""Training, evaluation and prediction over many batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import utils
from rnncore.callbacks.base import Callback, History, Logs
from rnncore.data import Samples
from rnncore.training import epoch
from rnncore.training.base import first_rows
from rnncore.training.progress import ProgressBar, verbosity
from rnncore.training.steps import Steps, result

BATCH_SIZE = 32


class Trainer(Steps):
    """The half of `Model` that computes; the other half describes."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
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
            Validation knows none.
        sample_weight : array_like, shape (N,) or (N, T), optional
            Weights of samples or of their time steps. The loss is Σ w·l / N, not divided by Σ w.
        initial_epoch : int, default 0
        steps_per_epoch : int, optional
            Batches per epoch; the next epoch goes on where the last one stopped. By default all samples.
        validation_steps, validation_batch_size : int, optional
        validation_freq : int or list of int, default 1
            Validate after every so many epochs, or after the listed ones, counted from 1.
        lengths : array_like of int, shape (N,), optional
            How many leading time steps of each row are real, from 0 to T; the others are padding. Where an
            output keeps the time axis, padding counts neither in metrics nor in the loss: it is
            Σ w·l over the real positions / their number.

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
        steps = _limit("steps_per_epoch", steps_per_epoch)
        validation_steps = _limit("validation_steps", validation_steps)
        validation_size = batch_size if validation_batch_size is None else _batch_size(validation_batch_size)
        with self._built_only_on_success():
            samples = self._samples(x, y, sample_weight, None, lengths)
            samples, validation = self._with_validation(samples, validation_split, validation_data)
            samples = self._compiled("training").with_class_weight(samples, class_weight, self._dtype)

        per_epoch = samples.rows if steps is None else steps * batch_size
        steps = -(-per_epoch // batch_size)
        history = History()
        hooks = self._hooks(callbacks, {"verbose": verbose, "epochs": epochs, "steps": steps})
        hooks.append(history)  # last, so that it sees what the others add to the logs
        rng = np.random.default_rng(utils.next_seed())
        seed = int(rng.integers(2**32))  # of dropout
        orders = _orders(samples.rows, per_epoch, rng if shuffle else None)
        logs: Logs = {}
        self.history = history
        self.stop_training = False
        hooks.begin("train")
        for number in range(first, epochs):
            hooks.on_epoch_begin(number)
            with ProgressBar(steps, verbose, f"Epoch {number + 1}/{epochs}") as bar:
                engine, compilation = self._ready(), self._compiled("training")
                order = next(orders)
                logs = epoch.train(self, engine.trainer, compilation, samples, order, batch_size, seed, hooks, bar)
                if validation is not None and validated(number + 1):
                    found = self._test(validation, validation_size, validation_steps, hooks, ProgressBar(1, 0))
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
        callbacks: Callback | Sequence[Callback] | None = None,
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
        verbose = verbosity(verbose)
        samples = self._samples(x, y, sample_weight, None, lengths)
        batch_size = _batch_size(batch_size)
        steps = _limit("steps", steps)
        count = -(-samples.rows // batch_size) if steps is None else steps
        hooks = self._hooks(callbacks, {"verbose": verbose, "steps": count})
        with ProgressBar(count, verbose) as bar:
            logs = self._test(samples, batch_size, steps, hooks, bar)
            bar.finish(logs)
        return result(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
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
        verbose = verbosity(verbose)
        batch_size = _batch_size(batch_size)
        engine, named, kept = self._arrays(x, lengths)
        inputs = list(named.values())
        order = np.arange(first_rows(len(inputs[0]), batch_size, _limit("steps", steps)))
        outputs = [np.empty((len(order), *sizes), engine.dtype) for sizes in engine.output_sizes(inputs)]
        count = epoch.steps_of(order, batch_size)
        hooks = self._hooks(callbacks, {"verbose": verbose, "steps": count})
        with ProgressBar(count, verbose) as bar:
            epoch.predict(engine.executor, inputs, kept, order, batch_size, outputs, hooks, bar)
            bar.finish({})
        return outputs[0] if len(outputs) == 1 else outputs

    def _with_validation(
        self, samples: Samples, split: float, given: Sequence[Any] | None
    ) -> tuple[Samples, Samples | None]:
        """The samples to train on and those to validate with."""
        if given is not None:
            if not isinstance(given, (tuple, list)) or not 2 <= len(given) <= 4:
                raise ValueError(
                    "validation_data must be (x, y), (x, y, sample_weight) or (x, y, sample_weight, lengths)"
                )
            x, y, sample_weight, lengths = (*given, None, None)[:4]
            try:
                return samples, self._samples(x, y, sample_weight, None, lengths)
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from error
        if check.number("validation_split", split, low=0.0, high=1.0) == 0:
            return samples, None
        kept = int(samples.rows * (1 - split))
        if not 0 < kept < samples.rows:
            raise ValueError(f"validation_split {split} of {samples.rows} rows must leave rows on both sides")
        return samples[:kept], samples[kept:]


def _orders(rows: int, per_epoch: int, rng: np.random.Generator | None) -> Iterator[epoch.Order]:
    """The samples of each epoch: pass after pass over all rows, cut where epochs end; shuffled if `rng` is given."""
    order = np.empty(0, np.int64)
    while True:
        while len(order) < per_epoch:
            order = np.concatenate([order, np.arange(rows) if rng is None else rng.permutation(rows)])
        yield order[:per_epoch]
        order = order[per_epoch:]


def _batch_size(value: int | None) -> int:
    return BATCH_SIZE if value is None else check.positive_int("batch_size", value)


def _limit(argument: str, value: int | None) -> int | None:
    return None if value is None else check.positive_int(argument, value)


def _validated_epochs(freq: int | Sequence[int]) -> Callable[[int], bool]:
    """Whether epoch number k, counted from 1, is validated."""
    if isinstance(freq, (list, tuple, set)):
        chosen = {check.positive_int("each of validation_freq", number) for number in freq}
        return lambda number: number in chosen
    every = check.positive_int("validation_freq", freq)
    return lambda number: number % every == 0
