"""The reference executor: a training step by hand, its records, its stops and its errors."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict, run_test, run_train
from tolerance import FINITE_DIFFERENCES, assert_close, numerical_gradient

from rnncore.program import Loss, Metric, Node, Optimizer, Parameter, Program, Regularizer, Training, Value
from rnncore.reference import Executor

SAMPLES, BATCH = 7, 3
SGD = Optimizer("sgd", {"momentum": 0.0, "nesterov": False})
MSE = Loss("mean_squared_error")


def linear_program() -> Program:
    """A dense layer from 3 features to 2."""
    return Program(
        values=(Value("x", (None, 3)), Value("y", (None, 2))),
        parameters=(Parameter("kernel", (3, 2), 0), Parameter("bias", (2,), 6)),
        nodes=(Node("dense", "dense", (0,), (1,), (0, 1), {"activation": "linear"}),),
        inputs=(0,),
        outputs=(1,),
    )


def branching_program() -> Program:
    """Embedded ids and dropout feed an LSTM whose state two dense nodes with one kernel share; two outputs."""
    lstm = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    shapes = {"embeddings": (6, 3), "kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,), "shared": (4, 4)}
    parameters, offset = [], 0
    for name, shape in shapes.items():
        parameters.append(Parameter(name, shape, offset))
        offset += parameters[-1].size
    integers = (Value("ids", (None, None), "int"), Value("lengths", (None,), "int"))
    floats = tuple(Value(name, (None,)) for name in ("embedded", "dropped", "h", "hidden", "second", "probabilities"))
    return Program(
        values=integers + floats,
        parameters=tuple(parameters),
        nodes=(
            Node("embedding", "embedding", (0,), (2,), (0,)),
            Node("dropout", "dropout", (2,), (3,), (), {"rate": 0.25, "seed": 3}),
            Node("lstm", "lstm", (3, 1, -1, -1), (-1, 4, -1), (1, 2, 3), lstm),
            Node("dense", "first", (4,), (5,), (4,), {"activation": "tanh"}),
            Node("dense", "second", (5,), (6,), (4,), {"activation": "linear"}),
            Node("activation", "softmax", (6,), (7,), (), {"function": "softmax"}),
        ),
        inputs=(0,),
        outputs=(7, 5),
        lengths=1,
    )


class Run:
    """An executor with its vectors and some samples for the linear program."""

    def __init__(self, training: Training, program: Program | None = None, dtype: Any = np.float64) -> None:
        rng = np.random.default_rng(1)
        self.program = program or linear_program()
        size = sum(parameter.size for parameter in self.program.parameters)
        self.parameters = rng.normal(size=size).astype(dtype)
        self.gradients = np.zeros(size, dtype)
        self.executor = Executor(self.program, self.parameters, self.gradients)
        slots = training.optimizer.slot_count() if training.optimizer else 0
        self.slots = np.zeros((slots, size), dtype)
        self.executor.configure(training, self.slots)
        self.state = np.zeros(training.state_size())
        self.x = rng.normal(size=(SAMPLES, 3)).astype(dtype)
        self.y = rng.normal(size=(SAMPLES, 2)).astype(dtype)
        self.weight = rng.uniform(size=SAMPLES).astype(dtype)
        self.order = rng.permutation(SAMPLES)

    def train(self, **changes: Any) -> int:
        arguments = {
            "inputs": [self.x],
            "targets": [self.y],
            "order": self.order,
            "batch_size": BATCH,
            "learning_rate": np.array([0.3, 0.2, 0.1]),
            "step": 0,
            "seed": 0,
            "state": self.state,
        }
        return run_train(self.executor, **{**arguments, **changes})


def test_training_steps_by_hand() -> None:
    l1, l2 = 0.01, 0.02
    losses = (replace(MSE, weight=1.5),)
    metrics = (Metric("mean_absolute_error"), Metric("mean_absolute_error", weighted=True))
    run = Run(Training(losses, metrics, (Regularizer(0, l1, l2),), SGD))
    kernel, bias = run.parameters[:6].reshape(3, 2).copy(), run.parameters[6:].copy()
    expected = np.zeros(6)
    for rate, start in zip((0.3, 0.2, 0.1), range(0, SAMPLES, BATCH), strict=True):
        rows = run.order[start : start + BATCH]
        x, w = run.x[rows], run.weight[rows]
        error = x @ kernel + bias - run.y[rows]
        loss = np.sum(w * np.mean(error**2, axis=1)) / len(rows)
        penalty = l1 * np.abs(kernel).sum() + l2 * np.sum(kernel**2)
        absolute = np.mean(np.abs(error), axis=1)
        expected += [
            (1.5 * loss + penalty) * len(rows),
            len(rows),
            absolute.sum(),
            len(rows),
            np.sum(w * absolute),
            w.sum(),
        ]
        derror = 1.5 * w[:, None] * error / len(rows)  # 2 / 2 outputs
        dkernel = x.T @ derror + l1 * np.sign(kernel) + 2 * l2 * kernel
        kernel -= rate * dkernel
        bias -= rate * derror.sum(axis=0)
    assert run.train(sample_weight=[run.weight]) == 3
    assert_close(run.parameters, np.concatenate([kernel.ravel(), bias]))
    assert_close(run.state, expected)
    run.train(sample_weight=[run.weight])
    assert run.state[1] == 2 * SAMPLES  # the state is added to


def test_gradients_through_a_branching_program() -> None:
    program = branching_program()
    rng = np.random.default_rng(2)
    size = sum(parameter.size for parameter in program.parameters)
    parameters, gradients = rng.normal(scale=0.5, size=size), np.full(size, np.nan)
    executor = Executor(program, parameters, gradients)
    ids = rng.integers(6, size=(4, 5)).astype(np.int32)
    lengths = np.array([5, 1, 0, 3], np.int32)
    outputs = executor.forward([ids], lengths, training=True, seed=5, step=2)
    assert [output.shape for output in outputs] == [(4, 4), (4, 4)]
    douts = [rng.normal(size=output.shape) for output in outputs]

    def loss(weights: tuple[float, float]) -> float:
        results = executor.forward([ids], lengths, training=True, seed=5, step=2)
        return sum(w * float(np.sum(y * d)) for w, y, d in zip(weights, results, douts, strict=True))

    assert executor.backward(douts) == [None]
    assert_close(gradients, numerical_gradient(lambda: loss((1, 1)), parameters), FINITE_DIFFERENCES)
    executor.forward([ids], lengths, training=True, seed=5, step=2)
    executor.backward([None, douts[1]])
    assert_close(gradients, numerical_gradient(lambda: loss((0, 1)), parameters), FINITE_DIFFERENCES)
    executor.forward([ids], lengths, training=True)
    executor.backward([None, None])
    assert not gradients.any()


def test_training_with_two_outputs_equals_its_parts() -> None:
    program = branching_program()
    rng = np.random.default_rng(3)
    ids = rng.integers(6, size=(SAMPLES, 5)).astype(np.int32)
    lengths = rng.integers(6, size=SAMPLES).astype(np.int32)
    targets = [rng.integers(4, size=SAMPLES).astype(np.int32), rng.normal(size=(SAMPLES, 4))]
    losses = (Loss("sparse_categorical_crossentropy", 0, 0.7), Loss("mean_squared_error", 1, 0.4))
    metrics = (Metric("sparse_categorical_accuracy", 0), Metric("confusion", 1, attributes={"thresholds": [0.1, 0.2]}))
    adam = Optimizer("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "global_clipnorm": 0.01})
    run = Run(Training(losses, metrics, (), adam), program)
    twin = Run(Training(losses, metrics, (), adam), program)
    done = run.train(inputs=[ids], targets=targets, lengths=lengths, step=10, seed=9, sample_weight=[run.weight, None])
    assert done == 3
    for step, start in enumerate(range(0, SAMPLES, BATCH)):
        rows = run.order[start : start + BATCH]
        first, second = twin.executor.forward([ids[rows]], lengths[rows], training=True, seed=9, step=10 + step)
        picked = first[np.arange(len(rows)), targets[0][rows]]
        values = [np.sum(-np.log(picked) * run.weight[rows]) / len(rows), np.mean((second - targets[1][rows]) ** 2)]
        dfirst = np.zeros_like(first)
        dfirst[np.arange(len(rows)), targets[0][rows]] = -0.7 * run.weight[rows] / picked / len(rows)
        twin.executor.backward([dfirst, 0.4 * 2 * (second - targets[1][rows]) / second.size])
        twin.executor.apply_gradients([0.3, 0.2, 0.1][step], 10 + step)
        total = 0.7 * values[0] + 0.4 * values[1]
        right = np.sum(first.argmax(axis=1) == targets[0][rows])
        twin.state[:8] += np.array([total, 1, values[0], 1, values[1], 1, 0, 0]) * len(rows)
        twin.state[6:8] += [right, len(rows)]
        positive = targets[1][rows] > 0.5
        for k, threshold in enumerate([0.1, 0.2]):
            predicted = second > threshold
            for place, counted in enumerate(
                [predicted & positive, predicted & ~positive, ~predicted & positive, ~predicted & ~positive]
            ):
                twin.state[8 + 2 * place + k] += counted.sum()
    assert_close(run.parameters, twin.parameters)
    assert_close(run.slots, twin.slots)
    assert_close(run.state, twin.state)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_stays_float32(dtype: Any) -> None:
    run = Run(Training((MSE,), optimizer=Optimizer("adam")), dtype=dtype)
    run.train(sample_weight=[run.weight])
    (output,) = run.executor.forward([run.x], training=True)
    (dx,) = run.executor.backward([output])
    assert output.dtype == dx.dtype == dtype


def test_a_frozen_parameter_stays() -> None:
    program = linear_program()
    kernel, bias = program.parameters
    frozen = replace(program, parameters=(replace(kernel, trainable=False), bias))
    adamw = Optimizer("adamw", {"weight_decay": 0.1})
    run = Run(Training((MSE,), (), (Regularizer(0, 0.1, 0.1),), adamw), frozen)
    run.gradients[:] = 5
    before = run.parameters.copy()
    run.train()
    np.testing.assert_array_equal(run.parameters[:6], before[:6])
    np.testing.assert_array_equal(run.gradients[:6], 5)
    assert np.all(run.parameters[6:] != before[6:])
    assert not run.slots[:, :6].any()


def test_test_and_predict_change_nothing_but_what_they_fill() -> None:
    run = Run(Training((MSE,), (Metric("mean_squared_error", weighted=True),)))
    before = run.parameters.copy()
    predictions = np.full((SAMPLES, 2), np.nan)
    assert run_predict(run.executor, [run.x], run.order, batch_size=BATCH, outputs=[predictions]) == 3
    expected = run.x[run.order] @ run.parameters[:6].reshape(3, 2) + run.parameters[6:]
    assert_close(predictions, expected)
    done = run_test(
        run.executor, [run.x], [run.y], run.order, batch_size=BATCH, state=run.state, sample_weight=[run.weight]
    )
    assert done == 3
    value = np.sum(run.weight[run.order] * np.mean((expected - run.y[run.order]) ** 2, axis=1))
    assert_close(run.state, np.array([value, SAMPLES, value, run.weight.sum()]))
    np.testing.assert_array_equal(run.parameters, before)


def test_no_samples_is_no_batch() -> None:
    run = Run(Training((MSE,), optimizer=SGD))
    assert run.train(order=np.arange(0), learning_rate=np.zeros(0)) == 0
    assert not run.state.any()


def test_on_batch_sees_every_batch_and_can_stop() -> None:
    run, twin = Run(Training((MSE,), optimizer=SGD)), Run(Training((MSE,), optimizer=SGD))
    seen: list[tuple[int, float]] = []

    def on_batch(done: int) -> bool:
        seen.append((done, run.state[1]))
        return done == 2

    assert run.train(on_batch=on_batch, every_batch=True) == 2
    assert seen == [(1, 3.0), (2, 6.0)]
    twin.train(order=run.order[:6], learning_rate=np.array([0.3, 0.2]))
    np.testing.assert_array_equal(run.parameters, twin.parameters)


def test_on_batch_is_called_by_the_clock_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(Training((MSE,), optimizer=SGD))
    clock = iter([0.0, 0.04, 0.06, 0.06, 0.1])
    monkeypatch.setattr("rnncore.reference.executor.time", SimpleNamespace(monotonic=lambda: next(clock)))
    seen: list[int] = []
    assert run.train(on_batch=lambda done: bool(seen.append(done))) == 3
    assert seen == [2]


def interrupt(done: int) -> bool:
    os.kill(os.getpid(), signal.SIGINT)
    return False


def fail(done: int) -> bool:
    raise RuntimeError("stop")


@pytest.mark.parametrize(("on_batch", "error"), [(fail, RuntimeError), (interrupt, KeyboardInterrupt)])
def test_an_exception_leaves_the_last_whole_step(on_batch: Callable[[int], bool], error: type[BaseException]) -> None:
    run, twin = Run(Training((MSE,), optimizer=SGD)), Run(Training((MSE,), optimizer=SGD))
    with pytest.raises(error):
        run.train(on_batch=on_batch, every_batch=True)
    twin.train(order=run.order[:BATCH], learning_rate=np.array([0.3]))
    np.testing.assert_array_equal(run.parameters, twin.parameters)
    np.testing.assert_array_equal(run.state, twin.state)


def test_ctrl_c_waits_for_the_end_of_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    momentum = Training((MSE,), optimizer=Optimizer("sgd", {"momentum": 0.9}))
    run, twin = Run(momentum), Run(momentum)
    apply = run.executor._apply_gradients

    def interrupted(learning_rate: float, step: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        apply(learning_rate, step)

    monkeypatch.setattr(run.executor, "_apply_gradients", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert signal.getsignal(signal.SIGINT) is handler
    twin.train(order=run.order[:BATCH], learning_rate=np.array([0.3]))
    np.testing.assert_array_equal(run.parameters, twin.parameters)
    np.testing.assert_array_equal(run.slots, twin.slots)
    np.testing.assert_array_equal(run.state, twin.state)


def test_an_error_in_the_update_changes_nothing() -> None:
    run = Run(Training((MSE,), optimizer=Optimizer("sgd", {"momentum": 0.9})))
    before = run.parameters.copy()
    run.y[:] = 1e300
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        run.train()
    np.testing.assert_array_equal(run.parameters, before)
    assert not run.slots.any()
    assert not run.state.any()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"inputs": []}, ValueError, r"inputs: expected 1 array\(s\), got 0"),
        ({"inputs": [np.ones((SAMPLES, 4))]}, ValueError, r"x: expected shape \(7, 3\), got \(7, 4\)"),
        ({"inputs": [np.ones((SAMPLES, 3), np.float32)]}, TypeError, "x: expected dtype float64, got float32"),
        ({"targets": []}, ValueError, r"targets: expected 1 array\(s\), got 0"),
        ({"targets": [np.ones((SAMPLES, 1))]}, ValueError, r"targets: mean_squared_error expected shape \(3, 2\)"),
        ({"targets": [np.ones((5, 2))]}, ValueError, "targets: expected 7 rows, as in the inputs, got 5"),
        ({"targets": [np.ones((SAMPLES, 2), int)]}, TypeError, "targets: .* expected dtype float64, got int64"),
        ({"sample_weight": [np.ones((SAMPLES, 2))]}, ValueError, r"sample_weight: expected shape \(3,\)"),
        ({"sample_weight": [None, None]}, ValueError, r"sample_weight: expected 1 array\(s\), got 2"),
        ({"order": np.array([0, 7])}, ValueError, "order: expected sample numbers from 0 to 6"),
        ({"order": np.array([0.0])}, TypeError, "order: expected a vector of int64, got float64"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"learning_rate": np.ones(2)}, ValueError, r"rates: expected shape \(3,\), got \(2,\)"),
        ({"state": np.zeros(3)}, ValueError, r"state: expected shape \(2,\), got \(3,\)"),
        ({"lengths": np.ones(SAMPLES)}, TypeError, "lengths: expected dtype int32, got float64"),
    ],
)
def test_wrong_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    run = Run(Training((MSE,), optimizer=SGD))
    before = run.parameters.copy()
    with pytest.raises(error, match=message):
        run.train(**changes)
    np.testing.assert_array_equal(run.parameters, before)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (Training((Loss("mse"),)), "unknown loss 'mse'"),
        (Training((MSE,), (Metric("accuracy"),)), "unknown metric 'accuracy'"),
        (Training((MSE,), optimizer=Optimizer("sgd2")), "unknown optimizer 'sgd2'"),
        (Training((Loss("huber", output=1),)), "'huber' is on output 1, the program has 1"),
    ],
)
def test_wrong_descriptions(training: Training, message: str) -> None:
    executor = Executor(linear_program(), np.zeros(8), np.zeros(8))
    with pytest.raises(ValueError, match=message):
        executor.configure(training, np.zeros((0, 8)))


def test_arrays_that_leave_are_copies() -> None:
    program = Program((Value("x", (None,)),), (), (), (0,), (0,))
    executor = Executor(program, np.zeros(0), np.zeros(0))
    x, dy = np.ones(3), np.full(3, 2.0)
    (y,) = executor.forward([x], training=True)
    (dx,) = executor.backward([dy])
    y[:] = dx[:] = 5
    np.testing.assert_array_equal(x, 1)
    np.testing.assert_array_equal(dy, 2)


def test_wrong_output_gradients() -> None:
    executor = Executor(linear_program(), np.zeros(8), np.zeros(8))
    executor.forward([np.zeros((4, 3))], training=True)
    with pytest.raises(ValueError, match="output_gradients: expected 1, got 2"):
        executor.backward([None, None])
    with pytest.raises(ValueError, match=r"output_gradients\[0\]: expected shape \(4, 2\), got \(2, 4\)"):
        executor.backward([np.zeros((2, 4))])
    with pytest.raises(TypeError, match=r"output_gradients\[0\]: expected dtype float64, got float32"):
        executor.backward([np.zeros((4, 2), np.float32)])


def test_wrong_use() -> None:
    program = linear_program()
    executor = Executor(program, np.zeros(8), np.zeros(8))
    with pytest.raises(ValueError, match="backward: expected a forward pass with training=True"):
        executor.backward([np.zeros((1, 2))])
    with pytest.raises(ValueError, match="expected a call of configure"):
        executor.apply_gradients(0.1, 0)
    with pytest.raises(ValueError, match=r"slots: expected shape \(1, 8\), got \(0, 8\)"):
        executor.configure(Training((MSE,), optimizer=SGD), np.zeros((0, 8)))
    executor.configure(Training((MSE,)), np.zeros((0, 8)))
    with pytest.raises(ValueError, match="expected an optimizer"):
        executor.apply_gradients(0.1, 0)
    with pytest.raises(ValueError, match="outputs: expected 2 rows, as in order, got 3"):
        run_predict(executor, [np.zeros((2, 3))], np.arange(2), batch_size=1, outputs=[np.zeros((3, 2))])
    with pytest.raises(TypeError, match="parameters: expected dtype float32 or float64, got int64"):
        Executor(program, np.zeros(8, int), np.zeros(8, int))
    with pytest.raises(ValueError, match="parameters: expected shape"):
        Executor(program, np.zeros(7), np.zeros(7))
    with pytest.raises(ValueError, match="expected contiguous vectors"):
        Executor(program, np.zeros(16)[::2], np.zeros(8))
    unknown = replace(program, nodes=(replace(program.nodes[0], op="conv"),))
    with pytest.raises(ValueError, match=r"unknown op 'conv' in node 'dense'"):
        Executor(unknown, np.zeros(8), np.zeros(8))
