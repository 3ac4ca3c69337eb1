"""Windows of a series as batches; public as `rnncore.utils.timeseries_dataset_from_array`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _data as arrays
from rnncore import _validation as check
from rnncore import seeds
from rnncore._data import Array

__all__ = ["WindowedSeries", "timeseries_dataset_from_array"]


@dataclass(frozen=True, repr=False)
class WindowedSeries:
    """Batches of windows, as often as they are asked for; made by `timeseries_dataset_from_array`."""

    data: Array
    targets: Array | None
    begins: npt.NDArray[np.int64]  # of the windows
    steps: npt.NDArray[np.int64]  # of a window, from its begin on
    batch_size: int | None  # None: single windows
    generator: np.random.Generator | None  # which draws the order of each pass

    def __repr__(self) -> str:
        size, count, steps = self.batch_size or 1, len(self.begins), len(self.steps)
        return f"<WindowedSeries of {count} windows of {steps} steps, batches of {size}>"

    def __len__(self) -> int:
        """Number of batches in a pass."""
        return -(-len(self.begins) // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        """One pass: windows (batch, sequence_length, ...), and their targets if there are any."""
        begins = self.begins if self.generator is None else self.generator.permutation(self.begins)
        size = self.batch_size or 1
        for start in range(0, len(begins), size):
            chosen = begins[start : start + size] if self.batch_size else begins[start]
            x = self.data[chosen[..., None] + self.steps]
            yield x if self.targets is None else (x, self.targets[chosen])


def timeseries_dataset_from_array(
    data: npt.ArrayLike,
    targets: npt.ArrayLike | None,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> WindowedSeries:
    """Cut a series into windows that overlap, as data for `fit`, `evaluate` and `predict`.

    Window k has the steps b, b + sampling_rate, b + 2·sampling_rate, ... of `data`, where b = start_index +
    k·sequence_stride; its target is `targets[b]`. No window is copied before it is needed.

    Parameters
    ----------
    data : array_like, shape (T, ...)
    targets : array_like, shape (T', ...), or None
        A target for each window's first step: the series itself, moved by the steps to look ahead. With None the
        batches are windows alone.
    sequence_length : int
        Steps of a window.
    sequence_stride : int, default 1
        Steps between the beginnings of windows.
    sampling_rate : int, default 1
        Steps between the steps of a window.
    batch_size : int or None, default 128
        With None the windows come one by one, without an axis for the batch.
    shuffle : bool, default False
        Whether each pass has another order.
    seed : int, optional
        Of the orders; by default it follows `set_random_seed`.
    start_index, end_index : int, optional
        Windows have only steps from `start_index` to below `end_index`.

    Returns
    -------
    iterable with a length, for any number of passes
        Of batches (windows, targets), or of windows.

    Raises
    ------
    TypeError, ValueError
        For a bad argument, or when no window fits into the series.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.utils import timeseries_dataset_from_array
    >>> series = np.arange(10)
    >>> for x, y in timeseries_dataset_from_array(series, series[3:], sequence_length=3, batch_size=4):
    ...     print(x[0], y[0], len(x))
    [0 1 2] 3 4
    [4 5 6] 7 3
    """
    series = arrays.real("data", data)
    goals = None if targets is None else arrays.real("targets", targets)
    length = check.positive_int("sequence_length", sequence_length)
    stride = check.positive_int("sequence_stride", sequence_stride)
    rate = check.positive_int("sampling_rate", sampling_rate)
    size = None if batch_size is None else check.positive_int("batch_size", batch_size)
    first = 0 if start_index is None else check.integer("start_index", start_index, low=0)
    end = len(series) if end_index is None else check.integer("end_index", end_index, low=1)
    if not first < end <= len(series):
        raise ValueError(
            f"start_index and end_index must be from 0 to {len(series)}, the length of data, and the first below the"
            f" second, got {first} and {end}"
        )
    count = end - first - (length - 1) * rate
    if goals is not None:
        count = min(count, len(goals) - first)
    if count < 1:
        raise ValueError(
            f"sequence_length and sampling_rate must leave room for a window in {end - first} steps of data"
            f"{'' if goals is None else f' and {max(len(goals) - first, 0)} targets'}, got {length} and {rate}"
        )
    generator = None
    if check.boolean("shuffle", shuffle):
        generator = np.random.default_rng(seeds.next_seed() if seed is None else check.integer("seed", seed, low=0))
    begins = first + np.arange(0, count, stride, dtype=np.int64)
    return WindowedSeries(series, goals, begins, np.arange(length, dtype=np.int64) * rate, size, generator)
