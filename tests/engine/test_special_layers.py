"""Softmax, normalization, attention, pooling, merging, dropout and zoneout at NaN, infinity and huge numbers.

At every level and in the reference, against mathematics; where it leaves a choice, as Keras on JAX has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from executor_calls import run_test
from program_builder import Builder
from special_numbers import DTYPES, EXECUTORS, Array, executor_of
from tolerance import assert_close

from rnncore import functional, layers, models, reference
from rnncore.callbacks import TerminateOnNaN
from rnncore.program import RECURRENT_OPS, Loss, Optimizer, Program, Training
from rnncore.reference.rounding import to_bfloat16

NAN, INF = math.nan, math.inf
HUGE = {"float32": 1e30, "float64": 1e200}  # whose square is beyond the dtype

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def run(
    kind: Any, program: Program, inputs: list[Array], dy: Array | None = None, parameters: Array | None = None
) -> tuple[Array, list[Array], Array]:
    """The output, the gradients of the inputs for dy (ones by default), and those of the parameters."""
    dtype = next(x.dtype for x in inputs if x.dtype.kind == "f")
    count = sum(p.size for p in program.parameters)
    w = np.ones(count, dtype) if parameters is None else parameters.astype(dtype)
    gradients = np.zeros_like(w)
    executor = kind(program, w, gradients)
    (y,) = executor.forward(inputs, training=True, seed=1)
    y = np.array(y)
    dx = executor.backward([np.ones_like(y) if dy is None else dy.astype(dtype)])
    return y, dx, gradients


@each_executor
@each_dtype
@pytest.mark.parametrize("width", [2, 7, 16, 37])
def test_softmax(executor: str, dtype: str, width: int) -> None:
    most = np.finfo(dtype).max
    x = np.full((8, width), -INF, dtype)
    x[0, -1] = 0  # all of it
    x[1, :2] = [0, 0]
    x[2, 0] = NAN
    x[4, 0] = INF
    x[5, :2] = [most, -most]
    x[6, :] = -most
    x[7, :] = most
    b = Builder()
    program = b.build(b.elementwise("activation", b.input(width), function="softmax"))
    with executor_of(executor) as kind:
        y, (dx,), _ = run(kind, program, [x])
    expected = np.zeros((8, width))
    expected[0, -1] = 1
    expected[1, :2] = 0.5
    expected[[2, 3, 4]] = NAN  # in row 3 nothing is finite
    expected[5, 0] = 1
    expected[[6, 7]] = 1 / width
    np.testing.assert_allclose(y, expected, 1e-6)
    assert (y[1, 2:] == 0).all()
    assert (y[5, 1:] == 0).all()
    np.testing.assert_array_equal(np.isnan(dx).all(axis=1), np.isnan(expected).all(axis=1))


# Normalization does not depend on the size of what it normalizes.


@each_executor
@each_dtype
@pytest.mark.parametrize("columns", [3, 16, 50])
def test_layer_normalization(executor: str, dtype: str, columns: int) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=columns)
    most = float(np.finfo(dtype).max)
    sizes = np.array([1e6, HUGE[dtype], most / 10, NAN, INF])
    x = np.where(np.isfinite(sizes)[:, None], np.nan_to_num(sizes, posinf=0)[:, None] * pattern, pattern)
    x[3, 1], x[4, 1] = NAN, INF
    same = np.full((1, columns), most)
    x = np.concatenate([x, same]).astype(dtype)
    b = Builder()
    program = b.build(b.normalized("layer_normalization", b.input(columns), epsilon=1e-3))
    w = np.concatenate([np.full(columns, 2.0), np.full(columns, 0.5)])
    with executor_of(executor) as kind:
        y, (dx,), _ = run(kind, program, [x], np.where(np.isfinite(sizes[:, None]), pattern, 0)[[0, 1, 2, 3, 4, 4]], w)
    normal = (pattern - pattern.mean()) / pattern.std()
    for row in range(3):
        assert_close(y[row], (2 * normal + 0.5).astype(dtype))
    assert np.isnan(y[3:5]).all()
    np.testing.assert_allclose(y[5], 0.5, 1e-6)
    # dx = factor·(g - mean(g) - n·mean(g·n)) with g = 2·pattern is 0 but for rounding.
    assert np.isfinite(dx[:3]).all()


@each_executor
@each_dtype
@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalization(executor: str, dtype: str, masked: bool) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(5, 4))
    scale = np.array([1e6, HUGE[dtype], float(np.finfo(dtype).max) / 10])
    x = (pattern[..., None] * scale).astype(dtype)  # (N, T, C)
    b = Builder()
    value = b.input(4, 3)
    mask = b.mask(4) if masked else -1
    program = b.build(b.normalized("batch_normalization", value, mask=mask, epsilon=1e-3, momentum=0.5))
    real = np.ones((5, 4), bool)
    inputs = [x]
    if masked:
        real[1, 2:] = real[3] = False
        x[~real] = NAN
        inputs.append(real.astype(np.int32))
    w = np.repeat([1.0, 0.0, 0.0, 1.0], 3)
    dy = np.where(real[..., None], rng.normal(size=x.shape), 0)
    with executor_of(executor) as kind:
        y, dx, dw = run(kind, program, inputs, dy, w)
    chosen = pattern[real]
    expected = (pattern - chosen.mean()) / chosen.std()
    for column in range(3):
        assert_close(y[..., column][real], expected[real].astype(dtype))
    assert np.isfinite(dx[0][real]).all()
    assert np.isfinite(dw).all()


@each_executor
@each_dtype
@pytest.mark.parametrize("cell", RECURRENT_OPS)
def test_normalization_within_cells(executor: str, dtype: str, cell: str) -> None:
    """Inputs of another size give the same outputs, once the ε in the variance counts for nothing."""
    b = Builder()
    (h,) = b.recurrent(cell, b.input(3, 2), 5, outputs="h", layer_normalization=True)
    program = b.build(h)
    rng = np.random.default_rng(0)
    w = rng.uniform(0.2, 1, sum(p.size for p in program.parameters))
    x = rng.normal(size=(4, 3, 2))
    with executor_of(executor) as kind:
        small, _, _ = run(kind, program, [(x * {"float32": 1e6, "float64": 1e14}[dtype]).astype(dtype)], None, w)
        huge, dx, dw = run(kind, program, [(x * HUGE[dtype]).astype(dtype)], None, w)
    assert_close(huge, small)
    assert np.isfinite(dw).all()
    assert np.isfinite(dx[0]).all()


# The greatest of some numbers is NaN where one is; its gradient goes to the NaN.


@each_executor
@pytest.mark.parametrize(("kind_of_merge", "sign"), [("maximum", 1), ("minimum", -1)])
def test_maximum_and_minimum(executor: str, kind_of_merge: str, sign: int) -> None:
    columns = np.array(
        [[1, 2, 3], [NAN, 2, 3], [1, NAN, 3], [1, 2, NAN], [NAN, NAN, 1], [2, 2, 1], [INF, INF, 1], [-INF, 1, NAN]]
    )
    expected = np.array([3, NAN, NAN, NAN, NAN, 2, INF, NAN]) * sign
    shares = np.array(
        [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
    )
    b = Builder()
    inputs = tuple(b.input(1) for _ in range(3))
    y = b.value(1)
    b.node("merge", inputs, (y,), (), kind=kind_of_merge)
    with executor_of(executor) as kind:
        found, gradients, _ = run(kind, b.build(y), [c[:, None] * sign for c in columns.T])
    np.testing.assert_array_equal(found.ravel(), expected)
    np.testing.assert_array_equal(np.concatenate(gradients, axis=1), shares)


@each_executor
def test_pooling(executor: str) -> None:
    x = np.array([[1, NAN, 3, NAN], [-INF, -INF, -INF, -INF], [INF, 1, INF, -INF], [5, 4, 3, 2]])[..., None]
    b = Builder()
    (most,) = b.pool(b.input(4, 1), kind="max")
    with executor_of(executor) as kind:
        y, (dx,), _ = run(kind, b.build(most), [x])
        np.testing.assert_array_equal(y.ravel(), [NAN, -INF, INF, 5])
        np.testing.assert_array_equal(dx[..., 0], [[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
        b = Builder()
        (mean,) = b.pool(b.input(4, 1), kind="average")
        y, _, _ = run(kind, b.build(mean), [x])
        np.testing.assert_array_equal(y.ravel(), [NAN, -INF, NAN, 3.5])
        b = Builder()  # steps that are not real come first
        value, mask = b.input(4, 1), b.mask(4)
        (most,) = b.pool(value, kind="max", mask=mask)
        real = np.array([[0, 0, 1, 1]] * 4, np.int32)
        y, dx, _ = run(kind, b.build(most), [x, real])
        np.testing.assert_array_equal(y.ravel(), [NAN, -INF, INF, 3])
        np.testing.assert_array_equal(dx[0][..., 0], [[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]])


# What is dropped or held is gone: 0 · infinity is no NaN.


@each_executor
@pytest.mark.parametrize(
    ("op", "attributes"),
    [("dropout", {"rate": 0.5}), ("noise", {"kind": "alpha_dropout", "rate": 0.5})],
)
def test_dropout(executor: str, op: str, attributes: dict[str, Any]) -> None:
    b = Builder()
    program = b.build(b.elementwise(op, b.input(64), **attributes))
    with executor_of(executor) as kind:
        y, (dx,), _ = run(kind, program, [np.full((2, 64), INF)], np.full((2, 64), INF))
        kept, _, _ = run(kind, program, [np.full((2, 64), 1e3)])
    np.testing.assert_array_equal(np.isinf(y), kept > 100)
    np.testing.assert_array_equal(dx, np.where(kept > 100, INF, 0))


@each_executor
@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru", "gru_before", "projected", "peepholes", "normalized"])
def test_recurrent_dropout_of_nan(executor: str, cell: str) -> None:
    """A state that is dropped reaches no other unit, whatever it is; one that is kept reaches them."""
    options: dict[str, Any] = {
        "gru_before": {"reset_after": False},
        "projected": {"projected": 4},
        "peepholes": {"peepholes": True},
        "normalized": {"layer_normalization": True},
    }.get(cell, {})
    name = "gru" if cell == "gru_before" else cell if cell in ("simple_rnn", "gru") else "lstm"
    b = Builder()
    x, h0 = b.input(1, 2), b.input(4)
    initial = (h0, b.input(4)) if name == "lstm" else (h0,)
    (h,) = b.recurrent(name, x, 4, outputs="h", initial=initial, recurrent_dropout=0.5, seed=3, **options)
    program = b.build(h)
    w = np.random.default_rng(0).normal(size=sum(p.size for p in program.parameters))
    inputs = [np.ones((6, 1, 2)), np.zeros((6, 4)), *([np.zeros((6, 4))] if name == "lstm" else [])]
    counts = []
    with executor_of(executor) as kind:
        clean, _, _ = run(kind, program, inputs, None, w)
        for unit in range(4):
            changed = [array.copy() for array in inputs]
            changed[1][:, unit] = NAN
            y, _, _ = run(kind, program, changed, None, w)
            others = np.setdiff1d(np.arange(4), [unit]) if name == "gru" else np.arange(4)
            reached = np.isnan(y[:, others])
            np.testing.assert_array_equal(reached.any(axis=1), reached.all(axis=1))
            dropped = ~reached.any(axis=1)
            np.testing.assert_array_equal(y[dropped][:, others], clean[dropped][:, others])
            counts.append(dropped.sum())
    assert 0 < sum(counts) < 24


@each_executor
@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru", "gru_before"])
@pytest.mark.parametrize("number", [NAN, INF])
def test_zoneout_holds_through_what_is_not_finite(executor: str, cell: str, number: float) -> None:
    b = Builder()
    options: dict[str, Any] = {"reset_after": False} if cell == "gru_before" else {}
    name = "gru" if cell == "gru_before" else cell
    if name == "lstm":
        options["cell_zoneout"] = 0.5
    x, h0 = b.input(1, 1), b.input(8)
    initial = (h0, b.input(8)) if name == "lstm" else (h0,)
    (h,) = b.recurrent(
        name, x, 8, outputs="h", initial=initial, zoneout=0.5, seed=3, activation="linear", bias=False, **options
    )
    program = b.build(h)
    w = np.random.default_rng(0).uniform(0.1, 1, sum(p.size for p in program.parameters))
    states = np.random.default_rng(1).uniform(1, 2, (6, 8))
    inputs = [np.full((6, 1, 1), number), states, *([states] if name == "lstm" else [])]
    with executor_of(executor) as kind:
        y, _, _ = run(kind, program, inputs, None, w)
        inputs[0] = np.full((6, 1, 1), 0.5)
        clean, _, _ = run(kind, program, inputs, None, w)
    held = clean == states
    assert 0.2 < held.mean() < 0.8
    np.testing.assert_array_equal(y[held], states[held])
    assert not np.isfinite(y[~held]).any() or name != "simple_rnn"


# Attention: zeros where nothing may be seen, softmax of what may.


@each_executor
@each_dtype
@pytest.mark.parametrize("keys", [3, 20])
def test_attention(executor: str, dtype: str, keys: int) -> None:
    b = Builder()
    query, value = b.input(None, 1), b.input(None, 1)
    mask = b.mask()
    (context,) = b.attention(query, value, value, masks=(-1, mask), score="dot")
    program = b.build(context)
    q = np.array([1, NAN, INF, -INF, 0], dtype)[None, :, None]
    v = np.linspace(1, 2, keys, dtype=dtype)[None, :, None]
    with executor_of(executor) as kind:
        y, _, _ = run(kind, program, [q, v, np.ones((1, keys), np.int32)])
        none, _, _ = run(kind, program, [q, v, np.zeros((1, keys), np.int32)])
    weights = np.exp(v[0, :, 0].astype(float))
    expected = [np.sum(weights * v[0, :, 0]) / np.sum(weights), NAN, NAN, NAN, 1.5]
    np.testing.assert_allclose(y[0, :, 0], expected, 1e-6)
    np.testing.assert_array_equal(none, 0)


@each_executor
def test_ctc(executor: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 5, 4))
    z[1, 2, 1] = NAN
    z[2, :, 3] = -INF  # a class that cannot be
    labels = np.array([[1, 2], [1, 2], [2, 1]], np.int32)
    b = Builder()
    program = b.build(b.dense(b.input(5, 4), 4, bias=False))
    finite = z[2][:, :3]
    losses = []
    with executor_of(executor) as kind:
        for logits in (z[:1], z[1:2], z[2:], np.concatenate([finite, np.full((5, 1), -1e5)], axis=1)[None]):
            w = np.eye(4)
            x = np.where(np.isfinite(logits), logits, np.where(np.isnan(logits), NAN, -1e5))
            made = kind(program, w.ravel().copy(), np.zeros(16))
            made.configure(Training((Loss("ctc"),), optimizer=Optimizer("sgd")), np.zeros((1, 16)))
            state = np.zeros(2)
            row = labels[[len(losses) if len(losses) < 3 else 2]]
            run_test(made, [x], [row], np.array([0]), batch_size=1, state=state)
            losses.append(state[0])
    assert np.isfinite(losses[0])
    assert np.isnan(losses[1])
    np.testing.assert_allclose(losses[2], losses[3])


# bfloat16: NaN and infinities stay, what is nearer to 2^128 than to the largest number is infinite.


def test_rounding_to_bfloat16() -> None:
    largest = np.float32(3.3895314e38)  # 0x7f7f, the largest bfloat16
    limit = np.float32(3.3961775e38)  # half way to 2^128: a tie, to even
    x = np.array([NAN, -NAN, INF, -INF, np.finfo(np.float32).max, largest, limit, np.nextafter(limit, 0), 0.0, -0.0])
    expected = [NAN, NAN, INF, -INF, INF, largest, INF, largest, 0.0, -0.0]
    found = to_bfloat16(x.astype(np.float32))
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
    np.testing.assert_array_equal(np.signbit(found[2:]), np.signbit(expected[2:]))
    payload = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)  # NaNs that a carry would turn into others
    assert np.isnan(to_bfloat16(payload)).all()


@each_executor
def test_products_of_bfloat16(executor: str) -> None:
    b = Builder()
    (h,) = b.recurrent(
        "simple_rnn", b.input(1, 1), 1, outputs="h", activation="linear", bias=False, products="bfloat16"
    )
    most = np.finfo(np.float32).max
    x = np.array([NAN, INF, -INF, most, -most, 1, 1.00390625, 1.01171875, 0], np.float32).reshape(-1, 1, 1)
    x[0].view(np.uint32)[...] = 0x7F800001
    with executor_of(executor) as kind:
        y, _, _ = run(kind, b.build(h), [x], None, np.array([1.0, 0.0]))
    np.testing.assert_array_equal(y.ravel(), [NAN, INF, -INF, INF, -INF, 1, 1, 1.015625, 0])  # ties to even


# Callbacks.


@pytest.mark.parametrize("number", [NAN, INF, -INF])
@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_terminate_on_what_is_not_finite(number: float, backend: str) -> None:
    model = models.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mae", backend=backend)
    y = np.zeros((8, 1))
    y[4] = number
    seen: list[int] = []

    class Count(TerminateOnNaN):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    model.fit(np.ones((8, 1)), y, batch_size=2, epochs=3, shuffle=False, verbose=0, callbacks=[Count()])
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("module", [functional, reference])
@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_rows_do_not_share_what_is_not_finite(module: Any, name: str) -> None:
    """Each row alone gives the bits it gives beside a row of NaN and one of infinities."""
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[name]
    rng = np.random.default_rng(0)
    call: Callable[..., Any] = getattr(module, name)
    for units in (3, 16, 33):
        kernel, recurrent = rng.normal(size=(2, gates * units)), rng.normal(size=(units, gates * units)) / units
        x = rng.normal(size=(3, 4, 2))
        x[0], x[1] = NAN, INF
        alone = call(x[2:], kernel, recurrent, training=True)
        beside = call(x, kernel, recurrent, training=True)
        assert_close(beside.output[2], alone.output[0])
        dx = module.backward(beside.tape, doutput=np.ones((3, 4, units))).x[2]
        assert_close(dx, module.backward(alone.tape, doutput=np.ones((1, 4, units))).x[0])


# Plain functions are those of NumPy, and of NaN is NaN.


@each_executor
@each_dtype
@pytest.mark.parametrize("function", ["abs", "clip", "cos", "exp", "log", "power", "sin", "sqrt", "square"])
def test_plain_functions(executor: str, dtype: str, function: str) -> None:
    most, least = np.finfo(dtype).max, np.finfo(dtype).tiny
    x = np.array([[NAN, INF, -INF, 0.0, -0.0, most, -most, least, -1.5, 2.0, 88.0, -700.0]], dtype)
    options: dict[str, Any] = {"power": {"exponent": -1.5}, "clip": {"min_value": -1.0, "max_value": 2.0}}
    numpy: dict[str, Callable[[Array], Array]] = {
        "clip": lambda x: np.clip(x, -1, 2),
        "power": lambda x: x ** np.asarray(-1.5, x.dtype),
    }
    b = Builder()
    given = b.input(12)
    program = b.build(b.elementwise("elementwise", given, function=function, **options.get(function, {})))
    with executor_of(executor) as kind:
        y, (dx,), _ = run(kind, program, [x])
    with np.errstate(all="ignore"):
        expected = numpy.get(function, getattr(np, function, np.abs))(x)
    np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps)
    assert np.isnan(dx[0, 0])
