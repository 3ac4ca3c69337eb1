"""The largest or the mean of the valid steps of each window, zero where there are none.

`pool1d` has windows like `conv1d`, and its second output; `global_pool1d` has one window of all steps
and no time axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._sequence_arguments import Array
from .magnitude import product
from .masking import real_steps
from .op import Arrays, Run
from .window import Windows

__all__ = ["GlobalPool", "Pool"]


class Pool:
    """`kind` is max or average. The first of equal steps gets the gradient of a maximum."""

    def windows(self, steps: int, attributes: dict[str, Any]) -> Windows:
        size = attributes.get("pool_size", 2)
        stride = attributes.get("strides") or size
        return Windows.of(steps, size, stride, 1, attributes.get("padding", "valid"))

    def forward(self, inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
        x, mask = inputs  # (N, T, C)
        windows = self.windows(x.shape[1], attributes)
        real = real_steps(mask, x.shape)
        seen = np.zeros((windows.size, len(x), windows.count), bool)  # whether a place of a window has a valid step
        steps = np.zeros((windows.size, windows.count), int)  # and which
        for tap in range(windows.size):
            to, found = windows.seen(tap)
            steps[tap, to] = found
            seen[tap][:, to] = real[:, found]
        places = np.moveaxis(x[:, steps], 1, 0)  # (K, N, J, C)
        count = seen.sum(axis=0)[..., None]
        if attributes["kind"] == "average":
            share = (seen[..., None] / np.maximum(count, 1)).astype(x.dtype)  # (K, N, J, 1)
            y = np.where(seen[..., None], places, 0).sum(axis=0) / np.maximum(count, 1).astype(x.dtype)
        else:
            largest = np.where(seen[..., None], places, -np.inf).max(axis=0)
            found = (places == largest) | (np.isnan(places) & np.isnan(largest))
            first = (found & seen[..., None]).argmax(axis=0)  # (N, J, C)
            y = np.where(count > 0, largest, 0).astype(x.dtype)
            share = ((np.arange(windows.size)[:, None, None, None] == first) & seen[..., None]).astype(x.dtype)
        return [y, windows.mask(real)], (x.shape, steps, share)

    def backward(self, doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
        shape, steps, share = saved
        dy = doutputs[0]
        dx = np.zeros(shape, dy.dtype)
        for tap in range(len(steps)):
            part = product(dy, share[tap])
            for window, step in enumerate(steps[tap]):  # one step may be the same place of several windows
                dx[:, step] += part[:, window]
        return [dx, None], []


class GlobalPool(Pool):
    def windows(self, steps: int, attributes: dict[str, Any]) -> Windows:
        return Windows(steps, 1, steps, 1, 1, 0, "valid")

    def forward(self, inputs: Arrays, weights: list[Array], attributes: dict[str, Any], run: Run) -> tuple[Arrays, Any]:
        outputs, saved = super().forward(inputs, weights, attributes, run)
        return [outputs[0][:, 0]], saved

    def backward(self, doutputs: Arrays, saved: Any) -> tuple[Arrays, list[Array]]:
        return super().backward([doutputs[0][:, None]], saved)
