"""What people hand over as numbers: arrays, tables, tensors, lists of rows, each made a NumPy array here.

Nothing is imported for that: objects of other packages are known by what they offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._pages import see

__all__ = ["as_array", "masked_entries", "padded", "readable_rows"]

Array = npt.NDArray[Any]

ARROW_NUMBERS = ("bool", "int", "uint", "halffloat", "float", "double", "decimal")

_PLAIN = frozenset({float, int, bool, list, tuple, str, np.ndarray, np.float64, np.float32, np.int64})


def as_array(argument: str, value: Any) -> Array:
    """`value` as an array, whatever it holds.

    A tensor that requires a gradient gives its numbers, missing numbers of a table become NaN. Rows of different
    lengths are refused by a message that says what to do with them, and so are masked entries.
    """
    if type(value) is not np.ndarray:
        value = readable_rows(argument, _readable(argument, value))
        if hasattr(value, "to_pylist"):  # of PyArrow
            return _of_arrow(argument, value)
        if isinstance(getattr(value, "dtypes", None), list):  # of polars, which makes numbers of dates
            _check_kinds(argument, zip(value.columns, value.dtypes, strict=True))
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{argument} must be one rectangular array{_ragged(value)}: {error}") from error
    except (RuntimeError, TypeError, BufferError) as error:  # tensors deep in a list, or on another device
        raise TypeError(f"{argument} must be convertible to a NumPy array: {error}") from error
    if array.dtype == object:
        if hint := _ragged(value):
            raise ValueError(f"{argument} must be one rectangular array{hint}, got dtype object")
        return _of_table(argument, value, array)
    return array


def readable_rows(argument: str, value: Any) -> Any:
    """The value, of a list what NumPy can read of each entry."""
    if not isinstance(value, (list, tuple)) or _PLAIN.issuperset(map(type, value)):
        return value
    return [_readable(f"{argument}[{k}]", row) for k, row in enumerate(value)]


def _readable(argument: str, value: Any) -> Any:
    """What NumPy can read, of an object that it cannot read as it is."""
    if isinstance(value, np.ma.MaskedArray):
        if count := masked_entries(value):
            raise ValueError(
                f"{argument} must have no masked entries, got {count}; a mask can only say where the sequences of x,"
                " and what goes with their steps, end: fill or leave out other missing values"
            )
        return value.data
    if hasattr(value, "__array__"):
        if getattr(value, "requires_grad", False) and hasattr(value, "detach"):
            value = value.detach()
        return value.float() if str(getattr(value, "dtype", "")) == "torch.bfloat16" else value
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (RuntimeError, TypeError, ValueError, BufferError) as error:
            raise TypeError(f"{argument} must be convertible to a NumPy array by DLPack: {error}") from error
    if hasattr(value, "collect") and hasattr(value, "lazy"):
        raise TypeError(f"{argument} must hold numbers, got a {type(value).__name__}: give the result of its collect()")
    return value


def masked_entries(value: np.ma.MaskedArray[Any, Any]) -> int:
    """How many entries are masked."""
    return int(np.count_nonzero(np.ma.getmaskarray(value)))


def _of_table(argument: str, value: Any, array: Array) -> Array:
    """The numbers of a table, or of a column, that holds some of them in a dtype with missing values.

    TypeError that names the column where one holds something else; what is no table stays an array of objects.
    """
    is_table = hasattr(value, "columns") and hasattr(value, "dtypes")
    if not hasattr(value, "to_numpy") or is_table != (array.ndim == 2):
        return array
    _check_kinds(argument, zip(value.columns, value.dtypes, strict=True) if is_table else [(None, value.dtype)])
    options = {} if hasattr(value, "to_pandas") else {"dtype": "float64", "na_value": np.nan}  # polars, pandas
    found = np.asarray(value.to_numpy(**options))
    return found if found.dtype != object else np.where(found == None, np.nan, found).astype(np.float64)  # noqa: E711


def _check_kinds(argument: str, kinds: Iterable[tuple[Any, Any]]) -> None:
    """TypeError that names the first of some columns whose dtype is not one of numbers."""
    for name, dtype in kinds:
        if hasattr(dtype, "is_numeric"):
            is_number = dtype.is_numeric()
        else:  # of pandas, or PyArrow
            is_number = getattr(dtype, "kind", "") in tuple("fiub") or str(dtype).startswith(ARROW_NUMBERS)
        if not is_number and str(dtype) != "Boolean":
            where = "" if name is None else f"; its column {name!r}"
            raise TypeError(f"{argument} must hold real numbers{where or ', got one that'} holds {dtype}")


def _of_arrow(argument: str, value: Any) -> Array:
    """The numbers of a table, or a column, of PyArrow, null as NaN; lists become rows."""
    if hasattr(value, "to_numpy_ndarray"):
        return np.asarray(value.to_numpy_ndarray())
    if "list<" in str(getattr(value, "type", "")):
        return as_array(argument, value.to_pylist())
    is_table = hasattr(value, "schema")
    _check_kinds(
        argument, zip(value.schema.names, value.schema.types, strict=True) if is_table else [(None, value.type)]
    )
    array = np.asarray(value)
    return array if array.dtype != object else np.where(array == None, np.nan, array).astype(np.float64)  # noqa: E711


def _ragged(value: Any) -> str:
    """What to do with rows of different lengths, if `value` holds such rows."""
    if hasattr(value, "columns") or (sizes := _sizes(value)) is None or len(set(sizes)) < 2:
        return ""
    return (
        f"; its rows have from {min(sizes)} to {max(sizes)} steps: give "
        'rnncore.utils.pad_sequences(rows, padding="post", dtype="float32") and lengths=[len(row) for row in rows]'
        f"{see('guide/sequences')}"
    )


def _sizes(value: Any) -> list[int] | None:
    """The lengths of rows, None of what has no rows with a length."""
    try:
        return [len(row) for row in value]
    except TypeError:
        return None


def padded(argument: str, value: Any) -> tuple[Any, npt.NDArray[np.int32] | None]:
    """Sequences that end at different steps as one array with zeros behind their ends, and how long each is.

    They come as a list of arrays (T_n, ...), or as a masked array (N, T, ...) in which the last steps of rows are
    masked. All else comes back as it is, with None.

    Raises
    ------
    TypeError, ValueError
        If the steps of the rows differ in shape, or a mask says more than where rows end.
    """
    if type(value) is np.ndarray and value.dtype != object:
        return value, None
    if isinstance(value, np.ma.MaskedArray):
        return (value, None) if value.ndim < 2 or not masked_entries(value) else _of_mask(argument, value)
    if type(value) in (list, tuple):
        value = rows = readable_rows(argument, value)
    else:
        kind = str(getattr(value, "dtype", getattr(value, "type", ""))).lower()
        if getattr(value, "ndim", 1) != 1 or not kind.startswith(("object", "list", "large_list")):
            return value, None
        as_list = getattr(value, "to_pylist", getattr(value, "to_list", None))  # of PyArrow, polars and pandas
        rows = list(value) if as_list is None else as_list()
    if (sizes := _sizes(rows)) is None or any(isinstance(row, (str, dict)) for row in rows):
        return value, None
    if len(set(sizes)) < 2:
        return value if rows is value or not sizes else rows, None
    arrays = [as_array(f"{argument}[{k}]", row) for k, row in enumerate(rows)]
    inner = next(array.shape[1:] for array in arrays if len(array))
    for k, array in enumerate(arrays):
        if len(array) and array.shape[1:] != inner:
            raise ValueError(
                f"{argument}[{k}] must have steps of shape {inner} as the rows before, got {array.shape[1:]}"
            )
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{argument}[{k}] must hold real numbers, got dtype {array.dtype}")
    joined = np.zeros((len(arrays), max(sizes), *inner), np.result_type(*(row for row in arrays if len(row))))
    for row, array in zip(joined, arrays, strict=True):
        row[: len(array)] = array.reshape(-1, *inner)
    return joined, np.array(sizes, np.int32)


def _of_mask(argument: str, value: np.ma.MaskedArray[Any, Any]) -> tuple[Array, npt.NDArray[np.int32]]:
    """As `padded`, of an array in which something is masked."""
    mask = np.ma.getmaskarray(value)
    features = mask.reshape(*mask.shape[:2], -1)
    steps = np.asarray(features.all(axis=2))
    for wrong, what in (
        (features.any(axis=2) & ~steps, "some features but not all"),
        (steps[:, :-1] & ~steps[:, 1:], "a step, but not those after it"),
    ):
        if wrong.any():
            row, step = (int(k) for k in np.argwhere(wrong)[0])
            raise ValueError(
                f"the mask of {argument} must mask whole steps at the ends of rows, which become lengths; it masks"
                f" {what} at [{row}, {step}]: fill these, or mask steps by layers.Masking and {argument}.filled(value)"
            )
    found = np.where(mask, np.zeros((), value.dtype), value.data)
    return found, np.asarray((~steps).sum(axis=1), np.int32)
