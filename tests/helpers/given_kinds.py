"""One array held in all the ways that people have it; what needs a package that is not there skips the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import Array


class OnlyDLPack:
    """An array that NumPy can read through DLPack alone."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


def need(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


# How an array (N,) or (N, C) is held.
KINDS: dict[str, Callable[[Array], Any]] = {
    "list": lambda a: a.tolist(),
    "list of rows": list,
    "masked without a mask": np.ma.array,
    "only DLPack": OnlyDLPack,
    "list of DLPack": lambda a: [OnlyDLPack(row) for row in a] if a.ndim > 1 else OnlyDLPack(a),
    "pandas": lambda a: need("pandas").DataFrame(a) if a.ndim > 1 else need("pandas").Series(a),
    "pandas nullable": lambda a: need("pandas").DataFrame(a).astype("Float32").squeeze(axis=1),
    "polars": lambda a: need("polars").DataFrame(a) if a.ndim > 1 else need("polars").Series(a),
    "xarray": lambda a: need("xarray").DataArray(a),
    "pyarrow": lambda a: need("pyarrow").table(dict(zip("abcd", a.T, strict=False))) if a.ndim > 1 else a,
    "torch": lambda a: need("torch").tensor(a),
    "torch with gradient": lambda a: need("torch").tensor(a, requires_grad=True),
    "list of tensors": lambda a: [need("torch").tensor(row, requires_grad=True) for row in a],
}
