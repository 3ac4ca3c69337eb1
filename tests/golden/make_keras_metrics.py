"""Compute the values of Keras's metrics that come from sums over samples, with their options.

Run it where Keras is installed: `KERAS_BACKEND=jax python make_keras_metrics.py`. Of each case of `keras_scores.npz`
`<case>/value` is the result after two batches, `<case>/weighted` with sample weights, and `about` tells class and
options. Targets and outputs are those of the name that stands before the dash.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

RNG = np.random.default_rng(11)
ROWS, SPLIT = 30, 12
LABELS = RNG.integers(0, 2, (ROWS, 4)).astype(np.float32)
DATA: dict[str, tuple[Any, Any]] = {
    "numbers": (RNG.normal(size=(ROWS, 3)).astype(np.float32), RNG.normal(size=(ROWS, 3)).astype(np.float32)),
    "classes": (
        np.eye(4, dtype=np.float32)[RNG.integers(0, 4, ROWS)],
        RNG.dirichlet(np.ones(4), ROWS).astype(np.float32),
    ),
    "labels": (LABELS, np.clip(0.3 * LABELS + 0.7 * RNG.uniform(size=(ROWS, 4)), 0, 1).astype(np.float32)),
    "logits": (LABELS[:, :1], (2 * LABELS[:, :1] + RNG.normal(size=(ROWS, 1))).astype(np.float32)),
}
CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(("numbers", "R2Score", {"class_aggregation": how}) for how in (None, "uniform_average")),
    ("numbers", "R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    *(("classes", "FBetaScore", {"average": how, "beta": 2.0}) for how in (None, "micro", "macro", "weighted")),
    *(("labels", "F1Score", {"average": how, "threshold": 0.4}) for how in (None, "micro", "macro", "weighted")),
    *(
        (data, name, options)
        for name in ("Precision", "Recall")
        for data, options in (
            ("labels", {"thresholds": [0.2, 0.5, 0.7]}),
            ("labels", {"class_id": 2}),
            ("classes", {"top_k": 2}),
            ("classes", {"top_k": 2, "class_id": 1}),
        )
    ),
    *(("labels", name, {"thresholds": [0.3, 0.6]}) for name in ("TruePositives", "FalseNegatives")),
    *(
        ("labels", "AUC", {"num_thresholds": 11, "curve": curve, "summation_method": method})
        for curve in ("ROC", "PR")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("labels", "AUC", {"thresholds": [0.2, 0.4, 0.9]}),
    ("logits", "AUC", {"num_thresholds": 20, "from_logits": True}),
    ("labels", "SensitivityAtSpecificity", {"specificity": 0.6}),
    ("labels", "SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 9}),
    ("labels", "PrecisionAtRecall", {"recall": 0.6, "class_id": 1}),
    ("labels", "RecallAtPrecision", {"precision": 0.8, "num_thresholds": 50}),
    ("labels", "AUC", {"multi_label": True}),
    ("labels", "AUC", {"multi_label": True, "curve": "PR", "label_weights": [0.5, 2.0, 1.0, 0.0]}),
    ("labels", "AUC", {"multi_label": True, "num_labels": 4, "summation_method": "majoring", "num_thresholds": 11}),
]


def main() -> None:
    arrays: dict[str, Any] = {}
    for name, (target, output) in DATA.items():
        arrays |= {f"data/{name}/target": target, f"data/{name}/output": output}
    weights = RNG.uniform(0.5, 2, ROWS).astype(np.float32)
    arrays["data/weights"] = weights
    for number, (data, name, options) in enumerate(CASES):
        target, output = DATA[data]
        case = f"{data}-{name}-{number}"
        arrays[f"{case}/about"] = np.frombuffer(json.dumps(options).encode(), np.uint8)
        for kind, weight in (("value", None), ("weighted", weights)):
            metric = getattr(keras.metrics, name)(**options)
            for rows in (slice(0, SPLIT), slice(SPLIT, None)):
                metric.update_state(target[rows], output[rows], sample_weight=None if weight is None else weight[rows])
            arrays[f"{case}/{kind}"] = np.asarray(metric.result())
    np.savez_compressed(Path(__file__).parent / "keras_scores.npz", **arrays)


if __name__ == "__main__":
    main()
