"""Files of named arrays, in the safetensors layout.

A file is the length of its header (8 bytes, little-endian), the header (JSON: for each tensor its dtype,
shape and place, and free text under `__metadata__`) and the tensors' raw little-endian numbers without gaps.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
import stat
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from rnncore._data import Array
from rnncore._pages import see
from rnncore.writing import FilePath, write_whole

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT = "rnncore"
VERSION = "1"
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
LONGEST_HEADER = 2**24  # bytes; tens of thousands of layers, and read within a fraction of a second
MOST_AXES = 32

# How files of other kinds begin, which are given for model files most often.
FOREIGN = {
    b"PK\x03\x04": "a zip archive, as .keras files are: see rnncore.keras.load_model",
    b"\x89HDF": "an HDF5 file: see rnncore.keras.load_model",
    b"\x80": "a pickle",
}


class Entry(NamedTuple):
    """What a header says of one tensor: its bytes are those from `start` to `stop` after the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


def write(path: FilePath, tensors: Mapping[str, Array], metadata: Mapping[str, str], *, overwrite: bool = True) -> None:
    """Write a file that appears whole or not at all."""
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION, **metadata}}
    names = {dtype.itemsize: name for name, dtype in DTYPES.items()}
    stop = 0
    for name, array in tensors.items():
        start, stop = stop, stop + array.nbytes
        header[name] = {"dtype": names[array.itemsize], "shape": list(array.shape), "data_offsets": [start, stop]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"{os.fspath(path)!r} cannot hold this model: it takes {len(text)} bytes to describe")

    def content(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in tensors.values():
            file.write(_bytes_of(np.ascontiguousarray(array, array.dtype.newbyteorder("<"))))

    write_whole(path, content, overwrite=overwrite)


def parse_json(text: str | bytes) -> Any:
    """What JSON describes; ValueError also for what Python would let pass: twice a key, NaN, too many levels."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in found if names.count(name) > 1)!r} twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


class TensorFile:
    """An open file that `write` wrote: what it says it holds, and the numbers once they are asked for.

    Attributes
    ----------
    path : str
    metadata : dict of str to str
    entries : dict of str to Entry
        In the order of the header; their places are checked against the size of the file.

    Raises
    ------
    ValueError
        For anything else.
    OSError
        If it cannot be opened or read.
    """

    def __init__(self, filepath: FilePath) -> None:
        self.path = os.fsdecode(filepath)
        _check_kind(self.path, os.stat(self.path))
        # A pipe that has taken the file's place meanwhile must not be waited for.
        self._file = os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        try:
            size = os.fstat(self._file.fileno()).st_size
            self.metadata, self.entries, self._begin = _read_header(self._file, size)
        except ValueError as error:
            self._file.close()
            raise ValueError(f"{self.path} is not a whole {FORMAT} file: {error}{see('guide/saving')}") from error
        except BaseException:
            self._file.close()
            raise

    def read_into(self, name: str, array: Array) -> None:
        """Fill an array of the tensor's shape, of any dtype."""
        entry = self.entries[name]
        direct = array.dtype == entry.dtype and array.flags.c_contiguous
        raw = array if direct else np.empty(entry.shape, entry.dtype)
        self._file.seek(self._begin + entry.start)
        if self._file.readinto(_bytes_of(raw)) != entry.stop - entry.start:
            raise ValueError("it became shorter while it was read")
        if not direct:
            array[...] = raw

    def read(self, name: str) -> Array:
        """A new array with a tensor's numbers."""
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        self.read_into(name, array)
        return array

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def _bytes_of(array: Array) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _check_kind(path: str, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ValueError(f"{path} is a folder; {FORMAT} keeps a model in one file, and reads no SavedModel folders")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is a pipe or device, not a file")


def _read_header(file: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Entry], int]:
    """Metadata, entries and where the numbers begin, of a file of so many bytes."""
    first = file.read(8)
    if len(first) < 8:
        raise ValueError(f"it has {len(first)} bytes")
    length = int.from_bytes(first, "little")
    if length > min(size - 8, LONGEST_HEADER):
        kind = next((f"; it is {kind}" for start, kind in FOREIGN.items() if first.startswith(start)), "")
        raise ValueError(f"its header would be {length} bytes long, of {size} in all{kind}")
    header = parse_json(file.read(length).decode())
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError("its header does not name the format")
    if metadata.get("version") != VERSION:
        raise ValueError(f"it has version {metadata.get('version')!r}, known is {VERSION!r}")
    for name, text in metadata.items():
        if not isinstance(text, str):
            raise ValueError(f"its {name} is not text")
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    there, end = size - 8 - length, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        if entry.start != end or entry.stop > there:
            raise ValueError(f"{name} would lie at bytes {entry.start} to {entry.stop} of {there}")
        end = entry.stop
    if end != there:
        raise ValueError(f"it has {there} bytes of numbers, {end} are named")
    return metadata, entries, 8 + length


def _entry(name: str, entry: Any) -> Entry:
    """The checked description of one tensor."""
    try:
        dtype, shape, (start, stop) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        numbers = (*shape, start, stop)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not described: {error}") from error
    claim = f"{name} has shape {reprlib.repr(shape)} and bytes {reprlib.repr(start)} to {reprlib.repr(stop)}"
    whole = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    if not isinstance(shape, list) or len(shape) > MOST_AXES or not whole:
        raise ValueError(f"{claim}, which are no sizes and places")
    if stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{claim}, which is another number of {entry['dtype']}")
    return Entry(dtype, tuple(shape), start, stop)
