"""The compiled recurrent functions against the reference: every cell, dtype, level, thread count and odd shape."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from recurrent_calls import USUAL, assert_equal_results, make_case, random_lengths
from tolerance import assert_all_equal, assert_close

from rnncore import _core, activations, functional, reference

LEVELS = _core.isa_levels()
THREADS = (1, 2, 3, 8)

# (N, T, I, H): one of everything, odd sizes, several blocks of units, rows for both ways to split the work.
SHAPES = [
    (1, 1, 1, 1),
    (1, 19, 3, 16),
    (2, 3, 4, 5),
    (4, 9, 2, 16),
    (13, 4, 1, 40),
    (5, 7, 3, 21),
    (9, 4, 37, 50),
    (29, 5, 5, 33),
    (3, 18, 7, 90),
    (7, 3, 4, 150),
    (40, 3, 27, 73),
]

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("simple_rnn", {}),
    *[("simple_rnn", {"activation": name}) for name in ("relu", "sigmoid", "linear", "hard_sigmoid")],
    ("simple_rnn", {"activation": "gelu"}),
    ("simple_rnn", {"activation": activations.HardSigmoid(0.2)}),
    ("lstm", {}),
    ("lstm", {"activation": "silu", "recurrent_activation": activations.HardSigmoid(0.2)}),
    ("lstm", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    ("gru", {}),
    ("gru", {"activation": "sigmoid", "recurrent_activation": "tanh"}),
    ("gru", {"activation": activations.ELU(0.3), "recurrent_activation": activations.ScaledTanh(0.4, 0.6)}),
    ("gru", {"reset_after": False}),
    ("gru", {"reset_after": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    ("gru", {"reset_after": False, "activation": "mish", "recurrent_activation": activations.ScaledTanh(0.9, 0.6)}),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("function", "options"), CELLS, ids=str)
def test_matches_reference(function: str, options: dict[str, Any], dtype: str, level: str) -> None:
    _core.set_isa(level)
    for number, shape in enumerate(SHAPES):
        _core.set_num_threads(1 + number % 3, always=True)
        lengths = random_lengths(*shape[:2])
        for keywords in ({}, {"reverse": True}, {"lengths": lengths}, {"lengths": lengths, "reverse": True}):
            case = make_case(function, options, shape, dtype, **keywords)
            assert_equal_results(case.run(functional), case.astype("f8").run(reference))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_same_bits_for_any_thread_count(function: str, options: dict[str, Any], dtype: str, level: str) -> None:
    _core.set_isa(level)
    for shape in SHAPES:
        for lengths in (None, random_lengths(*shape[:2])):
            case = make_case(function, options, shape, dtype, lengths=lengths)
            results = []
            for threads in THREADS:
                _core.set_num_threads(threads, always=True)
                results.append(case.run(functional))
            for other in results[1:]:
                assert_equal_results(other, results[0], exact=True)


# The ways to divide the work: one thread, a chunk of input products ahead of a single row's steps or of each thread's
# own rows, rows by threads, units by threads, and panels so large that products are cut into slices and the next panel
# is fetched ahead.
DECOMPOSITIONS = {
    "serial": (3, 4, 2, 5),
    "chunked": (1, 40, 5, 70),
    "chunked rows": (8, 40, 5, 40),
    "rows": (48, 6, 9, 40),
    "units": (6, 5, 9, 150),
    "units of many rows": (23, 4, 6, 600),
    "slices": (20, 2, 30, 1100),
    "slices of rows": (26, 2, 700, 400),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
@pytest.mark.parametrize("shape", DECOMPOSITIONS.values(), ids=DECOMPOSITIONS)
def test_every_decomposition(
    shape: tuple[int, int, int, int], function: str, options: dict[str, Any], dtype: str
) -> None:
    case = make_case(function, options, shape, dtype)
    expected = case.astype("f8").run(reference)
    _core.set_num_threads(1)
    serial = case.run(functional)
    assert_equal_results(serial, expected)
    for threads in THREADS[1:]:
        _core.set_num_threads(threads, always=True)
        assert_equal_results(case.run(functional), serial, exact=True)


def test_decompositions_are_what_they_are_called() -> None:
    def sharing(name: str, threads: int) -> tuple[Any, ...]:
        return tuple(_core.sequence_sharing("lstm", *DECOMPOSITIONS[name], threads).values())

    assert sharing("serial", 1)[:3] == (1, "rows", "rows")
    assert sharing("chunked", 1)[3]
    assert sharing("chunked rows", 2) == (2, "rows", "rows", True)
    assert sharing("rows", 2) == (2, "rows", "rows", False)
    for name in ("units", "units of many rows", "slices"):
        assert sharing(name, 2)[:3] == (2, "units", "units")


def test_more_threads_are_taken_only_where_they_help() -> None:
    def threads(*shape: int, limit: int = 64) -> int:
        return _core.sequence_sharing("gru", *shape, limit)["threads"]

    assert threads(640, 100, 16, 32) >= 60  # rows to themselves, no waiting
    assert threads(1, 500, 4, 16) == 1  # a step takes no longer than a barrier of two
    few = threads(1, 500, 32, 256)
    assert 2 <= few <= (16 if _core.isa() == "avx512" else 64)  # slower steps repay more waiting
    assert threads(128, 50, 512, 1024) >= 60
    for limit in (1, 2, 3, 5, 8):
        assert 1 <= threads(3, 20, 30, 200, limit=limit) <= limit


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_do_not_depend_on_their_neighbours(function: str, options: dict[str, Any], dtype: str) -> None:
    for shape in [(7, 5, 3, 21), (30, 4, 6, 48), (4, 20, 3, 13), (5, 9, 3, 16)]:
        case = make_case(function, options, shape, dtype)
        run = getattr(functional, function)
        whole = run(*case.arrays, initial_state=case.state, **options)
        order = np.random.default_rng(0).permutation(shape[0])
        x, *weights = case.arrays
        permuted = run(x[order], *weights, initial_state=tuple(s[order] for s in case.state), **options)
        assert np.array_equal(permuted.output, whole.output[order])
        for row in (0, 3):
            state = tuple(s[row : row + 1] for s in case.state)
            alone = run(x[row : row + 1], *weights, initial_state=state, **options)
            assert np.array_equal(alone.output, whole.output[row : row + 1])
            for a, b in zip(alone.state, whole.state, strict=True):
                assert np.array_equal(a, b[row : row + 1])


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_inference_equals_training(function: str, options: dict[str, Any]) -> None:
    for shape in SHAPES:
        case = make_case(function, options, shape, "f4")
        for lengths in (None, random_lengths(*shape[:2])):
            results = [
                getattr(functional, function)(
                    *case.arrays, initial_state=case.state, lengths=lengths, training=training, **options
                )
                for training in (False, True)
            ]
            assert results[0].tape is None
            assert np.array_equal(results[0].output, results[1].output)
            assert_all_equal(results[0].state, results[1].state)


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_time_can_be_cut_in_two(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (5, 9, 3, 21), "f8")
    run = getattr(functional, function)
    x, *weights = case.arrays
    whole = run(x, *weights, initial_state=case.state, **options)
    first = run(x[:, :4], *weights, initial_state=case.state, **options)
    second = run(x[:, 4:], *weights, initial_state=first.state, **options)
    assert np.array_equal(np.concatenate([first.output, second.output], axis=1), whole.output)
    assert np.array_equal(second.state[0], whole.state[0])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_an_infinite_input_saturates(function: str, options: dict[str, Any], dtype: str, level: str) -> None:
    """Its gates are flat there, so all gradients of x are finite; units that fill no vector change nothing."""
    _core.set_isa(level)
    for units in (1, 5, 16, 21):
        case = make_case(function, options, (3, 4, 5, units), dtype)
        case.arrays[0][1, 2, 3] = np.inf
        with np.errstate(invalid="ignore"):
            actual, expected = case.run(functional), case.astype("f8").run(reference)
        assert np.isfinite(actual["gradient of x"]).all()
        for name in ("output", "gradient of x"):
            assert_close(actual[name], expected[name])


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_no_state_is_a_zero_state(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (5, 4, 3, 21), "f8")
    zeros = tuple(np.zeros_like(s) for s in case.state)
    without = case.run(functional, initial_state=None)
    assert_equal_results(without, case.run(functional, initial_state=zeros), exact=True)


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_padding_changes_nothing(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (4, 6, 3, 21), "f8", lengths=np.array([6, 2, 0, 4]))
    expected = case.run(functional)
    case.arrays[0][1, 2:] = np.nan
    case.arrays[0][2] = np.nan
    assert_equal_results(case.run(functional), expected, exact=True)
    assert np.array_equal(expected["output"][2], np.broadcast_to(case.state[0][2], (6, 21)))


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_any_memory_layout(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (6, 5, 4, 21), "f4")
    expected = case.run(functional)
    x = case.arrays[0]
    time_major = np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)
    read_only = x.copy()
    read_only.flags.writeable = False
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view("f4").reshape(x.shape)
    unaligned[...] = x
    views = [time_major, np.asfortranarray(x), np.repeat(x, 2, axis=2)[..., ::2], x[::-1].copy()[::-1], read_only]
    for view in [*views, unaligned, x.astype(">f4")]:
        case.arrays[0] = view
        assert_equal_results(case.run(functional), expected, exact=True)
    case.arrays[0] = x
    case.arrays[1] = np.asfortranarray(case.arrays[1])
    case.arrays[2] = case.arrays[2].astype(">f4")
    case.doutput = np.asfortranarray(case.doutput)
    case.dstate = tuple(s[::-1].copy()[::-1] for s in case.dstate)
    assert_equal_results(case.run(functional), expected, exact=True)


def test_other_number_types() -> None:
    case = make_case("lstm", {}, (3, 4, 2, 5), "f4")
    x, *weights = case.arrays
    whole = functional.lstm(np.rint(3 * x), *weights).output
    for dtype in ("f2", "i1", "i8"):
        result = functional.lstm(np.rint(3 * x).astype(dtype), *weights)
        assert result.output.dtype == np.float32
        assert np.array_equal(result.output, whole)


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_zero_rows(function: str, options: dict[str, Any]) -> None:
    results = make_case(function, options, (0, 4, 3, 5), "f4").run(functional)
    assert results["output"].shape == (0, 4, 5)
    assert results["gradient of x"].shape == (0, 4, 3)
    assert not results["gradient of kernel"].any()


@pytest.mark.parametrize(("function", "options"), USUAL, ids=str)
def test_absent_gradients_are_zeros(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (5, 4, 3, 21), "f8")
    for lengths in (None, np.array([4, 1, 0, 2, 3])):
        whole = getattr(functional, function)(*case.arrays, lengths=lengths, training=True, **options)
        other = getattr(reference, function)(*case.arrays, lengths=lengths, training=True, **options)
        actual = functional.backward(whole.tape, case.doutput)
        expected = reference.backward(other.tape, case.doutput)
        assert_close(actual.x, expected.x)
        other = getattr(reference, function)(*case.arrays, lengths=lengths, training=True, **options)
        whole = getattr(functional, function)(*case.arrays, lengths=lengths, training=True, **options)
        actual = functional.backward(whole.tape, None, case.dstate)
        expected = reference.backward(other.tape, None, case.dstate)
        assert_close(actual.recurrent_kernel, expected.recurrent_kernel)
    without = getattr(functional, function)(*case.arrays[:3], training=True, **options)
    assert functional.backward(without.tape, case.doutput).bias is None


def test_a_tape_serves_once() -> None:
    case = make_case("gru", {}, (2, 3, 1, 4), "f4")
    tape = functional.gru(*case.arrays, training=True).tape
    functional.backward(tape, case.doutput)
    with pytest.raises(ValueError, match="tape: backward has already used it"):
        functional.backward(tape, case.doutput)
    with pytest.raises(TypeError, match="tape: expected the tape of a call with training=True, got NoneType"):
        functional.backward(None, case.doutput)  # type: ignore[arg-type]


@pytest.mark.parametrize(("function", "options"), CELLS)
def test_arguments_may_come_in_any_way(function: str, options: dict[str, Any]) -> None:
    case = make_case(function, options, (3, 4, 2, 5), "f4")
    run, plain = getattr(functional, function), getattr(reference, function)
    assert inspect.signature(run) == inspect.signature(plain)
    names = list(inspect.signature(run).parameters)[: len(case.arrays)]
    keywords = dict(zip(names, case.arrays, strict=True))
    expected = run(*case.arrays, **options)
    # Keywords in the other order, names that are equal without being the same object, and defaults said.
    said = dict(reversed([*keywords.items(), ("lengths", None), ("reverse", False), *options.items()]))
    again = run(**{"".join(name): value for name, value in said.items()})
    np.testing.assert_array_equal(again.output, expected.output)
    assert run(*case.arrays[:3], **options).output.shape == expected.output.shape
    for wrong, message in (
        (lambda: run(*case.arrays, None), "positional arguments"),
        (lambda: run(*case.arrays, x=case.arrays[0]), "multiple values for argument 'x'"),
        (lambda: run(*case.arrays, units=3), "unexpected keyword argument 'units'"),
        (lambda: run(*case.arrays[:1]), "missing 1 required positional argument: 'kernel'"),
    ):
        with pytest.raises(TypeError, match=message):
            wrong()


def test_functions_are_functions_to_python() -> None:
    for function in (functional.lstm, functional.backward):
        assert inspect.isroutine(function)
        assert pickle.loads(pickle.dumps(function)) is function is copy.deepcopy(function)
        assert function.__module__ == "rnncore.functional"
        assert repr(function).startswith(f"<function {function.__name__}")
    assert type("Holder", (), {"run": functional.lstm})().run.__func__ is functional.lstm
    with pytest.raises(ValueError, match="function: the core has no direct way for 'make_case'"):
        _core.direct(make_case)


def test_bad_arguments_are_named() -> None:
    x, kernel, recurrent_kernel, bias = make_case("lstm", {}, (2, 3, 4, 5), "f4").arrays
    lstm = functional.lstm
    with pytest.raises(ValueError, match="x: expected 3 axes"):
        lstm(x[0], kernel, recurrent_kernel, bias)
    with pytest.raises(ValueError, match="kernel: expected shape"):
        lstm(x[..., :2], kernel, recurrent_kernel, bias)
    with pytest.raises(ValueError, match="recurrent_kernel: expected shape"):
        lstm(x, kernel, recurrent_kernel[:, :7], bias)
    with pytest.raises(ValueError, match="bias: expected shape"):
        lstm(x, kernel, recurrent_kernel, bias[:3])
    with pytest.raises(ValueError, match="initial_state: expected 2 array"):
        lstm(x, kernel, recurrent_kernel, bias, initial_state=(np.zeros((2, 5)),))
    with pytest.raises(ValueError, match="lengths: expected values from 0 to 3"):
        lstm(x, kernel, recurrent_kernel, bias, lengths=[4, 1])
    with pytest.raises(ValueError, match="lengths"):
        lstm(x, kernel, recurrent_kernel, bias, lengths=[np.nan, 1])
    with pytest.raises(ValueError, match="at least one time step"):
        lstm(x[:, :0], kernel, recurrent_kernel, bias)
    for dtype in (complex, object, str):
        with pytest.raises(TypeError, match="x: expected real numbers"):
            lstm(x.astype(dtype), kernel, recurrent_kernel, bias)
    with pytest.raises(ValueError, match="did you mean 'tanh'"):
        lstm(x, kernel, recurrent_kernel, bias, activation="tanhh")
    tape = lstm(x, kernel, recurrent_kernel, bias, training=True).tape
    with pytest.raises(ValueError, match="doutput: expected the shape of the output"):
        functional.backward(tape, np.zeros((2, 3, 4)))
    functional.backward(tape, np.zeros((2, 3, 5), np.float32))  # the tape is still good
