"""What many ranks give: a model of a step of `rnncore.distributed.fit`; docs/how/ranks.md explains it.

The time of a step on one rank and what rounding its gradients costs are measured here, on all processors of this
machine; latency and rate of networks are assumed, and are options.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_distributed import LAYERS
from harness import save

from rnncore import layers, models
from rnncore.bench import CELLS, Shape, markdown
from rnncore.distributed.world import _floats, _upper_halves

RANKS = (2, 8, 64, 256, 1000)
GATHERED = 8  # batches for each message
SMALL = 64  # bytes of the message that tells what counts


class Network(NamedTuple):
    """Seconds before a message arrives, and bytes a second."""

    latency: float
    rate: float


NETWORKS = {
    "1 Gbit/s Ethernet": Network(50e-6, 0.125e9),
    "10 Gbit/s Ethernet": Network(30e-6, 1.25e9),
    "100 Gbit/s InfiniBand": Network(2e-6, 12.5e9),
}


class Rank(NamedTuple):
    """What one rank was measured to need."""

    step: float  # seconds
    weights: int
    rounding: float  # seconds to round all gradients to bfloat16, and to add up a share of them


def small_message(ranks: int, network: Network) -> float:
    """Recursive doubling: in each round all exchange all."""
    return math.ceil(math.log2(ranks)) * (network.latency + SMALL / network.rate)


def gradients(ranks: int, size: float, network: Network) -> float:
    """Reduce-scatter and allgather: each sends its part to all others, twice, in log2(ranks) rounds each."""
    return 2 * (math.ceil(math.log2(ranks)) * network.latency + (ranks - 1) / ranks * size / network.rate)


def rounded_gradients(ranks: int, size: float, network: Network) -> float:
    """As much in half of the bytes, but parts go to all others one by one before they are added up."""
    rounds = ranks - 1 + math.ceil(math.log2(ranks))
    return rounds * network.latency + 2 * (ranks - 1) / ranks * (size / 2) / network.rate


def efficiency(rank: Rank, ranks: int, network: Network, *, gathered: int = 1, rounded: bool = False) -> float:
    """The share of a step that computes, where each rank has as many rows as one alone."""
    size = 4.0 * rank.weights
    message = gradients(ranks, size, network)
    if rounded:
        message = rounded_gradients(ranks, size, network) + rank.rounding
    return rank.step / (rank.step + small_message(ranks, network) + message / gathered)


def measured(cell: str, shape: Shape, rounds: int) -> Rank:
    """The shortest of some steps of `train_on_batch`, and of roundings: what other programs take is not counted."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape.rows, shape.steps, shape.inputs)).astype(np.float32)
    model = models.Sequential([layers.Input(x.shape[1:]), LAYERS[cell](shape.units), layers.Dense(1)])
    model.compile("adam", "mse")
    y, vector = np.zeros((shape.rows, 1), np.float32), rng.normal(size=model.count_params()).astype(np.float32)
    steps, roundings = [], []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        model.train_on_batch(x, y)
        steps.append(time.perf_counter() - begin)
        begin = time.process_time()  # NumPy does it in one thread
        _upper_halves(_floats(_upper_halves(vector)))
        _floats(_upper_halves(vector[:1]))
        roundings.append(time.process_time() - begin)
    return Rank(min(steps), model.count_params(), min(roundings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=["lstm"])
    shapes = [Shape.parse(name) for name in ("medium", "large")]
    parser.add_argument("--shapes", nargs="+", type=Shape.parse, default=shapes)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", nargs="+", type=float, help="milliseconds of the steps, in place of measured ones")
    parser.add_argument("--latency", type=float, help="microseconds of a network of your own")
    parser.add_argument("--rate", type=float, help="its Gbit/s")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    networks = dict(NETWORKS)
    if options.latency is not None and options.rate is not None:
        networks["yours"] = Network(options.latency * 1e-6, options.rate / 8 * 1e9)
    records: list[dict[str, Any]] = []
    rows = []
    for cell in options.cells:
        for shape in options.shapes:
            rank = measured(cell, shape, options.rounds)
            if options.steps:
                rank = rank._replace(step=options.steps[len(records)] / 1e3)
            print(f"{cell} {shape}: {1e3 * rank.step:.3g} ms, {rank.weights} weights, {1e3 * rank.rounding:.2g} ms\n")
            for name, network in networks.items():
                for label, levers in LEVERS.items():
                    found = [efficiency(rank, ranks, network, **levers) for ranks in RANKS]
                    rows.append([f"{cell} {shape}", name, label, *(f"{share:.0%}" for share in found)])
            records.append({"cell": cell, "shape": list(shape), **rank._asdict()})
    save(options.json, records)
    print(markdown(["case", "network", "gradients", *(f"{ranks} ranks" for ranks in RANKS)], rows))


LEVERS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"rounded": True},
    f"each {GATHERED} batches": {"gathered": GATHERED},
    "both": {"rounded": True, "gathered": GATHERED},
}

if __name__ == "__main__":
    main()
