"""Train the programs of `keras_wrappers.py` with Keras and store weights and logs: keras_wrappers.npz.

Run with Keras 3 installed: python tests/golden/make_keras_wrappers.py
"""

from __future__ import annotations

from make_keras_training import main

from keras_wrappers import PROGRAMS  # isort: skip

if __name__ == "__main__":
    main(PROGRAMS, "keras_wrappers.npz")
