"""Train the programs of `keras_programs.py` with Keras and store weights and logs: keras_training.npz.

Run with Keras 3 installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_training.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras_programs import PROGRAMS, Program


def main(programs: dict[str, Program] = PROGRAMS, file: str = "keras_training.npz") -> None:
    """Store, for each program, the weights before and after training and the log of each epoch."""
    arrays = {}
    for number, (name, program) in enumerate(programs.items()):
        keras.utils.set_random_seed(number)
        model, train = program(keras)
        rng = np.random.default_rng(number)
        # Biases too start at random values, so that none hides behind a zero.
        model.set_weights([w + rng.normal(scale=0.1, size=w.shape) for w in model.get_weights()])
        arrays |= {f"{name}/before/{i}": w for i, w in enumerate(model.get_weights())}
        history = train().history
        arrays |= {f"{name}/after/{i}": w for i, w in enumerate(model.get_weights())}
        arrays |= {f"{name}/log/{key}": np.array(values) for key, values in history.items()}
    np.savez_compressed(Path(__file__).parent / file, **arrays)


if __name__ == "__main__":
    main()
