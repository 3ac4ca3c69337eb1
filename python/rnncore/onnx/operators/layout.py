"""Operators that move numbers: other shapes, orders, parts and joins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rnncore import layers
from rnncore._data import Array
from rnncore.layers.symbolic import SymbolicValue
from rnncore.onnx.attributes import Reader
from rnncore.onnx.files import LARGEST, MOST
from rnncore.onnx.importing import Importer, Open, operator
from rnncore.onnx.sizes import BATCH, Dim, Size, product
from rnncore.onnx.tensors import Conflict, Group, Tensor, known_one, regroup, split, with_shape

__all__ = ["aligned", "cut", "padded", "reshaped"]


@operator("Identity", "Dropout")
def _identity(importer: Importer, reader: Reader, inputs: list[Any]) -> Any:
    reader.ignore("ratio", "seed", "is_test")
    return inputs[0]


@operator("Cast", "CastLike")
def _cast(importer: Importer, reader: Reader, inputs: list[Any]) -> Any:
    to = reader.get("to", 1)
    reader.ignore("saturate", "round_mode")
    value = inputs[0]
    floats = {1: "float32", 11: "float64"}
    if isinstance(value, Open) or (isinstance(value, Tensor) and value.value.dtype == "int" and to in (6, 7)):
        return value
    if reader.op == "CastLike" or to not in floats or value.value.dtype != "float":
        reader.fail("floats can be cast to float32 and float64 alone, in whose place is the precision of the model")
    return value


@operator("Transpose")
def _transpose(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    order = reader.get("perm", None) or list(reversed(range(x.rank)))
    return Tensor(x.value, tuple(x.axes[axis] for axis in order), x.sizes)


def _given_axes(importer: Importer, reader: Reader, inputs: list[Any]) -> list[int] | None:
    """The axes that are an attribute, or an input in later opsets."""
    axes = importer.array(reader, inputs, 1, "axes")
    return reader.get("axes", None) if axes is None else [int(axis) for axis in axes.ravel()]


@operator("Unsqueeze")
def _unsqueeze(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    axes = _given_axes(importer, reader, inputs) or []
    x = importer.tensor(reader, inputs, 0)
    rank = x.rank + len(axes)
    places = {axis % rank for axis in axes}
    left = iter(x.axes)
    return Tensor(x.value, tuple(() if axis in places else next(left) for axis in range(rank)), x.sizes)


@operator("Squeeze")
def _squeeze(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    axes = _given_axes(importer, reader, inputs)
    x = importer.tensor(reader, inputs, 0)
    if axes is None:
        if any(isinstance(size, Size) and not size.same(BATCH) for size in x.dims):
            reader.fail("without axes it depends on sizes that are not known; fix them with shapes=")
        axes = [axis for axis, size in enumerate(x.dims) if not isinstance(size, Size) and size == 1]
    places = {x.axis(axis) for axis in axes}
    for axis in places:
        if isinstance(x.dims[axis], Size) or x.dims[axis] != 1:
            raise Conflict(f"axis {axis}, of size {x.dims[axis]}, is to be left out")
    return Tensor(x.value, tuple(group for axis, group in enumerate(x.axes) if axis not in places), x.sizes)


@operator("Flatten")
def _flatten(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    axis = reader.get("axis", 1)
    axis = axis if axis >= 0 else axis + x.rank
    return Tensor(x.value, (sum(x.axes[:axis], ()), sum(x.axes[axis:], ())), x.sizes)


@operator("Reshape")
def _reshape(importer: Importer, reader: Reader, inputs: list[Any]) -> Any:
    target = importer.required(reader, inputs, 1, "shape")
    keeps_zeros = reader.get("allowzero", 0)
    if isinstance(inputs[0], Open):
        return inputs[0] if target.size == len(inputs[0].dims) else reader.fail("the shape of ids cannot change")
    x = importer.tensor(reader, inputs, 0)
    wanted: list[Dim | None] = []
    for axis, size in enumerate(target.ravel().tolist()):
        if isinstance(size, Size):
            wanted.append(size)
        elif size == 0 and not keeps_zeros:
            wanted.append(
                x.dims[axis] if importer.fixed_batch is None or not x.reads_batch(axis) else importer.fixed_batch
            )
        else:
            wanted.append(None if size == -1 else int(size))
    fixed = importer.fixed_batch  # a file made for that many samples has their number in its shapes
    given = x if fixed is None else Tensor(x.value, x.axes, (fixed, *x.sizes[1:]))
    rest = product(size for size in wanted if size is not None)
    sizes = [product(given.dims) // rest if size is None else size for size in wanted]
    made = reshaped(given, sizes)
    return Tensor(made.value, made.axes, (BATCH, *made.sizes[1:]))


def reshaped(x: Tensor, wanted: Sequence[Dim]) -> Tensor:
    """The tensor with another shape: its axes are joined, and split where they must be."""
    left = [p for group in x.axes for p in group]
    axes: list[Group] = []
    for size in wanted:
        group: list[int] = []
        there: Any = 1
        while not _same(there, size):
            if not left:
                return _reshaped_samples(x, wanted)
            step = x.sizes[left[0]]
            missing = _quotient(size, there)
            if missing is not None and _quotient(missing, step) is None:  # only a part of this axis belongs here
                rest = _quotient(step, missing)
                if rest is None or left[0] == 0:
                    return _reshaped_samples(x, wanted)
                return reshaped(split(x, left[0], [missing, rest]), wanted)
            there = there * step
            group.append(left.pop(0))
        axes.append(tuple(group))
    return _reshaped_samples(x, wanted) if left else Tensor(x.value, tuple(axes), x.sizes)


def _reshaped_samples(x: Tensor, wanted: Sequence[Dim]) -> Tensor:
    """The tensor with each sample in another shape, whatever its axes."""
    batch = [axis for axis in range(x.rank) if x.reads_batch(axis)]
    if batch not in ([], [0]) or x.axes[0] not in ((0,), ()) or (batch and not _same(x.dims[0], wanted[0])):
        raise _unfit(x, wanted)
    sizes = list(wanted[len(batch) :])
    count, whole = product(sizes), product(x.sizes[1:])
    if not _same(count, whole):
        raise _unfit(x, wanted)
    every = tuple(p for group in x.axes for p in group if p)
    flat = regroup(Tensor(x.value, ((0,), every), x.sizes), [every])
    value = with_shape(flat.value, flat.sizes, sizes)
    axes = tuple((axis,) for axis in range(1 - len(batch), len(wanted) + 1 - len(batch)))
    return Tensor(value, axes, (x.sizes[0], *sizes))


def _unfit(x: Tensor, wanted: Sequence[Dim]) -> Conflict:
    reason = f"a tensor of shape {list(x.dims)} cannot have shape {list(wanted)}"
    is_open = any(isinstance(size, Size) and not size.same(BATCH) for size in x.dims)
    return Conflict(reason + ("; fix open sizes with shapes=" if is_open else ""))


def _same(a: Dim, b: Dim) -> bool:
    return a.same(b) if isinstance(a, Size) else not isinstance(b, Size) and a == b


def _quotient(size: Dim, divisor: Dim) -> Dim | None:
    """The whole quotient, or None if there is none that is known."""
    if not isinstance(size, Size):
        return size // divisor if not isinstance(divisor, Size) and divisor and size % divisor == 0 else None
    found = size // divisor
    return None if isinstance(found, Size) and any("//" in factor for factor in found.factors) else found


# Parts


def single_axis(x: Tensor, axis: int) -> tuple[Tensor, int]:
    """The tensor with one axis of its value for an axis that is not the batch's, and which it is."""
    if x.reads_batch(axis):
        raise Conflict(f"axis {axis} is that of the batch")
    joined = x.axes[axis]
    if len(joined) == 1:
        return x, joined[0]
    made = regroup(x, [*((p,) for p in x.inner if p not in joined), joined])
    return made, len(made.sizes) - 1


def cut(x: Tensor, axis: int, part: slice | int) -> Tensor:
    """Part of a tensor along an axis; a number takes the axis away."""
    size = x.dims[axis]
    if known_one(size) and not x.reads_batch(axis):
        if part in (0, -1) if isinstance(part, int) else len(range(1)[part]) == 1:
            return x.without(axis) if isinstance(part, int) else x
        raise ValueError(f"it takes {part} of an axis of size 1")
    if part == slice(0, None, 1) or (
        isinstance(part, slice) and isinstance(size, int) and range(size)[part] == range(size)
    ):
        return x
    x, place = single_axis(x, axis)
    number = isinstance(part, int)
    taken = slice(part, part + 1 or None) if isinstance(part, int) else part
    made = x.resized(x.value[(*[slice(None)] * place, taken)], axis, place, 1 if number else None)
    return made.without(axis) if number else made


@operator("Slice")
def _slice(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    if len(inputs) > 1:
        starts, ends = (importer.required(reader, inputs, k, what) for k, what in ((1, "starts"), (2, "ends")))
        axes, steps = (importer.array(reader, inputs, k, what) for k, what in ((3, "axes"), (4, "steps")))
    else:
        starts, ends = (np.asarray(reader.get(name, [])) for name in ("starts", "ends"))
        axes, steps = (None if (a := reader.get("axes", None)) is None else np.asarray(a)), None
    chosen = range(len(starts)) if axes is None else [x.axis(int(axis)) for axis in axes]
    for number, axis in enumerate(chosen):
        step = 1 if steps is None else int(steps[number])
        x = cut(x, axis, _python_slice(x.dims[axis], starts[number], ends[number], step))
    return x


def _python_slice(size: Dim, start: Any, end: Any, step: int) -> slice:
    """The same part by Python's rules, in which a negative end counts from the end."""
    if isinstance(end, Size):
        if not end.same(size):
            raise Conflict(f"a part ends at {end} of {size}")
        end = 2**62
    start, end = int(start), int(end)
    if step > 0:
        return slice(start, None if end >= 2**31 - 1 else end, step)
    return slice(None if start >= 2**31 - 1 else start, None if end < -(2**31) + 2 else end, step)


@operator("Split")
def _split(importer: Importer, reader: Reader, inputs: list[Any]) -> list[Tensor]:
    x = importer.tensor(reader, inputs, 0)
    axis = x.axis(reader.get("axis", 0))
    count = len(reader.node.output)
    reader.get("num_outputs", count)
    given = importer.array(reader, inputs, 1, "split")
    sizes = reader.get("split", None) if given is None else [int(size) for size in given]
    whole = x.dims[axis]
    if x.reads_batch(axis):
        raise Conflict(f"axis {axis} is that of the batch")
    if isinstance(whole, Size):
        reader.fail(f"it splits an axis of the open size {whole}; fix it with shapes=")
    if sizes is None:
        part = -(-whole // count)
        sizes = [min(part, whole - number * part) for number in range(count)]
    if sum(sizes) != whole:
        reader.fail(f"it splits an axis of size {whole} into {sizes}")
    ends = np.cumsum([0, *sizes]).tolist()
    return [cut(x, axis, slice(start, stop, 1)) for start, stop in pairwise(ends)]


@operator("Gather")
def _gather(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    axis = reader.get("axis", 0)
    table, ids = inputs
    if isinstance(table, np.ndarray):
        return _embedded(importer, reader, table, ids, axis)
    x = importer.tensor(reader, inputs, 0)
    axis = x.axis(axis)
    places = importer.required(reader, inputs, 1, "indices")
    if places.ndim == 0:
        return cut(x, axis, int(places))
    if places.ndim > 1:
        reader.fail(f"indices must be a number or a list, got shape {places.shape}")
    numbers = places.tolist()
    steps = set(np.diff(places).tolist()) or {1}
    if len(steps) == 1 and 0 not in steps and min(numbers) >= 0:
        step = steps.pop()
        last = numbers[-1] + step
        return cut(x, axis, slice(numbers[0], last if last >= 0 else None, step))
    if len(numbers) > MOST:
        reader.fail(f"it has {len(numbers)} indices, more than {MOST} are refused")
    parts = [cut(x, axis, slice(number, number + 1 or None, 1)) for number in numbers]
    return join(importer, parts, axis)


def _embedded(importer: Importer, reader: Reader, table: Array, ids: Any, axis: int) -> Tensor:
    """Rows of a table of weights."""
    if table.ndim != 2 or axis != 0 or not isinstance(ids, (Open, Tensor)):
        reader.fail(f"only rows of a matrix can be chosen by ids, got a table of shape {table.shape} and axis {axis}")
    if isinstance(ids, Open):
        if not ids.integer:
            reader.fail(f"its ids are the graph's input {ids.name!r}, which must hold int32 or int64")
        ids = importer.ids(ids)
    layer = layers.Embedding(*table.shape, name=importer.layer_name(reader))
    value = importer.add(layer, [table], ids.value)
    last = len(ids.sizes)
    return Tensor(value, (*ids.axes, (last,)), (*ids.sizes, table.shape[1]))


# Joins


Aligned = tuple[list[SymbolicValue], tuple[Group, ...], list[Dim]]


def aligned(tensors: Sequence[Tensor], joined: int | None = None) -> Aligned:
    """Values of tensors of equal rank whose axes correspond, with the axes and sizes of a tensor that is made of them.

    Each axis of the tensors becomes one of the values, in their order; axes of size one that all have go.
    """
    rank = tensors[0].rank
    batch = {axis for x in tensors for axis in range(rank) if x.reads_batch(axis)}
    if len(batch) > 1:
        raise Conflict("the batch is not the same axis of all tensors")
    shown = [
        axis
        for axis in range(rank)
        if axis not in batch and (axis == joined or any(not known_one(x.dims[axis]) for x in tensors))
    ]
    made = []
    for x in tensors:
        if any(x.axes[axis] not in ((0,), ()) for axis in batch):
            raise Conflict("the batch is joined with another axis")
        made.append(regroup(x, [x.axes[axis] for axis in shown] or [()]).value)
    places = {axis: (number,) for number, axis in enumerate(shown, 1)}
    axes = tuple((0,) if axis in batch else places.get(axis, ()) for axis in range(rank))
    sizes: list[Dim] = [BATCH]
    for axis in shown:
        sizes.append(next((x.dims[axis] for x in tensors if not known_one(x.dims[axis])), 1))
    return made, axes, sizes if shown else [BATCH, 1]


def join(importer: Importer, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors one after the other along an axis."""
    if len(tensors) == 1:
        return tensors[0]
    if any(x.reads_batch(axis) for x in tensors):
        raise Conflict(f"axis {axis} is that of the batch")
    values, axes, sizes = aligned(tensors, axis)
    (place,) = axes[axis]
    sizes[place] = sum((x.dims[axis] for x in tensors[1:]), start=tensors[0].dims[axis])
    return Tensor(layers.Concatenate(axis=place)(values), axes, tuple(sizes))


@operator("Concat")
def _concat(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    tensors = [importer.tensor(reader, inputs, number) for number in range(len(inputs))]
    kept = [x for x in tensors if all(not (isinstance(size, int) and size == 0) for size in x.dims)]
    return join(importer, kept, kept[0].axis(reader.get("axis", 0)))


@operator("Expand", "Tile")
def _expand(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    target = importer.required(reader, inputs, 1, "shape").ravel().tolist()
    if reader.op == "Tile":
        wanted = [size * times for size, times in zip(x.dims, target, strict=True)]
    else:
        x = Tensor(x.value, (*[()] * (len(target) - x.rank), *x.axes), x.sizes)
        wanted = [
            size if known_one(new) else new
            for size, new in zip(x.dims, [1] * (x.rank - len(target)) + target, strict=True)
        ]
    for axis, size in enumerate(wanted):
        if _same(x.dims[axis], size) or (isinstance(size, Size) and size.same(BATCH) and not x.axes[axis]):
            continue
        if x.reads_batch(axis):
            raise Conflict(f"axis {axis} is that of the batch")
        if not known_one(x.dims[axis]) or isinstance(size, Size):
            reader.fail(f"an axis of size {x.dims[axis]} cannot be repeated to {size}")
        if size > MOST:
            reader.fail(f"an axis is repeated {size} times, more than {MOST} are refused")
        x = join(importer, [x] * size, axis)
    return x


@operator("Pad")
def _pad(importer: Importer, reader: Reader, inputs: list[Any]) -> Tensor:
    x = importer.tensor(reader, inputs, 0)
    mode = reader.get("mode", "constant")
    given = importer.array(reader, inputs, 1, "pads")
    pads = reader.get("pads", []) if given is None else [int(size) for size in given]
    value = importer.array(reader, inputs, 2, "constant_value")
    filling = reader.get("value", 0.0) if value is None else float(value.ravel()[0])
    chosen = importer.array(reader, inputs, 3, "axes")
    axes = range(x.rank) if chosen is None else [x.axis(int(axis)) for axis in chosen]
    if mode not in ("constant", "reflect"):
        reader.fail(f"mode must be constant or reflect, got {mode!r}")
    if len(pads) != 2 * len(axes):
        reader.fail(f"pads must be {2 * len(axes)} numbers, got {len(pads)}")
    for number, axis in enumerate(axes):
        before, after = pads[number], pads[number + len(axes)]
        if before < 0 or after < 0:
            x = cut(x, axis, slice(max(-before, 0), min(after, 0) or None, 1))
        if before > 0 or after > 0:
            x = padded(importer, x, axis, (max(before, 0), max(after, 0)), mode, filling)
    return x


def padded(
    importer: Importer, x: Tensor, axis: int, pads: tuple[int, int], mode: str = "constant", filling: float = 0.0
) -> Tensor:
    """The tensor with more steps before and after an axis."""
    if mode == "constant" and filling:
        return _filled(importer, x, axis, pads, filling)
    x, place = single_axis(x, axis)
    total = x.sizes[place] + sum(pads)
    layer: Any = layers.ReflectionPadding1D(pads) if mode == "reflect" else layers.ZeroPadding1D(pads)
    rest = tuple(p for p in x.inner if p != place and not known_one(x.sizes[p]))
    flat = Tensor(x.value, ((0,), (place,), rest), x.sizes)
    others = [x.sizes[p] for p in rest]
    if not rest or place < min(rest):  # a sequence whose features are all other axes
        order, sizes = [place, *rest], [total, *(others or [1])]
        made = regroup(flat, [(place,), rest])
    else:  # for each place of the other axes a sequence of one feature
        order, sizes = [*rest, place], [*others, total, 1]
        made, layer = regroup(flat, [rest, (place,), ()]), layers.TimeDistributed(layer)
    value = layer(made.value)
    if len(rest) > 1:
        value = with_shape(value, (BATCH,), sizes)
    new = {p: number for number, p in enumerate(order, 1)} | {0: 0}
    axes = tuple((new[place],) if k == axis else tuple(new[p] for p in group) for k, group in enumerate(x.axes))
    return Tensor(value, axes, (BATCH, *sizes))


def _filled(importer: Importer, x: Tensor, axis: int, pads: tuple[int, int], filling: float) -> Tensor:
    """The tensor between tensors of one number."""
    if max(pads) > LARGEST:
        raise ValueError(f"pads must be at most {LARGEST}, got {pads}")
    shape = [1 if x.reads_batch(number) else size for number, size in enumerate(x.dims)]
    if any(isinstance(size, Size) for number, size in enumerate(shape) if number != axis):
        raise ValueError("padding with a number other than zero needs known sizes; fix them with shapes=")
    parts = []
    for steps in pads:
        like = [steps if number == axis else size for number, size in enumerate(shape)]
        parts.append(importer.constant(np.full([int(size) for size in like], filling, np.float32)) if steps else None)
    before, after = parts
    return join(importer, [part for part in (before, x, after) if part is not None], axis)
