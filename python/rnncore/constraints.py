"""What weights must fulfil: after every update they are brought back to where a constraint allows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore import _configurable, program
from rnncore import _validation as check
from rnncore._configurable import Configurable
from rnncore._data import Array
from rnncore._namespace import public
from rnncore._overrides import NoIgnoredOverrides
from rnncore._quiet import quiet
from rnncore.reference.constraints import CONSTRAINTS

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

Axis = int | Sequence[int]


class Constraint(NoIgnoredOverrides, Configurable, registry="constraint"):
    """Base of the constraints. Executors know `NonNeg` and norms between two bounds; a subclass chooses among these.

    Examples
    --------
    >>> from rnncore import constraints, layers
    >>> layers.Dense(3, kernel_constraint="non_neg").kernel_constraint
    NonNeg()
    """

    _ignored = frozenset({"__call__", "call"})
    _instead = "the engine applies the constraints there are, and no function of Python"

    kind: ClassVar[str]

    def attributes(self, rank: int) -> dict[str, Any]:
        """What the executors need to know besides the kind, for weights of `rank` axes."""
        return {}

    def describe(self, parameter: int, rank: int) -> program.Constraint:
        """Describe this constraint on a parameter of `rank` axes, as the executors read it."""
        return program.Constraint(parameter, self.kind, self.attributes(rank))

    @quiet
    def __call__(self, w: npt.ArrayLike) -> Array:
        """The nearest weights that are allowed, of the shape of `w`."""
        array = check.real_array("w", w)
        if array.dtype.kind != "f":
            array = array.astype(np.float32)
        return CONSTRAINTS[self.kind](array, **self.attributes(array.ndim))


class NonNeg(Constraint):
    """No weight is negative: those below 0 become 0.

    Examples
    --------
    >>> from rnncore import constraints
    >>> constraints.NonNeg()([-1.0, 2.0])
    array([0., 2.])
    """

    kind = "non_negative"


class _Norm(Constraint):
    """Norms along some axes kept between two bounds: w · desired / (1e-7 + norm)."""

    kind = "norm"
    axis: int | list[int]

    def attributes(self, rank: int) -> dict[str, Any]:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        for axis in axes:
            if not -rank <= axis < rank:
                raise ValueError(f"{type(self).__name__}: axis must be one of {rank} axes of the weights, got {axis}")
        return {**self.bounds(), "axes": sorted({axis % rank for axis in axes})}

    def bounds(self) -> dict[str, float]:
        """The least and the largest norm, and the share of the way that weights outside go towards them."""
        raise NotImplementedError


class MaxNorm(_Norm):
    """The norm of the weights along an axis is at most `max_value`.

    Parameters
    ----------
    max_value : float, default 2.0
    axis : int or sequence of int, default 0
        Over which axes the norm is taken: 0 takes the incoming weights of each unit of a `Dense` kernel.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import constraints
    >>> np.round(constraints.MaxNorm(1.0)([[3.0, 0.1], [4.0, 0.2]]), 3)
    array([[0.6, 0.1],
           [0.8, 0.2]])
    """

    def __init__(self, max_value: float = 2.0, axis: Axis = 0) -> None:
        self.max_value = check.number("max_value", max_value, low=0.0)
        self.axis = _axis(axis)

    def bounds(self) -> dict[str, float]:
        return {"min_value": 0.0, "max_value": self.max_value, "rate": 1.0}


class UnitNorm(_Norm):
    """The norm of the weights along an axis is 1.

    Parameters
    ----------
    axis : int or sequence of int, default 0

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import constraints
    >>> np.round(constraints.UnitNorm()([3.0, 4.0]), 3)
    array([0.6, 0.8])
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = _axis(axis)

    def bounds(self) -> dict[str, float]:
        return {"min_value": 1.0, "max_value": 1.0, "rate": 1.0}


class MinMaxNorm(_Norm):
    """The norm of the weights along an axis lies between two bounds, or goes part of the way there.

    Parameters
    ----------
    min_value : float, default 0.0
    max_value : float, default 1.0
    rate : float in [0, 1], default 1.0
        The share of the way to the bound that an update covers: rate · clipped norm + (1 − rate) · norm.
    axis : int or sequence of int, default 0

    Raises
    ------
    ValueError
        If the bounds are out of order.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore import constraints
    >>> np.round(constraints.MinMaxNorm(min_value=10.0, max_value=20.0)([3.0, 4.0]), 3)
    array([6., 8.])
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value = check.number("min_value", min_value, low=0.0)
        self.max_value = check.number("max_value", max_value, low=0.0)
        if self.min_value > self.max_value:
            raise ValueError(f"min_value must be at most max_value = {self.max_value}, got {self.min_value}")
        self.rate = check.number("rate", rate, low=0.0, high=1.0)
        self.axis = _axis(axis)

    def bounds(self) -> dict[str, float]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate}


non_neg, max_norm, unit_norm, min_max_norm = NonNeg, MaxNorm, UnitNorm, MinMaxNorm

# All that names a constraint.
Identifier = str | dict[str, Any] | type[Constraint] | Constraint | None


def _axis(axis: Axis) -> int | list[int]:
    if isinstance(axis, Sequence):
        return [check.integer("each of axis", number) for number in axis]
    return check.integer("axis", axis)


def serialize(constraint: Constraint | None) -> dict[str, Any] | None:
    """Describe a constraint as `{"class_name": ..., "config": ...}`; None stays None.

    Examples
    --------
    >>> from rnncore import constraints
    >>> constraints.serialize(constraints.MaxNorm(3.0))
    {'class_name': 'MaxNorm', 'config': {'max_value': 3.0, 'axis': 0}}
    """
    return None if constraint is None else _configurable.serialize(constraint)


def deserialize(config: dict[str, Any]) -> Constraint:
    """Make a constraint from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import constraints
    >>> constraints.deserialize({"class_name": "UnitNorm", "config": {"axis": 1}})
    UnitNorm(axis=1)
    """
    return _configurable.find(Constraint, config)


def get(identifier: Identifier) -> Constraint | None:
    """Find a constraint by name, description or class; None stays None.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import constraints
    >>> constraints.get("max_norm")
    MaxNorm(max_value=2.0, axis=0)
    """
    if callable(identifier) and not isinstance(identifier, (Constraint, type)):
        raise TypeError("constraint must be one of rnncore.constraints: a plain function does not run in the engine")
    return None if identifier is None else _configurable.find(Constraint, identifier)
