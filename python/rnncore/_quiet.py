"""Infinity and NaN as results like others, of which the reference does not warn, as kernels do not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np

__all__ = ["quiet"]

P = ParamSpec("P")
R = TypeVar("R")


def quiet(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function not warn of floating-point errors; what `np.errstate` is to raise is still raised."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        silenced = {kind: "ignore" if answer == "warn" else answer for kind, answer in np.geterr().items()}
        with np.errstate(**silenced):  # type: ignore[arg-type]
            return function(*args, **kwargs)

    return run
