"""Every recurrent cell of the reference against finite differences and its own invariants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from activation_zoo import EVERY
from tolerance import FINITE_DIFFERENCES, Array, assert_all_close, assert_close, numerical_gradient

from rnncore import reference
from rnncore._sequence_arguments import SequenceResult

N, T, FEATURES, H = 3, 4, 2, 2
LENGTHS = np.array([2, 0, 4])


@dataclass(frozen=True)
class Case:
    function: Callable[..., SequenceResult]
    gates: int
    states: int = 1
    bias_rows: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.function.__name__, *(str(value) for value in self.options.values())])

    def draw(self, seed: int, bias: bool = True, rows: int = N) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        columns = self.gates * H
        arrays = {
            "x": rng.normal(size=(rows, T, FEATURES)),
            "kernel": rng.normal(scale=0.4, size=(FEATURES, columns)),
            "recurrent_kernel": rng.normal(scale=0.4, size=(H, columns)),
            "initial_state": tuple(rng.normal(size=(rows, H)) for _ in range(self.states)),
        }
        if bias:
            arrays["bias"] = rng.normal(size=columns if self.bias_rows == 1 else (2, columns))
        if "exponential" in self.options.values():  # whose growth would be too much for differences
            for array in (arrays["x"], *arrays["initial_state"], arrays["recurrent_kernel"], arrays.get("bias", 0)):
                array *= 0.3
        return arrays


def cases() -> list[Case]:
    pairs = [("tanh", "sigmoid")]
    pairs += [(name, "sigmoid") for name in EVERY if name != "tanh"]
    pairs += [("tanh", name) for name in EVERY if name != "sigmoid"]
    found = [Case(reference.simple_rnn, 1, options={"activation": name}) for name in EVERY]
    for activation, recurrent_activation in pairs:
        names = {"activation": activation, "recurrent_activation": recurrent_activation}
        found += [
            Case(reference.lstm, 4, states=2, options=names),
            Case(reference.gru, 3, bias_rows=2, options={**names, "reset_after": True}),
            Case(reference.gru, 3, options={**names, "reset_after": False}),
        ]
    return found


CASES = cases()
DEFAULTS = [
    case
    for case in CASES
    if case.options["activation"] == "tanh" and case.options.get("recurrent_activation", "sigmoid") == "sigmoid"
]

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_default = pytest.mark.parametrize("case", DEFAULTS, ids=str)
each_direction = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
each_lengths = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])


def check_gradients(
    case: Case, arguments: dict[str, Any], options: dict[str, Any], doutput: Array | None, dstate: Any
) -> None:
    def loss() -> float:
        result = case.function(**arguments, **options)
        total = 0.0 if doutput is None else float(np.sum(result.output * doutput))
        if dstate is not None:
            total += sum(float(np.sum(part * d)) for part, d in zip(result.state, dstate, strict=True) if d is not None)
        return total

    tape = case.function(**arguments, **options, training=True).tape
    gradients = reference.backward(tape, doutput, dstate)
    for name, array in arguments.items():
        parts = [(array, getattr(gradients, name))]
        if name == "initial_state":
            parts = list(zip(array, gradients.initial_state, strict=True))
        for part, gradient in parts:
            assert_close(gradient, numerical_gradient(loss, part), FINITE_DIFFERENCES)


@each_case
@each_direction
@each_lengths
def test_gradients(case: Case, reverse: bool, lengths: Array | None) -> None:
    rng = np.random.default_rng(7)
    doutput = rng.normal(size=(N, T, H))
    dstate = tuple(rng.normal(size=(N, H)) for _ in range(case.states))
    options = {**case.options, "reverse": reverse, "lengths": lengths}
    # a draw on which relu and hard_sigmoid stay clear of their kinks
    check_gradients(case, case.draw(seed=24), options, doutput, dstate)


@each_default
def test_gradients_from_output_alone(case: Case) -> None:
    doutput = np.random.default_rng(8).normal(size=(N, T, H))
    check_gradients(case, case.draw(seed=21), {**case.options, "lengths": LENGTHS}, doutput, None)


@each_default
def test_gradients_from_one_state_alone(case: Case) -> None:
    for number in range(case.states):
        dstate: list[Array | None] = [None] * case.states
        dstate[number] = np.random.default_rng(9).normal(size=(N, H))
        check_gradients(case, case.draw(seed=22), {**case.options, "lengths": LENGTHS}, None, tuple(dstate))


@each_default
def test_gradients_without_bias(case: Case) -> None:
    doutput = np.random.default_rng(10).normal(size=(N, T, H))
    arguments = case.draw(seed=23, bias=False)
    check_gradients(case, arguments, case.options, doutput, None)
    tape = case.function(**arguments, **case.options, training=True).tape
    assert reference.backward(tape, doutput).bias is None


@each_default
@each_direction
def test_padding_is_never_read_and_repeats_the_state(case: Case, reverse: bool) -> None:
    arguments = case.draw(seed=30)
    options = {**case.options, "reverse": reverse, "lengths": LENGTHS}
    clean = case.function(**arguments, **options)
    padded = np.arange(T) >= LENGTHS[:, None]
    arguments["x"][padded] = np.nan
    spoiled = case.function(**arguments, **options, training=True)
    np.testing.assert_array_equal(spoiled.output, clean.output)
    for before, after in zip(clean.state, spoiled.state, strict=True):
        np.testing.assert_array_equal(after, before)
    repeated = np.broadcast_to(clean.state[0][:, None], clean.output.shape)
    np.testing.assert_array_equal(clean.output[padded], repeated[padded])
    for part, initial in zip(clean.state, arguments["initial_state"], strict=True):
        np.testing.assert_array_equal(part[LENGTHS == 0], initial[LENGTHS == 0])
    dx = reference.backward(spoiled.tape, np.ones_like(clean.output)).x
    assert not dx[padded].any()
    assert dx[~padded].all()


@each_default
@each_direction
def test_each_row_is_as_if_alone(case: Case, reverse: bool) -> None:
    arguments = case.draw(seed=31)
    together = case.function(**arguments, **case.options, reverse=reverse, lengths=LENGTHS)
    for row in np.flatnonzero(LENGTHS):
        alone = case.function(
            arguments["x"][row : row + 1, : LENGTHS[row]],
            arguments["kernel"],
            arguments["recurrent_kernel"],
            arguments["bias"],
            initial_state=tuple(part[row : row + 1] for part in arguments["initial_state"]),
            reverse=reverse,
            **case.options,
        )
        assert_close(together.output[row, : LENGTHS[row]], alone.output[0])
        for part, part_alone in zip(together.state, alone.state, strict=True):
            assert_close(part[row], part_alone[0])


@each_default
@each_lengths
def test_reverse_is_forward_on_flipped_rows(case: Case, lengths: Array | None) -> None:
    arguments = case.draw(seed=32)
    backwards = case.function(**arguments, **case.options, reverse=True, lengths=lengths)
    flipped = arguments["x"].copy()
    steps = np.full(N, T) if lengths is None else lengths
    for row, length in enumerate(steps):
        flipped[row, :length] = flipped[row, :length][::-1]
    forwards = case.function(**{**arguments, "x": flipped}, **case.options, lengths=lengths)
    for row, length in enumerate(steps):
        assert_close(backwards.output[row, :length], forwards.output[row, :length][::-1])
    assert_all_close(backwards.state, forwards.state)


@each_default
def test_state_carries_over(case: Case) -> None:
    arguments = case.draw(seed=33)
    whole = case.function(**arguments, **case.options)
    first = case.function(**{**arguments, "x": arguments["x"][:, :2]}, **case.options)
    rest = {**arguments, "x": arguments["x"][:, 2:], "initial_state": first.state}
    second = case.function(**rest, **case.options)
    assert_close(np.concatenate([first.output, second.output], axis=1), whole.output)
    assert_all_close(second.state, whole.state)


@each_default
def test_no_state_is_zeros_and_no_bias_is_zeros(case: Case) -> None:
    arguments = case.draw(seed=34)
    zeros = {
        **arguments,
        "bias": np.zeros_like(arguments["bias"]),
        "initial_state": tuple(np.zeros((N, H)) for _ in range(case.states)),
    }
    expected = case.function(**zeros, **case.options)
    del arguments["bias"], arguments["initial_state"]
    np.testing.assert_array_equal(case.function(**arguments, **case.options).output, expected.output)


@each_default
def test_float32_agrees_with_float64(case: Case) -> None:
    arguments = case.draw(seed=35)
    doutput = np.random.default_rng(11).normal(size=(N, T, H))
    precise = case.function(**arguments, **case.options, training=True)
    arguments["x"] = arguments["x"].astype(np.float32)
    result = case.function(**arguments, **case.options, training=True)
    assert result.output.dtype == np.float32
    assert_close(result.output, precise.output)
    gradients, expected = reference.backward(result.tape, doutput), reference.backward(precise.tape, doutput)
    for name in ("x", "kernel", "recurrent_kernel", "bias"):
        gradient = getattr(gradients, name)
        assert gradient.dtype == np.float32
        assert_close(gradient, getattr(expected, name))


@each_default
def test_zero_rows(case: Case) -> None:
    arguments = case.draw(seed=36, rows=0)
    result = case.function(**arguments, **case.options, training=True, lengths=[])
    assert result.output.shape == (0, T, H)
    gradients = reference.backward(result.tape, result.output)
    assert gradients.x.shape == (0, T, FEATURES)
    assert not gradients.kernel.any()


@each_default
def test_tape_only_in_training_and_usable_twice(case: Case) -> None:
    arguments = case.draw(seed=37)
    assert case.function(**arguments, **case.options).tape is None
    tape = case.function(**arguments, **case.options, training=True).tape
    doutput = np.random.default_rng(12).normal(size=(N, T, H))
    dstate = tuple(np.ones((N, H)) for _ in range(case.states))
    first = reference.backward(tape, doutput, dstate)
    second = reference.backward(tape, doutput, dstate)
    np.testing.assert_array_equal(first.kernel, second.kernel)
    np.testing.assert_array_equal(dstate[0], np.ones((N, H)))
    with pytest.raises(TypeError, match=r"tape: .*training=True"):
        reference.backward(None)  # type: ignore[arg-type]
