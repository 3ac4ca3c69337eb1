"""Losses as functions: the value of each position."""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from rnncore._data import Array
from rnncore.losses.base import Loss


class Function(Protocol):
    """A loss as a function."""

    def __call__(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *arguments: Any, **options: Any) -> Array: ...


FUNCTIONS: dict[Function, type[Loss]] = {}

_DOC = """The value of {name} for each position, as a function; also a loss or metric of `compile`.

Parameters
----------
y_true : array_like, shape {target}
y_pred : array_like, shape {output}
*arguments, **options
    As for `losses.{name}`.

Returns
-------
ndarray, shape {positions}

Raises
------
TypeError, ValueError
    If the shapes or types do not fit, or for an unknown option.

Examples
--------
>>> from rnncore import losses
>>> losses.{function}({target_example}, {output_example}).shape
(1,)
"""


def _described(cls: type[Loss]) -> dict[str, str]:
    """Shapes and an example for the docstring."""
    names = ("target", "output", "positions", "target_example", "output_example")
    if cls.kind == "ctc":
        found = ("(N, L) of labels from 1 on, then zeros", "(N, T, classes)", "(N,)", "[[1]]", "[[[0.25, 0.75]]]")
    elif cls.kind == "crf":
        found = ("(N, T) of labels", "(N, T, K, K)", "(N,)", "[[0]]", "[[[[-0.7, -0.7], [-0.7, -0.7]]]]")
    elif cls.sparse:
        found = ("(N, ...) of class ids", "(N, ..., U)", "(N, ...)", "[1]", "[[0.25, 0.75]]")
    else:
        found = ("(N, ..., U)", "(N, ..., U)", "(N, ...)", "[[0.0, 1.0]]", "[[0.25, 0.75]]")
    return dict(zip(names, found, strict=True))


def function_of(cls: type[Loss]) -> Function:
    """The loss as a function of targets, outputs and its arguments."""

    def function(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *arguments: Any, **options: Any) -> Array:
        return cls(*arguments, **options).values(y_true, y_pred)

    function.__name__ = function.__qualname__ = cls.kind
    function.__module__ = cls.__module__  # where it gets its name
    function.__doc__ = _DOC.format(name=cls.__name__, function=cls.kind, **_described(cls))
    FUNCTIONS[function] = cls
    return function
