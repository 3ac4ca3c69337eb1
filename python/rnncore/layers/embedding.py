"""The table of vectors."""

from __future__ import annotations

import numpy.typing as npt

from rnncore import _validation as check
from rnncore import constraints, initializers, regularizers
from rnncore.layers.arguments import EmbeddingArguments, Unpack
from rnncore.layers.base import Layer, WeightView
from rnncore.layers.builder import ProgramBuilder
from rnncore.layers.input import InputLayer
from rnncore.layers.masks import Mask
from rnncore.layers.symbolic import SymbolicValue
from rnncore.parameters import Weight
from rnncore.program import Shape

__all__ = ["Embedding"]


class Embedding(Layer):
    """One trainable vector for each id: integers (N, ...) to (N, ..., output_dim).

    Parameters
    ----------
    input_dim : int
        V, the number of ids, which go from 0 to V - 1.
    output_dim : int
        D, the size of a vector.
    embeddings_initializer : str or Initializer, default "uniform"
    embeddings_regularizer : str or Regularizer, optional
    embeddings_constraint : str or Constraint, optional
    mask_zero : bool, default False
        Whether id 0 is padding: ids (N, T) then make a mask that goes on with the output, as `Masking` does.
    weights : array_like, shape (V, D), optional
        First values, instead of the initializer's; may come in a list of one.
    **arguments
        `name`, `trainable`, `input_shape`, `input_length` (the same as `input_shape=(input_length,)`):
        see `Layer`.

    Attributes
    ----------
    embeddings : ndarray, shape (V, D)

    Raises
    ------
    TypeError, ValueError
        For a bad argument; unknown names come with the nearest valid ones.

    Examples
    --------
    >>> from rnncore import layers
    >>> layers.Embedding(1000, 8)(layers.Input((None,), dtype="int32")).shape
    (None, None, 8)
    """

    _op = "embedding"
    _acts_per_step = True
    _input_dtype = "int"
    embeddings = WeightView()

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: initializers.Identifier = "uniform",
        embeddings_regularizer: regularizers.Identifier = None,
        embeddings_constraint: constraints.Identifier = None,
        mask_zero: bool = False,
        weights: npt.ArrayLike | list[npt.ArrayLike] | None = None,
        **arguments: Unpack[EmbeddingArguments],
    ) -> None:
        if "input_length" in arguments:
            arguments["input_shape"] = (arguments.pop("input_length"),)
        super().__init__(**arguments)
        self.input_dim = check.positive_int("input_dim", input_dim)
        self.output_dim = check.positive_int("output_dim", output_dim)
        self.mask_zero = check.boolean("mask_zero", mask_zero)
        self._treats_steps_as_samples = not self.mask_zero
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self._first_values = None
        if weights is not None:
            table = weights[0] if isinstance(weights, list) and len(weights) == 1 else weights
            self._first_values = check.real_array("weights", table, (self.input_dim, self.output_dim))

    def _check_values(self, values: tuple[SymbolicValue, ...]) -> None:
        """Raise unless this is one integer value; an input of no stated dtype becomes one."""
        layer = values[0].layer
        if isinstance(layer, InputLayer) and layer.dtype is None:
            layer._output_dtype = "int"
        super()._check_values(values)

    def _check_input(self, shape: Shape) -> None:
        """Raise a ValueError unless a mask can be made of ids of this shape, if it is to be."""
        if self.mask_zero and len(shape) != 2:
            raise ValueError(f"{self.name!r} needs ids of shape (N, T) for mask_zero, got {shape}")

    def _make_weights(self, input_shape: Shape) -> list[Weight]:
        """Embeddings (V, D)."""
        table = self._own_weight("embeddings", (self.input_dim, self.output_dim))
        if self._first_values is not None:
            table.assign(self._first_values)
        return [table]

    def _output_shapes(self, input_shape: Shape) -> tuple[Shape, ...]:
        """The input's shape with one more axis."""
        return ((*input_shape, self.output_dim),)

    def _emit_masks(
        self, builder: ProgramBuilder, inputs: tuple[int, ...], masks: tuple[Mask, ...]
    ) -> tuple[Mask, ...]:
        """The mask of ids that are not zero; lengths go on."""
        padding = masks[0].padding
        return (Mask(padding, builder.masking(f"{self.name}/mask", inputs[0], padding)[1] if self.mask_zero else -1),)
