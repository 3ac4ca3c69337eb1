"""The compiled executor against the reference: outputs and gradients of single passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_zoo import PROGRAMS, SAMPLES, Array, Builder, random_inputs, random_parameters
from tolerance import assert_all_close, assert_close, assert_threads_agree

from rnncore import _core, reference
from rnncore.program import Program

DTYPES = [np.float32, np.float64]


def passes(
    executor_class: Any, program: Program, dtype: Any, samples: int = SAMPLES
) -> tuple[list[Array], list[Any], Array]:
    """Outputs, input gradients and parameter gradients of a forward and a backward pass."""
    parameters = random_parameters(program, dtype)
    gradients = np.full_like(parameters, 7)
    executor = executor_class(program, parameters, gradients)
    inputs, lengths = random_inputs(program, samples, dtype)
    outputs = executor.forward(inputs, lengths, training=True, seed=2**40 + 5, step=3)
    rng = np.random.default_rng(8)
    input_gradients = executor.backward([rng.normal(size=y.shape).astype(dtype) for y in outputs])
    return outputs, input_gradients, gradients


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_passes_match_the_reference(name: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    program = PROGRAMS[name]()
    outputs, input_gradients, gradients = passes(_core.Executor, program, dtype)
    expected = passes(reference.Executor, program, dtype)
    for actual, wanted in zip(outputs, expected[0], strict=True):
        assert actual.dtype == dtype
        assert_close(actual, wanted)
    for actual, wanted in zip(input_gradients, expected[1], strict=True):
        if wanted is None:
            assert actual is None or not actual.any()
        else:
            assert_close(actual, wanted)
    for parameter in program.parameters:
        window = slice(parameter.offset, parameter.offset + parameter.size)
        assert_close(gradients[window], expected[2][window])


@pytest.mark.parametrize("name", PROGRAMS)
def test_inference_matches_the_reference(name: str) -> None:
    program = PROGRAMS[name]()
    parameters = random_parameters(program, np.float64)
    inputs, lengths = random_inputs(program, SAMPLES, np.float64)
    executors = [kind(program, parameters, np.zeros_like(parameters)) for kind in (_core.Executor, reference.Executor)]
    for given in {id(lengths): lengths, id(None): None}.values():
        compiled, expected = (executor.forward(inputs, given) for executor in executors)
        assert_all_close(compiled, expected)


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_forward_gives_the_masks_of_outputs(kind: Any, training: bool, ragged: bool) -> None:
    b = Builder()
    x, lengths = b.input(None, 3), b.lengths_value()
    y, made = b.value(None, 3), b.value(None, dtype="int")
    b.node("masking", (x, lengths), (y, made), (), mask_value=0.5)
    (sequence,) = b.recurrent("gru", y, 4, mask=made)
    program = b.build(sequence, b.dense(sequence, 2), y, masks=(made, -1, lengths))
    parameters = random_parameters(program, np.float32)
    rng = np.random.default_rng(4)
    values = rng.normal(size=(6, 5, 3)).astype(np.float32)
    hidden = rng.uniform(size=(6, 5)) < 0.3
    values[hidden] = 0.5
    counts = np.array([5, 0, 3, 1, 4, 2], np.int32)
    valid = np.arange(5) < counts[:, None] if ragged else np.ones((6, 5), bool)
    executor = kind(program, parameters, np.zeros_like(parameters))
    given = counts if ragged else None
    *outputs, own, none, padding = executor.forward([values], given, training=training, masks=True)
    assert own.dtype == np.int32
    assert np.array_equal(own, valid & ~hidden)
    assert none is None
    assert np.array_equal(padding, valid) if ragged else padding is None
    plain = executor.forward([values], given, training=training)
    assert all(np.array_equal(a, b) for a, b in zip(outputs, plain, strict=True))


@pytest.mark.parametrize("given", [{1}, {3}, {0, 2}, {0, 3}])
@pytest.mark.parametrize("name", ["shared", "repeated"])
def test_backward_takes_absent_gradients(name: str, given: set[int]) -> None:
    program = PROGRAMS[name]()
    parameters = random_parameters(program, np.float64)
    inputs, _ = random_inputs(program, SAMPLES, np.float64)
    results = []
    for kind in (_core.Executor, reference.Executor):
        gradients = np.full_like(parameters, 7)
        executor = kind(program, parameters, gradients)
        outputs = executor.forward(inputs, training=True)
        executor.backward([y if number in given else None for number, y in enumerate(outputs)])
        results.append(gradients)
    assert_close(*results)


@pytest.mark.parametrize("samples", [2, SAMPLES, 100])
@pytest.mark.parametrize("name", PROGRAMS)
def test_any_number_of_threads_gives_the_same_bits(name: str, samples: int) -> None:
    program = PROGRAMS[name]()

    def run() -> list[Array]:
        outputs, dinputs, gradients = passes(_core.Executor, program, np.float32, samples)
        return [*outputs, *dinputs, gradients]

    assert_threads_agree(run)


@pytest.mark.parametrize("name", PROGRAMS)
def test_zero_rows(name: str) -> None:
    program = PROGRAMS[name]()
    parameters = random_parameters(program, np.float32)
    gradients = np.ones_like(parameters)
    executor = _core.Executor(program, parameters, gradients)
    inputs, lengths = random_inputs(program, 0, np.float32)
    outputs = executor.forward(inputs, lengths, training=True)
    assert [y.shape[0] for y in outputs] == [0] * len(outputs)
    executor.backward(outputs)
    for parameter in program.parameters:
        window = gradients[parameter.offset : parameter.offset + parameter.size]
        assert (window == (0 if parameter.trainable else 1)).all()
