"""Penalties on weights, added to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore import _configurable, program
from rnncore import _validation as check
from rnncore._configurable import Configurable
from rnncore._namespace import public
from rnncore._overrides import NoIgnoredOverrides
from rnncore._quiet import quiet
from rnncore.reference.penalties import penalty

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)


class Regularizer(NoIgnoredOverrides, Configurable, registry="regularizer"):
    """Base of the penalties: `l1` and `l2` are the factors of Σ|w| and Σw².

    Examples
    --------
    >>> from rnncore import regularizers
    >>> float(regularizers.L1L2(l1=0.5, l2=0.25)([1.0, -2.0]))
    2.75
    """

    _ignored = frozenset({"__call__", "call"})
    _instead = "the engine computes Σ|w|, Σw² and the penalty of OrthogonalRegularizer, and no function of Python"

    def __init__(self, l1: float, l2: float) -> None:
        self.l1 = check.number("l1", l1, low=0.0)
        self.l2 = check.number("l2", l2, low=0.0)

    def describe(self, parameter: int = 0) -> program.Regularizer:
        """Describe this penalty on parameter number `parameter`, as the executors read it."""
        return program.Regularizer(parameter, self.l1, self.l2)

    def check_shape(self, argument: str, shape: tuple[int, ...]) -> None:
        """ValueError unless weights of this shape can have this penalty."""

    @quiet
    def __call__(self, x: npt.ArrayLike) -> float:
        """The penalty of the weights `x`, an array of any shape."""
        w = check.real_array("x", x)
        w = w if w.dtype.kind == "f" else w.astype(np.float64)
        self.check_shape("x", w.shape)
        return penalty(self.describe(), w)[0]


class L1(Regularizer):
    """The penalty l1·Σ|w|.

    Parameters
    ----------
    l1 : float, default 0.01

    Examples
    --------
    >>> from rnncore import layers, regularizers
    >>> layers.Dense(3, kernel_regularizer=regularizers.L1(0.1)).kernel_regularizer
    L1(l1=0.1)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1, 0.0)


class L2(Regularizer):
    """The penalty l2·Σw².

    Parameters
    ----------
    l2 : float, default 0.01

    Examples
    --------
    >>> from rnncore import regularizers
    >>> regularizers.get("l2")
    L2(l2=0.01)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(0.0, l2)


class L1L2(Regularizer, aliases=("l1_l2",)):
    """The penalty l1·Σ|w| + l2·Σw².

    Parameters
    ----------
    l1, l2 : float, default 0.0

    Examples
    --------
    >>> from rnncore import regularizers
    >>> regularizers.L1L2(l1=1e-3, l2=1e-4)
    L1L2(l1=0.001, l2=0.0001)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__(l1, l2)


class OrthogonalRegularizer(Regularizer):
    """The penalty factor · (mean of |u_i·u_j| over all pairs of rows or columns u of a matrix, scaled to length 1).

    Parameters
    ----------
    factor : float, default 0.01
    mode : {"rows", "columns"}, default "rows"
        Which of the vectors should become orthogonal to each other.

    Notes
    -----
    The penalty has a kink where two vectors are orthogonal: there, as on a matrix that an orthogonal initializer made,
    rounding decides the sign of their part of the gradient, as in Keras.

    Examples
    --------
    >>> from rnncore import regularizers
    >>> round(regularizers.OrthogonalRegularizer(0.5)([[1.0, 0.0], [3.0, 4.0]]), 6)
    0.3
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        super().__init__(0.0, 0.0)
        self.factor = check.number("factor", factor, low=0.0)
        self.mode = check.lookup("mode", mode, {"rows": "rows", "columns": "columns"})

    def describe(self, parameter: int = 0) -> program.Regularizer:
        return program.Regularizer(parameter, orthogonal=self.factor, columns=self.mode == "columns")

    def check_shape(self, argument: str, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ValueError(f"{argument} must be a matrix for an OrthogonalRegularizer, got shape {shape}")


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

# All that names a regularizer.
Identifier = str | dict[str, Any] | type[Regularizer] | Regularizer | None


def serialize(regularizer: Regularizer | None) -> dict[str, Any] | None:
    """Describe a regularizer as `{"class_name": ..., "config": ...}`; None stays None.

    Examples
    --------
    >>> from rnncore import regularizers
    >>> regularizers.serialize(regularizers.L2(0.5))
    {'class_name': 'L2', 'config': {'l2': 0.5}}
    """
    return None if regularizer is None else _configurable.serialize(regularizer)


def deserialize(config: dict[str, Any]) -> Regularizer:
    """Make a regularizer from what `serialize` gave.

    Examples
    --------
    >>> from rnncore import regularizers
    >>> regularizers.deserialize({"class_name": "L1", "config": {"l1": 0.5}})
    L1(l1=0.5)
    """
    return _configurable.find(Regularizer, config)


def get(identifier: Identifier) -> Regularizer | None:
    """Find a regularizer by name, description or class; None stays None.

    Raises
    ------
    ValueError
        For an unknown name; the message offers the nearest ones.

    Examples
    --------
    >>> from rnncore import regularizers
    >>> regularizers.get("l1_l2")
    L1L2(l1=0.0, l2=0.0)
    """
    return None if identifier is None else _configurable.find(Regularizer, identifier)
