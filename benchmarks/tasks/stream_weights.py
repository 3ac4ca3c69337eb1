"""What streams with weights of fewer bytes cost the examples' tasks, whose models are trained in float32.

    python benchmarks/tasks/stream_weights.py --data DIR [--seeds 0 1 2]

The quality of each task is that of its example, on outputs that streams give for the rows held back.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rnncore.bench import markdown
from rnncore.models import Model
from rnncore.utils import set_random_seed

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

FORMATS = (None, "bfloat16", "int8")
Quality = Callable[[str | None], float]


def outputs(model: Model, x: np.ndarray, weights: str | None) -> np.ndarray:
    found: np.ndarray = model.stream(len(x), weights=weights).run(x)
    return found


def forecasting(folder: Path) -> Quality:
    import forecasting as example

    model, data = example.build_model(), example.split(example.load(folder / "ett" / "ETTh1.csv"))
    example.train(model, data, verbose=0)
    known, asked = data["test"]
    x, target = example.differences(known, asked)
    return lambda weights: float(np.mean(np.square(outputs(model, x, weights) - target)))


def images(folder: Path) -> Quality:
    import images as example

    model, (train_x, train_y, x, y) = example.build_model(), example.split(*example.load())
    example.train(model, train_x, train_y, verbose=0)
    return lambda weights: float(np.mean(outputs(model, x, weights).argmax(axis=1) == y))


def language_model(folder: Path, epochs: int = 3) -> Quality:
    import language_model as example

    first, last = example.split(example.load(folder / "tinyshakespeare" / "input.txt"))
    characters = "".join(sorted(set(first)))
    model = example.build_model(len(characters))
    example.train(model, example.encode(first, characters), epochs=epochs, verbose=0)
    read, following = example.in_streams(example.encode(last, characters), 20)

    def bits(weights: str | None) -> float:
        logits = outputs(model, read, weights).astype(np.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        chosen = np.take_along_axis(logits, following[..., None], axis=-1)[..., 0]
        return float(np.mean(np.log(np.exp(logits).sum(axis=-1)) - chosen)) / math.log(2)

    return bits


TASKS: dict[str, tuple[Callable[[Path], Quality], str]] = {
    "images": (images, "accuracy ↑"),
    "forecasting": (forecasting, "MSE ↓"),
    "language_model": (language_model, "bits/character ↓"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    rows = []
    for name in options.tasks:
        train, measure = TASKS[name]
        found: dict[Any, list[float]] = {weights: [] for weights in FORMATS}
        for seed in options.seeds:
            set_random_seed(seed)
            quality = train(options.data)
            for weights, values in found.items():
                values.append(quality(weights))
        rows.append([name, measure, *(f"{statistics.fmean(found[weights]):.5g}" for weights in FORMATS)])
    print(markdown(["task", "quality", "float32", "bfloat16", "int8"], rows))


if __name__ == "__main__":
    main()
