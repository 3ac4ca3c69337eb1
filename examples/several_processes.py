"""Train one network on several processes, on one machine or many, with `rnncore.distributed`.

The task is the adding problem of Hochreiter and Schmidhuber (1997): a sequence has numbers between 0 and 1, two of
them are marked, and the network is to tell the sum of these two. The data are made here.

Run it with ``mpiexec -n 2 python examples/several_processes.py [--quick] [--epochs 40] [--seed 0]``, or without mpiexec
on one process: the losses are the same but for rounding. `pip install 'rnncore[mpi]' mpich` brings what it needs. Kill
it, and start it again in the same folder: it goes on from the last epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from _common import arguments
from rnncore import callbacks, distributed, layers, losses, models, utils

STEPS = 40


def make(rows: int, seed: int) -> tuple[Any, Any]:
    """Sequences (rows, STEPS, 2) of numbers and marks, and the sums (rows,)."""
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, STEPS, 2), np.float32)
    x[:, :, 0] = rng.random((rows, STEPS))
    half = STEPS // 2
    places = np.stack([rng.integers(half, size=rows), rng.integers(half, STEPS, size=rows)], axis=1)
    np.put_along_axis(x[:, :, 1], places, 1.0, axis=1)
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1)


def main(given: Sequence[str] | None = None) -> dict[str, float]:
    """Train on all processes, and tell on the first one how good the network is."""
    options = arguments(__doc__ or "", given, epochs=40, quick=10)
    from mpi4py import MPI

    rank, size = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
    utils.set_random_seed(options.seed)
    x, y = make(2000 if options.quick else 8000, options.seed)
    model = models.Sequential([layers.Input((STEPS, 2)), layers.GRU(32), layers.Dense(1)])
    model.compile("adam", losses.MeanSquaredError())
    model.optimizer.learning_rate = 0.01
    watching = [
        callbacks.ReduceLROnPlateau("val_loss", 0.5, patience=4),
        callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True),
        callbacks.BackupAndRestore(options.output / "several_processes"),
    ]
    history = distributed.fit(model, x, y, 64, options.epochs, options.verbose, watching, validation_split=0.1)
    held, sums = make(1000, options.seed + 1)
    error = float(np.mean((model.predict(held, verbose=0).ravel() - sums) ** 2))
    if rank == 0:
        print(f"{size} processes, {len(history.epoch)} epochs: mean squared error {error:.1e}")
        print(f"Who always answers 1 has {np.mean((1 - sums) ** 2):.1e}")
    return {"error": error}


if __name__ == "__main__":
    main()
