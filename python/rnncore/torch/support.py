"""What the kernels can take of what PyTorch has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["gains_nothing", "too_short", "unsupported_call", "unsupported_weights"]

DTYPES = (torch.float32, torch.float64)
PLAIN = (Tensor, nn.Parameter, nn.Buffer)


def unsupported_weights(weights: Sequence[Any]) -> str | None:
    """Why the kernels cannot take these tensors, or None."""
    dtype = weights[0].dtype
    if dtype not in DTYPES:
        return f"dtype {dtype}; the kernels have float32 and float64"
    for tensor in weights:
        if not tensor.is_cpu:
            return f"device {tensor.device}; the kernels run on the CPU"
        if tensor.dtype != dtype:
            return f"dtypes {dtype} and {tensor.dtype}; the kernels take one at a time"
        if type(tensor) not in PLAIN or tensor.layout is not torch.strided:
            return f"a {type(tensor).__name__} of layout {tensor.layout}; the kernels take plain dense tensors"
    return None


def unsupported_call(tensors: Sequence[Tensor]) -> str | None:
    """Why a call with these tensors cannot be computed by the kernels as things are now, or None."""
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on"
    if torch.compiler.is_exporting():
        return "a program is exported, which shall not need rnncore"
    if not torch.compiler.is_compiling():
        if torch._C._are_functorch_transforms_active():
            return "a transform of torch.func is active"
        if forward_ad._current_level >= 0:
            return "forward-mode differentiation is active"
    return unsupported_weights(tensors)


def too_short(mode: str, steps: int) -> bool:
    """Whether PyTorch's own kernels are as fast whatever the call is: less than a call takes is not to be gained.

    By what `benchmarks/bench_torch_modules.py` and the like measure, as `gains_nothing`.
    """
    return steps < (0 if mode == "LSTM" else 4 if mode == "GRU" else 8)


def gains_nothing(mode: str, steps: int, rows: int, weights: Sequence[Tensor]) -> bool:
    """Whether a step of training takes longer to pack the weights, and to unpack their gradients, than it gains."""
    size = weights[0].numel() + weights[1].numel()
    if mode == "LSTM":
        return steps * rows < 256 and size > 2**17
    return mode == "GRU" and steps < 8 and size > 2**15
