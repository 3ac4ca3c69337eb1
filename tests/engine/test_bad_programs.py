"""The compiled executor says what is wrong with a Program or a training description; the rest is fuzzed elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict
from program_builder import Builder

from rnncore import _core
from rnncore.program import ActivityRegularizer, Loss, Metric, Node, Optimizer, Parameter, Program, Training, Value

N, T, F, H = 4, 5, 3, 2
LARGEST = 2**63 - 1


def whole() -> Program:
    """A recurrent layer with states that are kept, and a dense one."""
    b = Builder()
    x, h0 = b.input(None, F), b.value(H)
    b.node("read_state", (x, -1), (h0,), (), state_offset=0, units=H)
    sequence, h = b.recurrent("gru", x, H, outputs="sequence h", initial=(h0,))
    b.node("write_state", (h,), (), (), state_offset=0)
    return b.build(b.dense(sequence, 4), b.dense(h, 1))


def executor(program: Any, size: int = 200) -> Any:
    return _core.Executor(program, np.zeros(size), np.zeros(size))


def node(program: Program, op: str, **changes: Any) -> Program:
    """The Program with other fields in the last node of a kind."""
    number = max(i for i, entry in enumerate(program.nodes) if entry.op == op)
    attributes = {**program.nodes[number].attributes, **changes.pop("attributes", {})}
    nodes = list(program.nodes)
    nodes[number] = replace(nodes[number], attributes=attributes, **changes)
    return replace(program, nodes=tuple(nodes))


def parameter(program: Program, **changes: Any) -> Any:
    first = program.parameters[0]
    fields = {name: getattr(first, name) for name in ("name", "shape", "offset", "size", "trainable")} | changes
    return SimpleNamespace(**vars(program) | {"parameters": [SimpleNamespace(**fields), *program.parameters[1:]]})


def value(program: Program, shape: tuple[Any, ...], number: int = 0, dtype: str = "float") -> Program:
    values = list(program.values)
    values[number] = Value("value", shape, dtype)
    return replace(program, values=tuple(values))


PROGRAMS: dict[str, tuple[Callable[[Program], Any], type[Exception], str]] = {
    "offset beyond 64 bits": (lambda p: parameter(p, offset=2**63), ValueError, "offset: .* too large"),
    "largest offset": (lambda p: parameter(p, offset=LARGEST), ValueError, "cannot be at 9223372036854775807"),
    "offset before the first": (lambda p: parameter(p, offset=-1), ValueError, "cannot be at -1"),
    "offset behind the last": (lambda p: parameter(p, offset=199), ValueError, "expected at least .* elements"),
    "offset of text": (lambda p: parameter(p, offset="0"), TypeError, "offset: got '0'"),
    "size of another shape": (lambda p: parameter(p, size=1), ValueError, "of 1 elements cannot have the shape"),
    "negative size": (lambda p: parameter(p, size=-6, shape=(-2, 3)), ValueError, "expected sizes of at least 0"),
    "sizes that overflow": (lambda p: parameter(p, shape=(2**32, 2**32), size=0), ValueError, "cannot have the shape"),
    "a shape without the batch": (lambda p: value(p, ()), ValueError, "cannot have the shape"),
    "a huge declared size": (lambda p: value(p, (None, None, 2**60)), ValueError, "cannot have the shape"),
    "no inputs": (lambda p: replace(p, inputs=()), ValueError, "at least one input"),
    "no outputs": (lambda p: replace(p, outputs=()), ValueError, "at least one output"),
    "an input twice": (lambda p: replace(p, inputs=p.inputs * 2), ValueError, "which is there already"),
    "lengths that are an input": (lambda p: replace(p, lengths=p.inputs[0]), ValueError, "which is there already"),
    "integers as an output": (lambda p: value(p, (None, 4), p.outputs[0], "int"), ValueError, "holds integers"),
    "an id of text": (lambda p: replace(p, inputs=("0",)), TypeError, "inputs: got"),
    "an id beyond 32 bits": (lambda p: replace(p, outputs=(2**40,)), TypeError, "outputs: got"),
    "a node without outputs": (lambda p: node(p, "dense", outputs=()), ValueError, "has no outputs"),
    "a state written behind the last": (
        lambda p: node(p, "write_state", attributes={"state_offset": 1}),
        ValueError,
        r"writes a state of shape \(None, 2\) at 1, of the 2 numbers",
    ),
    "a state written far away": (
        lambda p: node(p, "write_state", attributes={"state_offset": LARGEST}),
        ValueError,
        "writes a state",
    ),
    "a state read before the first": (
        lambda p: node(p, "read_state", attributes={"state_offset": -2}),
        ValueError,
        "cannot read a state of 2 numbers at -2",
    ),
    "a state of no units": (
        lambda p: node(p, "read_state", attributes={"units": 0}),
        ValueError,
        "cannot read a state",
    ),
    "an attribute of another type": (
        lambda p: node(p, "read_state", attributes={"units": "2"}),
        ValueError,
        "attribute 'units' has a value of the wrong type",
    ),
    "an attribute beyond 64 bits": (
        lambda p: node(p, "read_state", attributes={"units": 2**64 + 2}),
        ValueError,
        "units: got 18446744073709551618, which is too large",
    ),
    "no program": (lambda p: "program", TypeError, "expected an object with values, got str"),
}


@pytest.mark.parametrize(("change", "error", "message"), PROGRAMS.values(), ids=PROGRAMS)
def test_programs_are_refused(change: Callable[[Program], Any], error: type[Exception], message: str) -> None:
    executor(whole())
    with pytest.raises(error, match=message):
        executor(change(whole()))


def one(op: str, *shapes: tuple[int | None, ...], out: tuple[Any, ...] = (None, 4), **attributes: Any) -> Program:
    """A single node of float inputs with these sizes behind the batch, without parameters."""
    values = (*(Value(f"x{i}", (None, *shape)) for i, shape in enumerate(shapes)), Value("y", out))
    made = Node(op, op, tuple(range(len(shapes))), (len(shapes),), (), attributes)
    return Program(values, (), (made,), tuple(range(len(shapes))), (len(shapes),))


NODES: dict[str, tuple[Program, str]] = {
    "repeat": (one("repeat_vector", (4,), out=(None, None, 4), n=2**62), "n: expected at least 1|fits into memory"),
    "repeat often": (one("repeat_vector", (4,), out=(None, None, 4), n=2**43), "fits into memory"),
    "repeat never": (one("repeat_vector", (4,), out=(None, None, 4), n=0), "n: expected at least 1"),
    "reshape": (one("reshape", (4,), shape=[float("nan")]), "shape: expected sizes of at least 1"),
    "reshape to halves": (one("reshape", (4,), shape=[-1, -4.0]), "shape: expected sizes of at least 1"),
    "reshape to much": (one("reshape", (4,), shape=[2**40, 2**40]), "cannot reshape"),
    "pool of nothing": (one("pool1d", (5, 4), out=(None, None, 4), pool_size=0), "pool_size: expected at least 1"),
    "pool backwards": (one("pool1d", (5, 4), out=(None, None, 4), strides=-1), "strides: expected at least 1"),
    "permute": (one("permute", (5, 4), out=(None, 4, 5), dims=[1, float("nan")]), "dims: expected each of 1 to 2"),
    "axis": (one("concatenate", (4,), (4,), out=(None, 8), axis=2**40), "axis: expected an axis"),
    "rate": (one("dropout", (4,), rate=float("nan")), "rate: expected a number from 0"),
    "heads": (one("attention", (5, 4), (5, 4), (5, 4), out=(None, 5, 4), heads=2**40), "heads: expected a divisor"),
    "inputs": (one("activation", (4,), (4,), function="tanh"), r"takes at most 1 input\(s\), got 2"),
    "parameters": (one("dense", (4,)), "takes 1 to 2 parameters, got 0"),
    "no inputs": (replace(one("dense", (4,)), nodes=(Node("dense", "dense", (), (1,), ()),)), "needs input number 0"),
}


@pytest.mark.parametrize(("program", "message"), NODES.values(), ids=NODES)
def test_nodes_are_refused(program: Program, message: str) -> None:
    shapes = [[5 if size is None else size for size in program.values[i].shape[1:]] for i in program.inputs]
    with pytest.raises(ValueError, match=message):
        executor(program).forward([np.zeros((N, *shape)) for shape in shapes])


def test_large_windows_take_no_time() -> None:
    x = np.random.default_rng(0).normal(size=(N, T, F))
    program = one("pool1d", (None, F), out=(None, None, F), pool_size=2**40, strides=1, padding="same", kind="max")
    (y,) = executor(program).forward([x])
    assert np.array_equal(y, np.broadcast_to(x.max(axis=1, keepdims=True), x.shape))


def test_ids_are_an_input() -> None:
    """Nobody could check those that a node makes."""
    b = Builder()
    x, y, mask, z = b.input(None, F), b.value(None, F), b.value(None, dtype="int"), b.value(None, 2)
    b.node("masking", (x, -1), (y, mask), ())
    b.node("embedding", (mask,), (z,), (b.parameter(1, 2),))
    with pytest.raises(ValueError, match="which is no input of the program"):
        executor(b.build(z))


def test_values_are_of_the_declared_kind() -> None:
    b = Builder()
    x, y, mask = b.input(None, F), b.value(None, F), b.value(None)
    b.node("masking", (x, -1), (y, mask), ())
    with pytest.raises(ValueError, match="declared floating point, the op makes integers"):
        executor(b.build(y)).forward([np.zeros((N, T, F))])
    b = Builder()
    ids = b.input(None, dtype="int")
    with pytest.raises(ValueError, match="activation takes floating point values, got integers"):
        executor(b.build(b.elementwise("activation", ids, function="tanh"))).forward([np.zeros((N, T), np.int32)])


def test_outputs_have_the_samples_of_the_batch() -> None:
    b = Builder()
    x, y = b.input(None, F), b.value(F)
    b.node("fold_time", (x,), (y,), ())
    with pytest.raises(ValueError, match="does not have the samples of the batch"):
        executor(b.build(y)).forward([np.zeros((N, T, F))])


@pytest.mark.parametrize("shape", [(N, 0, F), (N, T, 0)])
def test_no_axis_is_empty(shape: tuple[int, ...]) -> None:
    b = Builder()
    x = b.input(None, None)
    with pytest.raises(ValueError, match="expected no empty axis"):
        executor(b.build(b.elementwise("activation", x, function="tanh"))).forward([np.zeros(shape)])


MSE = (Loss("mean_squared_error"), Loss("mean_squared_error", 1))
SGD = Optimizer("sgd", {})
TRAININGS: dict[str, tuple[Training, str]] = {
    "output": (Training((Loss("huber", 2**31 - 1),)), "is on output 2147483647, the program has 2"),
    "reduction": (Training((Loss("huber", attributes={"reduction": "none"}),)), "unknown reduction"),
    "metric": (Training(MSE, (Metric("huber", -1),)), "is on output -1"),
    "activity": (Training(MSE, activity_regularizers=(ActivityRegularizer(99, 1.0),)), "is on value 99"),
    "amsgrad": (Training(MSE, optimizer=Optimizer("rmsprop", {"amsgrad": True})), "amsgrad is an attribute of adam"),
    "optimizer": (Training(MSE, optimizer=Optimizer("adam", {"beta_1": float("nan")})), "beta_1 .* is NaN"),
}


@pytest.mark.parametrize(("training", "message"), TRAININGS.values(), ids=TRAININGS)
def test_training_descriptions_are_refused(training: Training, message: str) -> None:
    made = executor(whole())
    slots = 1 if training.optimizer is None else training.optimizer.slot_count()
    with pytest.raises(ValueError, match=message):
        made.configure(training, np.zeros((slots, 200)))


def test_batches_larger_than_the_samples() -> None:
    """The number of batches does not overflow."""
    program = Program(
        (Value("x", (None, 1)), Value("y", (None, 1))),
        (Parameter("kernel", (1, 1), 0),),
        (Node("dense", "dense", (0,), (1,), (0,)),),
        (0,),
        (1,),
    )
    made = _core.Executor(program, np.ones(1), np.zeros(1))
    y = np.zeros((3, 1))
    assert run_predict(made, [np.arange(3.0)[:, None]], np.arange(3), batch_size=LARGEST, outputs=[y]) == 1
    assert y[:, 0].tolist() == [0, 1, 2]
