"""Small models and data that the tests of models, training and files share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import layers, models

Array = npt.NDArray[Any]

BACKENDS = ["compiled", "reference"]


def data(rows: int = 20, steps: int = 6, features: int = 3, outputs: int = 2) -> tuple[Array, Array]:
    """Random sequences (N, T, I) and targets (N, U)."""
    rng = np.random.default_rng(rows)
    return rng.normal(size=(rows, steps, features)), rng.normal(size=(rows, outputs))


def forecaster(**compile_arguments: Any) -> models.Sequential:
    """Two stacked recurrent layers and a linear output, all weights random; compiled if arguments are given."""
    model = models.Sequential(
        [
            layers.Input((None, 3)),
            layers.GRU(5, return_sequences=True, bias_initializer="random_normal"),
            layers.LSTM(4, bias_initializer="random_normal"),
            layers.Dense(2, bias_initializer="random_normal"),
        ]
    )
    if compile_arguments:
        model.compile(**compile_arguments)
    return model


def same(a: list[Array], b: list[Array]) -> bool:
    """Whether two lists of arrays hold the same bits."""
    return len(a) == len(b) and all(np.array_equal(u, v) for u, v in zip(a, b, strict=True))
