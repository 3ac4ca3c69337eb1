"""Show the scripts of `keras_callbacks.py` to Keras's callbacks and store what they decide: keras_callbacks.npz.

Run with Keras 3 installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_callbacks.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras_callbacks import everything


def direction(cls: type) -> Any:
    """Which way a metric is better, "up" or "down"; None where Keras cannot tell."""
    for arguments in ((), (0.5,)):
        try:
            return getattr(cls(*arguments), "_direction", None)
        except TypeError:
            continue
    return None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runs = everything(keras, Path(folder))
    classes = {name: cls for name, cls in vars(keras.metrics).items() if isinstance(cls, type)}
    directions = {name: found for name, cls in classes.items() if (found := direction(cls)) is not None}
    text = json.dumps({"runs": runs, "directions": directions})
    np.savez_compressed(Path(__file__).parent / "keras_callbacks.npz", text=np.array(text))
