"""Every op of the reference executor against finite differences, and what each op promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from recurrent_options import PLAIN, Case
from single_nodes import MASK, SEED, STEP, check_gradients, one_node
from tolerance import assert_all_equal

from rnncore.reference import Executor, lstm
from rnncore.reference import slice as reference_slice
from rnncore.reference.activations import ACTIVATIONS
from rnncore.reference.elementwise import FUNCTIONS
from rnncore.reference.merge import KINDS
from rnncore.reference.op import Run


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 3)], ids=["matrix", "sequence"])
def test_dense(activation: str, bias: bool, shape: tuple[int, ...]) -> None:
    program = one_node(
        "dense",
        [("x", (None,) * (len(shape) - 1) + (3,), "float")],
        1,
        [(3, 5), (5,)] if bias else [(3, 5)],
        {"activation": activation},
    )
    check_gradients(program, [np.random.default_rng(1).normal(size=shape)])


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activation(function: str) -> None:
    program = one_node("activation", [("x", (None, None, 4), "float")], 1, [], {"function": function})
    check_gradients(program, [np.random.default_rng(2).normal(scale=2, size=(2, 3, 4))])


@pytest.mark.parametrize(
    "attributes",
    [
        {"function": "relu", "negative_slope": 0.1, "max_value": 1.0, "threshold": 0.4},
        {"function": "relu", "max_value": 0.5},
        {"function": "leaky_relu", "negative_slope": 0.3},
        {"function": "elu", "alpha": 0.7},
        {"function": "celu", "alpha": 0.7},
        {"function": "threshold", "threshold": 0.4, "default_value": -0.3},
        {"function": "hard_sigmoid", "alpha": 0.2, "beta": 0.4},
        {"function": "scaled_tanh", "alpha": 1.7, "beta": 0.6},
        {"function": "affine", "alpha": 1.7, "beta": 0.6},
        {"function": "gelu", "approximate": True},
    ],
)
def test_activation_with_options(attributes: dict[str, Any]) -> None:
    program = one_node("activation", [("x", (None, None, 4), "float")], 1, [], attributes)
    check_gradients(program, [np.random.default_rng(2).normal(scale=2, size=(2, 3, 4))])


@pytest.mark.parametrize(
    "attributes",
    [
        *({"function": name} for name in FUNCTIONS if name not in ("power", "clip")),
        {"function": "power", "exponent": -1.7},
        {"function": "clip", "min_value": 0.6, "max_value": 1.7},
    ],
)
def test_elementwise(attributes: dict[str, Any]) -> None:
    program = one_node("elementwise", [("x", (None, None, 4), "float")], 1, [], attributes)
    check_gradients(program, [np.random.default_rng(2).uniform(0.3, 2.5, size=(2, 3, 4))])


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_softmax(axis: int) -> None:
    inputs = [("x", (None, None, None, 4), "float")]
    x = np.random.default_rng(3).normal(size=(2, 3, 2, 4))
    program = one_node("softmax", [*inputs, ("absent", (), "")], 1, [], {"axis": axis})
    check_gradients(program, [x])
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward([x])
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(axis, keepdims=True), 1e-12)


# The rows of a batch with lengths 4, 2, 0, and what they become.
CHANGES: list[tuple[str, dict[str, Any], Callable[[Any], Any]]] = [
    ("pad1d", {"before": 2, "after": 1}, lambda row: np.pad(row, ((2, 1), (0, 0)))),
    ("pad1d", {"before": 0, "after": -1}, lambda row: row[:-1]),
    ("pad1d", {"before": -1, "after": 2}, lambda row: np.pad(row, ((0, 2), (0, 0)))[1:]),
    ("pad1d", {"before": 3, "after": 3, "mode": "reflect"}, lambda row: np.pad(row, ((3, 3), (0, 0)), "reflect")),
    ("upsampling1d", {"size": 3}, lambda row: np.repeat(row, 3, axis=0)),
]


@pytest.mark.parametrize(("op", "attributes", "alone"), CHANGES)
def test_rows_change_as_if_alone(op: str, attributes: dict[str, Any], alone: Callable[[Any], Any]) -> None:
    inputs = [("x", (None, None, 3), "float"), ("lengths", (None,), "int")]
    x, lengths = np.random.default_rng(3).normal(size=(3, 4, 3)), np.array([4, 2, 0], np.int32)
    program = one_node(op, inputs, 2, [], attributes)
    (node,) = program.nodes
    program = replace(program, nodes=(replace(node, outputs=(node.outputs[0], -1)),), outputs=program.outputs[:1])
    check_gradients(program, [x], lengths)
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward([x], lengths)
    for row, length in enumerate(lengths[:2]):
        expected = alone(x[row, :length])
        np.testing.assert_array_equal(y[row, : len(expected)], expected)
        if op == "pad1d":
            assert not y[row, len(expected) :].any()


def test_embedding() -> None:
    program = one_node("embedding", [("ids", (None, None), "int")], 1, [(5, 3)], {})
    check_gradients(program, [np.array([[1, 4, 1], [0, 0, 1]], np.int32)])


@pytest.mark.parametrize("ids", [[[5]], [[-1]]])
def test_embedding_refuses_unknown_ids(ids: list[list[int]]) -> None:
    program = one_node("embedding", [("ids", (None, None), "int")], 1, [(5, 3)], {})
    with pytest.raises(ValueError, match="expected ids from 0 to 4"):
        Executor(program, np.ones(15), np.ones(15)).forward([np.array(ids, np.int32)])


def test_repeat_row() -> None:
    program = one_node("repeat_row", [("ids", (None, None), "int")], 1, [(1, 3)], {})
    ids = np.ones((2, 3), np.int32)
    check_gradients(program, [ids])
    (y,) = Executor(program, np.arange(3.0), np.ones(3)).forward([ids])
    np.testing.assert_array_equal(y, [[0, 1, 2]] * 2)


def test_flatten() -> None:
    program = one_node("flatten", [("x", (None, None, 4), "float")], 1, [], {})
    x = np.random.default_rng(3).normal(size=(2, 3, 4))
    check_gradients(program, [x])
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward([x])
    np.testing.assert_array_equal(y, x.reshape(2, 12))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shapes",
    [[(2, 3)], [(2, 3, 4), (2, 3, 4)], [(2, 4), (2, 3, 4), (2, 1, 4), (2, 3, 1)], [(5, 1), (5, 4)]],
    ids=["one", "equal", "ranks", "repeated"],
)
def test_merge(kind: str, shapes: list[tuple[int, ...]]) -> None:
    if kind == "subtract" and len(shapes) != 2:
        return
    rng = np.random.default_rng(8)
    arrays = [rng.normal(size=shape) for shape in shapes]
    inputs = [(f"x{k}", (None, *shape[1:]), "float") for k, shape in enumerate(shapes)]
    check_gradients(one_node("merge", inputs, 1, [], {"kind": kind}), arrays)


@pytest.mark.parametrize("kind", ["maximum", "minimum"])
def test_equal_numbers_share_the_gradient_of_an_extremum(kind: str) -> None:
    inputs = [(f"x{k}", (None, 1), "float") for k in range(3)]
    executor = Executor(one_node("merge", inputs, 1, [], {"kind": kind}), np.ones(0), np.ones(0))
    executor.forward([np.ones((1, 1))] * 3, training=True)
    assert np.ravel(executor.backward([np.ones((1, 1))])).tolist() == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concatenate(axis: int) -> None:
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=(2, 3, k) if axis != 1 else (2, k, 4)) for k in (1, 3, 2)]
    inputs = [(f"x{k}", (None, None, None), "float") for k in range(3)]
    program = one_node("concatenate", inputs, 1, [], {"axis": axis})
    check_gradients(program, arrays)
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward(arrays)
    np.testing.assert_array_equal(y, np.concatenate(arrays, axis))


@pytest.mark.parametrize(
    ("op", "attributes", "shape", "expected"),
    [
        ("reshape", {"shape": [2, -1]}, (2, 3, 4), lambda x: x.reshape(2, 2, 6)),
        ("repeat_vector", {"n": 3}, (2, 4), lambda x: np.stack([x, x, x], 1)),
        ("permute", {"dims": [3, 1, 2]}, (2, 3, 4, 5), lambda x: x.transpose(0, 3, 1, 2)),
        ("rescale", {"scale": -2.0, "offset": 0.5}, (2, 3, 4), lambda x: 0.5 - 2 * x),
    ],
)
def test_shapes(op: str, attributes: dict[str, Any], shape: tuple[int, ...], expected: Any) -> None:
    program = one_node(op, [("x", (None,) * len(shape), "float")], 1, [], attributes)
    x = np.random.default_rng(5).normal(size=shape)
    check_gradients(program, [x])
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward([x])
    np.testing.assert_array_equal(y, expected(x))


def cut(index: tuple[slice | int, ...]) -> dict[str, list[int]]:
    """The attributes of a slice."""
    attributes: dict[str, list[int]] = {"starts": [], "stops": [], "steps": [], "drops": []}
    for entry in index:
        drops = isinstance(entry, int)
        part = slice(entry, entry + 1) if isinstance(entry, int) else entry
        step = part.step or 1
        start, stop = (0, 2**31) if step > 0 else (2**31, -(2**31))
        values = (start if part.start is None else part.start, stop if part.stop is None else part.stop, step, drops)
        for name, value in zip(attributes, values, strict=True):
            attributes[name].append(int(value))
    return attributes


@pytest.mark.parametrize(
    "index",
    [
        (slice(1, 3), slice(None)),
        (slice(None, None, -1), slice(1, 9, 2)),
        (2, slice(-3, None)),
        (slice(3, 0, -2), 0),
    ],
    ids=str,
)
def test_slice(index: tuple[slice | int, ...]) -> None:
    inputs = [("x", (None, 4, 5), "float"), ("mask", (None, 4), "int")]
    program = one_node("slice", inputs, 1, [], cut(index))
    (node,) = program.nodes
    program = replace(program, nodes=(replace(node, outputs=(*node.outputs, -1)),))  # without the mask of y
    x = np.random.default_rng(6).normal(size=(3, 4, 5))
    mask = np.array([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]], np.int32)
    check_gradients(program, [x, mask])
    executor = Executor(program, np.ones(0), np.ones(0))
    np.testing.assert_array_equal(executor.forward([x, mask])[0], x[(slice(None), *index)])
    if not isinstance(index[0], int):
        run = Run(training=False, seed=0, step=0, node=0)
        for given, expected in ((mask, mask), (np.array([1, 4, 0]), np.arange(4) < [[1], [4], [0]])):
            (_, marks), _ = reference_slice.forward([x, given], [], cut(index), run)
            np.testing.assert_array_equal(marks, expected[:, index[0]])


def test_dropout() -> None:
    program = one_node("dropout", [("x", (None, None, 4), "float")], 1, [], {"rate": 0.3, "seed": 5})
    check_gradients(program, [np.random.default_rng(4).normal(size=(2, 3, 4))])
    executor = Executor(program, np.ones(0), np.ones(0))
    x = np.ones((50, 60, 4))
    (y,) = executor.forward([x], training=True, seed=SEED, step=STEP)
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert abs(np.mean(y == 0) - 0.3) < 0.01
    for seed, step, same in [(SEED, STEP, True), (SEED + 1, STEP, False), (SEED, STEP + 1, False)]:
        assert np.array_equal(executor.forward([x], training=True, seed=seed, step=step)[0], y) is same
    np.testing.assert_array_equal(executor.forward([x])[0], x)


def test_dropout_adds_its_seed_to_that_of_the_run() -> None:
    x = np.ones((30, 4))
    inputs = [("x", (None, 4), "float")]
    results = []
    for node_seed, run_seed in [(5, 1), (None, 6), (0, 6)]:
        program = one_node("dropout", inputs, 1, [], {"rate": 0.5, "seed": node_seed})
        results.append(Executor(program, np.ones(0), np.ones(0)).forward([x], training=True, seed=run_seed)[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("case", PLAIN, ids=str)
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("lengths", [None, [2, 4, 0]], ids=["full", "lengths"])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_recurrent(
    case: Case,
    go_backwards: bool,
    lengths: list[int] | None,
    bias: bool,
) -> None:
    rng = np.random.default_rng(5)
    program = case.program((3, 4, 3, 2, 0), given=bias, bias=bias, go_backwards=go_backwards)
    inputs = [rng.normal(size=(3, 4, 3)), *(rng.normal(size=(3, 2)) for _ in range(case.states if bias else 0))]
    check_gradients(program, inputs, None if lengths is None else np.array(lengths, np.int32))


@pytest.mark.parametrize("case", PLAIN, ids=str)
@pytest.mark.parametrize("direction", [{}, {"go_backwards": True}, {"go_backwards": True, "aligned": True}])
@pytest.mark.parametrize("zeros", [False, True])
def test_masked_recurrent(
    case: Case,
    direction: dict[str, bool],
    zeros: bool,
) -> None:
    rng = np.random.default_rng(5)
    shape = (6, 4, 3, 2, 0)
    program = case.program(shape, "mask", **direction, zero_output_for_mask=zeros)
    x, initial = rng.normal(size=shape[:3]), [rng.normal(size=(6, 2)) for _ in range(case.states)]
    check_gradients(program, [x, *initial, MASK])

    # Each row as if alone, with the steps that are not real cut out of it.
    vector = rng.normal(size=sum(parameter.size for parameter in program.parameters))
    backwards = direction.get("go_backwards", False)
    alone = case.program(shape, "none", go_backwards=backwards)
    sequence, *state = Executor(program, vector, vector.copy()).forward([x, *initial, MASK])
    for n, real in enumerate(MASK.astype(bool)):
        held = initial[0][n]
        expected = np.empty((4, 2))
        if real.any():
            row = [x[n : n + 1, real], *(part[n : n + 1] for part in initial)]
            outputs, *last = Executor(alone, vector, vector.copy()).forward(row)
            steps = iter(outputs[0])
        else:
            last, steps = [part[n : n + 1] for part in initial], iter(())
        for t in range(3, -1, -1) if backwards else range(4):
            held = next(steps) if real[t] else held
            expected[t] = 0 if zeros and not real[t] else held
        in_order = not backwards or "aligned" in direction
        np.testing.assert_allclose(sequence[n], expected if in_order else expected[::-1], rtol=1e-12)
        for actual, wanted in zip(state, last, strict=True):
            np.testing.assert_allclose(actual[n], wanted[0], rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (5, 4)])
def test_masks_of_a_wrong_shape(shape: tuple[int, int]) -> None:
    program = Case("simple_rnn").program((6, 4, 3, 2, 0), "mask", given=False)
    with pytest.raises(ValueError, match=r"mask.*expected shape \(6, 4\)|mask\d: expected shape \(6, None\)"):
        Executor(program, np.ones(12), np.ones(12)).forward([np.ones((6, 4, 3)), np.ones(shape, np.int32)])


def test_lengths_are_a_mask_whose_real_steps_come_first() -> None:
    rng = np.random.default_rng(7)
    x, lengths, vector = rng.normal(size=(5, 4, 3)), np.array([2, 4, 0, 1, 3], np.int32), rng.normal(size=48)
    mask = (np.arange(4) < lengths[:, None]).astype(np.int32)
    for go_backwards in (False, True):
        found = []
        for inputs, given in (([x], lengths), ([x, mask], None)):
            steps = "mask" if given is None else "lengths"
            program = Case("lstm").program((5, 4, 3, 2, 0), steps, given=False, go_backwards=go_backwards)
            found.append(Executor(program, vector, np.zeros(48)).forward(inputs, given))
        assert_all_equal(*found)


def test_go_backwards_gives_the_sequence_in_reversed_time() -> None:
    rng = np.random.default_rng(6)
    program = Case("lstm").program((3, 4, 3, 2, 0), given=False, go_backwards=True)
    parameters, x, lengths = rng.normal(size=48), rng.normal(size=(3, 4, 3)), np.array([2, 4, 0], np.int32)
    sequence, h, c = Executor(program, parameters, np.zeros(48)).forward([x], lengths)
    kernel, recurrent_kernel, bias = parameters[:24].reshape(3, 8), parameters[24:40].reshape(2, 8), parameters[40:]
    expected = lstm(x, kernel, recurrent_kernel, bias, lengths=lengths, reverse=True)
    real = np.arange(4) < lengths[:, None]
    np.testing.assert_array_equal(sequence, np.where(real[..., None], expected.output, 0)[:, ::-1])
    np.testing.assert_array_equal(h, expected.state[0])
    np.testing.assert_array_equal(c, expected.state[1])
