"""Files that PyTorch's `save` wrote, read without PyTorch."""

from __future__ import annotations

import os
import reprlib
import stat
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rnncore._data import Array
from rnncore.torch.pickled import Name, Storage, interpret
from rnncore.writing import FilePath

__all__ = ["read_state_dict"]

DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",  # has no dtype in NumPy
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "u1",  # whose numbers need not be 0 and 1
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}
LOCAL_HEADER = 30  # bytes at least
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files began before they were zip archives


def read_state_dict(path: FilePath) -> dict[str, Any]:
    """Read a `.pt` or `.pth` file without PyTorch and without running anything that it holds.

    Parameters
    ----------
    path : str or path
        A file that `torch.save` wrote: a `state_dict`, or a checkpoint of dicts, lists, tuples, numbers and texts
        around several.

    Returns
    -------
    dict
        With arrays in place of tensors. Those of one storage share memory, as tied weights do, but for expanded,
        conjugated and negated views. bfloat16 becomes float32, which has all its numbers.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is broken or holds anything but tensors and containers; the text names file and entry.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from rnncore.torch import read_state_dict
    >>> torch.save(nn.GRU(3, 4).state_dict(), "gru.pt")
    >>> {name: array.shape for name, array in read_state_dict("gru.pt").items()}
    {'weight_ih_l0': (12, 3), 'weight_hh_l0': (12, 4), 'bias_ih_l0': (12,), 'bias_hh_l0': (12,)}
    """
    file = Path(os.fsdecode(path))
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError(f"{file} is not a file")
    with file.open("rb") as opened:
        try:
            found = _Archive(opened).read()
        except (ValueError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{file} cannot be read as weights of PyTorch: {error}") from error
    return found


class _Archive:
    """A zip archive of a pickle and the storages that it refers to."""

    def __init__(self, file: BinaryIO) -> None:
        beginning = file.read(len(LEGACY))
        if beginning == LEGACY:
            raise ValueError("it has the format of PyTorch before 1.6; load it there and save it again")
        if not beginning.startswith(b"PK\x03\x04"):
            raise ValueError("it is no zip archive")
        self._zip = zipfile.ZipFile(file)
        self._entries = {info.filename for info in self._zip.infolist()}
        if len(self._entries) != len(self._zip.infolist()):
            raise ValueError("two entries have the same name")
        _check_places(self._zip)
        pickles = [name for name in self._entries if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"it has {len(pickles)} entries data.pkl, expected 1")
        self._pickle = pickles[0]
        self._folder = self._pickle.removesuffix("data.pkl")
        if f"{self._folder}constants.pkl" in self._entries:
            raise ValueError("it is a program of torch.jit, not a state_dict")
        self._storages: dict[tuple[str, Name], Storage] = {}

    def read(self) -> dict[str, Any]:
        """The dict that the archive holds."""
        order = f"{self._folder}byteorder"
        if order in self._entries and (given := self._bytes(order)) != b"little":
            raise ValueError(f"entry {order!r}: expected little, got {reprlib.repr(given)}")
        try:
            found = interpret(self._bytes(self._pickle), self._storage)
        except ValueError as error:
            raise ValueError(f"entry {self._pickle!r}: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"entry {self._pickle!r}: expected a dict, got {type(found).__name__}")
        return found

    def _bytes(self, name: str) -> bytes:
        """The whole entry, whose checksum fits."""
        if name not in self._entries:
            raise ValueError(f"entry {name!r} is missing")
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"entry {name!r}: {error}") from error

    def _storage(self, reference: Any) -> Storage:
        """The numbers of ("storage", kind, key, location, count)."""
        if not isinstance(reference, tuple) or len(reference) != 5 or reference[0] != "storage":
            raise ValueError(f"it refers to {reprlib.repr(reference)}, which is no storage")
        _, kind, key, _, count = reference
        entry = f"{self._folder}data/{key}"
        if not isinstance(key, str) or not isinstance(kind, Name) or type(count) is not int:
            raise ValueError(f"it refers to {reprlib.repr(reference)}, which is no storage")
        if kind.module != "torch" or kind.name not in DTYPES:
            raise ValueError(f"{entry} has numbers of {kind}, which are not supported; known are {', '.join(DTYPES)}")
        if (entry, kind) not in self._storages:
            self._storages[entry, kind] = Storage(entry, _numbers(kind.name, entry, self._bytes(entry)))
        found = self._storages[entry, kind]
        if found.numbers.size != count:
            raise ValueError(f"{entry} has {found.numbers.size} numbers, expected {count}")
        return found


def _check_places(archive: zipfile.ZipFile) -> None:
    """Raise a ValueError unless each entry has bytes of its own that are stored as they are."""
    end, before = 0, ""
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise ValueError(f"entry {info.filename!r} is compressed or encrypted, which PyTorch does not do")
        if info.header_offset < end:
            raise ValueError(f"entry {info.filename!r} overlaps with {before!r}")
        end, before = info.header_offset + LOCAL_HEADER + info.file_size, info.filename
    if end > archive.start_dir:
        raise ValueError(f"entry {before!r} runs beyond the entries")


def _numbers(kind: str, entry: str, data: bytes) -> Array:
    """The numbers of a storage, which may be written to."""
    dtype = np.dtype(f"<{DTYPES[kind]}")
    if len(data) % dtype.itemsize:
        raise ValueError(f"{entry} has {len(data)} bytes, expected numbers of {dtype.itemsize}")
    numbers = np.frombuffer(bytearray(data), dtype)
    if kind == "BoolStorage":
        return numbers.astype(np.bool_)
    if kind == "BFloat16Storage":
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.astype(dtype.newbyteorder("="), copy=False)
