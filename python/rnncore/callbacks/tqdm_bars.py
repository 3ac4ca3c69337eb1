"""Bars of tqdm in place of those of `fit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore.callbacks.base import Callback, Logs


class TqdmCallback(Callback):
    """Show training as bars of tqdm: one for the epochs, and one for the batches of each; give `verbose=0` to `fit`.

    As `tqdm.keras.TqdmCallback`, which takes Keras's models only.

    Parameters
    ----------
    verbose : {0, 1, 2}, default 1
        0 shows the epochs alone; 1 also the batches of the current epoch; 2 keeps their bars. Bars of batches call
        Python after each batch.
    tqdm_class : callable, optional
        What makes a bar, called with `total`, `initial`, `desc`, `unit` and `leave`; by default `tqdm.auto.tqdm`, which
        suits terminals and notebooks.

    Raises
    ------
    ImportError
        Without tqdm.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import callbacks, layers, models
    >>> model = models.Sequential([layers.Input((2,)), layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> bars = callbacks.TqdmCallback()
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0, callbacks=[bars])
    """

    writes = True

    def __init__(self, verbose: int = 1, tqdm_class: Callable[..., Any] | None = None) -> None:
        if isinstance(verbose, bool) or verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0, 1 or 2, got {verbose!r}")
        if tqdm_class is None:
            try:
                from tqdm.auto import tqdm
            except ImportError as error:
                raise ImportError("bars of tqdm need tqdm: pip install tqdm") from error
            tqdm_class = tqdm
        elif not callable(tqdm_class):
            raise TypeError(f"tqdm_class must be callable, got {type(tqdm_class).__name__}")
        self.verbose = verbose
        self.tqdm_class: Callable[..., Any] = tqdm_class
        self._epochs: Any = None
        self._batches: Any = None
        if verbose:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        total, first = self.params["epochs"], self.model.first_epoch
        self._epochs = self.tqdm_class(total=total, initial=first, desc="Training", unit="epoch", leave=True)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epochs.n = epoch
        if self.verbose:
            options = {"desc": f"Epoch {epoch + 1}", "unit": "batch", "leave": self.verbose == 2}
            self._batches = self.tqdm_class(total=self.params["steps"], initial=0, **options)

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches.set_postfix(_means(logs), refresh=False)
        self._batches.update(batch + 1 - self._batches.n)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._batches is not None:
            self._batches.set_postfix(_means(logs), refresh=False)
            self._batches.close()
            self._batches = None
        self._epochs.set_postfix(_means(logs), refresh=False)
        self._epochs.update(epoch + 1 - self._epochs.n)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _close(self) -> None:
        """Also what a training that was stopped by an error left."""
        for bar in (self._batches, self._epochs):
            if bar is not None:
                bar.close()
        self._batches = self._epochs = None


def _means(logs: Logs | None) -> dict[str, float]:
    return {key: float(np.mean(value)) for key, value in (logs or {}).items()}
