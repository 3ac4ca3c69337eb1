"""Saving a model while it trains."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from rnncore import _validation as check
from rnncore.callbacks.base import Logs
from rnncore.callbacks.monitors import Monitor
from rnncore.saving import check_path


class ModelCheckpoint(Monitor):
    """Save the model, or only its weights, after epochs or batches.

    Parameters
    ----------
    filepath : str or path
        Ends in `.rnn`, or with `save_weights_only` in `.weights.safetensors`. May hold fields such as
        `{epoch:02d}` and `{val_loss:.2f}`. Missing directories are made.
    monitor : str, default "val_loss"
    verbose : {0, 1}, default 0
    save_best_only : bool, default False
        Whether only improvements of `monitor` are saved; all are, with a warning, where it is an array or not logged.
    save_weights_only : bool, default False
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows for losses and the metrics of rnncore.
    save_freq : "epoch" or int, default "epoch"
        After each epoch, or after every so many batches.
    initial_value_threshold : float, optional
        A value that the first saved model must already beat.

    Raises
    ------
    ValueError
        For a file name with another ending, or an unknown `save_freq`.

    Examples
    --------
    >>> from rnncore.callbacks import ModelCheckpoint
    >>> save = ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.rnn", save_best_only=True)
    """

    writes = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.verbose = verbose
        self.save_best_only = check.boolean("save_best_only", save_best_only)
        self.save_weights_only = check.boolean("save_weights_only", save_weights_only)
        self.filepath = os.fspath(check_path(filepath, weights_only=self.save_weights_only))
        if save_freq == "epoch":
            self.save_freq: str | int = "epoch"
        else:
            self.save_freq = check.positive_int('save_freq ("epoch" or a number of batches)', save_freq)
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]
        self._epoch = self._batches = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self.direction()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._save({"batch": batch + 1, **(logs or {})})

    def current(self, logs: Logs | None) -> float | None:
        value: Any = (logs or {}).get(self.monitor)
        if np.ndim(value) == 0:
            return super().current(logs)
        warnings.warn(
            f"save_best_only needs a monitor that is one number, got {self.monitor!r} of shape {np.shape(value)}:"
            " every model is saved",
            stacklevel=3,
        )
        return None

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            current = self.current(logs)
            if current is not None:
                if not self.improves(current, self.best):
                    return
                self.best = current
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as error:
            known = ", ".join(["epoch", *logs])
            raise KeyError(
                f"filepath {self.filepath!r} uses {error}, which is not logged; logged are: {known}"
            ) from None
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")
