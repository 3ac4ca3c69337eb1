"""Event files, which TensorBoard reads: records with checksums around messages in the encoding of protocol buffers.

The numbers of fields are those of `event.proto`, `summary.proto` and `graph.proto`.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

BINS = 30  # of a histogram

_counter = itertools.count()


class EventFile:
    """A file in a folder; both are made with the first event.

    It is open only while it is written to, so that it is whole whenever training stops.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path: str | None = None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._write(step, _nested(5, *(_nested(1, _text(1, tag), _single(2, value)) for tag, value in values.items())))

    def histograms(self, arrays: Mapping[str, npt.NDArray[np.floating]], step: int) -> None:
        values = (_nested(1, _text(1, tag), _nested(5, *_histogram(array))) for tag, array in arrays.items())
        self._write(step, _nested(5, *values))

    def graph(self, nodes: Iterable[tuple[str, str, Sequence[str], Sequence[Sequence[int | None]]]]) -> None:
        """Names, kinds, inputs and shapes of the outputs of what a model is made of."""
        self._write(0, _nested(4, *(_nested(1, *_node(*node)) for node in nodes)))

    def _write(self, step: int, content: bytes) -> None:
        begun = b""
        if self._path is None:
            os.makedirs(self._folder, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_counter)}"
            self._path = os.path.join(self._folder, name)
            begun = _record(_double(1, time.time()) + _text(3, "brain.Event:2"))
        with open(self._path, "ab") as file:
            file.write(begun + _record(_double(1, time.time()) + _whole(2, step) + content))


def _histogram(array: npt.NDArray[np.floating]) -> Iterable[bytes]:
    """The fields of a histogram of the finite numbers of an array."""
    values = array[np.isfinite(array)].astype(np.float64)
    if not values.size:
        return
    counts, edges = np.histogram(values, BINS)
    yield from (_double(1, values.min()), _double(2, values.max()), _double(3, values.size))
    yield from (_double(4, values.sum()), _double(5, np.square(values).sum()))
    yield from (_doubles(6, edges[1:]), _doubles(7, counts))


def _node(name: str, kind: str, inputs: Sequence[str], shapes: Sequence[Sequence[int | None]]) -> Iterable[bytes]:
    yield from (_text(1, name), _text(2, kind))
    yield from (_text(3, source) for source in inputs)
    sizes = ([_nested(2, _whole(1, -1 if size is None else size)) for size in shape] for shape in shapes)
    listed = _nested(1, *(_nested(7, *dimensions) for dimensions in sizes))
    yield _nested(5, _text(1, "_output_shapes"), _nested(2, listed))


# Fields of messages


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number & (2**64 - 1))


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _single(field: int, number: float) -> bytes:
    with np.errstate(over="ignore"):  # a loss may have grown beyond: then it is infinite
        return _varint(field << 3 | 5) + np.asarray(number, "<f4").tobytes()


def _nested(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _nested(field, text.encode())


def _doubles(field: int, numbers: npt.ArrayLike) -> bytes:
    return _nested(field, np.asarray(numbers, "<f8").tobytes())


# Records


def _table() -> Iterable[int]:
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


_TABLE = tuple(_table())


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720, by Castagnoli's polynomial."""
    found = 0xFFFFFFFF
    for byte in data:
        found = _TABLE[(found ^ byte) & 0xFF] ^ found >> 8
    return found ^ 0xFFFFFFFF


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    """A checksum as it stands in a file: turned, and moved by a constant, since data may hold checksums."""
    found = crc32c(data)
    return struct.pack("<I", ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)
