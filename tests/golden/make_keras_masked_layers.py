"""Run Keras's recurrent layers under masks of any pattern and train models of them: keras_masked_layers.npz.

Run with Keras 3 and JAX installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_masked_layers.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras_masked_models import CASES, FEATURES, MASK, MODELS, STEPS, UNITS, make_layer


def weights_like(rng: np.random.Generator, arrays: list[Any]) -> list[Any]:
    return [rng.normal(scale=0.6, size=array.shape).astype(np.float32) for array in arrays]


def main() -> None:
    """Outputs of each layer, and of each model the loss and metric, and the weights before and after five steps."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=(len(MASK), STEPS, FEATURES)).astype(np.float32)
    states = rng.normal(size=(2, len(MASK), UNITS)).astype(np.float32)
    arrays: dict[str, Any] = {"x": x, "states": states}
    for name, (kind, with_state, options) in CASES.items():
        layer = make_layer(keras, kind, options)
        initial = {"initial_state": list(states[: 2 if kind == "LSTM" else 1])} if with_state else {}
        layer.build(x.shape)
        layer.set_weights(weights_like(rng, layer.get_weights()))
        arrays |= {f"{name}/weights/{i}": w for i, w in enumerate(layer.get_weights())}
        outputs = layer(x, mask=MASK.astype(bool), **initial)
        arrays |= {f"{name}/outputs/{i}": np.asarray(y) for i, y in enumerate(outputs)}
    for name, make in MODELS.items():
        model, data, targets = make(keras)
        before = weights_like(rng, model.get_weights())
        model.set_weights(before)
        arrays |= {f"{name}/before/{i}": w for i, w in enumerate(before)}
        model.compile(keras.optimizers.SGD(0.3), "mse", weighted_metrics=["mae"])
        arrays[f"{name}/logs"] = np.array(model.evaluate(data, targets, batch_size=len(targets), verbose=0))
        for _ in range(5):
            model.train_on_batch(data, targets)
        arrays |= {f"{name}/after/{i}": w for i, w in enumerate(model.get_weights())}
    np.savez_compressed(Path(__file__).parent / "keras_masked_layers.npz", **arrays)


if __name__ == "__main__":
    main()
