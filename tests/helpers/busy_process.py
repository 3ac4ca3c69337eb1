"""What the processes of hostile tests begin with: `from busy_process import *` gives a model, data and helpers."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import rnncore
from rnncore import callbacks, functional, layers, models, utils

__all__ = ["callbacks", "functional", "layers", "models", "rnncore", "utils"]
__all__ += ["gc", "np", "os", "signal", "sys", "threading", "time", "traceback"]
__all__ += ["chain", "data", "fitted", "forever", "rng", "same", "side_by_side", "squared_error", "weights"]

rnncore.set_num_threads(2)
rng = np.random.default_rng(0)


def data(rows: int, steps: int, features: int) -> tuple[Any, Any]:
    """Random sequences, and the sum of each (N, 1)."""
    x = rng.normal(size=(rows, steps, features)).astype("float32")
    return x, x.sum(axis=(1, 2))[:, None]


def weights(features: int, units: int) -> tuple[Any, Any]:
    """Both kernels of an LSTM."""
    recurrent = rng.normal(size=(units, 4 * units)).astype("float32") / 8
    return rng.normal(size=(features, 4 * units)).astype("float32"), recurrent


def squared_error(target: Any, output: Any) -> tuple[Any, Any]:
    """A loss in Python."""
    return np.mean((output - target) ** 2), 2 * (output - target) / output.size


def chain(
    x: Any, units: int, *, loss: Any = "mse", metrics: Any = None, seed: int = 1, extra: Any = (), **options: Any
) -> Any:
    """An LSTM and a linear output; `options` are the layer's but for `backend`."""
    backend = options.pop("backend", "compiled")
    utils.set_random_seed(seed)
    found = models.Sequential([layers.Input(x.shape[1:]), layers.LSTM(units, **options), *extra, layers.Dense(1)])
    found.compile("adam", loss, metrics=metrics, backend=backend)
    return found


def fitted(model: Any, *arguments: Any, **options: Any) -> list[Any]:
    """The weights after a fit whose random numbers are always the same."""
    utils.set_random_seed(2)
    model.fit(*arguments, verbose=0, **options)
    weights: list[Any] = model.get_weights()
    return weights


def same(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two lists of arrays hold the same bits."""
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def side_by_side(work: Callable[..., Any], *arguments: Any) -> None:
    """Run `work` on each argument in a thread of its own, and wait for all."""
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def forever(work: Callable[[], Any]) -> None:
    """Repeat until the process ends."""
    while True:
        work()
