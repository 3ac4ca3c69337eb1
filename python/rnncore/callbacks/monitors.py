"""Callbacks that watch one quantity for improvement."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.callbacks.base import Callback, Logs


class Monitor(Callback):
    """Base of the callbacks that watch `monitor`.

    `mode` "auto" knows that losses and errors should fall and that accuracies and the like should rise. Where it cannot
    tell, as for a metric that is a Python function, it is a ValueError before the first epoch.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, best: float | None = None) -> None:
        self.monitor = check.name("monitor", monitor)
        self.mode = check.lookup("mode", mode, {"auto": "auto", "min": "min", "max": "max"})
        self.min_delta = abs(check.number("min_delta", min_delta))
        self.best = best

    def current(self, logs: Logs | None) -> float | None:
        """The monitored value, or None with a warning when the logs lack it."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            known = ", ".join(logs or {}) or "none"
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not logged; logged are: {known}",
                stacklevel=3,
            )
            return None
        if np.ndim(value):
            raise ValueError(f"monitor {self.monitor!r} must be one number, got {np.shape(value)} of them")
        return float(value)

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` beats `reference` by more than `min_delta`."""
        if reference is None:
            return True
        if self.direction() == "max":
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def direction(self) -> str:
        """Whether the monitored quantity should fall ("min") or rise ("max"); ValueError if nobody can tell."""
        return self.model.direction(self.monitor.removeprefix("val_")) if self.mode == "auto" else self.mode


class EarlyStopping(Monitor):
    """Stop when the monitored quantity has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        A change must be larger than this to count as an improvement.
    patience : int, default 0
        Epochs without improvement after which training stops; never after the first epoch.
    verbose : {0, 1}, default 0
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows for losses and the metrics of rnncore.
    baseline : float, optional
        An improvement resets the patience only if it also beats this value.
    restore_best_weights : bool, default False
        Whether the model gets the weights of its best epoch when training ends, early or not.
    start_from_epoch : int, default 0
        Epochs before this one are not watched.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile("sgd", "mse")
    >>> stop = callbacks.EarlyStopping("loss", patience=2)
    >>> history = model.fit(np.zeros((4, 1)), np.zeros(4), epochs=50, verbose=0, callbacks=[stop])
    >>> len(history.epoch)
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check.integer("patience", patience, low=0)
        self.verbose = verbose
        self.baseline = None if baseline is None else check.number("baseline", baseline)
        self.restore_best_weights = check.boolean("restore_best_weights", restore_best_weights)
        self.start_from_epoch = check.integer("start_from_epoch", start_from_epoch, low=0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.direction()
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.improves(current, self.best):  # as the first one watched always does
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of epoch {self.best_epoch + 1}, the best one.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when the monitored quantity has stopped improving.

    The rate of each epoch is logged as `learning_rate`.

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float below 1, default 0.1
    patience : int, default 10
        Epochs without improvement after which the rate falls.
    verbose : {0, 1}, default 0
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows for losses and the metrics of rnncore.
    min_delta : float, default 1e-4
        A change must be larger than this to count as an improvement.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, default 0.0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile("sgd", "mse")
    >>> reduce = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> history = model.fit(np.zeros((4, 1)), np.zeros(4), epochs=3, verbose=0, callbacks=[reduce])
    >>> history.history["learning_rate"]
    [0.01, 0.01, 0.005]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = check.number("factor", factor, low=0.0)
        if self.factor >= 1:
            raise ValueError(f"factor must be below 1, got {factor}")
        self.patience = check.integer("patience", patience, low=0)
        self.verbose = verbose
        self.cooldown = check.integer("cooldown", cooldown, low=0)
        self.min_lr = check.number("min_lr", min_lr, low=0.0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.direction()
        self.best = None
        self.wait = self.resting = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        current = self.current(logs)
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        if current is None:
            return
        if self.resting:
            self.resting -= 1
        if self.improves(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.resting:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.resting, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {optimizer.learning_rate:g}")
