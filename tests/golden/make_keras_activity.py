"""Train models with activity regularizers in Keras and store losses and weights: keras_activity.npz.

Run with Keras 3 installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_activity.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras_penalised_models import MODELS, ROWS, make, sequences


def main() -> None:
    """For each model: the loss of a measurement, and the weights after a step on all rows."""
    rng = np.random.default_rng(6)
    x, y = sequences(), rng.normal(size=(ROWS, 2)).astype(np.float32)
    arrays = {"y": y}
    for name in MODELS:
        model = make(keras, name)
        before = [rng.normal(scale=0.5, size=w.shape).astype(np.float32) for w in model.get_weights()]
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.5), "mse")
        arrays[f"{name}/loss"] = np.array(model.test_on_batch(x, y))
        model.train_on_batch(x, y)
        arrays |= {f"{name}/before/{i}": w for i, w in enumerate(before)}
        arrays |= {f"{name}/after/{i}": w for i, w in enumerate(model.get_weights())}
    np.savez_compressed(Path(__file__).parent / "keras_activity.npz", **arrays)


if __name__ == "__main__":
    main()
