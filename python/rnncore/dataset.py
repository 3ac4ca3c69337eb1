"""A data set that makes its batches when they are asked for; public as `rnncore.utils.PyDataset`."""

from __future__ import annotations

from typing import Any

from rnncore import _validation as check
from rnncore._overrides import OnlyKnownHooks


class PyDataset(OnlyKnownHooks):
    """Base of data sets that make batch after batch, as Keras's class of this name.

    Override `__len__`, the number of batches, and `__getitem__`, which makes one. `fit`, `evaluate` and `predict`
    take it as `x`; `fit` shuffles the order of its batches unless told not to.

    Parameters
    ----------
    workers : int, default 1
        Threads that make batches ahead of time; 1 makes each where it is needed. The order of the batches stays.
    use_multiprocessing : bool, default False
        Only False: batches are made by threads, and training does not hold Python's lock.
    max_queue_size : int, default 10
        How many batches the threads may be ahead.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import layers, models, utils
    >>> class Walks(utils.PyDataset):
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         steps = np.random.default_rng(index).normal(size=(8, 5 + index, 1))  # longer from batch to batch
    ...         return steps, steps.sum(axis=1)
    >>> model = models.Sequential([layers.Input((None, 1)), layers.GRU(4), layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> len(model.fit(Walks(), epochs=3, verbose=0).epoch)
    3
    """

    _hooks = frozenset({"on_epoch_begin", "on_epoch_end"})

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = check.positive_int("workers", workers)
        self.max_queue_size = check.positive_int("max_queue_size", max_queue_size)
        if check.boolean("use_multiprocessing", use_multiprocessing):
            raise ValueError("use_multiprocessing must be False: batches are made by threads, set workers instead")

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        raise NotImplementedError(f"{type(self).__name__} must override __len__")

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`: (x, y), (x, y, sample_weight) or (x, y, sample_weight, lengths)."""
        raise NotImplementedError(f"{type(self).__name__} must override __getitem__")

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch."""
