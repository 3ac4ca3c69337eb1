"""The older names of the global dtype policy, as `keras.mixed_precision` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.config import dtype_policy, set_dtype_policy

__all__ = ["dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)

global_policy = dtype_policy
set_global_policy = set_dtype_policy
