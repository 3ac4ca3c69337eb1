"""Steps of `rnncore.distributed.fit` on two ranks of one thread each, beside `fit` with one thread.

Strong scaling shares the rows of one batch among the ranks; weak scaling gives each rank as many. Rounds go over all
settings in turn, each in processes of its own; of a round counts the shortest of its epochs. "By work" are the same
ratios of the seconds that processors worked for each rank: what they would be if nobody else wanted these, and no rank
waited for the other. It needs mpi4py and mpiexec. ranks_model.py says what more ranks give.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from harness import layer_options, save

from rnncore import callbacks, layers, models
from rnncore.bench import Shape, markdown

SETTINGS = {
    "fit": (0, 1),
    "2 ranks, strong": (2, 1),
    "2 ranks, weak": (2, 2),
}  # ranks, batches' worth
SECONDS = 0.3  # of an epoch, about
EPOCHS = 5  # of which the first is not counted
LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}


class Clock(callbacks.Callback):
    """The seconds of each epoch, and those of a processor in the shortest."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.work = math.inf

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begin = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.begin[0])
        self.work = min(self.work, time.process_time() - self.begin[1])


def measure(cell: str, shape: Shape, ranks: int, worth: int, steps: int) -> dict[str, float]:
    """Seconds of a step, the share of its messages, and the number of weights; every rank calls it."""
    rows = shape.rows * worth
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, shape.steps, shape.inputs)).astype(np.float32)
    x, y = np.tile(x, (steps, 1, 1)), np.zeros((rows * steps, 1), np.float32)
    hidden = LAYERS[cell](shape.units)
    model = models.Sequential([layers.Input((shape.steps, shape.inputs)), hidden, layers.Dense(1)])
    model.compile("adam", "mse")
    clock, spent = Clock(), [0.0]
    if ranks:
        from rnncore.distributed import fit
        from rnncore.distributed.world import World

        wait = World._wait

        def timed(self: World, request: Any) -> bool:
            begin = time.perf_counter()
            done = wait(self, request)
            spent[0] += time.perf_counter() - begin
            return done

        World._wait = timed  # type: ignore[method-assign]
        fit(model, x, y, rows, EPOCHS, 0, clock)
    else:
        model.fit(x, y, rows, EPOCHS, 0, clock)
    found = {"seconds": min(clock.seconds[1:]) / steps, "work": clock.work / steps}
    return found | {"messages": spent[0] / sum(clock.seconds), "weights": model.count_params()}


def launched(cell: str, shape: Shape, ranks: int, worth: int) -> dict[str, float]:
    """What rank 0 measures, in processes of its own."""
    flop = 6 * shape.rows * shape.steps * (shape.inputs + shape.units) * shape.units * 4
    steps = min(max(2, int(SECONDS * 1e11 / flop)), 100)
    command = [sys.executable, __file__, "--rank", cell, ",".join(map(str, shape)), str(ranks), str(worth), str(steps)]
    launcher = ["mpiexec", "-n", str(ranks)] if ranks else []
    environment = {**os.environ, "RNNCORE_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *command], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def on_rank(cell: str, shape: str, *numbers: str) -> None:
    """What each process does."""
    ranks, worth, steps = map(int, numbers)
    found = measure(cell, Shape.parse(shape), ranks, worth, steps)
    if ranks:
        from mpi4py import MPI

        found["work"] = MPI.COMM_WORLD.allreduce(found["work"])
        if MPI.COMM_WORLD.Get_rank():
            return
    print(json.dumps(found))


def main() -> None:
    options = layer_options(__doc__, ("small", "medium", "large"), 5)
    records = []
    for cell in options.cells:
        for shape in options.shapes:
            print(cell, shape, file=sys.stderr, flush=True)
            rounds = [
                {name: launched(cell, shape, *setting) for name, setting in SETTINGS.items()}
                for _ in range(options.rounds)
            ]
            records.append({"cell": cell, "shape": list(shape), "rounds": rounds})
    save(options.json, records)
    header = ["case", "weights", "fit, ms", "strong: speed-up", "by work", "weak: efficiency", "by work", "messages"]
    print(markdown(header, map(row, records)))


def row(record: dict[str, Any]) -> list[str]:
    """Medians of the ratios of each round."""
    rounds = record["rounds"]

    def ratio(one: str, other: str, key: str = "seconds") -> float:
        return statistics.median(found[one][key] / found[other][key] for found in rounds)

    step = statistics.median(found["fit"]["seconds"] for found in rounds)
    share = statistics.median(found["2 ranks, weak"]["messages"] for found in rounds)
    cells = [f"{record['cell']} {Shape(*record['shape'])}", f"{rounds[0]['fit']['weights']:.0f}", f"{1e3 * step:.3g}"]
    cells += [f"{ratio('fit', '2 ranks, strong'):.2f}", f"{2 * ratio('fit', '2 ranks, strong', 'work'):.2f}"]
    cells += [f"{ratio('fit', '2 ranks, weak'):.0%}", f"{2 * ratio('fit', '2 ranks, weak', 'work'):.0%}"]
    return [*cells, f"{share:.0%}"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        on_rank(*sys.argv[2:])
    else:
        main()
