"""Layers that are the user's Python code: what `Layer` does for a subclass with a method `call`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnncore import _own_code, constraints, initializers, regularizers
from rnncore import _validation as check
from rnncore._overrides import is_users
from rnncore._own_code import Array
from rnncore.config import current_policy
from rnncore.layers.buildable import Buildable
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.masks import NO_MASK, Mask
from rnncore.layers.symbolic import SymbolicValue
from rnncore.parameters import Weight, hold
from rnncore.program import Shape

__all__ = ["OwnCode", "add_weight"]

TRIAL = (8, 9)  # sizes that stand for an open one, to see which sizes of the outputs follow it


class OwnCode:
    """Base of `Layer`: how its own code is described and run, where it has some."""

    _is_own_code: bool = False

    # Description

    def _own_shapes(self: Any, values: tuple[SymbolicValue, ...]) -> tuple[Shape, ...]:
        """The shapes of the outputs of a call; builds the layer before its code is tried."""
        if not self.built:
            self.build(values[0].shape)
        if not self.built:
            Buildable.build(self, values[0].shape)
        shapes = [value.shape for value in values]
        if (said := self._shapes_said(shapes)) is not None:
            return _as_shapes(shapes, said)
        if is_users(type(self), "compute_output_shape"):
            return _as_shapes(shapes, self.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes))
        if all(None not in shape[1:] for shape in shapes):
            return tuple((shapes[0][0], *shape[1:]) for shape in self._tried(shapes, TRIAL[0]))
        one, other = (self._tried(shapes, size) for size in TRIAL)
        return tuple(
            (shapes[0][0], *(size if size == twin else None for size, twin in zip(a[1:], b[1:], strict=True)))
            for a, b in zip(one, other, strict=True)
        )

    def _shapes_said(self, shapes: Sequence[Shape]) -> Any:
        """The shape of the output, or a list of them, if the layer was told."""
        return None

    def _tried(self: Any, shapes: Sequence[Shape], size: int) -> list[tuple[int, ...]]:
        """The shapes of what the code makes of ones, with `size` for open sizes."""
        x = [np.ones([2, *(size if n is None else n for n in shape[1:])], self.dtype) for shape in shapes]
        mask = np.ones((2, x[0].shape[1]), bool) if x[0].ndim > 2 else None
        with np.errstate(all="ignore"):
            return [array.shape for array in _listed(self, "call", _called(self, x, mask, False))]

    def _sizes_of(self: Any, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The sizes of outputs for inputs of these sizes."""
        values = tuple(SymbolicValue(tuple(shape), None, 0) for shape in shapes)  # type: ignore[arg-type]
        found = OwnCode._own_shapes(self, values)
        return [(shapes[0][0], *(size or 0 for size in shape[1:])) for shape in found]

    def _emit_own(
        self: Any, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[int, ...]:
        """Append one node, which finds the layer by its number."""
        values = tuple(SymbolicValue(builder.shape(x), None, 0) for x in inputs)  # type: ignore[arg-type]
        shapes = OwnCode._own_shapes(self, values)
        outputs = tuple(builder.value(self.name, shape) for shape in shapes)
        takes_mask = "mask" in _parameters(self.call) and len(builder.shape(inputs[0])) > 2
        mask = builder.real(inputs[0], masks[0]) if takes_mask else -1
        parameters = tuple(builder.parameter(weight) for weight in self.weights)
        builder.node(
            "own_code", self.name, (*inputs, mask), outputs, parameters, {"function": _own_code.number_of(self)}
        )
        return outputs

    def _own_masks(
        self: Any, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """That of the first input where the time axis stays; a layer's own ones only with `supports_masking`."""
        shape = builder.shape(inputs[0])
        values = tuple(SymbolicValue(builder.shape(x), None, 0) for x in inputs)  # type: ignore[arg-type]
        mask = masks[0] if getattr(self, "supports_masking", False) else masks[0].padding_alone
        stays = [len(shape) > 2 and len(made) > 2 and made[1] == shape[1] for made in OwnCode._own_shapes(self, values)]
        return tuple(mask if stay else NO_MASK for stay in stays)

    # Execution

    def _run(self: Any, x: list[Array], mask: Array | None, training: bool) -> list[Array]:
        """What the code makes of arrays, checked."""
        sizes = [tuple(array.shape) for array in x]
        found = _listed(self, "call", _called(self, x, mask, training))
        expected = self._sizes_seen(sizes)
        if [array.shape for array in found] != expected:
            raise ValueError(f"{self.name!r}: call must return {expected}, got {[array.shape for array in found]}")
        return [np.ascontiguousarray(array, x[0].dtype) for array in found]

    def _sizes_seen(self: Any, sizes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The sizes of the outputs for inputs of these sizes; once found, they are known."""
        known = self.__dict__.setdefault("_sizes_known", {})
        key = tuple(size[1:] for size in sizes)
        if key not in known:
            if len(known) > 64:
                known.clear()
            known[key] = [size[1:] for size in OwnCode._sizes_of(self, sizes)]
        return [(sizes[0][0], *size) for size in known[key]]

    def _run_back(
        self: Any, x: list[Array], y: list[Array], dy: list[Array], mask: Array | None, training: bool
    ) -> tuple[list[Array | None], list[Array]]:
        """The gradients of inputs and weights, checked."""
        if not hasattr(type(self), "backward"):
            raise TypeError(
                f"{self.name!r} has no method backward(x, y, dy), which training needs: it returns the gradient of x,"
                " or a pair of that and a list of the gradients of the weights"
            )
        given = [array[0] if len(array) == 1 else array for array in (x, y, dy)]
        result = self.backward(*given, **_wanted(self.backward, mask, training))
        weights = self.weights
        pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], (list, tuple))
        if weights and not pair:
            raise TypeError(
                f"{self.name!r}: backward must return (dx, [gradient of each of {len(weights)} weights]), got"
                f" {type(result).__name__}"
            )
        dx, dw = result if pair else (result, [])
        dinputs = list(dx) if len(x) > 1 else [dx]
        if len(dinputs) != len(x) or len(dw) != len(weights):
            raise ValueError(
                f"{self.name!r}: backward must return gradients of {len(x)} inputs and {len(weights)} weights, got"
                f" {len(dinputs)} and {len(dw)}"
            )
        what = f"{self.name!r}: gradient of "
        return (
            [None if g is None else check.real_array(what + "x", g, a.shape) for g, a in zip(dinputs, x, strict=True)],
            [
                check.real_array(what + weight.name, g, weight.shape).astype(x[0].dtype)
                for g, weight in zip(dw, weights, strict=True)
            ],
        )


def add_weight(
    self: Any,
    shape: Sequence[int] = (),
    initializer: initializers.Identifier = "glorot_uniform",
    trainable: bool = True,
    regularizer: regularizers.Identifier = None,
    constraint: constraints.Identifier = None,
    name: str | None = None,
) -> Weight:
    """Make a weight of a layer of own code, in its `build`; as an array it has its numbers of the moment."""
    if self._call_count:
        raise ValueError(f"{self.name!r} has been called: its weights are added in build")
    sizes = tuple(check.positive_int("each size of shape", size) for size in shape)
    name = f"weight_{len(self.weights)}" if name is None else check.name("name", name)
    rules = initializers.get(initializer), regularizers.get(regularizer), constraints.get(constraint)
    weight: Weight = self._weight(name, sizes, *rules, statistic=not check.boolean("trainable", trainable))
    hold([weight], current_policy().dtype)
    weight.start()
    self.weights.append(weight)
    return weight


def _parameters(function: Any) -> Any:
    return inspect.signature(function).parameters


def _wanted(function: Any, mask: Array | None, training: bool) -> dict[str, Any]:
    """What a method asks for by name."""
    names = _parameters(function)
    return {name: value for name, value in (("mask", mask), ("training", training)) if name in names}


def _called(layer: Any, x: list[Array], mask: Array | None, training: bool) -> Any:
    return layer.call(x[0] if len(x) == 1 else x, **_wanted(layer.call, mask, training))


def _listed(layer: Any, method: str, result: Any) -> list[Array]:
    """The arrays that a method returned."""
    items = result if isinstance(result, (list, tuple)) else [result]
    found = [check.real_array(f"what {method} of {layer.name!r} returns", item) for item in items]
    if not found or any(array.ndim < 2 for array in found):
        raise ValueError(f"{layer.name!r}: {method} must return arrays (N, ...), got {[a.shape for a in found]}")
    return found


def _as_shapes(shapes: Sequence[Shape], said: Any) -> tuple[Shape, ...]:
    """The shapes of outputs that the user's code says for inputs of these."""
    several = any(isinstance(entry, (tuple, list)) for entry in said)
    found = [check.shape("the shape of the output", tuple(shape)) for shape in (said if several else [said])]
    return tuple((shapes[0][0], *shape[1:]) for shape in found)
