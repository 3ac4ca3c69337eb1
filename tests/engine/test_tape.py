"""What backward reads later is its own: arrays changed after the forward pass do not matter, or raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict
from executor_zoo import PROGRAMS, SAMPLES, random_inputs, random_parameters
from small_models import BACKENDS, Array

from rnncore import _core, functional, layers, models, reference

N, T, I, H = 4, 6, 3, 5
CELLS: list[tuple[str, dict[str, Any], int, int]] = [  # name, options, gates, states
    ("simple_rnn", {}, 1, 1),
    ("lstm", {}, 4, 2),
    ("gru", {}, 3, 1),
    ("gru", {"reset_after": False}, 3, 1),
]
WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "reversed": {"reverse": True},
    "lengths": {"lengths": [6, 0, 3, 1]},
    "lengths reversed": {"lengths": [2, 6, 3, 1], "reverse": True},
}
EXECUTORS = [_core.Executor, reference.Executor]


class Call:
    """A call with arrays that are the test's own, and a loss of its results: the sum of each times random factors."""

    def __init__(self, module: Any, cell: tuple[str, dict[str, Any], int, int], way: dict[str, Any], rows: int) -> None:
        name, self.options, gates, states = cell
        rng = np.random.default_rng([gates, len(self.options), rows])
        self.function: Callable[..., Any] = getattr(module, name)
        bias = (2, gates * H) if name == "gru" and not self.options else (gates * H,)
        shapes = [(rows, T, I), (I, gates * H), (H, gates * H), bias, *[(rows, H)] * states]
        self.arrays: list[Array] = [rng.normal(size=shape) * 0.5 for shape in shapes]
        self.lengths = np.array(way["lengths"][:rows], np.int32) if "lengths" in way else None
        self.reverse = way.get("reverse", False)
        self.doutput: Array = rng.normal(size=(rows, T, H))
        self.dstate = [rng.normal(size=(rows, H)) for _ in range(states)]

    def run(self, arrays: list[Array] | None = None, training: bool = False) -> Any:
        x, kernel, recurrent_kernel, bias, *state = self.arrays if arrays is None else arrays
        keywords = {**self.options, "lengths": self.lengths, "reverse": self.reverse, "training": training}
        return self.function(x, kernel, recurrent_kernel, bias, initial_state=tuple(state), **keywords)

    def loss(self, arrays: list[Array]) -> float:
        output, state, _ = self.run(arrays)
        return float(
            np.sum(output * self.doutput) + sum(np.sum(a * b) for a, b in zip(state, self.dstate, strict=True))
        )

    def slopes(self) -> list[float]:
        """By array, the derivative of the loss along a random direction, from differences."""
        found = []
        for number, array in enumerate(self.arrays):
            step = 1e-5 * direction(array)
            sides = []
            for sign in (1, -1):
                moved = list(self.arrays)
                moved[number] = array + sign * step
                sides.append(self.loss(moved))
            found.append((sides[0] - sides[1]) / 2e-5)
        return found


def direction(array: Array) -> Array:
    return np.random.default_rng(array.shape).normal(size=array.shape)


@pytest.mark.parametrize("module", [functional, reference], ids=["compiled", "reference"])
@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0]}-{cell[1]}")
def test_arguments_may_change_before_backward(
    cell: tuple[str, dict[str, Any], int, int], way: dict[str, Any], rows: int, module: Any
) -> None:
    call = Call(module, cell, way, rows)
    expected, directions = call.slopes(), [direction(array) for array in call.arrays]
    result = call.run(training=True)
    for array in call.arrays:
        array[...] = np.nan
    if call.lengths is not None:
        call.lengths[:] = 50
    gradients = module.backward(result.tape, call.doutput, tuple(call.dstate))
    named = [gradients.x, gradients.kernel, gradients.recurrent_kernel, gradients.bias, *gradients.initial_state]
    found = [np.sum(gradient * along) for gradient, along in zip(named, directions, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("module", [functional, reference], ids=["compiled", "reference"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0]}-{cell[1]}")
def test_the_output_is_read_only_where_backward_reads_it(
    cell: tuple[str, dict[str, Any], int, int], way: dict[str, Any], module: Any
) -> None:
    call = Call(module, cell, way, N)
    call.run().output[...] *= 2  # nobody reads it later
    result = call.run(training=True)
    output = result.output
    with pytest.raises(ValueError, match="read-only"):
        output *= 2
    with pytest.raises(ValueError, match="read-only"):
        output[0, 0, 0] = 1
    for state in result.state:
        state[...] = np.nan
    own = output.copy()
    own *= 2
    gradients = module.backward(result.tape, call.doutput, tuple(call.dstate))
    expected = module.backward(call.run(training=True).tape, call.doutput, tuple(call.dstate))
    assert np.array_equal(gradients.recurrent_kernel, expected.recurrent_kernel)


def test_the_output_stays_read_only() -> None:
    output = functional.simple_rnn(np.ones((2, 3, 1)), [[1.0]], [[0.5]], training=True).output
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        output.flags.writeable = True


@pytest.mark.parametrize("size", [(1, 50, 4, 16), (3, 40, 300, 70), (64, 3, 8, 300)])
def test_arguments_may_change_in_calls_of_many_threads(size: tuple[int, int, int, int]) -> None:
    rows, steps, inputs, units = size
    rng = np.random.default_rng(0)
    _core.set_num_threads(2, always=True)
    for strides in ("batch first", "time first", "every second"):
        x = rng.normal(size=(rows, steps, inputs))
        if strides == "time first":
            x = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
        if strides == "every second":
            x = np.repeat(x, 2, axis=1)[:, ::2]
        kernel, recurrent = rng.normal(size=(inputs, 4 * units)), rng.normal(size=(units, 4 * units)) / units
        dy = rng.normal(size=(rows, steps, units))
        expected = functional.backward(functional.lstm(x, kernel, recurrent, training=True).tape, dy)
        result = functional.lstm(x, kernel, recurrent, training=True)
        for array in (x, kernel, recurrent):
            array[...] = np.nan
        found = functional.backward(result.tape, dy)
        for name in ("x", "kernel", "recurrent_kernel"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), (strides, name)


# Executors and models


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", ["words", "masked", "states", "merged", "attention", "ragged", "normalized"])
def test_inputs_and_outputs_of_a_pass_may_change(name: str, executor: Any) -> None:
    program = PROGRAMS[name]()
    parameters = random_parameters(program, np.float64)
    found = []
    for spoil in (False, True):
        gradients = np.zeros_like(parameters)
        inputs, lengths = random_inputs(program, SAMPLES, np.float64)
        runner = executor(program, parameters, gradients)
        outputs = runner.forward(inputs, lengths, training=True, seed=3)
        dy = [np.cos(np.arange(output.size)).reshape(output.shape) for output in outputs]
        if spoil:
            for array in (*inputs, *outputs, *([] if lengths is None else [lengths])):
                array[...] = -7
        found.append([gradients, *(dx for dx in runner.backward(dy) if dx is not None)])
    for expected, actual in zip(*found, strict=True):
        assert np.array_equal(actual, expected)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_backward_refuses_weights_that_changed(executor: Any) -> None:
    program = PROGRAMS["lstm"]()
    used = random_parameters(program, np.float64)
    parameters = np.append(used, 1.0)  # another model's behind them
    gradients = np.zeros_like(parameters)
    inputs, lengths = random_inputs(program, SAMPLES, np.float64)
    runner = executor(program, parameters, gradients)
    for place, refused in ((used.size, False), (0, True), (used.size - 1, True)):
        (output,) = runner.forward(inputs, lengths, training=True)
        parameters[place] += 1e-9
        if not refused:
            runner.backward([output])
            continue
        with pytest.raises(ValueError, match="weights have changed since the forward pass"):
            runner.backward([output])
        assert runner.forward(inputs, lengths, training=True)[0].shape == output.shape
        runner.backward([output])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_backward_follows_one_forward_pass(executor: Any) -> None:
    program = PROGRAMS["lstm"]()
    parameters = random_parameters(program, np.float64)
    inputs, lengths = random_inputs(program, SAMPLES, np.float64)
    gradients = np.zeros_like(parameters)
    runner = executor(program, parameters, gradients)
    (output,) = runner.forward(inputs, lengths, training=True)
    runner.backward([output])
    expected = gradients.copy()
    with pytest.raises(ValueError, match="expected a forward pass"):
        runner.backward([output])
    runner.forward(inputs, lengths, training=True)
    run_predict(runner, inputs, np.arange(SAMPLES), batch_size=4, outputs=[np.empty_like(output)], lengths=lengths)
    gradients[...] = 0
    runner.backward([output])  # a prediction between them changes nothing
    np.testing.assert_array_equal(gradients, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_refuses_backward_after_its_weights_changed(backend: str) -> None:
    model = models.Sequential([layers.Input((T, I)), layers.GRU(H), layers.Dense(2)])
    model.compile("sgd", backend=backend)
    x = np.random.default_rng(0).normal(size=(N, T, I)).astype(np.float32)

    def differ(change: Callable[[], Any]) -> None:
        y = model.forward(x, training=True)
        change()
        with pytest.raises(ValueError, match="weights have changed"):
            model.backward(np.ones_like(y))

    differ(lambda: model.set_weights([w + 1 for w in model.get_weights()]))
    y = model.forward(x, training=True)
    model.backward(np.ones_like(y))
    differ(model.apply_gradients)
    y = model.forward(x, training=True)
    model.set_weights(model.get_weights())  # the same
    x[...] = np.nan
    assert np.isfinite(model.backward(np.ones_like(y))).all()
