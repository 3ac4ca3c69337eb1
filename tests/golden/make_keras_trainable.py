"""Train the programs of `keras_trainable.py` with Keras and store weights and logs: keras_trainable.npz.

Run with Keras 3 installed: python tests/golden/make_keras_trainable.py
"""

from __future__ import annotations

from make_keras_training import main

from keras_trainable import PROGRAMS  # isort: skip

if __name__ == "__main__":
    main(PROGRAMS, "keras_trainable.npz")
