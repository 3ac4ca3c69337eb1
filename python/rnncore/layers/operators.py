"""What `+`, `-`, `*`, `/`, `**`, `abs` and `[]` on symbolic values stand for: calls of layers."""

from __future__ import annotations

import numbers
from typing import Any

from rnncore._keras_names import SYMBOLIC, PointsElsewhere

__all__ = ["Operators"]


class Operators(PointsElsewhere):
    """Base of the symbolic values."""

    _elsewhere = SYMBOLIC

    __array_ufunc__ = None  # so that NumPy's numbers leave operations to these methods
    __iter__ = None  # or Python would try one index after the other

    def __add__(self, other: Any) -> Any:
        return _merged("Add", self, other) if _is_symbolic(other) else _rescaled(self, "x + y", 1.0, other)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        if _is_symbolic(other):
            return _merged("Subtract", self, other)
        return _rescaled(self, "x - y", 1.0, -_number("x - y", other))

    def __rsub__(self, other: Any) -> Any:
        return _rescaled(self, "y - x", -1.0, other)

    def __mul__(self, other: Any) -> Any:
        return _merged("Multiply", self, other) if _is_symbolic(other) else _rescaled(self, "x * y", other, 0.0)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __truediv__(self, other: Any) -> Any:
        return _rescaled(self, "x / y", 1.0 / _number("x / y", other), 0.0)

    def __rtruediv__(self, other: Any) -> Any:
        raise TypeError("y / x of a symbolic value x is not there; divide by numbers")

    def __neg__(self) -> Any:
        return _rescaled(self, "-x", -1.0, 0.0)

    def __pos__(self) -> Any:
        return self

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, bool) or not isinstance(power, numbers.Real):
            raise TypeError(f"x ** y of a symbolic value needs a number, got {power!r}")
        exponent = float(power)
        if exponent == 0.5:
            return _made(self, "Elementwise", "sqrt")(self)
        if exponent < 1 or not exponent.is_integer():
            return _made(self, "Elementwise", "power", exponent=exponent)(self)
        return _merged("Multiply", *[self] * int(exponent)) if exponent > 1 else self

    def __abs__(self) -> Any:
        return _made(self, "Elementwise", "abs")(self)

    def __getitem__(self, index: Any) -> Any:
        return _made(self, "GetItem", index)(self)


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, Operators)


def _made(value: Any, layer: str, *arguments: Any, **options: Any) -> Any:
    """A layer by its name, as the modules of layers import this one."""
    return value.layer._registry[layer](*arguments, **options)


def _merged(layer: str, *values: Any) -> Any:
    return _made(values[0], layer)(list(values))


def _rescaled(value: Any, operation: str, scale: Any, offset: Any) -> Any:
    return _made(value, "Rescaling", _number(operation, scale), _number(operation, offset))(value)


def _number(operation: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        which = "a number" if operation in ("x / y", "y - x") else "a symbolic value or a number"
        raise TypeError(f"{operation} of a symbolic value needs {which}, got {type(value).__name__}")
    return float(value)
