"""Train a model on padded sequences with Keras's masks and store what came out: keras_masks.npz.

Run with Keras 3 installed: python tests/golden/make_keras_masks.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers

ROWS, STEPS, WORDS, CLASSES = 7, 5, 9, 3
METRICS = {"sparse_categorical_crossentropy": "sparse_categorical_accuracy", "mean_squared_error": "mae"}


def main() -> None:
    """For each loss and kind of sample weights: the logs of a measurement, and the weights after a step."""
    rng = np.random.default_rng(4)
    lengths = np.array([5, 0, 3, 1, 4, 5, 2])
    ids = np.where(np.arange(STEPS) < lengths[:, None], rng.integers(1, WORDS, size=(ROWS, STEPS)), 0)
    targets = {
        "sparse_categorical_crossentropy": rng.integers(CLASSES, size=(ROWS, STEPS)),
        "mean_squared_error": rng.normal(size=(ROWS, STEPS, CLASSES)),
    }
    sample_weights = {
        "none": None,
        "samples": rng.uniform(0.2, 2, size=(ROWS, 1)),  # with a mask Keras wants the axis
        "steps": rng.uniform(0.2, 2, size=(ROWS, STEPS)),
    }
    model = keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            layers.Embedding(WORDS, 4, mask_zero=True),
            layers.LSTM(6, return_sequences=True),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    before = [rng.normal(scale=0.5, size=w.shape).astype(np.float32) for w in model.get_weights()]
    arrays = {"ids": ids, "lengths": lengths, **{f"before/{i}": w for i, w in enumerate(before)}}
    arrays |= {f"targets/{loss}": y for loss, y in targets.items()}
    arrays |= {f"weights/{kind}": w.squeeze() for kind, w in sample_weights.items() if w is not None}
    for loss, y in targets.items():
        for kind, w in sample_weights.items():
            model.set_weights(before)
            model.compile(keras.optimizers.SGD(0.5), loss, weighted_metrics=[METRICS[loss]])
            logs = model.test_on_batch(ids, y, sample_weight=w, return_dict=True)
            arrays[f"{loss}/{kind}/logs"] = np.array([float(value) for value in logs.values()])
            model.train_on_batch(ids, y, sample_weight=w)
            arrays |= {f"{loss}/{kind}/after/{i}": v for i, v in enumerate(model.get_weights())}
    np.savez_compressed(Path(__file__).parent / "keras_masks.npz", **arrays)


if __name__ == "__main__":
    main()
