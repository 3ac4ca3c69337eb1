"""Steps that a layer will read again, kept between the chunks of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnncore._data import Array
from rnncore.training.timeline import Clock, Place

__all__ = ["Memory"]


@dataclass(frozen=True, eq=False)
class Memory:
    """Steps of one value that a layer still needs: those of windows that are not whole, or all there were.

    Attributes
    ----------
    name : str
    source : Place
        Of the value.
    clock : Clock
        When its steps are known.
    shape : tuple of int
        Of one step.
    span, stride : int or None
        Of windows; a span of None keeps all steps.
    padded : int
        Steps of zeros before the first one.
    of_mask : bool
        Whether it keeps which of the steps are valid, not the steps.
    """

    name: str
    source: Place
    clock: Clock
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    span: int | None = None
    stride: int = 1
    padded: int = 0
    of_mask: bool = False

    def empty(self, rows: int) -> Array:
        """What is kept before the first step."""
        return np.zeros((rows, self.padded, *self.shape), self.dtype)

    def length(self, steps: int) -> int:
        """How many steps are kept after so many of the input."""
        seen = self.padded + self.clock.count(steps)
        return max(seen - self._next(seen), 0)

    def extend(self, kept: Array, new: Array | None, before: int, after: int) -> tuple[Array | None, Array]:
        """What the layer reads of the steps kept and some new ones, if it reads any, and what is then kept.

        `before` and `after` count steps of the input. None stands for no new steps.
        """
        if new is None:
            return kept if self.span is None and kept.shape[1] else None, kept
        whole = np.concatenate([kept, new], axis=1)
        if self.span is None:
            return whole, whole
        seen = self.padded + self.clock.count(before)
        begin = self._next(seen)
        if begin > seen:  # windows with gaps between them: the steps in a gap are not kept
            whole = whole[:, begin - seen :]
        windows = (self._next(self.padded + self.clock.count(after)) - begin) // self.stride
        read = whole[:, : (windows - 1) * self.stride + self.span] if windows else None
        return None if read is None else np.ascontiguousarray(read), whole[:, windows * self.stride :].copy()

    def _next(self, seen: int) -> int:
        """Where the first window begins that is not whole after so many steps, those of zeros included."""
        return 0 if self.span is None else max((seen - self.span) // self.stride + 1, 0) * self.stride
