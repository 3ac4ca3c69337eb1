"""Models with activity regularizers, written once for Keras and for rnncore, whose names are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEPS, FEATURES, ROWS = 5, 3, 6


def sequences() -> Any:
    """Rows (N, T, I) with steps to be masked at both ends and between."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, STEPS, FEATURES)).astype(np.float32)
    x[0, 3:], x[1, :2], x[2, 1:4] = 0, 0, 0
    return x


def _stack(api: Any) -> Any:
    """Sequences, last output, and the dense output; one layer is frozen."""
    layers = api.layers
    return [
        layers.Dense(4, activation="tanh", activity_regularizer="l1", trainable=False),
        layers.LSTM(5, return_sequences=True, activity_regularizer=api.regularizers.L1L2(0.03, 0.2)),
        layers.GRU(4, activity_regularizer="l2"),
        layers.Dense(2, activity_regularizer=api.regularizers.L2(0.1)),
    ]


def _masked(api: Any) -> Any:
    """Masked steps count: a state is held there, a Dense layer gives its bias."""
    layers = api.layers
    return [
        layers.Masking(),
        layers.GRU(4, return_sequences=True, activity_regularizer=api.regularizers.L2(0.5)),
        layers.Dense(3, activity_regularizer=api.regularizers.L1(0.2)),
        layers.GRU(4, go_backwards=True),
        layers.Dense(2),
    ]


def _both_ways(api: Any) -> Any:
    """The penalties of both directions, and that of what they give together."""
    layers = api.layers
    inner = layers.LSTM(3, return_sequences=True, activity_regularizer=api.regularizers.L1(0.1))
    return [
        layers.Masking(),
        layers.Bidirectional(inner, activity_regularizer=api.regularizers.L2(0.3)),
        layers.Conv1D(4, 3, activity_regularizer="l2"),
        layers.GlobalAveragePooling1D(activity_regularizer="l1"),
        layers.Dense(2),
    ]


MODELS: dict[str, Callable[[Any], Any]] = {"stack": _stack, "masked": _masked, "both_ways": _both_ways}


def make(api: Any, name: str) -> Any:
    return api.models.Sequential([api.layers.Input((STEPS, FEATURES)), *MODELS[name](api)])
