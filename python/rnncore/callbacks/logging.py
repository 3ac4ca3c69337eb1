"""Callbacks that write down or react to what each epoch or batch gave."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Write each epoch's logs as a line of a CSV file.

    The columns are `epoch` and the keys of the first epoch in alphabetical order, with a `val_...` for each if it had
    none. What an epoch does not have is NA.

    Parameters
    ----------
    filename : str or path
    separator : str, default ","
    append : bool, default False
        Whether an existing file is continued; otherwise it is replaced.

    Examples
    --------
    >>> from rnncore.callbacks import CSVLogger
    >>> log = CSVLogger("training.csv")
    """

    writes = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = check.boolean("append", append)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys: list[str] | None = None
        self._continued = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        if not self.append:
            with open(self.filename, "w", encoding="utf-8"):
                pass
        elif self._continued:
            with open(self.filename, newline="", encoding="utf-8") as file:
                self._keys = next(csv.reader(file, delimiter=self.separator))[1:]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        # Opened for each line, so that the file is complete whenever training stops.
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._keys is None:
                self._keys = sorted(logs)
                if not any(key.startswith("val_") for key in self._keys):
                    self._keys += [f"val_{key}" for key in self._keys]
                writer.writerow(["epoch", *self._keys])
            writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self._keys)])


class TerminateOnNaN(Callback):
    """Stop as soon as the loss is NaN or infinite.

    Parameters
    ----------
    raise_error : bool, default False
        Whether it is a RuntimeError rather than the end of training; other callbacks then see no end of it.

    Examples
    --------
    >>> from rnncore.callbacks import TerminateOnNaN
    >>> guard = TerminateOnNaN()
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = check.boolean("raise_error", raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"batch {batch}: the loss is {loss}")
            print(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch; it is logged as `learning_rate`.

    Parameters
    ----------
    schedule : callable
        `schedule(epoch, learning_rate)` or `schedule(epoch)` returns the new rate.
    verbose : {0, 1}, default 0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((1,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> history = model.fit(np.zeros((4, 1)), np.zeros(4), epochs=2, verbose=0, callbacks=[halve])
    >>> history.history["learning_rate"]
    [0.005, 0.0025]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be callable, got {type(schedule).__name__}")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        arguments = (epoch, optimizer.learning_rate) if self._takes_rate else (epoch,)
        optimizer.learning_rate = check.number("what schedule returned", self.schedule(*arguments), low=0.0)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate set to {optimizer.learning_rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _takes_two(function: Callable[..., float]) -> bool:
    """Whether a function can be called with two arguments."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    return True


def _cell(value: Any) -> Any:
    """A value as it stands in a file: an array as Keras writes it."""
    return f'"[{", ".join(map(str, value))}]"' if np.ndim(value) and not isinstance(value, str) else value
