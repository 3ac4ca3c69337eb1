"""Arguments of the recurrent functions: what is accepted, what is refused, and what the error says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnncore import functional, reference
from rnncore._sequence_arguments import gradient_arguments, sequence_arguments

N, T, FEATURES, H = 2, 3, 4, 5


def lstm_arguments(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arguments = {
        "x": rng.normal(size=(N, T, FEATURES)),
        "kernel": rng.normal(size=(FEATURES, 4 * H)),
        "recurrent_kernel": rng.normal(size=(H, 4 * H)),
        "bias": rng.normal(size=4 * H),
        "initial_state": (rng.normal(size=(N, H)), rng.normal(size=(N, H))),
        "lengths": np.array([3, 1], np.int32),
    }
    return {**arguments, **changes}


def check(**changes: Any) -> Any:
    return sequence_arguments(**lstm_arguments(**changes), gates=4, states=2)


def test_right_arrays_pass_without_a_copy() -> None:
    arguments = lstm_arguments()
    arguments["x"] = arguments["x"].transpose(2, 1, 0).copy().transpose(2, 1, 0)
    arguments["x"].flags.writeable = False
    checked = sequence_arguments(**arguments, gates=4, states=2)
    for name in ("x", "kernel", "recurrent_kernel", "bias", "lengths"):
        assert getattr(checked, name) is arguments[name]
    assert checked.initial_state[1] is arguments["initial_state"][1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.int8, np.float32),
        (np.int64, np.float32),
        (np.bool_, np.float32),
        (np.longdouble, np.float64),
        (">f4", np.float32),
        (">f8", np.float64),
    ],
)
def test_every_array_takes_the_floating_dtype_of_x(given: Any, expected: Any) -> None:
    x = np.arange(N * T * FEATURES).reshape(N, T, FEATURES).astype(given)
    checked = check(x=x)
    np.testing.assert_array_equal(checked.x, x.astype(expected))
    for array in (checked.x, checked.kernel, checked.recurrent_kernel, checked.bias, *checked.initial_state):
        assert array.dtype == expected
        assert array.dtype.isnative


def test_lists_and_absent_arguments() -> None:
    arguments = lstm_arguments()
    checked = check(x=arguments["x"].tolist(), bias=None, lengths=[1.0, 0.0], initial_state=None)
    np.testing.assert_array_equal(checked.x, arguments["x"])
    assert checked.bias is None
    assert checked.lengths.dtype == np.int32
    assert [part.shape for part in checked.initial_state] == [(N, H), (N, H)]
    assert not np.any(checked.initial_state)
    half = check(initial_state=[None, np.ones((N, H))]).initial_state
    assert not half[0].any()
    assert half[1].all()


def test_one_state_needs_no_tuple() -> None:
    x, kernel, recurrent_kernel = np.ones((1, 2, 1)), [[1.0]], [[1.0]]
    states = ([[2.0]], np.array([[2.0]]), ([[2.0]],), (np.array([[2.0]]),))
    outputs = [reference.simple_rnn(x, kernel, recurrent_kernel, initial_state=state).output for state in states]
    assert np.ptp(outputs, axis=0).max() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones((N, FEATURES))}, r"x: expected 3 axes .*got shape \(2, 4\)"),
        ({"x": np.ones((N, 0, FEATURES))}, r"x: expected at least one time step .*\(2, 0, 4\)"),
        ({"x": np.ones((N, T, 0))}, r"x: expected at least one .* feature, got shape \(2, 3, 0\)"),
        ({"x": [[[1.0], [2.0, 3.0]]]}, r"x must be one rectangular array"),
        ({"x": np.ones((N, T, FEATURES + 1))}, r"kernel: expected shape \(5, 20\) for 5 feature.*got \(4, 20\)"),
        ({"kernel": np.ones((FEATURES, 3 * H))}, r"kernel: expected shape \(4, 20\).*got \(4, 15\)"),
        ({"recurrent_kernel": np.ones((H, 3 * H))}, r"recurrent_kernel: expected shape \(5, 20\).*got \(5, 15\)"),
        ({"recurrent_kernel": np.ones((0, 0))}, r"recurrent_kernel: .*at least one unit, got \(0, 0\)"),
        ({"recurrent_kernel": np.ones(H)}, r"recurrent_kernel: expected shape \(units, 4·units\)"),
        ({"bias": np.ones((2, 4 * H))}, r"bias: expected shape \(20,\) .*got \(2, 20\)"),
        ({"initial_state": np.ones((N, H))}, r"initial_state: expected 2 array\(s\) .*got 1"),
        ({"initial_state": (np.ones((N, H)), np.ones((N, 1)))}, r"initial_state\[1\]: expected shape \(2, 5\), got"),
        ({"lengths": [1]}, r"lengths: expected shape \(2,\), one per row of x, got \(1,\)"),
        ({"lengths": [1, 4]}, r"lengths: expected values from 0 to 3"),
        ({"lengths": [-1, 3]}, r"lengths: expected values from 0 to 3"),
        ({"lengths": [1.0, np.nan]}, r"lengths: expected whole numbers, got nan"),
        ({"lengths": [1.0, 2.5]}, r"lengths: expected whole numbers, got 2\.5"),
        ({"lengths": [1.0, np.inf]}, r"lengths: expected values from 0 to 3"),
    ],
)
def test_wrong_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones((N, T, FEATURES), complex)}, "x: expected real numbers, got dtype complex128"),
        ({"x": np.ones((N, T, FEATURES), object)}, "x: expected real numbers, got dtype object"),
        ({"kernel": np.full((FEATURES, 4 * H), "a")}, "kernel: expected real numbers, got dtype <U1"),
        ({"bias": "bias"}, "bias: expected real numbers"),
        ({"initial_state": (None, np.ones((N, H), complex))}, r"initial_state\[1\]: expected real numbers"),
        ({"lengths": [True, False]}, "lengths: expected integers, got dtype bool"),
        ({"lengths": ["1", "2"]}, "lengths: expected integers, got dtype <U1"),
    ],
)
def test_wrong_types(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check(**changes)


def test_wrong_gradients() -> None:
    shape, dtype = (N, T, H), np.dtype(np.float64)
    with pytest.raises(ValueError, match=r"doutput: expected the shape of the output \(2, 3, 5\), got \(2, 3\)"):
        gradient_arguments(np.ones((N, T)), None, sizes=(H,), shape=shape, dtype=dtype)
    with pytest.raises(ValueError, match=r"dstate\[0\]: expected shape \(2, 5\), got \(5, 2\)"):
        gradient_arguments(None, np.ones((H, N)), sizes=(H,), shape=shape, dtype=dtype)
    with pytest.raises(TypeError, match="doutput: expected real numbers"):
        gradient_arguments(np.ones(shape, complex), None, sizes=(H,), shape=shape, dtype=dtype)


def test_split_bias() -> None:
    x, kernel, recurrent_kernel = np.ones((1, 1, 1)), np.ones((1, 3)), np.ones((1, 3))
    with pytest.raises(ValueError, match=r"bias: expected shape \(2, 3\) .*got \(3,\)"):
        reference.gru(x, kernel, recurrent_kernel, np.ones(3))
    with pytest.raises(ValueError, match=r"bias: expected shape \(3,\) .*got \(2, 3\)"):
        reference.gru(x, kernel, recurrent_kernel, np.ones((2, 3)), reset_after=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_stride_of_an_axis_of_one_element_says_nothing(axis: int, dtype: Any) -> None:
    sizes = [3, 4, 2]
    sizes[axis] = 1
    rng = np.random.default_rng(axis)
    x, dy = rng.normal(size=sizes).astype(dtype), rng.normal(size=(*sizes[:2], 5)).astype(dtype)
    kernel, recurrent_kernel = rng.normal(size=(sizes[2], 15)).astype(dtype), rng.normal(size=(5, 15)).astype(dtype)

    def odd(array: Any) -> Any:
        strides = [-16 if size == 1 else stride for size, stride in zip(array.shape, array.strides, strict=True)]
        return np.lib.stride_tricks.as_strided(array, strides=strides)

    plain, strange = (
        functional.gru(array, kernel, recurrent_kernel, lengths=lengths, training=True)
        for array, lengths in ((x, None), (odd(x), None))
    )
    assert np.array_equal(plain.output, strange.output)
    for a, b in zip(functional.backward(plain.tape, dy), functional.backward(strange.tape, odd(dy)), strict=True):
        if a is not None:
            assert np.array_equal(a, b)


def test_features_that_were_an_axis_of_one_element() -> None:
    x = np.random.default_rng(0).normal(size=(6, 1, 7)).astype(np.float32).swapaxes(1, 2)  # (6, 7, 1)
    kernel, recurrent_kernel = np.ones((1, 4), np.float32), np.eye(4, dtype=np.float32)
    expected = functional.simple_rnn(x.copy(), kernel, recurrent_kernel).output
    assert np.array_equal(functional.simple_rnn(x, kernel, recurrent_kernel).output, expected)
