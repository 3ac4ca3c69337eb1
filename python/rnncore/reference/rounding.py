"""Numbers as products take them: exactly, or rounded to bfloat16 (the upper half of a float32)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._sequence_arguments import Array

__all__ = ["ROUNDINGS", "to_bfloat16"]


def exactly(x: Array) -> Array:
    return x


def to_bfloat16(x: Array) -> Array:
    """Round to the nearest bfloat16, ties to even; the result is float32 again.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference.rounding import to_bfloat16
    >>> to_bfloat16(np.float32([1.0, 1.003, 1.005, 3.1415927])).tolist()
    [1.0, 1.0, 1.0078125, 3.140625]
    """
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32)).astype(np.float32)


ROUNDINGS: dict[str, Callable[[Array], Array]] = {"exact": exactly, "bfloat16": to_bfloat16}
