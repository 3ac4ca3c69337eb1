"""Sizes of axes that a graph leaves open, as far as arithmetic on shapes needs them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["BATCH", "Dim", "Size", "UnknownSize", "product"]


class UnknownSize(ValueError):
    """Something depends on a size that is not known when a graph is read."""


class Size:
    """A product of a number and open sizes, each named: `2·T`.

    Sums are open sizes of their own, known by the text that made them. Two sizes are equal if their texts are.
    """

    def __init__(self, factors: Iterable[str], number: int = 1) -> None:
        self.factors = tuple(sorted(factors))
        self.number = number

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Size):
            return Size((*self.factors, *other.factors), self.number * other.number)
        return Size(self.factors, self.number * int(other)) if other else 0

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        divisor = other if isinstance(other, Size) else Size((), int(other))
        left = list(self.factors)
        for factor in divisor.factors:
            if factor not in left:
                return Size((f"({self}//{other})",))
            left.remove(factor)
        if self.number % divisor.number:
            return Size((f"({self}//{other})",))
        number = self.number // divisor.number
        return Size(left, number) if left else number

    __truediv__ = __floordiv__

    def __rfloordiv__(self, other: Any) -> Any:
        return Size((f"({other}//{self})",))

    def __add__(self, other: Any) -> Any:
        return Size((f"({self}+{other})",)) if isinstance(other, Size) or other else self

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if self == other:
            return 0
        return Size((f"({self}-{other})",)) if isinstance(other, Size) or other else self

    def __rsub__(self, other: Any) -> Any:
        return Size((f"({other}-{self})",))

    def __neg__(self) -> Any:
        return Size(self.factors, -self.number)

    def same(self, other: Any) -> bool:
        """Whether two sizes are known to be equal."""
        return isinstance(other, Size) and (self.factors, self.number) == (other.factors, other.number)

    def __eq__(self, other: object) -> bool:
        """Whether they are equal; a batch is any number of samples, and never equal to a given one."""
        if self.same(other):
            return True
        if self.factors == BATCH.factors and not isinstance(other, Size):
            return False
        raise UnknownSize(f"whether {self} is {other}")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.factors, self.number))

    def __lt__(self, other: Any) -> bool:
        raise UnknownSize(f"whether {self} is below {other}")

    __gt__ = __le__ = __ge__ = __lt__

    def __int__(self) -> int:
        raise UnknownSize(f"the size {self}")

    __index__ = __int__

    def __bool__(self) -> bool:
        """Whether it is not zero: the size of an axis never is, that of a sum may be."""
        if any(factor.startswith("(") for factor in self.factors):
            raise UnknownSize(f"whether {self} is zero")
        return True

    def __repr__(self) -> str:
        number = [] if self.number == 1 else [str(self.number)]
        return "·".join([*number, *self.factors])


Dim = int | Size
BATCH = Size(("batch",))


def product(sizes: Iterable[Dim]) -> Any:
    """The product of sizes."""
    return math.prod(sizes)
