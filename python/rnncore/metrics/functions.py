"""Metrics as functions: the value of each position."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from rnncore import _data as data
from rnncore._data import Array
from rnncore._quiet import quiet
from rnncore.losses.functions import Function
from rnncore.metrics.base import Metric
from rnncore.reference.metrics import METRICS

FUNCTIONS: dict[Function, type[Metric]] = {}

_DOC = """The value of {name} for each position, as a function; also a metric of `compile`.

Parameters
----------
y_true : array_like, shape {target}
y_pred : array_like, shape (N, ..., U)
*arguments, **options
    As for `metrics.{name}`.

Returns
-------
ndarray of float32, shape (N, ...)

Raises
------
TypeError, ValueError
    If the shapes or types do not fit, or for an unknown option.

Examples
--------
>>> from rnncore import metrics
>>> metrics.{function}({example}, [[0.25, 0.75]])
array([1.], dtype=float32)
"""


def function_of(cls: type[Metric], *names: str) -> Function:
    """The metric as a function; `names` are the options that may be given by place."""

    @quiet
    def function(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, *arguments: Any, **options: Any) -> Array:
        metric = cls(**dict(zip(names[: len(arguments)], arguments, strict=True)), **options)
        output = data.floating("y_pred", y_pred)
        target = data.target("y_true", y_true, output.shape, output.dtype, sparse=bool(cls.sparse))
        return METRICS[cls.kind](target, output, **metric.attributes()).astype("float32")

    function.__name__ = function.__qualname__ = cls.kind
    function.__module__ = cls.__module__  # where it gets its name
    function.__doc__ = _DOC.format(
        name=cls.__name__,
        function=cls.kind,
        target="(N, ...) of class ids" if cls.sparse else "(N, ..., U)",
        example="[1]" if cls.sparse else "[[0.0, 1.0]]",
    )
    FUNCTIONS[function] = cls
    return function
