"""exp, sigmoid and tanh of the kernels: their errors, in units in the last place, at every level."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnncore import _core

Array = npt.NDArray[Any]

# As cpp/core/math.h states them: the largest error, and where arguments are clamped.
ERROR = {
    ("exp", "float32"): 2,
    ("exp", "float64"): 2,
    ("sigmoid", "float32"): 3,
    ("sigmoid", "float64"): 3,
    ("tanh", "float32"): 4,
    ("tanh", "float64"): 3,
}
RANGE = {
    ("exp", "float32"): (-87.33, 88.37),
    ("exp", "float64"): (-708.39, 709.4),
    ("sigmoid", "float32"): (-87.33, 87.33),
    ("sigmoid", "float64"): (-708.39, 708.39),
    ("tanh", "float32"): (-np.inf, np.inf),
    ("tanh", "float64"): (-np.inf, np.inf),
}
FUNCTIONS = {"exp": _core.exp, "sigmoid": _core.sigmoid, "tanh": _core.tanh}
EXACT = {"exp": np.exp, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(params=_core.isa_levels(), autouse=True)
def _level(request: pytest.FixtureRequest, _same_core: None) -> None:
    _core.set_isa(request.param)


@functools.cache
def sample(dtype: str) -> Array:
    """Finite numbers of every exponent and both signs, and more of them where the functions bend."""
    rng = np.random.default_rng(0)
    bits, exponents, mantissas = (np.int32, 255, 2**13) if dtype == "float32" else (np.int64, 2047, 2**7)
    mantissa_bits = np.finfo(dtype).nmant
    mantissa = np.linspace(0, 2**mantissa_bits - 1, mantissas, dtype=bits)
    spread = rng.integers(0, 2**mantissa_bits, (exponents, mantissas), dtype=bits)
    patterns = np.stack([np.broadcast_to(mantissa, spread.shape), spread]) + (
        np.arange(exponents, dtype=bits)[:, np.newaxis] << mantissa_bits
    )
    positive = np.concatenate([patterns.ravel().view(dtype), *(rng.uniform(0, b, 2**18) for b in (1, 10, 100, 750))])
    return np.concatenate([positive, -positive]).astype(dtype)


@functools.cache
def exact(name: str, dtype: str) -> tuple[Array, Array]:
    """Arguments in range, and the function there in a wider type."""
    low, high = np.array(RANGE[name, dtype], dtype)
    x = sample(dtype)
    x = x[(x >= low) & (x <= high)]
    with np.errstate(over="ignore", under="ignore"):
        return x, EXACT[name](x.astype(np.float64 if dtype == "float32" else np.longdouble))


@each_dtype
@each_function
def test_error_is_as_stated(name: str, dtype: str) -> None:
    x, wanted = exact(name, dtype)
    y = FUNCTIONS[name](x)
    assert y.dtype == dtype
    limits = np.finfo(dtype)
    exponent = np.maximum(np.frexp(wanted)[1], limits.minexp + 1)
    error = np.abs(np.ldexp(y - wanted, limits.nmant + 1 - exponent))
    slack = float(np.finfo(wanted.dtype).eps / limits.eps)  # one unit of the wider type
    worst = int(np.argmax(error))
    assert error[worst] <= ERROR[name, dtype] + slack, f"{error[worst]:.2f} units at {x[worst]!r}"


@each_dtype
@each_function
def test_arguments_are_clamped(name: str, dtype: str) -> None:
    low, high = np.array(RANGE[name, dtype], dtype)
    x = sample(dtype)
    below, above = (
        FUNCTIONS[name](np.append(outside, bound)) for outside, bound in ((x[x < low], low), (x[x > high], high))
    )
    assert np.array_equal(below, np.full_like(below, below[-1]))
    assert np.array_equal(above, np.full_like(above, above[-1]))


@each_dtype
def test_infinities(dtype: str) -> None:
    x = np.array([-np.inf, np.inf], dtype)
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    assert np.array_equal(_core.tanh(x), [-1, 1])
    for y, one in ((_core.exp(x), huge), (_core.sigmoid(x), 1)):
        assert tiny <= y[0] < 1.01 * tiny
        assert 0.5 * one < y[1] <= one
    assert _core.sigmoid(x)[1] == 1


@each_dtype
@each_function
def test_nan_stays_nan(name: str, dtype: str) -> None:
    x = np.zeros(40, dtype)
    x[::3] = np.nan
    x[1::6] = -np.nan
    assert np.array_equal(np.isnan(FUNCTIONS[name](x)), np.isnan(x))


@each_dtype
def test_zero_is_exact(dtype: str) -> None:
    x = np.array([0.0, -0.0], dtype)
    assert np.array_equal(_core.exp(x), [1, 1])
    assert np.array_equal(_core.sigmoid(x), [0.5, 0.5])
    assert np.array_equal(np.signbit(_core.tanh(x)), [False, True])


@each_dtype
def test_values_stay_in_range(dtype: str) -> None:
    x = sample(dtype)
    y = _core.sigmoid(x)
    assert y.min() > 0
    assert y.max() <= 1
    y = _core.tanh(x)
    assert np.abs(y).max() <= 1
    assert np.array_equal(_core.tanh(-x), -y)


@each_dtype
@each_function
def test_a_value_does_not_depend_on_its_place(name: str, dtype: str) -> None:
    x = np.random.default_rng(1).normal(scale=5, size=70).astype(dtype)
    whole = FUNCTIONS[name](x)
    for size in range(len(x)):
        assert np.array_equal(FUNCTIONS[name](x[:size]), whole[:size])
        assert np.array_equal(FUNCTIONS[name](x[size:].copy()), whole[size:])
