"""Passes through one recurrent layer, by either executor."""

from __future__ import annotations

from typing import Any

import numpy as np
from executor_zoo import Array, Builder, random_parameters
from tolerance import RELATIVE

from rnncore.program import Program


def layer(op: str, shape: tuple[int, ...], products: str, **attributes: Any) -> Program:
    _, _, I, H = shape
    builder = Builder()
    x = builder.input(None, I)
    states = {"simple_rnn": 1, "lstm": 2, "gru": 1}[op]
    initial = tuple(builder.input(H) for _ in range(states))
    options = {"outputs": "sequence h", "initial": initial, "lengths": True, **attributes}
    return builder.build(*builder.recurrent(op, x, H, products=products, **options))


def passes(kind: Any, program: Program, shape: tuple[int, ...], ragged: bool) -> list[Array]:
    """Outputs, input gradients and parameter gradients of one pass forward and back."""
    N, T, I, H = shape
    rng = np.random.default_rng(3)
    parameters = random_parameters(program, np.float32)
    gradients = np.zeros_like(parameters)
    executor = kind(program, parameters, gradients)
    states = len(program.inputs) - 1
    inputs = [rng.normal(size=(N, T, I)), *(rng.uniform(-1, 1, (N, H)) for _ in range(states))]
    lengths = rng.integers(0, T + 1, N).astype(np.int32) if ragged else None
    outputs = executor.forward([x.astype(np.float32) for x in inputs], lengths, training=True, seed=5, step=2)
    dinputs = executor.backward([rng.normal(size=y.shape).astype(np.float32) for y in outputs])
    return [*outputs, *dinputs, gradients]


def assert_nearly_equal(actual: Array, expected: Array) -> None:
    """Equal but for the few factors whose last float32 bit decided how they were rounded."""
    error = np.abs(actual - expected) / (np.abs(expected).max() or 1)
    assert np.median(error) <= RELATIVE[np.dtype(np.float32)]
    assert error.max() <= 2**-7
