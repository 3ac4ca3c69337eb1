"""Run Keras's recurrent cells with one given recurrent dropout mask for all gates and steps: keras_dropout.npz.

Run with Keras 3 installed: python tests/golden/make_keras_dropout.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers

ROWS, STEPS, FEATURES, UNITS = 3, 4, 2, 5
CELLS = {
    "simple_rnn": lambda: layers.SimpleRNNCell(UNITS, recurrent_dropout=0.5),
    "lstm": lambda: layers.LSTMCell(UNITS, recurrent_dropout=0.5),
    "gru": lambda: layers.GRUCell(UNITS, recurrent_dropout=0.5),
    "gru_reset_before": lambda: layers.GRUCell(UNITS, recurrent_dropout=0.5, reset_after=False),
}


def main() -> None:
    """Inputs, weights, masks and the outputs of every step."""
    rng = np.random.default_rng(6)
    arrays = {}
    for name, make in CELLS.items():
        cell = make()
        cell.build((ROWS, FEATURES))
        weights = [rng.normal(scale=0.6, size=w.shape).astype(np.float32) for w in cell.get_weights()]
        cell.set_weights(weights)
        x = rng.normal(size=(ROWS, STEPS, FEATURES)).astype(np.float32)
        states = [rng.normal(size=(ROWS, UNITS)).astype(np.float32) for _ in range(2 if name == "lstm" else 1)]
        mask = (rng.integers(2, size=(ROWS, UNITS)) * 2).astype(np.float32)
        gates = getattr(cell, "dropout_mask_count", None)
        cell._recurrent_dropout_mask = mask if gates is None else [mask] * gates
        arrays |= {f"{name}/x": x, f"{name}/mask": mask}
        arrays |= {f"{name}/weights/{k}": w for k, w in enumerate(weights)}
        arrays |= {f"{name}/states/{k}": s for k, s in enumerate(states)}
        outputs = []
        for t in range(STEPS):
            output, states = cell.call(x[:, t], states, training=True)
            outputs.append(keras.ops.convert_to_numpy(output))
        arrays[f"{name}/output"] = np.stack(outputs, axis=1)
    np.savez_compressed(Path(__file__).parent / "keras_dropout.npz", **arrays)


if __name__ == "__main__":
    main()
