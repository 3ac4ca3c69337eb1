"""Windows over time of convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._sequence_arguments import Array

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """Windows of `size` steps, `dilation` apart; window j begins at step j · stride - before."""

    steps: int  # of x
    count: int
    size: int
    stride: int
    dilation: int
    before: int
    padding: str

    @classmethod
    def of(cls, steps: int, size: int, stride: int, dilation: int, padding: str) -> Windows:
        span = (size - 1) * dilation + 1
        if padding == "valid":
            if steps < span:
                raise ValueError(f"expected at least {span} time steps with padding 'valid', got {steps}")
            return cls(steps, (steps - span) // stride + 1, size, stride, dilation, 0, padding)
        count = -(-steps // stride)
        before = span - 1 if padding == "causal" else max((count - 1) * stride + span - steps, 0) // 2
        return cls(steps, count, size, stride, dilation, before, padding)

    def seen(self, tap: int) -> tuple[Array, Array]:
        """The windows (J,) whose place `tap` lies within x, and the steps (J,) they see there."""
        steps = np.arange(self.count) * self.stride - self.before + tap * self.dilation
        windows = np.flatnonzero((steps >= 0) & (steps < self.steps))
        return windows, steps[windows]

    def mask(self, real: Array) -> Array:
        """(N, J): the first windows of each row, as many as there are when its valid steps (N, T) come first."""
        length = real.sum(axis=1)
        if self.padding == "valid":
            count = (length - (self.size - 1) * self.dilation - 1) // self.stride + 1
        else:
            count = -(-length // self.stride)
        return np.asarray(np.arange(self.count) < count[:, None]).astype(np.int32)
