"""Smooth curves through random values, and reading sequences at times between steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def smooth_curves(values: Array, lengths: Array, steps: int) -> Array:
    """Curves (N, T, C) through knots (N, K, C) spread evenly over the valid steps: Catmull-Rom splines."""
    knots = values.shape[1]
    place = np.arange(steps) * (knots - 1) / np.maximum(lengths - 1, 1)[:, None]  # (N, T), in knots
    place = np.minimum(place, knots - 1)
    left = np.minimum(place.astype(np.int64), knots - 2)
    u = (place - left)[..., None]
    ends = [2 * values[:, :1] - values[:, 1:2], values, 2 * values[:, -1:] - values[:, -2:-1]]
    points = np.concatenate(ends, axis=1)  # one knot more at both ends, on the straight line
    p0, p1, p2, p3 = (np.take_along_axis(points, (left + k)[..., None], axis=1) for k in range(4))
    slope1, slope2 = (p2 - p0) / 2, (p3 - p1) / 2
    curve: Array = (
        (2 * u**3 - 3 * u**2 + 1) * p1
        + (u**3 - 2 * u**2 + u) * slope1
        + (3 * u**2 - 2 * u**3) * p2
        + (u**3 - u**2) * slope2
    )
    return curve


def read_at(x: Array, times: Array, lengths: Array) -> Array:
    """X (N, T, C) at times (N, T) between 0 and lengths - 1, on the straight lines between steps."""
    last = np.maximum(lengths - 1, 0)[:, None]
    times = np.clip(times, 0, last)
    left = np.minimum(times.astype(np.int64), np.maximum(last - 1, 0))
    right = np.minimum(left + 1, last)
    share = (times - left)[..., None]
    before, after = (np.take_along_axis(x, place[..., None], axis=1) for place in (left, right))
    read: Array = before + share * (after - before)
    return read
