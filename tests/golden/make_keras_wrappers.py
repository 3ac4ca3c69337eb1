"""Train the programs of `keras_wrappers.py` with Keras and store weights and logs: keras_wrappers.npz.

Run with Keras 3 installed: PYTHONPATH=tests/helpers python tests/golden/make_keras_wrappers.py
"""

from __future__ import annotations

from keras_wrappers import PROGRAMS
from make_keras_training import main

if __name__ == "__main__":
    main(PROGRAMS, "keras_wrappers.npz")
