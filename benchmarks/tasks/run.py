"""Whole tasks beside PyTorch: the same architecture, data, epochs and seeds, run in turns.

    python benchmarks/tasks/run.py --data DIR [--tasks images names ...] [--seeds 0 1 2] [--threads 2] [--policy P]
        [--json FILE]

Each run is a process of its own. Quality is the mean over the seeds, with the least and the most in brackets; seconds
are the mean of those of training alone. With ``--policy mixed_bfloat16`` rnncore trains under that global dtype policy,
and has a row of its own in the table; PyTorch always runs in float32.

With a file, every run is written there as soon as it ends, what is there already is not run again, and the table is
that of all its runs with that many threads: so it can be gathered in parts, the quality (``--no-clock``) on a busy
machine, the seconds on a quiet one. ``--tasks`` with nothing behind it runs nothing and prints the table.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rnncore.bench import markdown

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"

# What each is about, what its quality is measured in, and whether more is better.
TASKS = {
    "images": ("digits row by row", "accuracy ↑"),
    "forecasting": ("transformer temperature", "MSE ↓"),
    "names": ("surnames of 18 languages", "accuracy ↑"),
    "sentiment": ("film reviews", "accuracy ↑"),
    "speech_recognition": ("spoken digits", "accuracy ↑"),
    "language_model": ("text of Shakespeare", "bits/character ↓"),
    "translation": ("English to German", "BLEU ↑"),
}
ENGINES = {"ours": "rnncore", "theirs": "PyTorch"}  # the function of each twin, and its name in the table
POLICIES = ("float32", "mixed_bfloat16")  # of rnncore
NAMES = ("task", "engine", "seed", "threads", "epochs", "policy")  # which run it is

Run = dict[str, Any]  # NAMES, quality, and seconds, None where the clock was not to be trusted


def training(task: str, engine: str) -> Any:
    """The function that trains once."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    return getattr(importlib.import_module(f"torch_{task}"), engine)


def once(task: str, engine: str, folder: Path, seed: int, threads: int, epochs: int, policy: str) -> None:
    """Train once in this process and print quality and seconds as JSON."""
    train = training(task, engine)
    import torch

    import rnncore

    torch.set_num_threads(threads)
    rnncore.set_num_threads(threads)
    rnncore.config.set_dtype_policy(policy)
    torch.manual_seed(seed)
    rnncore.utils.set_random_seed(seed)
    quality, seconds = train(folder, epochs=epochs)
    print(json.dumps({"quality": quality, "seconds": seconds}))


def load(file: Path | None) -> list[Run]:
    """The runs of a file, none where it does not exist yet; those without a policy were in float32."""
    runs = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.exists() else []
    return [{**run, "policy": run.get("policy", "float32")} for run in runs]


def save(file: Path, runs: Iterable[Run]) -> None:
    """Replace a file of runs, one on a line."""
    written = file.with_name(file.name + ".new")
    written.write_text("[\n" + ",\n".join(map(json.dumps, runs)) + "\n]\n", encoding="utf-8")
    written.replace(file)


def key(run: Run) -> tuple[Any, ...]:
    """What tells a run from the others."""
    return tuple(run[name] for name in NAMES)


def has(runs: Iterable[Run], wanted: Run, clock: bool) -> bool:
    """Whether a run is there, with its seconds where they are asked for."""
    return any(key(run) == key(wanted) and not (clock and run["seconds"] is None) for run in runs)


def merged(runs: Iterable[Run], run: Run) -> list[Run]:
    """All runs, in order, with `run` in the place of one with the same names."""
    runs = {key(other): other for other in runs}
    if run["seconds"] is None and key(run) in runs:
        run = {
            **run,
            "seconds": runs[key(run)]["seconds"],
        }  # a busy machine tells nothing about the time of a quiet one
    runs[key(run)] = run
    return sorted(runs.values(), key=lambda run: (list(TASKS).index(run["task"]), *key(run)))


def spread(values: Sequence[float]) -> str:
    """Their mean, and the least and the most where there are several."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.4g}"
    return f"{mean} ({min(values):.4g}-{max(values):.4g})" if len(values) > 1 else mean


def clock(seconds: Sequence[float | None]) -> list[str]:
    """Both times, and how many times as long PyTorch takes; nothing where one is not known."""
    ours, theirs = seconds
    ratio = "" if ours is None or theirs is None else f"{theirs / ours:.1f}"
    return [*("" if value is None else f"{value:.1f}" for value in seconds), ratio]


def table(runs: Sequence[Run]) -> str:
    """A row for each task, number of epochs and policy, and the sum of the times of those that both engines ran."""
    rows, totals = [], dict.fromkeys(ENGINES, 0.0)
    for task, epochs, policy in dict.fromkeys((run["task"], run["epochs"], run["policy"]) for run in runs):
        alike = [run for run in runs if (run["task"], run["epochs"], run["policy"]) == (task, epochs, policy)]
        of = {engine: [run for run in alike if run["engine"] == engine] for engine in ENGINES}
        quality = [spread([run["quality"] for run in of[engine]]) for engine in ENGINES]
        timed = {engine: [run["seconds"] for run in of[engine] if run["seconds"] is not None] for engine in ENGINES}
        means = {engine: statistics.fmean(seconds) if seconds else None for engine, seconds in timed.items()}
        about, measure = TASKS[task]
        name = f"`{task}`: {about}" + ("" if policy == "float32" else f", {policy}")
        rows.append([name, str(epochs), measure, *quality, *clock(list(means.values()))])
        if None not in means.values():
            totals = {engine: totals[engine] + (means[engine] or 0.0) for engine in ENGINES}
    if any(totals.values()):
        rows.append(["all timed beside each other", "", "", "", "", *clock(list(totals.values()))])
    names = list(ENGINES.values())
    return markdown(["task", "epochs", "quality", *names, *(f"{name}, s" for name in names), "ratio"], rows)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES), help="rnncore, PyTorch or both")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--policy", choices=POLICIES, default="float32", help="of rnncore; PyTorch runs in float32")
    parser.add_argument("--epochs", type=int, help="in place of the examples' own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all runs there")
    parser.add_argument("--again", action="store_true", help="repeat runs that are in the file")
    parser.add_argument("--no-clock", action="store_true", help="record no seconds, only quality")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.once:
        task, engine, seed = options.tasks[0], options.engines[0], options.seeds[0]
        once(task, engine, options.data, seed, options.threads, options.epochs, options.policy)
        return

    runs = load(options.json)
    for task in options.tasks:
        for seed in options.seeds:
            for engine in options.engines:
                epochs = options.epochs or inspect.signature(training(task, engine)).parameters["epochs"].default
                policy = options.policy if engine == "ours" else "float32"
                run: Run = dict(zip(NAMES, (task, engine, seed, options.threads, epochs, policy), strict=True))
                if has(runs, run, not options.no_clock) and not options.again:
                    continue
                command = [sys.executable, __file__, "--once", "--data", str(options.data), "--tasks", task]
                command += ["--engines", engine, "--seeds", str(seed), "--threads", str(options.threads)]
                command += ["--epochs", str(epochs), "--policy", policy]
                result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                run |= json.loads(result.stdout.splitlines()[-1])
                if options.no_clock:
                    run["seconds"] = None
                print(run, file=sys.stderr, flush=True)
                # Read anew: another program may have added to the file meanwhile.
                runs = merged(load(options.json) if options.json else runs, run)
                if options.json:
                    save(options.json, runs)
    print(table([run for run in runs if run["threads"] == options.threads]))


if __name__ == "__main__":
    main()
