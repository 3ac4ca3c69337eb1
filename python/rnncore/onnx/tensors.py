"""Tensors of a graph as values of a model: which axis of the value is which axis of the tensor.

A value (N, ...) has the batch first; a tensor may have it anywhere. So a tensor knows for each of its axes the axes of
the value that it is made of: none where its size is one, several where axes were joined. Transposing, joining axes,
and axes of size one cost no layer; a layer that needs axes in an order gets them from `regroup`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from rnncore import layers
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.sizes import BATCH, Dim, Size, product

__all__ = ["Conflict", "Group", "Tensor", "known_one", "regroup", "split", "with_shape"]

Group = tuple[int, ...]  # axes of a value that are joined, in this order; none make an axis of size one


_sizes: WeakKeyDictionary[SymbolicValue, tuple[Dim, ...]] = WeakKeyDictionary()  # of what layers of shape were given


class Conflict(ValueError):
    """A graph that does not fit together if the batch is where it was supposed to be.

    Attributes
    ----------
    also : str or None
        An open size that would have to be the batch too.
    """

    def __init__(self, reason: str, also: Dim | None = None) -> None:
        super().__init__(reason)
        single = isinstance(also, Size) and also.number == 1 and len(also.factors) == 1
        self.also = also.factors[0] if single and isinstance(also, Size) else None


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    Attributes
    ----------
    value : SymbolicValue (N, ...)
    axes : tuple of tuple of int
        For each axis of the tensor the axes of the value that it joins; 0 is the batch. Those of size one are left out.
    sizes : tuple of int or Size
        Of each axis of the value.
    """

    value: SymbolicValue
    axes: tuple[Group, ...]
    sizes: tuple[Dim, ...]

    def __post_init__(self) -> None:
        shown = tuple(tuple(p for p in group if not known_one(self.sizes[p])) for group in self.axes)
        object.__setattr__(self, "axes", shown)

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The sizes of the tensor's axes."""
        return tuple(product(self.sizes[p] for p in group) for group in self.axes)

    @property
    def inner(self) -> list[int]:
        """The axes of the value after the batch, in the order of the tensor, then those the tensor does not show."""
        shown = [p for group in self.axes for p in group if p]
        return [*shown, *(p for p in range(1, len(self.sizes)) if p not in shown)]

    def axis(self, axis: int) -> int:
        """An axis counted from the first."""
        if not -self.rank <= axis < self.rank:
            raise ValueError(f"axis {axis} of a tensor of {self.rank} axes")
        return axis % self.rank

    def reads_batch(self, axis: int) -> bool:
        """Whether the batch is part of an axis of the tensor."""
        return 0 in self.axes[axis]

    def on(self, value: SymbolicValue) -> Tensor:
        """The result of a layer that keeps all axes."""
        return replace(self, value=value)

    def resized(self, value: SymbolicValue, axis: int, place: int, size: Dim | None = None) -> Tensor:
        """The result of a layer that gives an axis, which is that one of the value, another size."""
        if size is None:
            known = value.shape[place]
            size = Size((f"{value.name}:{value.index}:{place}",)) if known is None else known
        axes = tuple((place,) if number == axis else group for number, group in enumerate(self.axes))
        return Tensor(value, axes, (*self.sizes[:place], size, *self.sizes[place + 1 :]))

    def without(self, axis: int) -> Tensor:
        """The tensor without an axis of size one."""
        return replace(self, axes=(*self.axes[:axis], *self.axes[axis + 1 :]))


def known_one(size: Dim) -> bool:
    """Whether a size is known to be one."""
    return not isinstance(size, Size) and size == 1


def regroup(tensor: Tensor, groups: Sequence[Group]) -> Tensor:
    """The same tensor with a value whose axes after the batch are these groups of axes of the value it has.

    Axes of size one may be left out. A group without axes gives an axis of size one, which the tensor does not show.
    """
    listed = [p for group in groups for p in group]
    missing = [p for p in range(1, len(tensor.sizes)) if p not in listed]
    for p in missing:
        if not known_one(tensor.sizes[p]):
            raise Conflict(f"an axis of size {tensor.sizes[p]} is in the way")
    order = [*listed, *missing]
    value, sizes = _permuted(tensor, order)
    wanted = [product(tensor.sizes[p] for p in group) for group in groups]
    value = with_shape(value, sizes, wanted)
    places = {group: number for number, group in enumerate(groups, 1) if group}
    return Tensor(value, tuple(_renamed(group, places, missing) for group in tensor.axes), (BATCH, *wanted))


def _renamed(group: Group, places: dict[Group, int], missing: Sequence[int]) -> Group:
    """A group of old axes as new axes."""
    left = [p for p in group if p not in missing]
    found: list[int] = []
    while left:
        if left[0] == 0:
            found.append(0)
            left.pop(0)
            continue
        match = next(
            (places[key] for key in places if tuple(left[: len(key)]) == key),
            None,
        )
        if match is None:
            raise Conflict("axes that were joined are needed one by one")
        key = next(key for key in places if places[key] == match)
        found.append(match)
        del left[: len(key)]
    return tuple(found)


def _permuted(tensor: Tensor, order: list[int]) -> tuple[SymbolicValue, tuple[Dim, ...]]:
    """The value with its axes in this order."""
    value = tensor.value
    sizes = (BATCH, *(tensor.sizes[p] for p in order))
    moving = [p for p in order if not known_one(tensor.sizes[p])]
    if moving == sorted(moving):  # axes of size one are no more than a matter of shape
        return value, tensor.sizes
    layer = value.layer
    if isinstance(layer, layers.Permute):
        order = [layer.dims[p - 1] for p in order]
        value = value.call.inputs[0]
        if order == sorted(order):
            return value, sizes
    made: SymbolicValue = layers.Permute(tuple(order))(value)
    return made, sizes


def with_shape(value: SymbolicValue, sizes: Sequence[Dim], wanted: Sequence[Dim]) -> SymbolicValue:
    """The value with axes of these sizes after the batch, given the sizes that it has."""
    if _equal(sizes[1:], wanted):
        return value
    base = value
    if isinstance(value.layer, layers.Reshape) and value in _sizes:
        base, sizes = value.call.inputs[0], _sizes[value]
        if _equal(sizes, wanted):
            return base
    if sum(isinstance(size, Size) for size in wanted) > 1:
        raise Conflict(f"a shape {list(wanted)} has more than one open size; fix sizes with shapes=")
    made: SymbolicValue = layers.Reshape([-1 if isinstance(size, Size) else size for size in wanted])(base)
    _sizes[made] = tuple(sizes) if base is not value else tuple(sizes[1:])
    return made


def _equal(sizes: Sequence[Dim | None], wanted: Sequence[Dim]) -> bool:
    if len(sizes) != len(wanted):
        return False
    for a, b in zip(sizes, wanted, strict=True):
        if isinstance(a, Size):
            if not a.same(b):
                return False
        elif isinstance(b, Size) or a != b:
            return False
    return True


def split(tensor: Tensor, place: int, sizes: Sequence[Dim]) -> Tensor:
    """The tensor with an axis of its value split into several, which the tensor's axis then joins."""
    wanted = [*tensor.sizes[1:place], *sizes, *tensor.sizes[place + 1 :]]
    value = with_shape(tensor.value, tensor.sizes, wanted)
    shift = len(sizes) - 1

    def renamed(group: Group) -> Group:
        found: list[int] = []
        for p in group:
            found += range(place, place + len(sizes)) if p == place else [p + shift if p > place else p]
        return tuple(found)

    return Tensor(value, tuple(renamed(group) for group in tensor.axes), (tensor.sizes[0], *wanted))
