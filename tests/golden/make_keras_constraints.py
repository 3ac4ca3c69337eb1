"""Compute weights under constraints with Keras and store them: keras_constraints.npz.

Run it in an environment that has what `make_goldens.py` needs:
`KERAS_BACKEND=torch python make_keras_constraints.py`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from make_goldens import Goldens

CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("NonNeg", {}, (3, 4)),
    ("MaxNorm", {}, (5, 3)),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}, (5, 3)),
    ("UnitNorm", {}, (4,)),
    ("UnitNorm", {"axis": [0, 2]}, (3, 2, 4)),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.3}, (3, 6)),
]


def main() -> None:
    """Store, for each constraint, some weights before and after it."""
    rng = np.random.default_rng(90)
    goldens = Goldens()
    for name, options, shape in CASES:
        w = rng.normal(size=shape).astype(np.float32)
        w[..., 0] = 0  # a norm of zero, too
        after = keras.ops.convert_to_numpy(getattr(keras.constraints, name)(**options)(w))
        goldens.add("-".join([name, *options]), name, options, {"before": w, "after": after})
    goldens.save("keras_constraints.npz")


if __name__ == "__main__":
    main()
