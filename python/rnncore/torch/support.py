"""What the kernels can take of what PyTorch has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["gains_nothing", "unsupported_call", "unsupported_weights"]

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


def gains_nothing(mode: str, steps: int, rows: int, weights: int, *, training: bool) -> bool:
    """Whether PyTorch's own kernels are as fast: to pack so many weights of a gate takes longer than few steps gain.

    By what `benchmarks/bench_torch_modules.py --sweep` measures.
    """
    if mode == "LSTM" or weights < (2**14 if training and mode != "GRU" else 2**17):
        return False
    return steps == 1 and rows < (4 if weights < 2**17 else 16) if training else steps * rows <= 2
