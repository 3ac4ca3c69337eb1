"""Samples in Parquet files, read row group by row group."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore.data import tables
from rnncore.data.rows import Dataset, Numbers

__all__ = ["ParquetDataset"]


class ParquetDataset(Dataset):
    """Samples of Parquet files, one in each row: only the row groups of a batch are in memory.

    A column holds a number in each row, or a list of numbers, which are steps. Needs PyArrow: `pip install
    'rnncore[parquet]'`.

    Parameters
    ----------
    files : str or path, or list of them
    x : name, or list of C names
        Of columns of numbers, (N, C); or of lists, (N, T, C), which may differ in length from row to row. With a name
        alone (N,) or (N, T).
    y : name, or list of U names, optional
        In the same way; without it the batches are x alone, for `predict`.
    sample_weight : name, optional
    batch_size : int, default 32
    workers : int, default 1
        Threads that read batches ahead of time.
    dtype : dtype, default "float32"
        Of x; y and weights stay as they are.

    Raises
    ------
    ImportError, OSError, TypeError, ValueError
        Without PyArrow, if a file cannot be read, or a column is unknown or holds something else.

    Notes
    -----
    Where `fit` shuffles, row groups come in a new order, and rows in a new one within their group: write groups of
    some thousand rows whose order means nothing.

    Examples
    --------
    >>> import numpy as np, pyarrow, pyarrow.parquet
    >>> from rnncore import data
    >>> table = pyarrow.table({"steps": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "sum": [3.0, 7.0, 11.0]})
    >>> pyarrow.parquet.write_table(table, "sums.parquet")
    >>> x, y = data.ParquetDataset("sums.parquet", ["steps"], "sum", batch_size=2)[0]
    >>> x.shape, y
    ((2, 2, 1), array([3., 7.]))
    """

    def __init__(
        self,
        files: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        workers: int = 1,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError("ParquetDataset needs PyArrow: pip install 'rnncore[parquet]'") from error
        paths = [files] if isinstance(files, (str, os.PathLike)) else list(files)
        if not paths:
            raise ValueError("files must name at least one file")
        self._files = [parquet.ParquetFile(path) for path in paths]
        self._dtype = np.dtype(dtype)
        if self._dtype.kind not in "fiub":
            raise TypeError(f"dtype must be one of numbers, got {self._dtype}")
        self._wanted = {"x": x, "y": y, "sample_weight": sample_weight}
        for argument, wanted in self._wanted.items():
            if not isinstance(wanted, (str, list, tuple, type(None))) or (wanted is not None and not len(wanted)):
                raise TypeError(f"{argument} must be the name of a column, or a list of names, got {wanted!r}")
        for path, file in zip(paths, self._files, strict=True):
            known = dict.fromkeys(file.schema_arrow.names)
            for argument, wanted in self._wanted.items():
                for name in _listed(wanted):
                    tables.known_name(f"{argument} in {os.fspath(path)!r}", name, known)
        self._groups = [(file, k) for file in self._files for k in range(file.num_row_groups)]
        sizes = [file.metadata.row_group(k).num_rows for file, k in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        if not self._starts[-1]:
            raise ValueError("files must have at least one row")
        self._read: dict[int, dict[str, Any]] = {}  # the row groups of the last batch
        super().__init__(int(self._starts[-1]), batch_size, workers)

    def samples(self, numbers: Numbers) -> Any:
        of_group = np.searchsorted(self._starts, numbers, side="right") - 1
        before, needed = self._read, np.unique(of_group).tolist()
        groups = {k: before[k] if k in before else self._columns(k) for k in needed}
        self._read = groups
        found: list[Any] = []
        for argument, wanted in self._wanted.items():
            if wanted is not None:
                rows = [groups[k][argument][n - self._starts[k]] for k, n in zip(of_group, numbers, strict=True)]
                lengths = {len(row) for row in rows if np.ndim(row)}
                if len(lengths) > 1 and argument != "x":
                    sizes = f"{min(lengths)} to {max(lengths)}"
                    raise ValueError(f"{argument} must have lists of one length in a batch, got {sizes} in {wanted!r}")
                found.append(rows if len(lengths) > 1 else np.stack(rows))
            elif argument == "y" and self._wanted["sample_weight"] is not None:
                found.append(None)
        return tuple(found) if len(found) > 1 else (found[0],)

    def _new_order(self, rng: np.random.Generator) -> Numbers:
        sizes = np.diff(self._starts)
        return np.concatenate(
            [self._starts[k] + rng.permutation(sizes[k]) for k in rng.permutation(len(sizes)) if sizes[k]]
        )

    def _columns(self, number: int) -> dict[str, Any]:
        """What a row group holds for each argument: an array, or a list of arrays that differ in length."""
        file, k = self._groups[number]
        names = [name for wanted in self._wanted.values() for name in _listed(wanted)]
        table = file.read_row_group(k, columns=list(dict.fromkeys(names)))
        return {
            argument: _joined(wanted, table, self._dtype if argument == "x" else None)
            for argument, wanted in self._wanted.items()
            if wanted is not None
        }


def _listed(wanted: Any) -> list[Any]:
    return [] if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)


def _joined(wanted: Any, table: Any, dtype: np.dtype[Any] | None) -> Any:
    """The columns of a row group side by side, (n, C) or (n, T, C); without the last axis for a name alone."""
    parts = [_column(name, table[name], dtype) for name in _listed(wanted)]
    if isinstance(wanted, str):
        return parts[0]
    try:
        if all(isinstance(part, np.ndarray) for part in parts):
            return np.stack(parts, axis=-1)
        return [np.stack(row, axis=-1) for row in zip(*parts, strict=True)]
    except ValueError as error:
        raise ValueError(
            f"columns {list(wanted)} must all have numbers, or lists of the same length in each row: {error}"
        ) from error


def _column(name: str, column: Any, dtype: np.dtype[Any] | None) -> Any:
    """A column as an array (n,) or (n, T), or as a list of arrays (T_n,)."""
    if column.null_count:
        raise ValueError(f"column {name!r} must have a value in each row, got {column.null_count} missing")
    array = np.asarray(column)
    if array.dtype.kind in "fiub" or "decimal" in str(column.type):
        return np.asarray(tables.numbers(name, array), dtype)
    if "list<" in str(column.type) and (missing := sum(chunk.flatten().null_count for chunk in column.chunks)):
        raise ValueError(f"column {name!r} must have a number in each place of its lists, got {missing} missing")
    if array.dtype != object:
        raise TypeError(f"column {name!r} must hold numbers or lists of numbers, got {column.type}")
    rows = [np.asarray(row) for row in array]
    for row in rows:
        if row.dtype.kind not in "fiub" or row.ndim != 1:
            raise TypeError(f"column {name!r} must hold numbers or lists of numbers, got {column.type}")
    typed = [np.asarray(row, dtype) for row in rows]
    return np.stack(typed) if len({len(row) for row in rows}) == 1 else typed
