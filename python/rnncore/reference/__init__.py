"""The engine in plain NumPy: the functions and the executor of the compiled core, to read and to test against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public

from .._sequence_arguments import SequenceGradients, SequenceResult
from .executor import Executor
from .functional import backward, gru, lstm, simple_rnn

__all__ = ["Executor", "SequenceGradients", "SequenceResult", "backward", "gru", "lstm", "simple_rnn"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
