"""HDF5 files that nobody vouches for: what they claim is compared with what they store before it is read."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from rnncore._data import Array

__all__ = ["LONGEST_TEXT", "Node", "h5py_module", "open_root"]

LONGEST_TEXT = 2**26  # bytes of a description
MOST_NODES, DEEPEST = 200_000, 64  # groups and datasets of a file, and groups in groups
PACKED = 100  # how many times larger than stored an array may be, as weights hardly shrink
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # those that come with h5py


def h5py_module() -> Any:
    """The package h5py, or an ImportError that says how to get it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("files of Keras need h5py: pip install 'rnncore[keras]'") from error
    return h5py


def open_root(file: BinaryIO) -> Node:
    """The root of an open HDF5 file."""
    h5py = h5py_module()
    try:
        handle = h5py.File(file, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"it is no whole HDF5 file: {error}") from error
    file.seek(0, 2)
    return Node(h5py, handle, "", file.tell(), 0)


class Node:
    """A group of a file, read with suspicion: links that lead away and references are refused.

    Attributes
    ----------
    path : str
        Of the group within the file, empty for the root.
    """

    def __init__(self, h5py: Any, handle: Any, path: str, size: int, depth: int) -> None:
        self._h5py, self._handle, self._size, self._depth = h5py, handle, size, depth
        self.path = path

    def close(self) -> None:
        """Close the file."""
        self._handle.file.close()

    # Text

    def has_text(self, name: str) -> bool:
        """Whether there is an attribute of this name."""
        return name in self._handle.attrs

    def text(self, name: str) -> str:
        """The attribute `name` as text; ValueError if it is missing or something else."""
        texts = self._texts(name)
        if len(texts) != 1:
            raise ValueError(f"attribute {name!r} of {self._where} must be one text, got {len(texts)}")
        return texts[0]

    def texts(self, name: str) -> list[str]:
        """A list of texts, which is in parts named `name0`, `name1` ... where it is long."""
        if self.has_text(name):
            return self._texts(name)
        found: list[str] = []
        part = 0
        while self.has_text(f"{name}{part}"):
            found += self._texts(f"{name}{part}")
            part += 1
        if not part:
            raise ValueError(f"{self._where} has no attribute {name!r}")
        return found

    def _texts(self, name: str) -> list[str]:
        attributes = self._handle.attrs
        if name not in attributes:
            raise ValueError(f"{self._where} has no attribute {name!r}")
        found = attributes.get_id(name)
        count = math.prod(found.shape or ())
        is_text = self._h5py.check_string_dtype(found.dtype) is not None
        if not is_text and count:
            raise ValueError(f"attribute {name!r} of {self._where} must be text, got {found.dtype}")
        if not count:
            return []
        if max(count * found.dtype.itemsize, found.get_storage_size()) > min(LONGEST_TEXT, self._size):
            raise ValueError(f"attribute {name!r} of {self._where} claims more than is there: {count} texts")
        values = np.atleast_1d(np.asarray(attributes[name], object)).ravel()
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        if sum(map(len, texts)) > LONGEST_TEXT:
            raise ValueError(f"attribute {name!r} of {self._where} is too long")
        return texts

    # What is inside

    @property
    def _where(self) -> str:
        return repr(self.path) if self.path else "the file"

    def names(self) -> list[str]:
        """The names of what is in this group."""
        if len(self._handle) > MOST_NODES:
            raise ValueError(f"{self._where} has {len(self._handle)} entries")
        return list(self._handle)

    def _entry(self, name: str) -> Any:
        """What a path in this group leads to, by links within the file alone; None if there is nothing."""
        handle, place = self._handle, self.path
        for part in filter(None, name.split("/")):
            if part in (".", "..") or not isinstance(handle, self._h5py.Group) or part not in handle:
                link = handle.get(part, getlink=True) if isinstance(handle, self._h5py.Group) else None
                if link is not None and not isinstance(link, self._h5py.HardLink):
                    raise ValueError(
                        f"{posixpath.join(place, part)!r} is a link that leads away, which is not followed"
                    )
                return None
            place = posixpath.join(place, part)
            if not isinstance(handle.get(part, getlink=True), self._h5py.HardLink):
                raise ValueError(f"{place!r} is a link that leads away, which is not followed")
            handle = handle[part]
        return handle

    def group(self, name: str) -> Node | None:
        """The group of this path, or None."""
        found = self._entry(name)
        if not isinstance(found, self._h5py.Group):
            return None
        depth = self._depth + name.count("/") + 1
        if depth > DEEPEST:
            raise ValueError(f"{self._where} is nested too deeply")
        return Node(self._h5py, found, posixpath.join(self.path, name), self._size, depth)

    def groups(self) -> Iterator[tuple[str, Node]]:
        """The groups in this one by name."""
        for name in self.names():
            found = self.group(name)
            if found is not None:
                yield name, found

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that a dataset claims to have; ValueError if there is none that holds numbers here."""
        found = self._entry(name)
        if not isinstance(found, self._h5py.Dataset):
            raise ValueError(f"{self._where} has no dataset {name!r}")
        if (found.dtype.kind not in "fiub" and not _is_bfloat16(found)) or found.shape is None:
            raise ValueError(f"{self._place(name)} must hold numbers, got {found.dtype}")
        return tuple(map(int, found.shape))

    def read(self, name: str, shape: tuple[int, ...]) -> Array:
        """The numbers of a dataset of this shape, none of which are read unless all of them are there."""
        if (claimed := self.shape(name)) != shape:
            raise ValueError(f"{self._place(name)} must have shape {shape}, got {claimed}")
        found = self._entry(name)
        self._check_storage(name, found)
        try:
            numbers = np.asarray(found[()])
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{self._place(name)} cannot be read: {error}") from error
        if _is_bfloat16(found):  # the upper half of a float32
            return (np.ascontiguousarray(numbers).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return numbers

    def _check_storage(self, name: str, dataset: Any) -> None:
        """ValueError unless the file itself holds what a dataset claims to have."""
        plan = dataset.id.get_create_plist()
        if dataset.is_virtual or plan.get_external_count():
            raise ValueError(f"{self._place(name)} has its numbers in other files, which are not read")
        for number in range(plan.get_nfilters()):
            code = plan.get_filter(number)[0]
            if code not in FILTERS:
                raise ValueError(f"{self._place(name)} is packed by filter {code}, known are {[*FILTERS.values()]}")
        needed, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize if dataset.chunks else 0
        most = stored if not plan.get_nfilters() else PACKED * stored + 2**16
        if max(needed, chunk) > most or stored > self._size:
            raise ValueError(
                f"{self._place(name)} claims {needed} bytes, but {stored} are stored: the file is damaged or hostile"
            )

    def _place(self, name: str) -> str:
        return repr(posixpath.join(self.path, name))


def _is_bfloat16(dataset: Any) -> bool:
    """Whether a dataset holds numbers as Keras stores bfloat16: two bytes without a type, and a word about them."""
    return dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2 and "dtype" in dataset.attrs
