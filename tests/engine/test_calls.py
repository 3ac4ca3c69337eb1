"""How the compiled executor is called: stops, callbacks, Ctrl-C, other threads, and bad arguments."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict, run_test, run_train
from executor_zoo import PROGRAMS, Array, Builder, random_inputs, random_parameters
from tolerance import assert_all_equal

from rnncore import _core
from rnncore.program import Loss, Metric, Optimizer, Program, Regularizer, Training

MSE = Loss("mean_squared_error")
SGD = Optimizer("sgd", {"momentum": 0.9, "nesterov": False})
SAMPLES, BATCH, BATCHES = 23, 5, 5


class Call:
    """An executor, its vectors, and good arguments for its methods."""

    def __init__(self, program: Program, training: Training | None = None, samples: int = SAMPLES) -> None:
        rng = np.random.default_rng(2)
        self.training = training or Training((MSE,), optimizer=SGD)
        self.parameters = random_parameters(program, np.float64)
        self.gradients = np.zeros_like(self.parameters)
        self.slots = np.zeros((1, self.parameters.size))
        self.state = np.zeros(self.training.state_size())
        self.executor = _core.Executor(program, self.parameters, self.gradients)
        self.executor.configure(self.training, self.slots)
        self.inputs, self.lengths = random_inputs(program, samples, np.float64)
        outputs = self.executor.forward(self.inputs, self.lengths)
        self.arguments: dict[str, Any] = {
            "inputs": self.inputs,
            "targets": [rng.normal(size=y.shape) for y in outputs],
            "order": np.arange(samples),
            "batch_size": BATCH,
            "learning_rate": np.full(-(-samples // BATCH), 0.01),
            "step": 0,
            "seed": 0,
            "state": self.state,
            "lengths": self.lengths,
        }

    def train(self, **changes: Any) -> int:
        return run_train(self.executor, **{**self.arguments, **changes})

    def everything(self) -> list[Array]:
        return [array.copy() for array in (self.parameters, self.slots, self.state)]


def test_names_its_backend_and_level() -> None:
    executor = Call(PROGRAMS["tutorial"]()).executor
    assert executor.backend == "compiled"
    assert executor.isa == _core.isa()


def test_stops_after_the_batch_when_told() -> None:
    whole, stopped = Call(PROGRAMS["lstm"]()), Call(PROGRAMS["lstm"]())
    calls: list[int] = []

    def stop_at_third(batches: int) -> bool:
        calls.append(batches)
        return batches == 3

    assert stopped.train(on_batch=stop_at_third, every_batch=True) == 3
    assert calls == [1, 2, 3]
    order = np.arange(3 * BATCH)
    assert whole.train(order=order, learning_rate=np.full(3, 0.01)) == 3
    assert_all_equal(stopped.everything(), whole.everything())


def test_calls_back_rarely_when_not_asked_for_every_batch() -> None:
    calls: list[int] = []
    call = Call(PROGRAMS["tutorial"]())
    call.train(on_batch=lambda batches: bool(calls.append(batches)))
    assert calls == []  # done long before 50 ms are over


def test_an_exception_leaves_whole_steps() -> None:
    class Stop(Exception):
        pass

    def fail_at_second(batches: int) -> bool:
        if batches == 2:
            raise Stop
        return False

    whole, failed = Call(PROGRAMS["gru"]()), Call(PROGRAMS["gru"]())
    with pytest.raises(Stop):
        failed.train(on_batch=fail_at_second, every_batch=True)
    whole.train(order=np.arange(2 * BATCH), learning_rate=np.full(2, 0.01))
    assert_all_equal(failed.everything(), whole.everything())


@pytest.mark.parametrize("method", ["train", "test", "predict"])
@pytest.mark.parametrize("threads", [1, 3])
def test_control_c_stops_a_long_call(method: str, threads: int) -> None:
    call = Call(PROGRAMS["mixed"](), samples=2000)
    order = np.tile(np.arange(2000), 5000)
    batches = len(order) // 1000
    shared: dict[str, Any] = {"inputs": call.inputs, "order": order, "batch_size": 1000}
    measured: dict[str, Any] = {"targets": call.arguments["targets"], "state": call.state}
    rates = np.full(batches, 1e-3)
    run = {
        "train": partial(run_train, call.executor, **shared, **measured, learning_rate=rates, step=0, seed=0),
        "test": partial(run_test, call.executor, **shared, **measured),
        "predict": partial(run_predict, call.executor, **shared, outputs=[np.empty((len(order), 5, 4))]),
    }
    interrupted_at = []

    def interrupt() -> None:
        time.sleep(0.15)
        interrupted_at.append(time.monotonic())
        _thread.interrupt_main()

    _core.set_num_threads(threads)
    timer = threading.Thread(target=interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run[method]()
        delay = time.monotonic() - interrupted_at[0]
    finally:
        timer.join()
    assert delay < 1.0
    assert np.isfinite(call.parameters).all()


def test_a_callback_may_use_the_executor() -> None:
    alone, nested = Call(PROGRAMS["words"]()), Call(PROGRAMS["words"]())

    def predict(batches: int) -> bool:
        nested.executor.forward(*random_inputs(PROGRAMS["words"](), 40 * batches, np.float64), training=True)
        state = np.zeros(2)
        test = {name: nested.arguments[name] for name in ("inputs", "targets", "order", "lengths")}
        run_test(nested.executor, **test, batch_size=7, state=state)
        with pytest.raises(ValueError, match="configure"):
            nested.executor.configure(nested.training, nested.slots)
        return False

    nested.train(on_batch=predict, every_batch=True)
    alone.train()
    assert_all_equal(nested.everything(), alone.everything())


def test_several_python_threads_share_an_executor() -> None:
    call = Call(PROGRAMS["lstm"]())
    expected = call.executor.forward(call.inputs)[0]
    results: list[Array] = []

    def work() -> None:
        for samples in (SAMPLES, 4, 9):
            results.append(call.executor.forward([x[:samples] for x in call.inputs])[0])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 12
    for result in results:
        np.testing.assert_array_equal(result, expected[: len(result)])


def test_nan_spreads() -> None:
    call = Call(PROGRAMS["gru"]())
    call.inputs[0][3, 1, 2] = np.nan
    output = call.executor.forward(call.inputs)[0]
    assert np.isnan(output[3]).all()
    assert not np.isnan(np.delete(output, 3, axis=0)).any()
    call.train()
    assert np.isnan(call.state[0])


def test_only_its_own_windows_are_touched() -> None:
    """The vectors may belong to several models: what lies outside of the parameters stays."""
    program = PROGRAMS["lstm"]()
    program = replace(program, parameters=tuple(replace(p, offset=p.offset + 7) for p in program.parameters))
    used = sum(p.size for p in program.parameters)
    parameters, gradients = np.ones(used + 20), np.full(used + 20, 3.0)
    slots = np.full((1, used + 20), 5.0)
    executor = _core.Executor(program, parameters, gradients)
    executor.configure(Training((MSE,), (), (Regularizer(1, 0.1, 0.1),), SGD), slots)
    inputs, _ = random_inputs(program, 4, np.float64)
    run_train(
        executor,
        inputs,
        [np.zeros((4, 4))],
        np.arange(4),
        batch_size=2,
        learning_rate=np.full(2, 0.1),
        step=0,
        seed=0,
        state=np.zeros(2),
    )
    for array, value in ((parameters, 1), (gradients, 3), (slots[0], 5)):
        outside = np.concatenate([array[:7], array[7 + used :]])
        assert (outside == value).all()
        assert (array[7 : 7 + used] != value).any()


def ids_program() -> Program:
    b = Builder()
    ids, y = b.input(None, dtype="int"), b.value(None, 3)
    b.node("embedding", (ids,), (y,), (b.parameter(9, 3),))
    (h,) = b.recurrent("gru", y, 4, outputs="h", lengths=True)
    return b.build(b.dense(h, 3, "softmax"))


SPARSE = Training((Loss("sparse_categorical_crossentropy"),), (Metric("sparse_categorical_accuracy"),), (), SGD)
LABELS = np.arange(SAMPLES, dtype=np.int32) % 3


def with_item(array: Array, index: Any, value: Any) -> Array:
    changed = array.copy()
    changed[index] = value
    return changed


BAD_ARGUMENTS: dict[str, tuple[Callable[[Call], dict[str, Any]], type[Exception], str]] = {
    "number of inputs": (lambda c: {"inputs": []}, ValueError, r"inputs: expected 1"),
    "rank": (lambda c: {"inputs": [c.inputs[0][0]]}, ValueError, r"inputs\[0\]: expected shape"),
    "dtype": (lambda c: {"inputs": [c.inputs[0].astype(np.int64)]}, TypeError, r"inputs\[0\].*int32.*int64"),
    "not an array": (lambda c: {"inputs": [c.inputs[0].tolist()]}, TypeError, r"inputs\[0\].*list"),
    "layout": (lambda c: {"inputs": [np.asfortranarray(c.inputs[0])]}, TypeError, r"C-contiguous"),
    "id too large": (lambda c: {"inputs": [with_item(c.inputs[0], (4, 2), 9)]}, ValueError, r"ids from 0 to 8, got 9"),
    "negative id": (lambda c: {"inputs": [with_item(c.inputs[0], (4, 2), -1)]}, ValueError, r"got -1"),
    "label": (lambda c: {"targets": [with_item(LABELS, 7, 3)]}, ValueError, r"targets\[0\].*labels from 0 to 2, got 3"),
    "targets": (lambda c: {"targets": []}, ValueError, r"targets: expected 1"),
    "no target": (lambda c: {"targets": [None]}, ValueError, r"targets\[0\].*None"),
    "target rows": (lambda c: {"targets": [LABELS[:-1]]}, ValueError, r"targets\[0\]: expected shape \(23,\), got"),
    "target dtype": (lambda c: {"targets": [LABELS.astype(np.float64)]}, TypeError, r"targets\[0\].*int32"),
    "order dtype": (lambda c: {"order": np.arange(SAMPLES, dtype=np.int32)}, TypeError, r"order.*int64"),
    "order rank": (lambda c: {"order": np.zeros((2, 2), np.int64)}, ValueError, r"order: expected shape"),
    "order range": (lambda c: {"order": np.arange(1, SAMPLES + 1)}, ValueError, r"order.*0 to 22, got 23"),
    "batch size": (lambda c: {"batch_size": 0}, ValueError, r"batch_size.*got 0"),
    "rates": (lambda c: {"learning_rate": np.ones(BATCHES - 1)}, ValueError, r"rates: expected shape \(5,\)"),
    "state size": (lambda c: {"state": np.zeros(3)}, ValueError, r"state: expected shape \(4,\)"),
    "state dtype": (lambda c: {"state": np.zeros(4, np.float32)}, TypeError, r"state.*float64"),
    "lengths dtype": (lambda c: {"lengths": np.ones(SAMPLES)}, TypeError, r"lengths.*int32"),
    "lengths size": (lambda c: {"lengths": np.ones(4, np.int32)}, ValueError, r"lengths: expected shape \(23,\)"),
    "lengths range": (lambda c: {"lengths": with_item(c.lengths, 2, 6)}, ValueError, r"lengths.*0 to 5.*got 6"),
    "negative length": (lambda c: {"lengths": with_item(c.lengths, 2, -1)}, ValueError, r"lengths.*got -1"),
    "weights": (lambda c: {"sample_weight": [None, None]}, ValueError, r"sample_weight: expected one"),
    "weight shape": (
        lambda c: {"sample_weight": [np.ones((SAMPLES, 3))]},
        ValueError,
        r"sample_weight\[0\].*\(23, 3\)",
    ),
    "weight dtype": (lambda c: {"sample_weight": [np.ones(SAMPLES, np.float32)]}, TypeError, r"sample_weight\[0\]"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_change_nothing(case: str) -> None:
    make, error, message = BAD_ARGUMENTS[case]
    call = Call(ids_program(), SPARSE)
    call.arguments["targets"] = [LABELS]
    before = call.everything()
    with pytest.raises(error, match=message):
        call.train(**make(call))
    assert_all_equal(call.everything(), before)
    call.train()  # and it still works


def test_bad_vectors() -> None:
    program = PROGRAMS["lstm"]()
    good = random_parameters(program, np.float64)
    read_only = good.copy()
    read_only.flags.writeable = False
    for parameters, gradients, error, message in (
        (good.astype(np.int64), good, TypeError, "parameters.*float64.*int64"),
        (good.astype(">f8"), good, TypeError, "parameters"),
        (good, good.astype(np.float32), TypeError, "gradients.*float64.*float32"),
        (good[:-1], good[:-1], ValueError, "parameters: expected at least"),
        (good, good[:-1], ValueError, "gradients: expected shape"),
        (read_only, good, ValueError, "parameters.*writable"),
        (good.reshape(1, -1), good, ValueError, "parameters: expected shape"),
    ):
        with pytest.raises(error, match=message):
            _core.Executor(program, parameters, gradients)


def test_bad_programs() -> None:
    program = PROGRAMS["lstm"]()
    vector = random_parameters(program, np.float64)
    node = program.nodes[0]
    with pytest.raises(ValueError, match="unknown op 'sorting'; known: dense"):
        _core.Executor(replace(program, nodes=(replace(node, op="sorting"),)), vector, vector.copy())
    with pytest.raises(ValueError, match="value 99 does not exist"):
        _core.Executor(replace(program, nodes=(replace(node, inputs=(99,)),)), vector, vector.copy())
    wrong = replace(node, attributes={"activation": "cosine"})
    executor = _core.Executor(replace(program, nodes=(wrong, *program.nodes[1:])), vector, vector.copy())
    with pytest.raises(ValueError, match="lstm0: activation: unknown activation 'cosine'"):
        executor.forward(random_inputs(program, 2, np.float64)[0])


def test_bad_training() -> None:
    call = Call(PROGRAMS["lstm"]())
    before = call.everything()
    for training, message in (
        (Training((Loss("surprise"),), optimizer=SGD), "unknown loss 'surprise'"),
        (Training((MSE,), (Metric("surprise"),), optimizer=SGD), "unknown metric 'surprise'"),
        (Training((Loss("huber", 1),), optimizer=SGD), "on output 1"),
        (Training((MSE,), optimizer=Optimizer("surprise")), "unknown optimizer .surprise."),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            call.executor.configure(training, call.slots)
    with pytest.raises(ValueError, match="slots: expected shape"):
        call.executor.configure(call.training, np.zeros((2, call.parameters.size)))
    call.train(learning_rate=np.zeros(BATCHES))  # the training of before still holds
    np.testing.assert_array_equal(call.parameters, before[0])


def test_calls_out_of_order() -> None:
    program = PROGRAMS["lstm"]()
    call = Call(program)
    fresh = _core.Executor(program, call.parameters, call.gradients)
    with pytest.raises(ValueError, match="backward: expected a forward pass"):
        fresh.backward([np.zeros((SAMPLES, 4))])
    with pytest.raises(ValueError, match="expected a call of configure"):
        run_train(fresh, **call.arguments)
    with pytest.raises(ValueError, match="expected an optimizer"):
        fresh.apply_gradients(0.1, 0)
    call.executor.forward(call.inputs, training=True)
    with pytest.raises(ValueError, match=r"output_gradients\[0\]: expected shape \(23, 4\), got \(23, 3\)"):
        call.executor.backward([np.zeros((SAMPLES, 3))])
    call.executor.backward([np.zeros((SAMPLES, 4))])
    with pytest.raises(ValueError, match="backward: expected a forward pass"):
        call.executor.backward([np.zeros((SAMPLES, 4))])


def test_empty_order() -> None:
    call = Call(PROGRAMS["lstm"]())
    before = call.everything()
    assert call.train(order=np.zeros(0, np.int64), learning_rate=np.zeros(0)) == 0
    assert_all_equal(call.everything(), before)
