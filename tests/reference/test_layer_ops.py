"""Noise, normalization, convolution and pooling of the reference executor against finite differences and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from single_nodes import MASK, SEED, STEP, check_gradients, one_node

from rnncore.reference import Executor

SEQUENCE = ("x", (None, None, 3), "float")
WINDOWS = [("valid", 1, 1), ("valid", 2, 1), ("same", 1, 2), ("same", 2, 1), ("causal", 1, 2), ("causal", 3, 1)]


def slot(mask: Any) -> tuple[tuple[str, tuple[int | None, ...], str], list[Any], Any]:
    """The declaration of a mask slot, the inputs it adds and the lengths."""
    if mask is None:
        return ("absent", (None,), "int"), [], None
    array = np.array(mask, np.int32)
    return (
        (("mask", (None, None), "int"), [array], None) if array.ndim == 2 else (("lengths", (None,), "int"), [], array)
    )


MASKS = {"full": None, "lengths": [4, 0, 2, 1, 3, 4], "mask": MASK}


@pytest.mark.parametrize(("padding", "strides", "dilation"), WINDOWS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("size", [1, 2])
def test_conv1d(padding: str, strides: int, dilation: int, mask: Any, size: int) -> None:
    declared, added, lengths = slot(mask)
    attributes = {"padding": padding, "strides": strides, "dilation_rate": dilation, "activation": "tanh"}
    program = one_node("conv1d", [SEQUENCE, declared], 1, [(size, 3, 2), (2,)], attributes)
    node = program.nodes[0]
    object.__setattr__(node, "outputs", (*node.outputs, -1))
    check_gradients(program, [np.random.default_rng(1).normal(size=(6, 4, 3)), *added], lengths)


@pytest.mark.parametrize(("padding", "strides"), [("valid", 1), ("valid", 3), ("same", 2), ("same", 1)])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pool1d(padding: str, strides: int, mask: Any, kind: str) -> None:
    declared, added, lengths = slot(mask)
    attributes = {"padding": padding, "strides": strides, "pool_size": 2, "kind": kind}
    program = one_node("pool1d", [SEQUENCE, declared], 1, [], attributes)
    node = program.nodes[0]
    object.__setattr__(node, "outputs", (*node.outputs, -1))
    check_gradients(program, [np.random.default_rng(2).normal(size=(6, 4, 3)), *added], lengths)
    program = one_node("global_pool1d", [SEQUENCE, declared], 1, [], {"kind": kind})
    check_gradients(program, [np.random.default_rng(2).normal(size=(6, 4, 3)), *added], lengths)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("attributes", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_batch_normalization(mask: Any, attributes: dict[str, Any]) -> None:
    declared, added, lengths = slot(mask)
    count = 4 - ("scale" in attributes) - ("center" in attributes)
    program = one_node("batch_normalization", [SEQUENCE, declared], 1, [(3,)] * count, attributes)
    check_gradients(program, [np.random.default_rng(3).normal(size=(6, 4, 3)), *added], lengths)


def test_frozen_batch_normalization_takes_the_moving_statistics() -> None:
    program = one_node("batch_normalization", [SEQUENCE, slot(None)[0]], 1, [(3,)] * 4, {"frozen": True})
    rng = np.random.default_rng(3)
    x, dy, weights, gradients = (
        rng.normal(size=(6, 4, 3)),
        rng.normal(size=(6, 4, 3)),
        rng.uniform(size=12),
        np.ones(12),
    )
    before = weights.copy()
    gamma, beta, mean, variance = before.reshape(4, 3)
    executor = Executor(program, weights, gradients)
    (y,) = executor.forward([x], training=True)
    (dx,) = executor.backward([dy])
    normal = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_array_equal(weights, before)
    np.testing.assert_allclose(y, normal * gamma + beta)
    np.testing.assert_allclose(dx, dy * gamma / np.sqrt(variance + 1e-3))
    expected = [*(dy * normal).sum(axis=(0, 1)), *dy.sum(axis=(0, 1)), *[0.0] * 6]
    np.testing.assert_allclose(gradients, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4)])
@pytest.mark.parametrize("attributes", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
def test_layer_normalization(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    count = 2 - ("scale" in attributes) - ("center" in attributes)
    inputs = [("x", (None,) * (len(shape) - 1) + (4,), "float")]
    program = one_node("layer_normalization", inputs, 1, [(4,)] * count, attributes)
    check_gradients(program, [np.random.default_rng(4).normal(size=shape)])


NOISES: list[dict[str, Any]] = [
    {"kind": "gaussian_noise", "stddev": 0.5},
    {"kind": "gaussian_dropout", "rate": 0.2},
    {"kind": "alpha_dropout", "rate": 0.2},
]


@pytest.mark.parametrize("attributes", NOISES, ids=lambda attributes: str(attributes["kind"]))
def test_noise(attributes: dict[str, Any]) -> None:
    program = one_node("noise", [SEQUENCE], 1, [], {**attributes, "seed": 5})
    check_gradients(program, [np.random.default_rng(4).normal(size=(2, 3, 3))])
    executor = Executor(program, np.ones(0), np.ones(0))
    x = np.random.default_rng(5).normal(size=(200, 100, 3))
    (y,) = executor.forward([x], training=True, seed=SEED, step=STEP)
    spread = {"gaussian_noise": np.sqrt(1.25), "gaussian_dropout": np.sqrt(1.25), "alpha_dropout": 1.0}
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - spread[attributes["kind"]]) < 0.02
    assert not np.array_equal(executor.forward([x], training=True, seed=SEED, step=STEP + 1)[0], y)
    np.testing.assert_array_equal(executor.forward([x])[0], x)


def test_normal_numbers_are_normal_and_do_not_depend_on_how_many_there_are() -> None:
    program = one_node("noise", [("x", (None,), "float")], 1, [], {"kind": "gaussian_noise", "stddev": 1.0})
    executor = Executor(program, np.ones(0), np.ones(0))
    (y,) = executor.forward([np.zeros(200_001)], training=True)
    moments = [np.mean(y**k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.05)
    assert abs(np.mean(y[:-1:2] * y[1::2])) < 0.02
    np.testing.assert_array_equal(executor.forward([np.zeros(7)], training=True)[0], y[:7])


@pytest.mark.parametrize("axes", [[0], [1], [2], [0, 2], [1, 2]])
def test_dropout_with_shared_axes(axes: list[int]) -> None:
    program = one_node("dropout", [("x", (None, None, 20), "float")], 1, [], {"rate": 0.4, "shared_axes": axes})
    (y,) = Executor(program, np.ones(0), np.ones(0)).forward([np.ones((40, 30, 20))], training=True)
    first = y
    for axis in axes:
        first = np.take(first, [0], axis)
    np.testing.assert_array_equal(y, np.broadcast_to(first, y.shape))
    assert abs(np.mean(first == 0) - 0.4) < 0.15


def test_moving_statistics_move_in_training_alone() -> None:
    program = one_node("batch_normalization", [SEQUENCE, slot(None)[0]], 1, [(3,)] * 4, {"momentum": 0.75})
    weights = np.array([1.0, 1, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6])
    before, x = weights.copy(), np.random.default_rng(6).normal(size=(5, 4, 3))
    executor = Executor(program, weights, np.zeros(12))
    executor.forward([x])
    np.testing.assert_array_equal(weights, before)
    executor.forward([x], training=True)
    np.testing.assert_allclose(weights[6:9], 0.75 * before[6:9] + 0.25 * x.mean(axis=(0, 1)))
    np.testing.assert_allclose(weights[9:], 0.75 * before[9:] + 0.25 * x.var(axis=(0, 1)))
