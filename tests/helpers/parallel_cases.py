"""Trainings that one process and several must do alike, and a program that does them on a rank.

`mpiexec -n 2 python parallel_cases.py FILE CASE ...` writes what the cases give on rank 0 to FILE, an npz.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore import augmentation, callbacks, distributed, layers, losses, models, optimizers, utils

ROWS, STEPS = 22, 6  # three batches of 7, and one of a single row
Fit = Callable[..., Any]
CASES: dict[str, Callable[[Fit], Any]] = {}
RNG = np.random.default_rng(5)
X = RNG.normal(size=(ROWS, STEPS, 3))
Y = RNG.normal(size=(ROWS, STEPS, 2))
LENGTHS = RNG.integers(0, STEPS + 1, size=ROWS)
WEIGHT = RNG.uniform(0.5, 2, size=(ROWS, STEPS))
LABELS = RNG.integers(3, size=(ROWS, STEPS))
MASKED = np.where((np.arange(STEPS) < LENGTHS[:, None])[..., None], X, -1.0)


def case(function: Callable[[Fit], Any]) -> Callable[[Fit], Any]:
    CASES[function.__name__] = function
    return function


def tagger(output: Any = None, *first: Any, loss: Any = "mse", optimizer: Any = "adam", **options: Any) -> Any:
    hidden = layers.GRU(4, return_sequences=True, kernel_regularizer="l2", recurrent_constraint="max_norm")
    model = models.Sequential([layers.Input((None, 3)), *first, hidden, output or layers.Dense(2)])
    model.compile(optimizer, loss, **{"dtype_policy": "float64", **options})
    return model


@case
def float32(fit: Fit) -> Any:
    return fit(tagger(dtype_policy="float32", metrics=["mae"]), X, Y, 7, 3, validation_split=0.2)


@case
def lengths_and_weights(fit: Fit) -> Any:
    model = tagger(metrics=["mae"], weighted_metrics=["mae"])
    return fit(model, X, Y, 7, 3, lengths=LENGTHS, sample_weight=WEIGHT, validation_data=(X, Y, WEIGHT, LENGTHS))


@case
def mask_and_ignored_class(fit: Fit) -> Any:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=1)
    model = tagger(layers.Dense(3, "softmax"), layers.Masking(-1.0), loss=loss, metrics=["accuracy"])
    return fit(model, MASKED, LABELS, 7, 3)


@case
def sums(fit: Fit) -> Any:
    return fit(tagger(loss=losses.MeanSquaredError(reduction="sum"), optimizer="sgd"), X, Y, 7, 2, lengths=LENGTHS)


@case
def means_with_weights(fit: Fit) -> Any:
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    return fit(tagger(loss=loss), X, Y, 7, 2, lengths=LENGTHS, sample_weight=WEIGHT)


@case
def losses_that_count_differently(fit: Fit) -> Any:
    x = layers.Input((None, 3))
    h, last = layers.GRU(4, return_sequences=True, return_state=True, activity_regularizer="l2")(
        layers.Masking(-1.0)(x)
    )
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=1)
    heads = layers.Dense(2, name="steps"), layers.Dense(1, name="last"), layers.Dense(3, "softmax", name="labels")
    outputs = [head(value) for head, value in zip(heads, (h, last, h), strict=True)]
    model = models.Model(x, outputs)
    weighted = [["mae"], ["mae"], []]
    model.compile(
        "adam", ["mse", losses.Huber(reduction="sum"), ignoring], [1.0, 0.1, 0.5], None, weighted, None, "float64"
    )
    return fit(model, MASKED, [Y, Y[:, 0, :1], LABELS], 7, 3, sample_weight=[WEIGHT, None, None])


@case
def functions(fit: Fit) -> Any:
    def loss(target: Any, output: Any) -> Any:
        error = output - target
        return np.mean(error**4), 4 * error**3 / error.size

    def metric(target: Any, output: Any) -> Any:
        return np.max(np.abs(target - output), axis=-1)

    return fit(tagger(loss=loss, metrics=[metric]), X, Y, 7, 3)


@case
def gathered_gradients(fit: Fit) -> Any:
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4, kernel_regularizer="l2"), layers.Dense(1)])
    optimizer = optimizers.Adam(0.01, gradient_accumulation_steps=3, clipnorm=0.1)
    model.compile(optimizer, "mse", dtype_policy="float64")
    return fit(model, X, Y[:, 0, 0], 7, 3)  # four batches an epoch


@case
def averaged_weights(fit: Fit) -> Any:
    optimizer = optimizers.SGD(0.1, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.5)
    return fit(tagger(optimizer=optimizer), X, Y, 7, 3)


@case
def one_after_the_other(fit: Fit) -> Any:
    """The second run has an order of its own."""
    model = tagger()
    fit(model, X, Y, 7, 1)
    return fit(model, X, Y, 7, 2)


@case
def ctc(fit: Fit) -> Any:
    labels = np.where(np.arange(2) < RNG.integers(1, 3, size=(ROWS, 1)), [1, 2], 0)
    return fit(tagger(layers.Dense(4), loss=losses.CTC()), X, labels, 7, 2)


@case
def decisions(fit: Fit) -> Any:
    """Early stopping, a falling learning rate, augmentation, and epochs of few steps, on the NumPy backend."""
    chosen = [callbacks.ReduceLROnPlateau("loss", 0.5, patience=1), callbacks.EarlyStopping("loss", patience=3)]
    model = tagger(optimizer=optimizers.SGD(0.5), backend="reference")
    noise = augmentation.Jitter(0.1)
    return fit(model, X, Y, 7, 30, callbacks=chosen, augment=noise, steps_per_epoch=2)


def results(name: str, fit: Fit) -> dict[str, Any]:
    """The weights and logs after a case."""
    kept: list[Any] = []

    def keeping(model: Any, *arguments: Any, **options: Any) -> Any:
        kept.append(model)
        return fit(model, *arguments, verbose=0, **options)

    history = CASES[name](keeping)
    weights = {f"{name}/{number}": weight for number, weight in enumerate(kept[0].get_weights())}
    return weights | {f"{name}/{key}": np.array(values) for key, values in history.history.items()}


if __name__ == "__main__":
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.Get_rank()
    found: dict[str, Any] = {}
    for chosen in sys.argv[2:]:
        utils.set_random_seed(1 + rank)  # what counts is the seed of rank 0
        found |= results(chosen, distributed.fit)
    everywhere = MPI.COMM_WORLD.allgather({key: value.tobytes() for key, value in found.items()})
    assert all(other == everywhere[0] for other in everywhere), "the ranks differ"
    if rank == 0:
        np.savez(sys.argv[1], **found)
