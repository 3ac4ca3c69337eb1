"""The older names of the global dtype policy, as `keras.mixed_precision` has them."""

from __future__ import annotations

from rnncore.config import dtype_policy, set_dtype_policy

__all__ = ["dtype_policy", "global_policy", "set_dtype_policy", "set_global_policy"]

global_policy = dtype_policy
set_global_policy = set_dtype_policy
