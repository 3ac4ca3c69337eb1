"""Compute penalties on matrices that are not orthogonal with Keras, and their gradients: keras_regularizers.npz.

Run it in an environment that has what `make_goldens.py` needs:
`KERAS_BACKEND=torch python make_keras_regularizers.py`.
"""

from __future__ import annotations

import keras
import numpy as np
import torch
from make_goldens import Goldens

SHAPES = [(4, 6), (9, 5), (2, 3)]


def main() -> None:
    """Store, for each shape and mode, some weights, their penalty and its gradient."""
    rng = np.random.default_rng(91)
    goldens = Goldens()
    for number, shape in enumerate(SHAPES):
        for mode in ("rows", "columns"):
            options = {"factor": 0.1 * (number + 1), "mode": mode}
            w = torch.tensor(rng.normal(size=shape), requires_grad=True)
            penalty = keras.regularizers.OrthogonalRegularizer(**options)(w)
            penalty.backward()
            arrays = {"w": w.detach().numpy(), "penalty": penalty.detach().numpy(), "gradient": w.grad.numpy()}
            goldens.add(f"{mode}-{number}", "OrthogonalRegularizer", options, arrays)
    goldens.save("keras_regularizers.npz")


if __name__ == "__main__":
    main()
