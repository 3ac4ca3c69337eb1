"""Gradients without an optimizer, and what losses are divided by, with which parts of a batch add up to the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_calls import run_train
from program_builder import Builder
from tolerance import assert_close

from rnncore import _core, reference
from rnncore.program import Loss, Optimizer, Program, Regularizer, Training

ROWS, STEPS = 6, 5
LENGTHS = np.array([5, 2, 0, 3, 1, 4], np.int32)
EXECUTORS = pytest.mark.parametrize("kind", [_core.Executor, reference.Executor], ids=["compiled", "reference"])
CASES = {
    "rows": (None, {}, lambda labels, weight, valid: ROWS * STEPS),
    "lengths": (LENGTHS, {}, lambda labels, weight, valid: LENGTHS.sum()),
    "ignored": (LENGTHS, {"ignore_class": 1}, lambda labels, weight, valid: (valid & (labels != 1)).sum()),
    "weights": (LENGTHS, {"reduction": "mean_with_sample_weight"}, lambda labels, weight, valid: weight[valid].sum()),
    "sum": (LENGTHS, {"reduction": "sum"}, lambda labels, weight, valid: 1),
}


def tagger() -> Program:
    builder = Builder()
    (h,) = builder.recurrent("gru", builder.input(None, 3), 4, lengths=True)
    return builder.build(builder.dense(h, 3, "softmax"), masks=(builder.lengths,))


@EXECUTORS
@pytest.mark.parametrize("case", CASES)
def test_parts_of_a_batch_add_up(kind: Any, case: str) -> None:
    lengths, attributes, divisor_of = CASES[case]
    program = tagger()
    rng = np.random.default_rng(3)
    size = sum(parameter.size for parameter in program.parameters)
    parameters, gradients = rng.normal(size=size), np.zeros(size)
    x, weight = rng.normal(size=(ROWS, STEPS, 3)), rng.uniform(0.5, 2, size=(ROWS, STEPS))
    labels = rng.integers(3, size=(ROWS, STEPS)).astype(np.int32)
    training = Training((Loss("sparse_categorical_crossentropy", attributes=attributes),), divisors=True)
    executor = kind(program, parameters, gradients)
    executor.configure(training, np.zeros((0, size)))
    before = parameters.copy()

    def step(rows: list[int]) -> tuple[Any, Any]:
        state = np.zeros(training.state_size())
        arguments = {"lengths": lengths, "sample_weight": [weight], "batch_size": len(rows), "state": state}
        order = np.array(rows)
        done = run_train(executor, [x], [labels], order, learning_rate=np.ones(1), step=0, seed=0, **arguments)
        assert done == 1
        np.testing.assert_array_equal(parameters, before)
        return gradients.copy(), state

    valid = np.arange(STEPS) < (np.full(ROWS, STEPS) if lengths is None else lengths)[:, None]
    whole, state = step(list(range(ROWS)))
    assert_close(state[-1], np.float64(divisor_of(labels, weight, valid)))
    parts = [step([0, 1]), step([2, 3, 4, 5])]
    scale = [1.0 if case == "sum" else part[1][-1] / state[-1] for part in parts]
    assert_close(sum(s * gradient for s, (gradient, _) in zip(scale, parts, strict=True)), whole)
    assert_close(sum(s * part[1][0] / part[1][1] for s, part in zip(scale, parts, strict=True)), state[0] / state[1])


@EXECUTORS
def test_gradients_are_those_of_a_step(kind: Any) -> None:
    program = tagger()
    rng = np.random.default_rng(4)
    size = sum(parameter.size for parameter in program.parameters)
    begin, x = rng.normal(size=size), rng.normal(size=(ROWS, STEPS, 3))
    y = rng.uniform(size=(ROWS, STEPS, 3))
    found = []
    for optimizer in (None, Optimizer("sgd", {"momentum": 0.0, "nesterov": False})):
        parameters, gradients = begin.copy(), np.zeros(size)
        training = Training((Loss("mean_squared_error"),), (), (Regularizer(0, l2=0.1),), optimizer)
        executor = kind(program, parameters, gradients)
        executor.configure(training, np.zeros((0 if optimizer is None else 1, size)))
        arguments = {"batch_size": ROWS, "state": np.zeros(2)}
        run_train(executor, [x], [y], np.arange(ROWS), learning_rate=np.ones(1), step=0, seed=0, **arguments)
        found.append(gradients if optimizer is None else begin - parameters)
    assert_close(found[0], found[1])
