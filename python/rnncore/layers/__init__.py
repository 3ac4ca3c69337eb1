"""Layers: each describes one step of a computation and owns its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.layers.activation import Activation
from rnncore.layers.activity_regularization import ActivityRegularization
from rnncore.layers.adapted_normalization import Normalization
from rnncore.layers.attention import AdditiveAttention, Attention
from rnncore.layers.base import Layer
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from rnncore.layers.concatenate import Concatenate, concatenate
from rnncore.layers.conv1d import Conv1D
from rnncore.layers.crf import CRF
from rnncore.layers.dense import Dense
from rnncore.layers.dot import Dot, dot
from rnncore.layers.dropout import Dropout, SpatialDropout1D
from rnncore.layers.elementwise import Elementwise
from rnncore.layers.embedding import Embedding
from rnncore.layers.flatten import Flatten
from rnncore.layers.get_item import GetItem
from rnncore.layers.group_normalization import GroupNormalization
from rnncore.layers.gru import GRU
from rnncore.layers.input import Input, InputLayer
from rnncore.layers.lambda_layer import Lambda
from rnncore.layers.lstm import LSTM
from rnncore.layers.masking import Masking
from rnncore.layers.merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from rnncore.layers.multi_head_attention import MultiHeadAttention
from rnncore.layers.noise import AlphaDropout, GaussianDropout, GaussianNoise
from rnncore.layers.normalization import BatchNormalization, LayerNormalization
from rnncore.layers.padding import Cropping1D, ReflectionPadding1D, ZeroPadding1D
from rnncore.layers.permute import Permute
from rnncore.layers.pooling import AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D
from rnncore.layers.prelu import PReLU
from rnncore.layers.rectifiers import ELU, LeakyReLU, ReLU
from rnncore.layers.registry import deserialize, serialize
from rnncore.layers.repeat_vector import RepeatVector
from rnncore.layers.rescaling import Rescaling
from rnncore.layers.reshape import Reshape
from rnncore.layers.rnn import RNN
from rnncore.layers.separable_conv1d import SeparableConv1D
from rnncore.layers.simple_rnn import SimpleRNN
from rnncore.layers.softmax import Softmax
from rnncore.layers.string_lookup import StringLookup
from rnncore.layers.text_vectorization import TextVectorization
from rnncore.layers.time_distributed import TimeDistributed
from rnncore.layers.unit_normalization import UnitNormalization
from rnncore.layers.upsampling1d import UpSampling1D

# Shorter names, as in Keras.
MaxPool1D, AvgPool1D, Convolution1D = MaxPooling1D, AveragePooling1D, Conv1D
SeparableConvolution1D = SeparableConv1D
GlobalMaxPool1D, GlobalAvgPool1D = GlobalMaxPooling1D, GlobalAveragePooling1D

__all__ = [
    "CRF",
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AvgPool1D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Convolution1D",
    "Cropping1D",
    "Dense",
    "Dot",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "GroupNormalization",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPooling1D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "ReflectionPadding1D",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConvolution1D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "StackedRNNCells",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
