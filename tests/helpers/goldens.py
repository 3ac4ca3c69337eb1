"""Reads the golden values that the scripts in `golden` computed with other libraries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tolerance import Array

__all__ = ["FOLDER", "Golden", "arrays", "load"]

FOLDER = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Golden:
    """One case of a peer: what was computed, with which options, from and to which arrays."""

    peer: str
    name: str
    function: str
    options: dict[str, Any]
    arrays: dict[str, Array]

    def __str__(self) -> str:
        return f"{self.peer}:{self.name}"

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """Array arguments of a recurrent function."""
        names = ("x", "kernel", "recurrent_kernel", "bias", "lengths")
        found: dict[str, Any] = {name: self.arrays[name] for name in names if name in self.arrays}
        return {**found, "initial_state": tuple(self.arrays["initial_state"])}

    @cached_property
    def real(self) -> Array:
        """Which steps (N, T) are not padding; peers differ in what they put there."""
        return np.arange(self.arrays["x"].shape[1]) < self.arrays["lengths"][:, None]


def arrays(name: str) -> dict[str, Array]:
    """All arrays of golden/<name>.npz."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def load(peer: str) -> list[Golden]:
    """All cases of golden/<peer>.npz."""
    cases: dict[str, dict[str, Array]] = {}
    for key, array in arrays(peer).items():
        case, name = key.rsplit("/", 1)
        cases.setdefault(case, {})[name] = array
    return [
        Golden(peer, case, arrays=found, **json.loads(found.pop("about").tobytes())) for case, found in cases.items()
    ]
