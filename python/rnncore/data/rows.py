"""Data sets that read their samples by number, a batch at a time, and files larger than memory among them."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _validation as check
from rnncore._arrays import as_array
from rnncore.dataset import PyDataset

__all__ = ["ArrayDataset", "Dataset"]

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]


class Dataset(PyDataset):
    """Base of data sets of samples with numbers: override `samples`.

    `fit`, `evaluate` and `predict` take it as `x`. Where `fit` shuffles, each epoch has new batches, as of arrays;
    with any other `utils.PyDataset` only the order of the batches is new.

    Parameters
    ----------
    rows : int
        The number of samples.
    batch_size : int, default 32
    workers : int, default 1
        Threads that make batches ahead of time.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import data, layers, models
    >>> class Sums(data.Dataset):
    ...     def samples(self, numbers):
    ...         steps = np.random.default_rng(5).normal(size=(100, 7, 1))[numbers]
    ...         return steps, steps.sum(axis=1)
    >>> model = models.Sequential([layers.Input((None, 1)), layers.GRU(4), layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> len(model.fit(Sums(100), epochs=2, verbose=0).epoch), len(Sums(100))
    (2, 4)
    """

    def __init__(self, rows: int, batch_size: int = 32, workers: int = 1) -> None:
        super().__init__(workers=workers)
        self.rows = check.positive_int("rows", rows)
        self.batch_size = check.positive_int("batch_size", batch_size)
        self._order: Numbers | None = None  # of the samples; None as they are numbered

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.rows} samples, batches of {self.batch_size}>"

    def samples(self, numbers: Numbers) -> Any:
        """(x, y), (x, y, sample_weight) or (x, y, sample_weight, lengths) of the samples with these numbers (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must override samples")

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.rows // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        start = check.integer("index", index, low=0) * self.batch_size
        if start >= self.rows:
            raise IndexError(f"index must be below {len(self)}, the number of batches, got {index}")
        numbers = np.arange(start, min(start + self.batch_size, self.rows))
        return self.samples(numbers if self._order is None else self._order[numbers])

    def shuffled(self, rng: np.random.Generator) -> Dataset:
        """The same samples in another order, for one epoch."""
        other = copy.copy(self)
        other._order = self._new_order(rng)
        return other

    def _new_order(self, rng: np.random.Generator) -> Numbers:
        return rng.permutation(self.rows)


class ArrayDataset(Dataset):
    """Samples of arrays in files: only those of a batch are read, so that the files may be larger than memory.

    Parameters
    ----------
    x : str, path or array_like, or list of them for several inputs
        A `.npy` file, which is mapped into memory, or an array, one row for each sample.
    y : str, path or array_like, optional
        Without it the batches are x alone, for `predict`.
    sample_weight, lengths : str, path or array_like, optional
    batch_size : int, default 32
    workers : int, default 1
        Threads that read batches ahead of time.

    Raises
    ------
    OSError, TypeError, ValueError
        If a file cannot be read, or the rows do not agree.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import data
    >>> np.save("windows.npy", np.arange(60.0).reshape(10, 6, 1))
    >>> batches = data.ArrayDataset("windows.npy", np.arange(10), batch_size=4)
    >>> x, y = batches[2]
    >>> len(batches), x.shape, y
    (3, (2, 6, 1), array([8, 9]))
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        lengths: Any = None,
        *,
        batch_size: int = 32,
        workers: int = 1,
    ) -> None:
        several = isinstance(x, (list, tuple)) and bool(x) and all(_is_array(entry) for entry in x)
        given = {f"x[{k}]": entry for k, entry in enumerate(x)} if several else {"x": x}
        self._inputs = [_mapped(argument, entry) for argument, entry in given.items()]
        others = {"y": y, "sample_weight": sample_weight, "lengths": lengths}
        self._others = [None if entry is None else _mapped(name, entry) for name, entry in others.items()]
        arrays = dict(zip([*given, *others], [*self._inputs, *self._others], strict=True))
        counts = {name: len(array) for name, array in arrays.items() if array is not None}
        if len(set(counts.values())) > 1:
            came = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise ValueError(f"all arrays must have the same number of rows: {came}")
        super().__init__(len(self._inputs[0]), batch_size, workers)

    def samples(self, numbers: Numbers) -> Any:
        inputs = [_taken(array, numbers) for array in self._inputs]
        others = [None if array is None else _taken(array, numbers) for array in self._others]
        while others and others[-1] is None:
            others.pop()
        x = inputs[0] if len(inputs) == 1 else inputs
        return (x, *others) if others else x


def _is_array(entry: Any) -> bool:
    return isinstance(entry, (str, os.PathLike)) or hasattr(entry, "__array__")


def _mapped(argument: str, entry: Any) -> Array:
    """The array of a file, or the array itself."""
    if not isinstance(entry, (str, os.PathLike)):
        array = as_array(argument, entry)
    elif os.fspath(entry).endswith(".npy"):
        try:
            array = np.load(entry, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{argument} must be a .npy file of numbers, {os.fspath(entry)!r} is none") from error
    else:
        raise ValueError(f"{argument} must be an array or the name of a .npy file, got {os.fspath(entry)!r}")
    if array.ndim == 0 or not len(array):
        raise ValueError(f"{argument} must have at least one row, got shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument} must hold real numbers, got dtype {array.dtype}")
    return array


def _taken(array: Array, numbers: Sequence[int] | Numbers) -> Array:
    """Copies of rows, read in the order in which they lie in the file."""
    order = np.argsort(numbers)
    found = np.empty((len(order), *array.shape[1:]), array.dtype)
    found[order] = array[np.asarray(numbers)[order]]
    return found
