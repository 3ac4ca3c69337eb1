"""Compute LSTMs with peepholes with onnxruntime and store them: onnx_peepholes.npz.

Run it in an environment that has what `make_goldens.py` needs: `KERAS_BACKEND=torch python make_onnx_peepholes.py`.
"""

from __future__ import annotations

import numpy as np
from make_goldens import UNITS, Goldens, draw, run_onnx


def main() -> None:
    """Store both directions, rows that end early."""
    goldens = Goldens()
    for seed, reverse in enumerate([False, True]):
        arrays = draw(110 + seed, "lstm", dtype=np.float32)
        del arrays["doutput"], arrays["dstate"]
        arrays["peephole_kernel"] = np.random.default_rng(120 + seed).normal(size=(3, UNITS)).astype(np.float32)
        options = {"reverse": reverse}
        arrays |= run_onnx("lstm", arrays, np.array([4, 5, 2]), options)
        goldens.add(f"lstm-reverse={reverse}", "lstm", options, arrays)
    goldens.save("onnx_peepholes.npz")


if __name__ == "__main__":
    main()
