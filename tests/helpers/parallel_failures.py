"""What goes wrong on several processes, as a program: each rank tells in a file of its own how it ended.

`mpiexec -n 2 python parallel_failures.py FOLDER NAME ...`
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from parallel_cases import LABELS, X, Y, tagger

from rnncore import callbacks, distributed, layers, losses, models, utils

SITUATIONS: dict[str, Callable[[int, Path], Any]] = {}


def situation(function: Callable[[int, Path], Any]) -> Callable[[int, Path], Any]:
    SITUATIONS[function.__name__] = function
    return function


class Named(callbacks.Callback):
    """Calls a function after each epoch, on one rank."""

    def __init__(self, mine: bool, function: Callable[[Any, int], Any]) -> None:
        self.mine, self.function = mine, function

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.mine:
            self.function(self.model, epoch)


class Judge(callbacks.Callback):
    """Measures the model after each epoch and batch, on rank 0 alone."""

    writes = True

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(self.model.evaluate(X, Y, verbose=0))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert logs["loss"] > 0
        assert self.model.test_on_batch(X, Y) > 0


def fit(model: Any, x: Any = X, y: Any = Y, epochs: int = 2, **options: Any) -> Any:
    return distributed.fit(model, x, y, 7, epochs, 0, **options)


@situation
def other_rows(rank: int, folder: Path) -> None:
    rows = 22 - 2 * rank
    fit(tagger(), X[:rows], Y[:rows])


@situation
def other_features(rank: int, folder: Path) -> None:
    fit(tagger(), [[[1.0] * 3]] if rank == 0 else [[[1.0] * 4]], Y[:1, :1])


@situation
def other_epochs(rank: int, folder: Path) -> None:
    fit(tagger(), epochs=1 + rank)


@situation
def other_model(rank: int, folder: Path) -> None:
    fit(tagger(layers.Dense(2, ["tanh", "relu"][rank])))


@situation
def bad_labels(rank: int, folder: Path) -> None:
    model = tagger(layers.Dense(3, "softmax"), loss="sparse_categorical_crossentropy")
    fit(model, X, LABELS if rank == 0 else LABELS + 1)


@situation
def failing_step(rank: int, folder: Path) -> None:
    def loss(target: Any, output: Any) -> Any:
        if rank == 1:
            raise ZeroDivisionError("no loss here")
        return 0.0, np.zeros_like(output)

    fit(tagger(loss=loss))


@situation
def failing_callback(rank: int, folder: Path) -> None:
    def fail(model: Any, epoch: int) -> None:
        raise LookupError("nothing there")

    fit(tagger(), callbacks=Named(rank == 1, fail))


@situation
def failing_everywhere(rank: int, folder: Path) -> None:
    def augment(x: Any, rng: Any) -> Any:
        raise LookupError("nothing here")

    fit(tagger(), augment=augment)


@situation
def full_disk(rank: int, folder: Path) -> None:
    """The second checkpoint does not fit."""

    def fill(model: Any, epoch: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 if epoch == 0 else soft, hard))

    saved = callbacks.ModelCheckpoint(folder / "checkpoint.rnn", monitor="loss")
    try:
        fit(tagger(), callbacks=[saved, Named(rank == 0, fill)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    models.load_model(folder / "checkpoint.rnn")


@situation
def callbacks_of_one(rank: int, folder: Path) -> None:
    fit(tagger(), callbacks=[callbacks.EarlyStopping("loss")] if rank == 0 else None)


@situation
def no_callback(rank: int, folder: Path) -> None:
    chosen: list[Any] = [callbacks.EarlyStopping("loss")]
    fit(tagger(), callbacks=[*chosen, "checkpoint.rnn"] if rank == 1 else chosen)


@situation
def interrupted_callback(rank: int, folder: Path) -> None:
    def interrupt(model: Any, epoch: int) -> None:
        raise KeyboardInterrupt

    try:
        fit(tagger(), callbacks=Named(rank == 1, interrupt))
    except KeyboardInterrupt as error:
        raise InterruptedError from error


@situation
def compression_of_one(rank: int, folder: Path) -> None:
    fit(tagger(dtype_policy="float32"), compression="bfloat16" if rank == 0 else None)


@situation
def parts_of_the_data(rank: int, folder: Path) -> None:
    """Each rank has rows of its own, as other packages want it."""
    fit(tagger(), X[rank::2], Y[rank::2])


@situation
def parts_of_the_answers(rank: int, folder: Path) -> None:
    fit(tagger(), X, np.roll(Y, rank) * (1 + rank), validation_split=0.2)


@situation
def other_validation_data(rank: int, folder: Path) -> None:
    fit(tagger(), validation_data=(X[rank::2], Y[rank::2]))


@situation
def augmentation_of_its_own(rank: int, folder: Path) -> None:
    fit(tagger(), augment=lambda x, rng: x + rank)


@situation
def weights_apart(rank: int, folder: Path) -> None:
    def move(model: Any, epoch: int) -> None:
        model.set_weights([weight + 1 for weight in model.get_weights()])

    fit(tagger(), callbacks=Named(rank == 1, move))


@situation
def stateful(rank: int, folder: Path) -> None:
    cell = layers.GRU(2, return_sequences=True, stateful=True)
    model = models.Sequential([layers.Input((None, 3), batch_size=11), cell])
    model.compile("sgd", "mse")
    distributed.fit(model, X, Y, 11, verbose=0)


@situation
def iterable(rank: int, folder: Path) -> None:
    distributed.fit(tagger(), iter([(X, Y)]), None)


@situation
def rounded_float64(rank: int, folder: Path) -> None:
    fit(tagger(), compression="bfloat16")


@situation
def no_communicator(rank: int, folder: Path) -> None:
    fit(tagger(), comm="world")


@situation
def nothing_wrong(rank: int, folder: Path) -> None:
    stops = Named(rank == 1, lambda model, epoch: setattr(model, "stop_training", epoch == 1))
    judge = Judge()
    assert fit(tagger(), epochs=5, callbacks=[stops, judge]).epoch == [0, 1]
    assert len(judge.found) == (2 if rank == 0 else 0)


@situation
def ranks_of_their_own(rank: int, folder: Path) -> None:
    """What is each rank's: dropout, and what batches are normalized by; what bfloat16 leaves of a gradient."""
    ones, targets = np.ones((4, 200)), np.ones(4)
    model = models.Sequential(
        [layers.Input((200,)), layers.Dropout(0.5), layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    model.compile("sgd", "mse")
    distributed.fit(model, ones, targets, 4, 1, 0)
    kept = model.get_weights()[0].ravel() / (0.01 * 2 * 2 / 4)  # how many of the four rows kept each input
    np.testing.assert_allclose(kept, np.rint(kept), atol=1e-4)
    assert set(np.rint(kept)) == {0, 1, 2, 3, 4}  # with the same masks on both ranks there were even numbers only

    model = models.Sequential([layers.Input((3,)), layers.BatchNormalization(momentum=0.5)])
    model.compile("sgd", "mse", dtype_policy="float64")
    x = X[:8, 0]
    distributed.fit(model, x, x, 8, 1, 0, shuffle=False)
    _, _, mean, variance = model.get_weights()
    halves = x.reshape(2, 4, 3)
    np.testing.assert_allclose(mean, 0.5 * x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, 0.5 + 0.5 * halves.var(axis=1).mean(axis=0), rtol=1e-12)

    moves = []
    for compression in (None, "bfloat16"):
        utils.set_random_seed(3)
        model = tagger(optimizer="sgd", dtype_policy="float32")
        before = model.get_weights()
        distributed.fit(model, X, Y, 22, 1, 0, compression=compression)
        moves.append(np.concatenate([(a - b).ravel() for a, b in zip(model.get_weights(), before, strict=True)]))
    exact, rounded = moves
    assert (exact != rounded).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.02, atol=2e-5)  # three roundings of 2**-9 each, and penalties


@situation
def interrupted(rank: int, folder: Path) -> None:
    """An error that only one rank has."""

    def loss(target: Any, output: Any) -> Any:
        if rank == 1:
            raise KeyboardInterrupt
        return 0.0, np.zeros_like(output)

    fit(tagger(loss=loss))


def train_with_backup(rank: int, folder: Path, dies: bool) -> Any:
    """Rank 1 may die in the fourth epoch."""
    utils.set_random_seed(1)
    model = tagger(layers.Dense(2), loss=losses.Huber())

    def die(model: Any, epoch: int) -> None:
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    chosen = [callbacks.BackupAndRestore(folder / "backup"), Named(dies and rank == 1, die)]
    history = fit(model, epochs=6, callbacks=chosen)
    return model, history


@situation
def killed(rank: int, folder: Path) -> None:
    train_with_backup(rank, folder, True)


@situation
def going_on(rank: int, folder: Path) -> None:
    model, history = train_with_backup(rank, folder, False)
    if rank == 0:
        np.savez(folder / "weights.npz", *model.get_weights(), epochs=history.epoch)


if __name__ == "__main__":
    from mpi4py import MPI

    mine, place = MPI.COMM_WORLD.Get_rank(), Path(sys.argv[1])
    ends = {}
    for name in sys.argv[2:]:
        try:
            SITUATIONS[name](mine, place)
            ends[name] = ""
        except Exception as error:
            ends[name] = f"{type(error).__name__}: {error}"
    (place / f"{mine}.json").write_text(json.dumps(ends))
