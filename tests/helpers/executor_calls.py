"""Calls of executors with all that they are given in one list of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from rnncore.batches import Batches, Samples, Update

Array = npt.NDArray[Any]


def run_train(
    executor: Any,
    inputs: Sequence[Array],
    targets: Sequence[Any],
    order: Array,
    *,
    learning_rate: Array,
    step: int,
    seed: int,
    state: Array,
    **options: Any,
) -> int:
    done: int = executor.train(_batches(inputs, order, targets, **options), Update(learning_rate, step, seed), state)
    return done


def run_test(
    executor: Any, inputs: Sequence[Array], targets: Sequence[Any], order: Array, *, state: Array, **options: Any
) -> int:
    done: int = executor.test(_batches(inputs, order, targets, **options), state)
    return done


def run_predict(
    executor: Any, inputs: Sequence[Array], order: Array, *, outputs: Sequence[Array], **options: Any
) -> int:
    done: int = executor.predict(_batches(inputs, order, **options), outputs)
    return done


def _batches(
    inputs: Sequence[Array],
    order: Array,
    targets: Sequence[Array] = (),
    *,
    batch_size: int,
    sample_weight: Sequence[Array | None] | None = None,
    lengths: Array | None = None,
    **options: Any,
) -> Batches:
    return Batches(Samples(inputs, targets, sample_weight or (), lengths), order, batch_size, **options)
