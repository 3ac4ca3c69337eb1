"""Run and train Keras's models whose values have masks of their own: keras_merged_masks.npz.

Run with Keras 3 and JAX installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_merged_masks.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras_merged_models import GRAPHS, data, make_model, targets


def main() -> None:
    """Of each model the weights before, its outputs, the losses of three steps the weights after them."""
    arrays: dict[str, Any] = {}
    for name in GRAPHS:
        rng = np.random.default_rng(3)
        model = make_model(keras, name)
        before = [rng.normal(scale=0.6, size=w.shape).astype(np.float32) for w in model.get_weights()]
        before = [np.abs(w) if "variance" in v.path else w for w, v in zip(before, model.weights, strict=True)]
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        x, y = data(), targets(model.output_shape)
        outputs = model.predict(x, verbose=0)
        logs = [model.train_on_batch(x, y) for _ in range(3)]
        arrays |= {f"{name}/before/{i}": w for i, w in enumerate(before)}
        arrays |= {f"{name}/outputs/{i}": np.asarray(w) for i, w in enumerate(outputs)}
        arrays |= {f"{name}/after/{i}": w for i, w in enumerate(model.get_weights())}
        arrays[f"{name}/losses"] = np.array(logs)[:, 0]
        print(name, flush=True)
    np.savez_compressed(Path(__file__).parent / "keras_merged_masks.npz", **arrays)


if __name__ == "__main__":
    main()
