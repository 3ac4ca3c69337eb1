"""Training with checkpoints in place of a whole tape: the same gradients from less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_zoo import Builder
from recurrent_options import PLAIN, Case, passes
from tolerance import assert_all_close, assert_all_equal

from rnncore import _core, layers, models, utils
from rnncore.program import RECURRENT_OPS

SHAPE = (3, 17, 4, 21, 0)  # N, T, I, H, and no projection


@pytest.mark.parametrize("case", PLAIN, ids=str)
@pytest.mark.parametrize("every", [1, 2, 5, 16, 17, 40])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_those_of_a_whole_tape(case: Case, every: int, ragged: bool, dropout: float) -> None:
    for outputs in ("h", "sequence h"):
        told: dict[str, Any] = {"outputs": outputs, "recurrent_dropout": dropout}
        programs = (case.program(SHAPE, **told, **more) for more in ({}, {"checkpoint_every": every}))
        whole, parts = (passes(_core.Executor, program, SHAPE, np.float64, ragged) for program in programs)
        assert_all_close(parts, whole)
        if every >= SHAPE[1]:
            assert_all_equal(parts[-3:], whole[-3:])  # of kernel, recurrent kernel and bias


def arena_bytes(op: str, steps: int, every: int) -> int:
    b = Builder()
    attributes: dict[str, Any] = {"checkpoint_every": every} if every else {}
    program = b.build(*b.recurrent(op, b.input(None, 1), 64, outputs="h", **attributes))
    parameters = np.zeros(sum(p.size for p in program.parameters), np.float32)
    executor = _core.Executor(program, parameters, np.zeros_like(parameters))
    executor.forward([np.zeros((8, steps, 1), np.float32)], training=True)
    return int(executor.arena_bytes)


@pytest.mark.parametrize("op", RECURRENT_OPS)
def test_memory_grows_with_the_root_of_the_steps(op: str) -> None:
    _core.set_num_threads(1)  # others need workspace of their own

    # What is not for the steps of the recurrence: workspace, the input and its gradient.
    def steps_cost(steps: int, every: int) -> int:
        return arena_bytes(op, steps, every) - arena_bytes(op, 1, 0)

    whole, parts = steps_cost(1024, 0), steps_cost(1024, 32)
    state = 8 * 64 * 4  # bytes of h
    assert whole > 1024 * state
    assert parts < whole / 6
    slots = {"simple_rnn": 2, "lstm": 6, "gru": 5}[op]  # of a tape row and the output, in units of h
    states = 2 if op == "lstm" else 1
    kernels = 2 * 4 * 4 * 65 * 64 + 2**14  # the gradients of a segment
    copies = 2 * 1024 * 8 * 4  # x and dx
    assert parts < (32 * slots + (32 + 4) * states) * state + kernels + copies
    # Four times the steps with twice the segment take about twice the memory.
    assert steps_cost(4096, 64) - 4 * copies < 2.2 * (parts - copies)


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_fit_takes_checkpoints(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 9, 2)), rng.normal(size=(20, 1))
    weights = []
    for every in (None, 3):
        utils.set_random_seed(7)
        model = models.Sequential(
            [layers.Input((9, 2)), layers.LSTM(5, return_sequences=True), layers.GRU(4, dropout=0.2), layers.Dense(1)]
        )
        model.compile("adam", "mse", backend=backend, dtype_policy="float64")
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
        model.fit(x, y, epochs=2, batch_size=8, verbose=0, checkpoint_every=every)
        weights.append(model.get_weights())
        assert model.optimizer.iterations == 12
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-3, ValueError), (1.5, TypeError)])
def test_fit_refuses_other_numbers(value: Any, error: type[Exception]) -> None:
    model = models.Sequential([layers.Input((3, 1)), layers.GRU(2)])
    model.compile("sgd", "mse")
    with pytest.raises(error, match="checkpoint_every"):
        model.fit(np.zeros((2, 3, 1)), np.zeros((2, 2)), verbose=0, checkpoint_every=value)
