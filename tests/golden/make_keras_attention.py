"""Call and train Keras's attention layers and store what came out: keras_attention.npz.

Run with Keras 3 installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_attention.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras_attention import CASES, LEARNING_RATE, TRANSLATIONS, data, translation


def main() -> None:
    """For each case: weights, output and scores, and the weights after a step of training."""
    arrays: dict[str, np.ndarray] = {}
    for name, case in CASES.items():
        rng = np.random.default_rng(len(name))
        layer, inputs, outputs = case(keras)
        given, targets = data(rng, [value.shape for value in inputs], outputs[0].shape)
        model = keras.Model(inputs, outputs)
        before = [rng.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()]
        layer.set_weights(before)
        made = [np.asarray(y) for y in model(given)]
        flat = keras.layers.Flatten()(outputs[0])  # without the mask of the query, which the loss would take
        trained = keras.Model(inputs, flat)
        trained.compile(keras.optimizers.SGD(LEARNING_RATE), "mse")
        if before:
            trained.train_on_batch(given, targets.reshape(len(targets), -1))
        for kind, values in {"before": before, "outputs": made, "after": layer.get_weights()}.items():
            arrays |= {f"{name}/{kind}/{k}": np.asarray(value) for k, value in enumerate(values)}
    for name in TRANSLATIONS:
        model, train = translation(name)(keras)
        rng = np.random.default_rng(len(name))
        before = [rng.normal(scale=0.5, size=w.shape).astype(np.float32) for w in model.get_weights()]
        model.set_weights(before)
        logs = train().history
        for kind, values in {"before": before, "after": model.get_weights()}.items():
            arrays |= {f"translation/{name}/{kind}/{k}": np.asarray(value) for k, value in enumerate(values)}
        arrays[f"translation/{name}/loss/0"] = np.array(logs["loss"])
    np.savez_compressed(Path(__file__).parent / "keras_attention.npz", **arrays)


if __name__ == "__main__":
    main()
