"""Training, evaluation and prediction over many batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array
from rnncore.batches import Batches, Samples
from rnncore.callbacks.base import Callback, CallbackList, History, Logs
from rnncore.layers.expansion import expanded
from rnncore.layers.symbolic import packed
from rnncore.training import epoch
from rnncore.training.augment import augmenter
from rnncore.training.draws import Draws
from rnncore.training.feed import (
    ArrayFeed,
    Stream,
    StreamFeed,
    is_stream,
    reject_beside_stream,
    warn_of_few_batches,
)
from rnncore.training.progress import ProgressBar, verbosity
from rnncore.training.session import Runnable
from rnncore.training.sharing import trains
from rnncore.training.steps import result
from rnncore.training.windows import check_windows

BATCH_SIZE = 32


class Trainer(Runnable, registered=False):
    """The methods of a model that work on many batches."""

    @trains("fit", whole=True)
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
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
        augment: Any = None,
        checkpoint_every: int | None = None,
        truncate: int | None = None,
    ) -> History:
        """Train for some epochs.

        Parameters
        ----------
        x : array_like, shape (N, T, I), or (N, ...) as the model's input, or an iterable of batches
            Real numbers of any dtype, also as a table of pandas or polars, a tensor, whose gradient is not asked for,
            or what else NumPy can read. A list, or a dict by input name, for several inputs. A last axis of
            size 1 may be left out. A model without input shape is built for this one.

            Sequences of different lengths are a list of arrays (T_n, I), or a masked array in which the last steps of
            rows are masked: they are padded, and count as long as they are.

            An iterable, a generator, or an object such as `utils.PyDataset` gives batches (x, y),
            (x, y, sample_weight) or (x, y, sample_weight, lengths), or dicts with these keys; their sizes, the
            number of steps too, may differ. The batches of a PyDataset are shuffled; other iterables keep
            their order.
        y : array_like, shape (N, ..., U) as the output, or (N, ...) class ids for a sparse loss
            A last axis of size 1 may be left out. Targets of steps may come as sequences of the lengths of x.
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
            Evaluated after each epoch, in place of a `validation_split`. Or an iterable of batches.
        shuffle : bool, default True
            Whether each epoch visits the samples in a new order, drawn after `utils.set_random_seed`.
        class_weight : dict of int to float, optional
            Weights of the samples by class id; 1 for classes not named. Multiplies `sample_weight`.
            Not used in validation.
        sample_weight : array_like, shape (N,) or (N, T), optional
            Weights of samples or of their time steps. The loss is Σ w·l / N, not divided by Σ w.
        initial_epoch : int, default 0
        steps_per_epoch : int, optional
            Batches per epoch; the next epoch goes on where the last one stopped. By default all samples.
            A generator that ends too early ends training with a warning.
        validation_steps : int, optional
            Number of batches of each validation, from the first. The batches of a generator are kept for the next
            epochs, and so are all batches when no number is given.
        validation_batch_size : int, optional
        validation_freq : int or list of int, default 1
            Validate after every so many epochs, or after the listed ones, counted from 1.
        lengths : array_like of int, shape (N,), optional
            How many leading time steps of each row are valid, from 0 to T; the others are padding, in the first
            input and those that are merged with it step by step. Where an output keeps the time axis, padding
            counts neither in metrics nor in the loss, which is then Σ w·l over the valid positions / their number.
            Data that looks padded at its beginning gives a warning.
        augment : callable, or list of them, or dict by input name, optional
            Changes the training rows of the (first) input anew in each epoch; validation data stays as it is.
            An augmentation of `rnncore.augmentation`, which depends on the seed, the epoch and the number of the
            sample only; or a function of an array (n, T, I) with the rows of some whole batches and of a seeded
            `numpy.random.Generator`, which returns an array of the same shape.
        checkpoint_every : int, optional
            Save memory on long sequences: recurrent layers keep only their states every so many time steps, and the
            backward pass computes one such segment after another once more (Chen et al., "Training deep nets with
            sublinear memory cost", 2016). What a layer of T steps keeps besides its input and output then grows with
            checkpoint_every + T / checkpoint_every in place of T, for one more forward pass. Gradients are the
            same but for rounding. Holds until the next `fit`.
        truncate : int, optional
            Truncated backpropagation through time: each batch is read this many time steps at a time, with one
            update for each window. The next window goes on from the states where the last one ended, but no
            gradient flows back. All recurrent layers must return sequences, all other layers treat each step by
            itself, and targets have a value for each step. Evaluation is not cut.

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
            After Ctrl-C, also within a batch: the model is the one before that batch, and can be used and trained on.

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
        session = self._session
        verbose = verbosity(verbose)
        epochs = check.integer("epochs", epochs, low=0)
        first = check.integer("initial_epoch", initial_epoch, low=0)
        given_batch_size, batch_size = batch_size, self._batch_size(batch_size)
        window = _limit("truncate", truncate)
        shuffle = check.boolean("shuffle", shuffle)
        validated = epoch.validated_epochs(validation_freq)
        steps = _limit("steps_per_epoch", steps_per_epoch)
        checkpoint_every = _limit("checkpoint_every", checkpoint_every)
        validation_steps = _limit("validation_steps", validation_steps)
        validation_size = batch_size if validation_batch_size is None else _batch_size(validation_batch_size)
        draws = self.draws = Draws(seeds.next_seed())
        chosen = draws if shuffle else None
        validation: ArrayFeed | StreamFeed | None
        feed: ArrayFeed | StreamFeed
        if is_stream(x):
            reject_beside_stream("x", y=y, sample_weight=sample_weight, lengths=lengths, batch_size=given_batch_size)
            if check.number("validation_split", validation_split, low=0.0, high=1.0) != 0:
                raise ValueError("validation_split needs arrays, got an iterable as x: give validation_data")
            session.with_loss()
            feed = self._stream_feed("x", x, steps, chosen, class_weight)
            if not self.built:
                feed.peek()
            feed.augment = augmenter(augment, session.engine(self).input_values, draws)
            validation = self._validation_feed(validation_data, validation_size, validation_steps)
        else:
            with self._built_only_on_success():
                samples = session.samples(self, x, y, sample_weight, lengths)
                samples, held_out = self._with_validation_split(samples, validation_split, validation_data)
                validation = self._validation_feed(validation_data, validation_size, validation_steps)
                samples = session.with_loss().with_class_weight(samples, class_weight, self._policy.dtype)
                augmented = augmenter(augment, session.engine(self).input_values, draws)
            if held_out is not None:
                validation = _measured("the validation data", held_out, validation_size, validation_steps)
            feed = ArrayFeed(samples, batch_size, steps, chosen, augmented)
            session.engine(self).whole_batches(samples.rows, batch_size)
            if held_out is not None:
                session.engine(self).whole_batches(held_out.rows, validation_size)
        if window is not None:
            check_windows(self.inputs, expanded(self.inputs, self.outputs))
        session.checkpoint_every = checkpoint_every
        history = History()
        hooks = CallbackList.of(self, callbacks, {"verbose": verbose, "epochs": epochs, "steps": feed.steps})
        hooks.append(history)  # last, so that it sees what the others add to the logs
        logs: Logs = {}
        waiting: list[str] = []
        self.history = history
        self.stop_training = False
        self.first_epoch = first
        hooks.begin("train")
        feed.skip(self.first_epoch - first)
        for number in range(self.first_epoch, epochs):
            hooks.on_epoch_begin(number)
            waiting = session.warn_of_trainable(self, waiting)
            with ProgressBar(feed.steps, verbose, f"Epoch {number + 1}/{epochs}") as bar:
                engine = session.engine(self) if window is None else session.carrying(self)
                parts, compilation = feed.epoch(number), session.compiled("training")
                found, seen = epoch.train(engine, compilation, parts, draws.seed, hooks, bar, self._stops, window)
                if not seen:
                    break  # nothing was left of what can be read only once
                logs = found
                if validation is not None and validated(number + 1):
                    found = session.evaluate(self, validation, hooks, ProgressBar(1, 0))
                    logs.update({f"val_{key}": value for key, value in found.items()})
                bar.finish(logs)
            hooks.on_epoch_end(number, logs)
            if self.stop_training:
                break
        session.engine(self).take_average(session.compiled("training").optimizer.average)
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
            As for `fit`, iterables included.
        steps : int, optional
            Number of batches, from the first; by default all. If there are fewer, they are read once, with a warning.
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
        steps = _limit("steps", steps)
        feed: ArrayFeed | StreamFeed
        if is_stream(x):
            reject_beside_stream("x", y=y, sample_weight=sample_weight, lengths=lengths, batch_size=batch_size)
            self._session.with_loss()
            feed = self._measured_stream("x", x, steps)
        else:
            samples = self._session.samples(self, x, y, sample_weight, lengths)
            feed = _measured("x", samples, self._batch_size(batch_size), steps)
        hooks = CallbackList.of(self, callbacks, {"verbose": verbose, "steps": feed.steps})
        with ProgressBar(feed.steps, verbose) as bar:
            logs = self._session.evaluate(self, feed, hooks, bar)
            if not logs:
                raise ValueError("x must give at least one batch, got none")
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
    ) -> Array | Any:
        """Compute the outputs, batch by batch. The model need not be compiled.

        Parameters
        ----------
        x, batch_size, verbose, callbacks, lengths
            As for `fit`. Of the batches of an iterable only x and lengths are read.
        steps : int, optional
            Number of batches, from the first; by default all. If there are fewer, they are read once, with a warning.

        Returns
        -------
        ndarray, shape (N, ..., U), or list of ndarray, or dict of ndarray if the outputs were given as a dict
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
        steps = _limit("steps", steps)
        feed: ArrayFeed | StreamFeed
        if is_stream(x):
            reject_beside_stream("x", lengths=lengths, batch_size=batch_size)
            stream = Stream("x", x, steps)
            feed = StreamFeed(stream, lambda x, y, sample_weight, lengths: self._inputs(x, lengths), measures=True)
            if not self.built:
                feed.peek()
        else:
            feed = _measured("x", self._inputs(x, lengths), self._batch_size(batch_size), steps)
        engine = self._session.engine(self)
        hooks = CallbackList.of(self, callbacks, {"verbose": verbose, "steps": feed.steps})
        parts: list[list[Array]] = []
        with ProgressBar(feed.steps, verbose) as bar:
            epoch.predict(engine, self._with_outputs(feed, parts), hooks, bar)
            bar.finish({})
        outputs = [_joined(arrays) for arrays in zip(*parts, strict=True)]
        if not outputs:
            raise ValueError("x must give at least one batch, got none")
        return packed(outputs, self._output_keys)

    def _batch_size(self, value: int | None) -> int:
        """The batch size to use: what stateful layers are built for, else 32, unless one is given."""
        fixed = self._session.engine(self).batch_size if self.built else None
        return fixed if value is None and fixed is not None else _batch_size(value)

    def _inputs(self, x: Any, lengths: Any) -> Samples:
        """The checked inputs alone, for predictions."""
        _, named, kept = self._session.arrays(self, x, lengths)
        return Samples(list(named.values()), lengths=kept)

    def _with_outputs(
        self, feed: ArrayFeed | StreamFeed, made: list[list[Array]]
    ) -> Iterator[tuple[Batches, list[Array]]]:
        """The parts with the arrays for their predictions, which `made` keeps."""
        engine = self._session.engine(self)
        for part in feed.epoch(0):
            sizes = engine.output_sizes(part.samples.inputs)
            made.append([np.empty((len(part.order), *inner), engine.dtype) for inner in sizes])
            yield part, made[-1]

    def _stream_feed(
        self,
        argument: str,
        source: Any,
        steps: int | None,
        draws: Draws | None,
        class_weight: dict[int, float] | None,
    ) -> StreamFeed:
        """The batches of an iterable as samples to train on."""

        def convert(x: Any, y: Any, sample_weight: Any, lengths: Any) -> Samples:
            return self._session.samples(self, x, y, sample_weight, lengths, class_weight)

        return StreamFeed(Stream(argument, source, steps, draws), convert)

    def _measured_stream(self, argument: str, source: Any, steps: int | None, *, again: bool = False) -> StreamFeed:
        """The batches of an iterable as samples to measure, once or again and again."""

        def convert(x: Any, y: Any, sample_weight: Any, lengths: Any) -> Samples:
            return self._session.samples(self, x, y, sample_weight, lengths)

        return StreamFeed(Stream(argument, source, steps), convert, measures=True, again=again)

    def _validation_feed(self, given: Any, batch_size: int, steps: int | None) -> ArrayFeed | StreamFeed | None:
        """What `validation_data` gives."""
        if given is None:
            return None
        if is_stream(given):
            return self._measured_stream("validation_data", given, steps, again=True)
        if not isinstance(given, (tuple, list)) or not 2 <= len(given) <= 4:
            raise ValueError(
                "validation_data must be (x, y), (x, y, sample_weight), (x, y, sample_weight, lengths), or an iterable "
                "of such batches"
            )
        x, y, sample_weight, lengths = (*given, None, None)[:4]
        try:
            samples = self._session.samples(self, x, y, sample_weight, lengths)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from error
        return _measured("validation_data", samples, batch_size, steps)

    def _with_validation_split(self, samples: Samples, split: float, given: Any) -> tuple[Samples, Samples | None]:
        """The samples to train on and those kept to validate with."""
        if given is not None:
            return samples, None
        if check.number("validation_split", split, low=0.0, high=1.0) == 0:
            return samples, None
        kept = int(samples.rows * (1 - split))
        if not 0 < kept < samples.rows:
            raise ValueError(f"validation_split {split} of {samples.rows} rows must leave rows on both sides")
        return samples[:kept], samples[kept:]


def _measured(argument: str, samples: Samples, batch_size: int, steps: int | None) -> ArrayFeed:
    """The first `steps` batches, from the beginning each time; None for all."""
    feed = ArrayFeed(samples if steps is None else samples[: steps * batch_size], batch_size)
    if steps is not None and feed.steps is not None and feed.steps < steps:
        warn_of_few_batches(argument, steps, feed.steps)
    return feed


def _joined(arrays: Sequence[Array]) -> Array:
    """The predictions of all batches, which must agree in shape but for their rows."""
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"the predictions of all batches must have one shape to be joined, got {sorted(shapes)}")
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _batch_size(value: int | None) -> int:
    return BATCH_SIZE if value is None else check.positive_int("batch_size", value)


def _limit(argument: str, value: int | None) -> int | None:
    return None if value is None else check.positive_int(argument, value)
