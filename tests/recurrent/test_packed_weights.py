"""`functional.pack`: calls with packed weights are those with the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from special_numbers import DTYPES

from rnncore import _core, functional, reference
from rnncore.functional import PackedWeights

CELLS = ["simple_rnn", "lstm", "gru", "gru_reset_before"]


def weights_of(cell: str, inputs: int, units: int, dtype: Any = np.float32) -> list[Any]:
    facts, rng = _core.cells()[cell], np.random.default_rng(units)
    columns = facts["gates"] * units
    bias = (columns,) if facts["bias_rows"] == 1 else (facts["bias_rows"], columns)
    return [rng.normal(size=size).astype(dtype) / 3 for size in ((inputs, columns), (units, columns), bias)]


def function(cell: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The function of a cell, with what it is told, and what `pack` is told."""
    if cell == "gru_reset_before":
        return functional.gru, {"reset_after": False}, {"cell": "gru", "reset_after": False}
    return getattr(functional, cell), {}, {"cell": cell}


def equal(one: Any, other: Any) -> bool:
    pairs = zip((one.output, *one.state), (other.output, *other.state), strict=True)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_calls_are_those_with_the_arrays(cell: str, dtype: str, level: str) -> None:
    _core.set_isa(level)
    call, told, packing = function(cell)
    rng = np.random.default_rng(0)
    for rows, steps, inputs, units in ((1, 1, 1, 1), (1, 1, 16, 40), (1, 7, 3, 16), (3, 5, 2, 33), (9, 4, 20, 70)):
        arrays = weights_of(cell, inputs, units, dtype)
        packed = functional.pack(*arrays, **packing)
        x = rng.normal(size=(rows, steps, inputs)).astype(dtype)
        h = rng.normal(size=(rows, units)).astype(dtype)
        state = (h, h[::-1].copy())[: _core.cells()[cell]["states"]]
        lengths = rng.integers(0, steps + 1, rows)
        for options in ({}, {"initial_state": state}, {"lengths": lengths, "reverse": True}, {"activation": "relu"}):
            assert equal(call(x, packed, **told, **options), call(x, *arrays, **told, **options))
        no_bias = functional.pack(*arrays[:2], **packing)
        assert equal(call(x, no_bias, **told), call(x, *arrays[:2], **told))


def test_what_is_packed() -> None:
    kernel, recurrent_kernel, bias = weights_of("gru", 3, 5)
    packed = functional.pack(kernel, recurrent_kernel, bias, "gru")
    assert isinstance(packed, PackedWeights)
    assert (packed.cell, packed.inputs, packed.units, packed.dtype) == ("gru", 3, 5, np.float32)
    assert repr(packed) == "<PackedWeights of gru, 3 inputs, 5 units, float32>"
    assert functional.pack(kernel.astype(float), recurrent_kernel, bias, "gru").dtype == np.float64
    with pytest.raises(TypeError):
        PackedWeights()


def test_arrays_are_copied_and_converted() -> None:
    for cell in CELLS:
        call, told, packing = function(cell)
        arrays = weights_of(cell, 3, 20)
        packed, x = functional.pack(*arrays, **packing), np.ones((2, 4, 3))
        expected = call(x.astype(np.float32), *(array.copy() for array in arrays), **told)
        for array in arrays:
            array[...] = 0
        assert equal(call(x, packed, **told), expected)  # x becomes float32, as the weights are
        assert equal(call(x.tolist(), packed, **told), expected)


def test_packed_weights_keep_their_level() -> None:
    arrays = weights_of("lstm", 3, 20)
    packed, x = functional.pack(*arrays), np.ones((1, 4, 3), np.float32)
    before = functional.lstm(x, packed)
    for level in _core.isa_levels():
        _core.set_isa(level)
        assert equal(functional.lstm(x, packed), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": np.ones((3, 7))}, r"kernel: expected shape \(3, 20\)"),
        ({"kernel": np.ones(3)}, "kernel: expected shape"),
        ({"kernel": np.ones((3, 12))}, "kernel: expected shape"),
        ({"recurrent_kernel": np.ones((5, 19))}, "recurrent_kernel: expected shape"),
        ({"bias": np.ones(19)}, "bias: expected shape"),
        ({"cell": "rnn"}, "unknown cell 'rnn'"),
    ],
)
def test_wrong_arrays(arguments: dict[str, Any], message: str) -> None:
    given = dict(zip(("kernel", "recurrent_kernel", "bias"), weights_of("lstm", 3, 5), strict=True))
    with pytest.raises(ValueError, match=message):
        functional.pack(**{**given, **arguments})


def test_wrong_calls() -> None:
    kernel, recurrent_kernel, bias = weights_of("lstm", 3, 5)
    packed, x = functional.pack(kernel, recurrent_kernel, bias), np.ones((2, 4, 3), np.float32)
    for call, message in (
        (lambda: functional.gru(x, packed), "kernel: expected weights packed for 'gru', got those of 'lstm'"),
        (lambda: functional.lstm(x, packed, recurrent_kernel), "recurrent_kernel: expected None"),
        (lambda: functional.lstm(x, packed, bias=bias), "bias: expected None"),
        (lambda: functional.lstm(x, packed, training=True), "training: expected False"),
        (lambda: functional.lstm(x[..., :2], packed), "kernel: expected shape"),
        (lambda: functional.lstm(x, packed, initial_state=(bias, bias)), "initial_state"),
        (lambda: functional.lstm(x, kernel), "recurrent_kernel: expected an array, got None"),
        (lambda: functional.gru(x, functional.pack(*weights_of("gru", 3, 5), "gru"), reset_after=False), "packed for"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="kernel: expected an array, only rnncore.functional reads packed weights"):
        reference.lstm(x, packed)
