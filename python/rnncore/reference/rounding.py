"""Numbers as products take them: exactly, as bfloat16 (the upper half of a float32), or as int8 with a scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._sequence_arguments import Array

__all__ = ["ROUNDINGS", "WEIGHT_ROUNDINGS", "to_bfloat16", "to_int8"]


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


def to_int8(x: Array, axis: int = -1) -> Array:
    """Round to whole multiples of a scale, largest magnitude / 127 along `axis`; what is below 1e-30 counts as zero.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.reference.rounding import to_int8
    >>> to_int8(np.float32([[127.0, -3.4, 0.6], [0.0, 0.0, 0.0]])).tolist()
    [[127.0, -3.0, 1.0], [0.0, 0.0, 0.0]]
    """
    most = np.abs(x).max(axis=axis, keepdims=True, initial=0)
    scale = np.where(most < np.float32(1e-30), np.float32(0), most / np.float32(127))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = np.where(scale > 0, np.float32(1) / scale, np.float32(0))
        rounded: Array = np.rint(x * factor) * scale
    return rounded


def columns_to_int8(kernel: Array) -> Array:
    return to_int8(kernel, axis=0)


# Of x, h and their gradients, and of the weights.
ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "exact": exactly,
    "bfloat16": to_bfloat16,
    "bfloat16_weights": exactly,
    "int8": to_int8,
}
WEIGHT_ROUNDINGS = {**ROUNDINGS, "bfloat16_weights": to_bfloat16, "int8": columns_to_int8}
