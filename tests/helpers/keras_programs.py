"""Training programs written once for two libraries: `k` is Keras or rnncore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Program = Callable[[Any], tuple[Any, Any]]  # k -> (model, function that trains it and returns the History)

FIT = {"epochs": 10, "batch_size": 8, "shuffle": False, "verbose": 0}  # 30 rows: 4 steps an epoch, the last one short


def _regression(cell: str, optimizer: Callable[[Any], Any]) -> Program:
    def program(k: Any) -> tuple[Any, Any]:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(30, 7, 3)).astype(np.float32)
        y = np.stack([np.tanh(x.sum(axis=(1, 2))), x[:, 0, 0]], axis=-1)
        recurrent = getattr(k.layers, cell)
        model = k.models.Sequential(
            [k.layers.Input((7, 3)), recurrent(5, return_sequences=True), recurrent(4), k.layers.Dense(2)]
        )
        model.compile(optimizer=optimizer(k), loss="mse", metrics=["mae"])
        return model, lambda: model.fit(x, y, **FIT)

    return program


def _classification(k: Any) -> tuple[Any, Any]:
    """Word ids, three classes, sample weights, validation split, AdamW."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 11, size=(40, 6))
    y = x.sum(axis=1) % 3
    weights = rng.uniform(0.5, 2.0, size=40).astype(np.float32)
    model = k.models.Sequential(
        [
            k.layers.Input((6,), dtype="int32"),
            k.layers.Embedding(11, 4),
            k.layers.GRU(5, kernel_regularizer="l2"),
            k.layers.Dense(3, activation="softmax", kernel_regularizer="l1"),
        ]
    )
    model.compile(
        optimizer=k.optimizers.AdamW(0.01, weight_decay=0.02, global_clipnorm=0.2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    return model, lambda: model.fit(x, y, sample_weight=weights, validation_split=0.25, **FIT)


def _binary(k: Any) -> tuple[Any, Any]:
    """One sequence output, class weights, momentum, clipping, counting metrics."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 5)).astype(np.float32)  # the last axis is left out
    y = (x.sum(axis=1) > 0).astype(np.float32)
    model = k.models.Sequential(
        [k.layers.Input((5, 1)), k.layers.LSTM(4, go_backwards=True), k.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(
        optimizer=k.optimizers.SGD(0.2, momentum=0.9, nesterov=True, clipnorm=0.1),
        loss=k.losses.BinaryCrossentropy(label_smoothing=0.1),
        metrics=[
            "accuracy",
            k.metrics.Precision(),
            k.metrics.Recall(),
            k.metrics.AUC(),
            k.metrics.AUC(curve="PR", name="pr"),
        ],
    )
    return model, lambda: model.fit(x, y, class_weight={0: 0.5, 1: 2.0}, **FIT)


def _one_hot(k: Any) -> tuple[Any, Any]:
    """One-hot targets at every step, weights of steps, a schedule, centred RMSprop with momentum."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 4, 2)).astype(np.float32)
    y = np.eye(6, dtype=np.float32)[rng.integers(0, 6, size=(30, 4))]
    weights = rng.uniform(0.0, 2.0, size=(30, 4)).astype(np.float32)
    model = k.models.Sequential(
        [k.layers.Input((4, 2)), k.layers.SimpleRNN(5, return_sequences=True), k.layers.Dense(6)]
    )
    rate = k.optimizers.schedules.ExponentialDecay(0.01, decay_steps=10, decay_rate=0.5)
    model.compile(
        optimizer=k.optimizers.RMSprop(rate, momentum=0.5, centered=True, clipvalue=0.05),
        loss=k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy", k.metrics.TopKCategoricalAccuracy(k=2)],
    )
    return model, lambda: model.fit(x, y, sample_weight=weights, **FIT)


def _two_outputs(k: Any) -> tuple[Any, Any]:
    """A graph with a shared and a frozen layer, losses by name, weights of losses and of samples."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 5, 2)).astype(np.float32)
    every, last = rng.normal(size=(30, 5, 2)), x[:, :, :1].mean(axis=1)
    weights = [rng.uniform(0.5, 2.0, size=(30, 5)), rng.uniform(0.5, 2.0, size=30)]
    given = k.layers.Input((5, 2))
    frozen = k.layers.SimpleRNN(4, return_sequences=True, trainable=False)(given)
    sequence, state = k.layers.GRU(3, return_sequences=True, return_state=True, reset_after=False)(frozen)
    shared = k.layers.Dense(2, activation="tanh", name="every")
    last_output = k.layers.Dense(1, name="last")(shared(state))
    model = k.models.Model(given, [shared(sequence), last_output])
    model.compile(
        optimizer=k.optimizers.Adam(0.01, weight_decay=0.01),
        loss={"every": "mae", "last": k.losses.Huber(0.2)},
        loss_weights={"every": 0.5, "last": 2.0},
        metrics={"last": ["mse", k.metrics.RootMeanSquaredError(name="rms")]},
        weighted_metrics={"every": ["mae"], "last": ["mse"]},
    )
    return model, lambda: model.fit(x, [every, last], sample_weight=weights, **FIT)


PROGRAMS: dict[str, Program] = {
    f"{cell}-{name}": _regression(cell, optimizer)
    for cell in ("SimpleRNN", "LSTM", "GRU")
    for name, optimizer in {
        "SGD": lambda k: k.optimizers.SGD(0.05),
        "RMSprop": lambda k: k.optimizers.RMSprop(0.005),
        "Adam": lambda k: k.optimizers.Adam(0.01),
    }.items()
} | {"classification": _classification, "binary": _binary, "one-hot": _one_hot, "two outputs": _two_outputs}
