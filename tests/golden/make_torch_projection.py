"""Compute LSTMs with a projection with PyTorch and store them: torch_projection.npz.

Run it in an environment that has what `make_goldens.py` needs: `KERAS_BACKEND=torch python make_torch_projection.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from make_goldens import FEATURES, GATES, Goldens, N, T, run_torch
from make_goldens import UNITS as H

P = 2  # numbers of h


def main() -> None:
    """Store both directions, rows that end early."""
    goldens = Goldens()
    for seed, reverse in enumerate([False, True]):
        rng = np.random.default_rng(130 + seed)
        columns = GATES["lstm"] * H
        arrays: dict[str, Any] = {
            "x": rng.normal(size=(N, T, FEATURES)),
            "kernel": rng.normal(size=(FEATURES, columns)),
            "recurrent_kernel": rng.normal(size=(P, columns)),
            "bias": rng.normal(size=columns),
            "projection_kernel": rng.normal(size=(H, P)),
            "initial_state": [rng.normal(size=(N, size)) for size in (P, H)],
            "doutput": rng.normal(size=(N, T, P)),
            "dstate": [rng.normal(size=(N, size)) for size in (P, H)],
        }
        arrays |= run_torch("lstm", arrays, np.array([4, 5, 2]), reverse)
        # States differ in size, and what is stored of one name is one array.
        for name in ("initial_state", "dstate", "state", "gradient_initial_state"):
            arrays[f"{name}_h"], arrays[f"{name}_c"] = arrays.pop(name)
        goldens.add(f"lstm-reverse={reverse}", "lstm", {"reverse": reverse}, arrays)
    goldens.save("torch_projection.npz")


if __name__ == "__main__":
    main()
