"""Whole tasks beside PyTorch: the same architecture, data, epochs and seeds, run in turns.

    python benchmarks/tasks/run.py --data DIR [--tasks images names ...] [--seeds 0 1 2] [--threads 2]

Each run is a process of its own. Quality and seconds are means over the seeds; the seconds are those of training alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from rnncore.bench import markdown

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"

# What quality is measured in, and whether more is better.
TASKS = {
    "images": "accuracy ↑",
    "forecasting": "MSE ↓",
    "names": "accuracy ↑",
    "sentiment": "accuracy ↑",
    "speech_recognition": "accuracy ↑",
    "language_model": "bits/character ↓",
    "translation": "BLEU ↑",
}
ENGINES = {"rnncore": "ours", "torch": "theirs"}


def once(task: str, engine: str, folder: Path, seed: int, threads: int, epochs: int | None) -> None:
    """Train once in this process and print quality and seconds as JSON."""
    sys.path.insert(0, str(EXAMPLES))
    module = importlib.import_module(f"torch_{task}")
    import torch

    import rnncore

    torch.set_num_threads(threads)
    rnncore.set_num_threads(threads)
    torch.manual_seed(seed)
    rnncore.utils.set_random_seed(seed)
    arguments = {} if epochs is None else {"epochs": epochs}
    quality, seconds = getattr(module, ENGINES[engine])(folder, **arguments)
    print(json.dumps({"quality": quality, "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--epochs", type=int, help="in place of the examples' own")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        once(options.tasks[0], options.engine, options.data, options.seeds[0], options.threads, options.epochs)
        return

    rows, totals = [], dict.fromkeys(ENGINES, 0.0)
    for task in options.tasks:
        found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
        for seed in options.seeds:
            for engine in ENGINES:
                command = [sys.executable, __file__, "--data", str(options.data), "--engine", engine]
                command += ["--tasks", task, "--seeds", str(seed), "--threads", str(options.threads)]
                command += [] if options.epochs is None else ["--epochs", str(options.epochs)]
                result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[engine].append(json.loads(result.stdout.splitlines()[-1]))
                print(task, seed, engine, found[engine][-1], file=sys.stderr, flush=True)
        mean = {e: {k: statistics.mean(r[k] for r in runs) for k in runs[0]} for e, runs in found.items()}
        for engine in ENGINES:
            totals[engine] += mean[engine]["seconds"]
        quality = [f"{mean[engine]['quality']:.4g}" for engine in ENGINES]
        rows.append([task, TASKS[task], *quality, *clock([mean[engine]["seconds"] for engine in ENGINES])])
    rows.append(["all", "", "", "", *clock(list(totals.values()))])
    print(markdown(["task", "quality", "rnncore", "PyTorch", "rnncore, s", "PyTorch, s", "ratio"], rows))


def clock(seconds: list[float]) -> list[str]:
    """Both times, and how many times as long PyTorch takes."""
    return [*(f"{value:.1f}" for value in seconds), f"{seconds[1] / seconds[0]:.1f}"]


if __name__ == "__main__":
    main()
