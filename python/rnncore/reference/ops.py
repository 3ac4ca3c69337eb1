"""The registry of ops. A new op is one file and one row here."""

from __future__ import annotations

from . import (
    activation,
    attention,
    batch_normalization,
    concatenate,
    conv1d,
    crf,
    dense,
    dropout,
    elementwise,
    embedding,
    flatten,
    fold_time,
    layer_normalization,
    masking,
    merge,
    merge_masks,
    noise,
    own_code,
    pad1d,
    permute,
    read_state,
    repeat_row,
    repeat_vector,
    rescale,
    reshape,
    slice,
    softmax,
    unfold_time,
    upsampling1d,
    write_state,
)
from .gru import GRUCell
from .lstm import LSTMCell
from .normalized_cells import NormalizedGRUCell, NormalizedLSTMCell, NormalizedSimpleRNNCell
from .op import Op
from .pool1d import GlobalPool, Pool
from .recurrent import Recurrent
from .simple_rnn import SimpleRNNCell

__all__ = ["OPS"]

OPS: dict[str, Op] = {
    "dense": dense,
    "simple_rnn": Recurrent(SimpleRNNCell, NormalizedSimpleRNNCell),
    "lstm": Recurrent(LSTMCell, NormalizedLSTMCell),
    "gru": Recurrent(GRUCell, NormalizedGRUCell),
    "embedding": embedding,
    "activation": activation,
    "dropout": dropout,
    "flatten": flatten,
    "merge": merge,
    "concatenate": concatenate,
    "reshape": reshape,
    "repeat_vector": repeat_vector,
    "permute": permute,
    "slice": slice,
    "rescale": rescale,
    "attention": attention,
    "masking": masking,
    "merge_masks": merge_masks,
    "fold_time": fold_time,
    "unfold_time": unfold_time,
    "read_state": read_state,
    "write_state": write_state,
    "repeat_row": repeat_row,
    "noise": noise,
    "batch_normalization": batch_normalization,
    "layer_normalization": layer_normalization,
    "conv1d": conv1d,
    "pool1d": Pool(),
    "global_pool1d": GlobalPool(),
    "pad1d": pad1d,
    "upsampling1d": upsampling1d,
    "elementwise": elementwise,
    "softmax": softmax,
    "crf": crf,
    "own_code": own_code,
}
