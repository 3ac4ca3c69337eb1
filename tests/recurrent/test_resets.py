"""Rows that are cut where `resets` say: against pieces that run alone, the reference, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recurrent_calls import USUAL, assert_equal_results, make_case, random_lengths
from recurrent_options import CELLS, PLAIN, RANDOM, SINGLE, Case, inputs_of, passes
from single_nodes import MASK, check_gradients
from tolerance import FINITE_DIFFERENCES, Array, assert_close, assert_threads_agree, numerical_gradient

from rnncore import _core, functional, reference

BOTH = [functional, reference]
EXECUTORS = [_core.Executor, reference.Executor]
# One step, few rows and many, several blocks of units, rows and units shared by threads.
SHAPES = [(1, 1, 1, 1), (1, 40, 5, 70), (2, 19, 3, 16), (29, 6, 5, 33), (6, 5, 9, 150), (40, 4, 2, 90)]


def random_resets(N: int, T: int) -> Array:
    """From hardly any to all steps of a row."""
    rng = np.random.default_rng([N, T, 1])
    return rng.random((N, T)) < rng.choice([0.0, 0.1, 0.4, 1.0], N)[:, None]


def pieces(resets: Array, length: int) -> list[slice]:
    """Where one row is cut."""
    cuts = [t for t in range(1, length) if resets[t]]
    return [slice(*ends) for ends in zip([0, *cuts], [*cuts, length], strict=True)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
@pytest.mark.parametrize("module", BOTH)
def test_pieces_are_sequences_of_their_own(module: Any, function: str, options: dict[str, Any], reverse: bool) -> None:
    """Outputs, states and gradients are those of each piece alone, the compiled ones to the last bit."""
    shape = N, T, *_ = (5, 12, 3, 21)
    case = make_case(function, options, shape, "f8", reverse=reverse)
    resets, lengths = random_resets(N, T), random_lengths(N, T)
    found = case.run(module, resets=resets, lengths=lengths)
    expected = {
        name: np.zeros_like(value) for name, value in found.items() if "kernel" not in name and "bias" not in name
    }
    for n in range(N):
        parts = pieces(resets[n], lengths[n])
        parts = parts[::-1] if reverse else parts
        state: Any = None if resets[n, 0] and lengths[n] and not reverse else tuple(s[n : n + 1] for s in case.state)
        dstate = [d[n : n + 1].copy() for d in case.dstate]
        for t in range(lengths[n], T):  # which repeat the last state
            dstate[0] += case.doutput[n : n + 1, t]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            x, doutput = case.arrays[0][n : n + 1, part], case.doutput[n : n + 1, part]
            if not lengths[n]:
                for k, (s, d) in enumerate(zip(case.state, dstate, strict=True)):
                    expected[f"state{k}"][n] = s[n]
                    expected[f"gradient of state{k}"][n] = d[0]
                break
            keywords = {**options, "initial_state": state, "reverse": reverse}
            result = getattr(module, function)(x, *case.arrays[1:], training=True, **keywords)
            gradients = module.backward(result.tape, doutput, tuple(dstate) if last else None)
            expected["output"][n, part] = result.output[0]
            expected["gradient of x"][n, part] = gradients.x[0]
            for k, s in enumerate(result.state):
                if last:
                    expected[f"state{k}"][n] = s[0]
                if number == 0 and state is not None:
                    expected[f"gradient of state{k}"][n] = gradients.initial_state[k][0]
            state = None
        expected["output"][n, lengths[n] :] = expected["state0"][n]
    for name, value in expected.items():
        if module is functional:
            np.testing.assert_array_equal(found[name], value, name)
        else:
            assert_close(found[name], value)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_functions_match_the_reference(function: str, options: dict[str, Any], level: str) -> None:
    """In any shape, and with the same bits for any number of threads."""
    _core.set_isa(level)
    for number, shape in enumerate(SHAPES):
        lengths = {"lengths": random_lengths(*shape[:2])} if number % 2 else {}
        for reverse, dtype in ((False, "f4"), (True, "f8")):
            keywords = {"resets": random_resets(*shape[:2]), "reverse": reverse, **lengths}
            case = make_case(function, options, shape, dtype, **keywords)
            _core.set_num_threads(1)
            found = case.run(functional)
            assert_equal_results(found, case.astype("f8").run(reference))
            for threads in (2, 3):
                _core.set_num_threads(threads, always=True)
                assert_equal_results(case.run(functional), found, exact=True)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_gradients(function: str, options: dict[str, Any], reverse: bool) -> None:
    """Of the reference function, against finite differences."""
    case = make_case(function, options, (3, 5, 2, 3), "f8", reverse=reverse)
    keywords = {"resets": np.array([[0, 0, 1, 0, 1], [1, 0, 0, 1, 0], [0, 1, 1, 1, 1]]), "lengths": [5, 3, 4]}

    def loss() -> float:
        result = getattr(reference, function)(
            *case.arrays, initial_state=case.state, reverse=reverse, **options, **keywords
        )
        of_states = sum(float(np.sum(s * d)) for s, d in zip(result.state, case.dstate, strict=True))
        return of_states + float(np.sum(result.output * case.doutput))

    found = case.run(reference, **keywords)
    arrays = dict(zip(("x", "kernel", "recurrent_kernel", "bias"), case.arrays, strict=True))
    for name, array in {**arrays, **{f"state{k}": s for k, s in enumerate(case.state)}}.items():
        assert_close(found[f"gradient of {name}"], numerical_gradient(loss, array), FINITE_DIFFERENCES)


@pytest.mark.parametrize("case", [case for case in [*PLAIN, *SINGLE] if "bfloat16" not in case.options], ids=str)
@pytest.mark.parametrize("back", [False, True])
def test_gradients_of_nodes(case: Case, back: bool) -> None:
    """Masked steps, an initial state and another one that rows begin anew with, with each option."""
    shape = (*MASK.shape, 2, 3, 2)
    attributes = {"go_backwards": True, "zero_output_for_mask": True, "seed": 2} if back else {}
    program = case.program(shape, "mask", resets=True, **attributes)
    inputs = inputs_of(program, shape, np.float64, 5)
    inputs[1 + case.states] = MASK
    check_gradients(program, inputs)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("case", [*PLAIN, *SINGLE], ids=str)
def test_executors_agree(case: Case, level: str) -> None:
    _core.set_isa(level)
    for number, shape in enumerate([(1, 40, 3, 17, 5), (6, 5, 17, 33, 7), (23, 5, 2, 70, 13)]):
        attributes = {"go_backwards": True, "aligned": number == 1} if number else {}
        steps = ("none", "mask", "lengths")[number]
        program = case.program(shape, steps, resets=True, given=number != 2, **attributes)
        dtype = case.dtypes[number % len(case.dtypes)]
        found, expected = (passes(kind, program, shape, dtype, steps == "lengths") for kind in EXECUTORS)
        for actual, wanted in zip(found, expected, strict=True):
            if wanted is not None:
                case.assert_close(actual, wanted)


@pytest.mark.parametrize("case", [*PLAIN, *SINGLE], ids=str)
def test_threads_of_executors_give_the_same_bits(case: Case) -> None:
    shape = (23, 9, 2, 150, 13)
    program = case.program(shape, resets=True)
    assert_threads_agree(
        lambda: [array for array in passes(_core.Executor, program, shape, np.float32, True) if array is not None]
    )


@pytest.mark.parametrize("case", [case for case in SINGLE if not RANDOM & {*case.options}], ids=str)
def test_rows_of_executors_do_not_depend_on_their_neighbours(case: Case) -> None:
    shape = (40, 4, 9, 70, 13)
    program = case.program(shape, resets=True)
    parts = 2 * (1 + case.states)
    whole = passes(_core.Executor, program, shape, np.float32, True)[:parts]
    some = passes(_core.Executor, program, shape, np.float32, True, rows=[3, 17, 39])[:parts]
    for all_rows, three in zip(whole, some, strict=True):
        np.testing.assert_array_equal(all_rows[[3, 17, 39]], three)


def test_marks() -> None:
    """Booleans, integers but 0, and 0.0 and 1.0 are the same; no marks, or those of padded steps, change nothing."""
    case = make_case("lstm", {}, (4, 6, 3, 5), "f4")
    resets = random_resets(4, 6)
    for module in BOTH:
        expected = case.run(module, resets=resets)
        for marks in (resets * -3, resets.astype("f4"), np.asfortranarray(resets), resets.tolist()):
            assert_equal_results(case.run(module, resets=marks), expected, exact=True)
        assert_equal_results(case.run(module, resets=np.zeros((4, 6), bool)), case.run(module), exact=True)
        lengths = [2, 3, 0, 1]
        marks = np.arange(6) >= np.array(lengths)[:, None]
        assert_equal_results(case.run(module, resets=marks, lengths=lengths), case.run(module, lengths=lengths))


def test_the_tape_owns_the_marks() -> None:
    case, resets = make_case("gru", {}, (4, 6, 3, 5), "f4"), random_resets(4, 6)
    for module in BOTH:
        expected, marks = case.run(module, resets=resets), resets.copy()
        result = module.gru(*case.arrays, initial_state=case.state, resets=marks, training=True)
        marks[...] = ~marks
        np.testing.assert_array_equal(
            module.backward(result.tape, case.doutput, case.dstate).x, expected["gradient of x"]
        )


def test_packed_weights_take_resets() -> None:
    case, resets = make_case("lstm", {}, (4, 6, 3, 5), "f4"), random_resets(4, 6)
    x, *weights = case.arrays
    expected = functional.lstm(x, *weights, resets=resets)
    np.testing.assert_array_equal(functional.lstm(x, functional.pack(*weights), resets=resets).output, expected.output)


@pytest.mark.parametrize("function", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize("module", BOTH)
def test_bad_marks_are_refused(module: Any, function: str) -> None:
    case = make_case(function, {}, (2, 3, 1, 4), "f4")
    for marks, error, message in (
        (np.zeros((3, 2), bool), ValueError, r"resets: expected shape \(2, 3\).* got \(3, 2\)"),
        (np.zeros(3, bool), ValueError, r"resets: expected shape \(2, 3\).* got \(3,\)"),
        (np.full((2, 3), 0.5), ValueError, "resets: expected booleans, or 0 and 1, got 0.5"),
        (np.full((2, 3), np.nan), ValueError, "resets: expected booleans, or 0 and 1, got nan"),
        (np.zeros((2, 3), "M8[s]"), TypeError, "resets: expected booleans, got dtype datetime64"),
        ([["no"] * 3] * 2, TypeError, "resets: expected booleans, got dtype <U2"),
    ):
        with pytest.raises(error, match=message):
            getattr(module, function)(*case.arrays, resets=marks)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_bad_nodes_are_refused(executor: Any) -> None:
    assert {case.cell for case in PLAIN} == {*CELLS}
    shape = (2, 4, 3, 5, 0)
    program = Case("gru").program(shape, "none", resets=True, checkpoint_every=2)
    size = sum(parameter.size for parameter in program.parameters)

    def run(program: Any, change: Any) -> None:
        inputs = inputs_of(program, shape, np.float64)
        change(inputs)
        executor(program, np.zeros(size), np.zeros(size)).forward(inputs)

    with pytest.raises(ValueError, match="checkpoint_every: expected 0 with resets"):
        run(program, lambda inputs: None)
    program = Case("gru").program(shape, "none", resets=True)

    def shorten(inputs: list[Array]) -> None:
        inputs[2] = np.ascontiguousarray(inputs[2][:, :3])

    with pytest.raises(ValueError, match=r"resets: expected shape \(2, 4\).*got \(2, 3\)"):
        run(program, shorten)
