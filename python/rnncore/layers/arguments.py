"""The keyword arguments that every layer takes, by name, so that type checkers find a misspelt one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from rnncore import regularizers

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack
else:
    Self = Unpack = Any  # in annotations alone, which nobody evaluates

__all__ = ["EmbeddingArguments", "LayerArguments", "OwnArguments", "RecurrentArguments", "Self", "Unpack"]


class _FirstArguments(TypedDict, total=False):
    name: str | None
    trainable: bool
    input_shape: Sequence[int | None] | int
    batch_input_shape: Sequence[int | None]
    batch_size: int
    dtype: Any


class EmbeddingArguments(_FirstArguments, total=False):
    """What Embedding takes, whose `input_dim` is another thing."""

    activity_regularizer: regularizers.Identifier
    input_length: int


class OwnArguments(_FirstArguments, total=False):
    """What `Layer` takes, for layers that list `activity_regularizer` themselves."""

    input_dim: int


class LayerArguments(OwnArguments, total=False):
    """What `Layer` takes."""

    activity_regularizer: regularizers.Identifier


class RecurrentArguments(OwnArguments, total=False):
    """What SimpleRNN, LSTM and GRU take."""

    input_length: int
    zero_output_for_mask: bool
