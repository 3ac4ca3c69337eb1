"""What happens between the epochs and batches of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.callbacks.backup import BackupAndRestore
from rnncore.callbacks.base import Callback, History, LambdaCallback
from rnncore.callbacks.checkpoint import ModelCheckpoint
from rnncore.callbacks.logging import CSVLogger, LearningRateScheduler, TerminateOnNaN
from rnncore.callbacks.monitors import EarlyStopping, ReduceLROnPlateau
from rnncore.callbacks.tensorboard import TensorBoard
from rnncore.callbacks.tqdm_bars import TqdmCallback

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "TqdmCallback",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
