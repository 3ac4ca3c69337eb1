"""Run the benchmarks, keep their tables and numbers in a folder, and draw them.

    python benchmarks/report.py --out DIR [--only kernels steps ...] [--rounds 3] [--threads 2] [--images docs/images]

Each benchmark is a process of its own; NAME.md is what it printed, NAME.json its numbers. A picture is drawn when the
numbers it needs are in the folder, also from an earlier run; `--only` without names runs nothing and draws only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from harness import HERE

from rnncore.bench import SHAPES, Shape

mpl.use("Agg")
from matplotlib import pyplot as plt

MAIN_SHAPES = ["tiny", "small", "medium", "b8h256", "large", "xl", "b1long"]
SMALL_SHAPES = ["1,1,4,16", "1,10,4,16", "1,50,4,16", "1,50,16,64", "4,20,8,32"]

# Name, script and its arguments; {threads} where it takes them.
BENCHMARKS = {
    "kernels": ["bench_kernels.py", "--shapes", *MAIN_SHAPES, "--peers", "rnncore", "torch", "onednn"],
    "latency": ["bench_kernels.py", "--shapes", *SMALL_SHAPES, "--modes", "forward", "--seconds", "0.03"],
    "stacked": ["bench_stacked.py"],
    "torch_modules": ["bench_torch_modules.py"],
    "steps": ["bench_steps.py"],
    "lengths": ["bench_lengths.py"],
    "resets": ["bench_resets.py"],
    "options": ["bench_options.py"],
    "memory": ["bench_memory.py"],
    "precision": ["bench_precision.py"],
    "scaling": ["bench_scaling.py"],
    "scaling_model": ["scaling_model.py"],
    "time_to_loss": ["time_to_loss.py"],
    "stream": ["bench_stream.py", "--more"],
}
WITHOUT_ROUNDS = {"memory"}
WITHOUT_THREADS = {"memory", "scaling", "stream"}

CELL_NAMES = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "simple RNN"}
COLOURS = {"rnncore": "#1f5fa8", "PyTorch": "#e07b39", "oneDNN": "#7f9f4f", "JAX": "#8a6fb0", "onnxruntime": "#b04f6f"}
COLOURS |= {"oneDNN (packed before)": "#b7cf8f"}
COLOURS |= {"rnncore bfloat16": "#5f95cf", "rnncore int8": "#9cc0e7", "OpenVINO": "#8a6fb0", "RTNeural": "#c9a227"}
COLOURS |= {"Keras, JAX": "#8a6fb0", "Keras, PyTorch": "#b04f6f", "Keras, TensorFlow": "#555555"}


def run(name: str, folder: Path, rounds: int, threads: int) -> bool:
    """Run one benchmark; tell whether it succeeded."""
    script, *arguments = BENCHMARKS[name]
    arguments += ["--json", str(folder / f"{name}.json")]
    arguments += [] if name in WITHOUT_ROUNDS else ["--rounds", str(rounds)]
    arguments += [] if name in WITHOUT_THREADS else ["--threads", str(threads)]
    print(name, *arguments, flush=True)
    start = time.perf_counter()
    command = [sys.executable, str(HERE / script), *arguments]
    with (folder / f"{name}.md").open("w") as output, (folder / f"{name}.log").open("w") as errors:
        done = subprocess.run(command, stdout=output, stderr=errors, check=False)
    outcome = "done" if done.returncode == 0 else f"failed, see {folder / name}.log"
    print(f"  {outcome}, {time.perf_counter() - start:.0f} s", flush=True)
    return done.returncode == 0


def load(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def bars(axes: Any, groups: list[str], series: dict[str, list[float]]) -> None:
    """Groups of bars side by side; a missing value (nan) leaves a gap."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [group - 0.4 + width * (number + 0.5) for group in range(len(groups))]
        axes.bar(places, values, width, label=name, color=COLOURS.get(name))
    axes.set_xticks(range(len(groups)), groups)
    axes.spines[["top", "right"]].set_visible(False)


def kernel_rates(record: dict[str, Any], mode: str, value: str = "gflops") -> dict[str, dict[tuple[str, str], Any]]:
    """Values of each peer by cell and shape."""
    names = {shape: name for name, shape in SHAPES.items()}
    rates: dict[str, dict[tuple[str, str], Any]] = {}
    for timing in record["timings"]:
        if timing["mode"] == mode:
            shape = Shape(*timing["shape"])
            key = timing["cell"], names.get(shape, str(shape)) if value == "gflops" else ",".join(map(str, shape))
            rates.setdefault(timing["peer"], {})[key] = timing[value]
    return rates


def draw_kernels(folder: Path) -> Any:
    """GFLOP/s of training steps beside what the roofline allows at each shape."""
    record, model = load(folder, "kernels"), load(folder, "scaling_model")
    rates = kernel_rates(record, "training")
    peak = statistics.mean(record["FMA peak"])
    figure, rows = plt.subplots(len(CELL_NAMES), 1, figsize=(8, 7), sharex=True, layout="constrained")
    names = {shape: name for name, shape in SHAPES.items()}
    roofs = {(r["cell"], names.get(Shape(*r["shape"]))): r["roof_gflops"] for r in model["records"]}
    for axes, (cell, title) in zip(rows, CELL_NAMES.items(), strict=True):
        series = {
            peer: [found.get((cell, name), float("nan")) for name in MAIN_SHAPES] for peer, found in rates.items()
        }
        bars(axes, MAIN_SHAPES, series)
        axes.axhline(peak, color="black", linewidth=1, linestyle="--", label="peak of multiply-adds")
        for place, name in enumerate(MAIN_SHAPES):
            if (cell, name) in roofs:
                roof = min(peak, roofs[cell, name])
                label = "roof of the shape" if place == len(MAIN_SHAPES) - 1 else None
                axes.plot([place - 0.42, place + 0.42], [roof, roof], color="black", linewidth=2, label=label)
        axes.set_ylabel(f"{title}, GFLOP/s")
    rows[0].legend(ncols=5, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure


def draw_latency(folder: Path) -> Any:
    """Microseconds of small forward calls."""
    seconds = kernel_rates(load(folder, "latency"), "forward", "seconds")
    figure, columns = plt.subplots(1, len(CELL_NAMES), figsize=(10, 3.4), sharey=True, layout="constrained")
    for axes, (cell, title) in zip(columns, CELL_NAMES.items(), strict=True):
        series = {
            peer: [1e6 * statistics.median(found.get((cell, shape), [float("nan")])) for shape in SMALL_SHAPES]
            for peer, found in seconds.items()
        }
        bars(axes, SMALL_SHAPES, series)
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.tick_params("x", rotation=40)
        axes.set_xlabel("N,T,I,H")
    columns[0].set_ylabel("forward call, µs")
    handles, labels = columns[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), fontsize=8, loc="outside upper center", frameon=False)
    return figure


def draw_memory(folder: Path) -> Any:
    """Floats that a training step keeps and takes at most, in units of H."""
    records = load(folder, "memory")["records"]
    measures = list(records[0]["floats"])
    figure, columns = plt.subplots(1, len(measures), figsize=(8, 3), layout="constrained")
    cells = list(dict.fromkeys(record["cell"] for record in records))
    for axes, name in zip(columns, measures, strict=True):
        series: dict[str, list[float]] = {}
        for record in records:
            series.setdefault(record["peer"], []).append(record["floats"][name] / record["shape"][3])
        bars(axes, [CELL_NAMES[cell] for cell in cells], series)
        axes.set_title(name, fontsize=10)
    columns[0].set_ylabel("floats per row and step, in H")
    columns[0].legend(fontsize=8, frameon=False)
    return figure


def draw_time_to_loss(folder: Path) -> Any:
    """Loss against time."""
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for record in load(folder, "time_to_loss")["records"]:
        name = record["engine"]
        axes.plot(record["seconds"], record["loss"], marker=".", label=name, color=COLOURS.get(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds since training began, compiling included")
    axes.set_ylabel("loss of an epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure


def draw_stream(folder: Path) -> Any:
    """How many steps take longer than what, of LSTMs of several sizes."""
    records = [r for r in load(folder, "stream")["records"] if (r["cell"], r["rows"], r["layers"]) == ("lstm", 1, 1)]
    cases = list(dict.fromkeys(record["case"] for record in records))
    figure, columns = plt.subplots(1, len(cases), figsize=(10, 3.4), sharey=True, layout="constrained", squeeze=False)
    for axes, case in zip(columns[0], cases, strict=True):
        for record in (record for record in records if record["case"] == case):
            quantiles, name = record["quantiles"], record["engine"]
            last = len(quantiles) - 1
            places = [*range(0, last - 100, 25), *range(last - 100, last - 10, 5), *range(last - 10, last)]
            times, longer = [1e6 * quantiles[place] for place in places], [1 - place / last for place in places]
            axes.plot(times, longer, label=name, color=COLOURS.get(name))
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")
        axes.set_yscale("log")
        axes.set_title(case, fontsize=10)
        axes.set_xlabel("µs")
        axes.spines[["top", "right"]].set_visible(False)
    columns[0, 0].set_ylabel("share of steps that take longer")
    handles, labels = columns[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), fontsize=8, loc="outside upper center", frameon=False)
    return figure


def draw_scaling(folder: Path) -> Any:
    """Speed-up that the model says of more cores, and the one that was measured."""
    record = load(folder, "scaling_model")
    figure, columns = plt.subplots(1, len(CELL_NAMES), figsize=(10, 3.4), sharey=True, layout="constrained")
    for axes, (cell, title) in zip(columns, CELL_NAMES.items(), strict=True):
        for case in (case for case in record["records"] if case["cell"] == cell):
            predictions = {1: case["one"], record["threads"]: case["model"]["seconds"]}
            predictions |= {int(cores): model["seconds"] for cores, model in case["cores"].items()}
            gains = [case["one"] / seconds for seconds in predictions.values()]
            [line] = axes.plot(list(predictions), gains, marker=".", label=str(Shape(*case["shape"])))
            measured = case["one"] / case["several"]
            axes.plot(record["threads"], measured, "x", color=line.get_color())
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(list(predictions), map(str, predictions))
        axes.set_yticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("cores")
        axes.spines[["top", "right"]].set_visible(False)
    columns[0].set_ylabel("speed-up (x: measured)")
    columns[0].legend(fontsize=7, frameon=False)
    return figure


# Name of the picture: what draws it, and the numbers it needs.
PICTURES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "kernels": (draw_kernels, ("kernels", "scaling_model")),
    "latency": (draw_latency, ("latency",)),
    "memory": (draw_memory, ("memory",)),
    "time_to_loss": (draw_time_to_loss, ("time_to_loss",)),
    "scaling": (draw_scaling, ("scaling_model",)),
    "stream": (draw_stream, ("stream",)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="*", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--images", type=Path, help="folder of the pictures; that of the numbers by default")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    succeeded = [run(name, options.out, options.rounds, options.threads) for name in options.only]
    images = options.images or options.out
    images.mkdir(parents=True, exist_ok=True)
    # Text stays text, and the same numbers give the same file.
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "rnncore", "font.size": 9}
    for name, (draw, needs) in PICTURES.items():
        missing = [need for need in needs if not (options.out / f"{need}.json").exists()]
        if missing:
            print(f"{name}.svg: not drawn without {', '.join(f'{need}.json' for need in missing)}")
            continue
        figure = draw(options.out)
        figure.savefig(images / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
        print(images / f"{name}.svg")
    return 0 if all(succeeded) else 1


if __name__ == "__main__":
    sys.exit(main())
