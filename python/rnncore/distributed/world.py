"""The processes that train together: what they tell each other by MPI."""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
import zlib
from typing import Any, NoReturn

import numpy as np

from rnncore._data import Array
from rnncore.reference.rounding import to_bfloat16

PATIENCE = 200  # looks at a message under way, of about a microsecond
PAUSE = 2e-5  # seconds between two looks after that
GRACE = 3.0  # seconds in which all ranks may come to the same error


class World:
    """A communicator of its own with the processes of `comm`, by default all; ImportError without mpi4py."""

    def __init__(self, comm: Any = None) -> None:
        try:
            from mpi4py import MPI
        except ModuleNotFoundError as error:
            raise ImportError(
                "rnncore.distributed needs mpi4py and an MPI library: pip install 'rnncore[mpi]'", name="mpi4py"
            ) from error
        if comm is not None and not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm must be a communicator of mpi4py, got {type(comm).__name__}")
        self._mpi = MPI
        self._comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
        self._errors = self._comm.Dup()  # where nobody waits but who has an error
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self.agreed: BaseException | None = None  # an error that all processes raise

    def close(self) -> None:
        """Give back what MPI keeps."""
        self._errors.Free()
        self._comm.Free()

    def share(self, value: Any) -> Any:
        """The value that rank 0 has: there itself, and copies of it on the others."""
        copied = self._comm.bcast(value)
        return value if self.rank == 0 else copied

    def copy(self, array: Array) -> None:
        """Fill an array with the numbers that rank 0 has."""
        self._comm.Bcast(array)

    def gather(self, *numbers: float) -> Array:
        """The numbers of all ranks (size, ...) in float64."""
        found = np.empty((self.size, len(numbers)))
        self._wait(self._comm.Iallgather(np.array(numbers, np.float64), found))
        return found

    def add(self, array: Array) -> None:
        """Put the sum over all ranks in the place of each rank's numbers."""
        if self.size > 1:
            self._wait(self._comm.Iallreduce(self._mpi.IN_PLACE, array))

    def add_rounded(self, array: Array) -> None:
        """As `add`, with half of the bytes: numbers (n,) travel as bfloat16, and each rank adds up a part of them."""
        if self.size == 1:
            return
        part = -(-len(array) // self.size)
        words = np.zeros(self.size * part, np.uint16)
        words[: len(array)] = _upper_halves(array)
        found = np.empty((self.size, part), np.uint16)
        self._wait(self._comm.Ialltoall(words, found))
        self._wait(self._comm.Iallgather(_upper_halves(_floats(found).sum(axis=0)), words))
        array[...] = _floats(words[: len(array)])

    def _wait(self, request: Any, seconds: float = math.inf) -> bool:
        """Whether it is done in time. Looks often at first, then with pauses: the others may need this processor."""
        looks, end = 0, time.monotonic() + seconds
        while not request.Test():
            looks += 1
            if looks > PATIENCE:
                time.sleep(PAUSE)
                if time.monotonic() > end:
                    return False
        return True

    def agree(self, error: BaseException | None) -> None:
        """Return if no rank has an error; else all raise one: their own, or one that names a rank and what it has."""
        (failed,) = np.nonzero(self.gather(error is not None)[:, 0])
        if len(failed):
            text = self._comm.bcast(f"{type(error).__name__}: {error}".removesuffix(": "), root=failed[0])
            self.fail(error or RuntimeError(f"rank {failed[0]} failed with {text}"))

    def require_same(self, values: dict[str, Any]) -> None:
        """ValueError on all ranks unless each value, of an argument of this name, is the same on all."""
        digests = self.gather(zlib.crc32(repr(values).encode()))
        if (digests == digests[0]).all():
            return
        found = self._comm.allgather(values)
        for rank, other in enumerate(found):
            for name in [*found[0], *other]:
                first, this = found[0].get(name), other.get(name)
                if this != first:
                    came = f"{first} on rank 0 and {this} on rank {rank}"
                    self.fail(ValueError(f"{name} must be the same on all ranks, got {came}"))

    def fail(self, error: BaseException) -> NoReturn:
        """Raise an error, as all ranks do."""
        self.agreed = error
        raise error

    def abort(self, error: BaseException) -> None:
        """End all processes because of an error, unless all have one: the others would wait for this one for ever."""
        if self.size == 1 or self._wait(self._errors.Ibarrier(), GRACE):
            return
        traceback.print_exception(error)
        print(f"rank {self.rank} of {self.size} ends all ranks because of this error", file=sys.stderr, flush=True)
        self._comm.Abort(1)

    def threads(self) -> int:
        """How many processors each process has for itself: those it may run on, shared with the others of a machine."""
        here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        processors = (
            sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]
        )
        sharing: int = here.allgather(processors).count(processors)
        here.Free()
        return max(1, len(processors) // sharing)


def _floats(words: Array) -> Array:
    """The float32 numbers whose upper halves these are."""
    numbers: Array = (words.astype(np.uint32) << 16).view(np.float32)
    return numbers


def _upper_halves(numbers: Array) -> Array:
    """The upper halves (n,) of float32 numbers that are rounded to them."""
    return (to_bfloat16(numbers).view(np.uint32) >> 16).astype(np.uint16)
