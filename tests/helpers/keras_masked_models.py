"""Masked layers and models of them, written once for Keras and for rnncore, whose names are the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

FEATURES, UNITS = 2, 3

# Rows: right padding, left padding, holes, one real step, nothing real, everything.
MASK = np.array(
    [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 1, 0], [0, 1, 0, 1, 1], [0, 0, 1, 0, 0], [0] * 5, [1] * 5], np.int32
)
STEPS = MASK.shape[1]

# Layers that give their sequence and their states: kind, whether from given states, further options.
CASES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    f"{kind}{' before' if before else ''}, {state}, {direction}, {output}": (
        kind,
        state == "given",
        {
            "go_backwards": direction == "backwards",
            **({"zero_output_for_mask": True} if output == "zeros" else {}),
            **({"reset_after": False} if before else {}),
        },
    )
    for (kind, before), state, direction, output in product(
        [("LSTM", False), ("GRU", False), ("GRU", True), ("SimpleRNN", False)],
        ["zeros", "given"],
        ["forwards", "backwards"],
        ["held", "zeros"],
    )
}


def make_layer(api: Any, kind: str, options: dict[str, Any]) -> Any:
    return getattr(api.layers, kind)(UNITS, return_sequences=True, return_state=True, **options)


def _sequences(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(len(MASK), STEPS, FEATURES)).astype(np.float32)


def _tagger(api: Any) -> Any:
    """Masked by value, a target for each step."""
    layers = api.layers
    model = api.models.Sequential(
        [
            layers.Input((STEPS, FEATURES)),
            layers.Masking(),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Dropout(0.0),
            layers.Activation("tanh"),
            layers.Dense(2),
        ]
    )
    return model, _sequences(1) * MASK[..., None], _sequences(2)


def _given(api: Any) -> Any:
    """A mask of the caller's; a backward layer and one after it, which get the mask in the order of the input."""
    layers = api.layers
    x, mask = layers.Input((STEPS, FEATURES)), layers.Input((STEPS,), dtype="bool")
    y = layers.SimpleRNN(UNITS, return_sequences=True)(x, mask=mask)
    y = layers.GRU(UNITS, return_sequences=True, go_backwards=True)(y)
    y = layers.LSTM(UNITS, return_sequences=True)(y)
    return api.models.Model([x, mask], layers.Dense(2)(y)), [_sequences(3), MASK.astype(bool)], _sequences(4)


def _classifier(api: Any) -> Any:
    """Ids with padding, the last output; the mask ends there."""
    layers = api.layers
    ids = np.random.default_rng(5).integers(1, 9, size=MASK.shape) * MASK
    model = api.models.Sequential(
        [
            layers.Input((STEPS,), dtype="int32"),
            layers.Embedding(9, 3, mask_zero=True),
            layers.GRU(UNITS, return_sequences=True),
            layers.LSTM(UNITS),
            layers.Dense(2),
        ]
    )
    return model, ids.astype(np.int32), _sequences(6)[:, 0]


def _flattened(api: Any) -> Any:
    """Flatten drops the mask, so every position counts."""
    layers = api.layers
    model = api.models.Sequential(
        [
            layers.Input((STEPS, FEATURES)),
            layers.Masking(0.0),
            layers.SimpleRNN(UNITS, return_sequences=True),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    return model, _sequences(7) * MASK[..., None], _sequences(8)[:, 0]


MODELS: dict[str, Callable[[Any], Any]] = {
    "tagger": _tagger,
    "given": _given,
    "classifier": _classifier,
    "flattened": _flattened,
}
