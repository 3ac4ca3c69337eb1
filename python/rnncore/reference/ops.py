"""The registry of ops. A new op is one file and one row here."""

from __future__ import annotations

from . import (
    activation,
    attention,
    concatenate,
    dense,
    dropout,
    embedding,
    flatten,
    masking,
    merge,
    permute,
    repeat_vector,
    reshape,
)
from .gru import GRUCell
from .lstm import LSTMCell
from .op import Op
from .recurrent import Recurrent
from .simple_rnn import SimpleRNNCell

__all__ = ["OPS"]

OPS: dict[str, Op] = {
    "dense": dense,
    "simple_rnn": Recurrent(SimpleRNNCell),
    "lstm": Recurrent(LSTMCell),
    "gru": Recurrent(GRUCell),
    "embedding": embedding,
    "activation": activation,
    "dropout": dropout,
    "flatten": flatten,
    "merge": merge,
    "concatenate": concatenate,
    "reshape": reshape,
    "repeat_vector": repeat_vector,
    "permute": permute,
    "attention": attention,
    "masking": masking,
}
