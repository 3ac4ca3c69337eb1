"""Options of recurrent nodes, alone and together: both executors, every level and number of threads, stored values."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from executor_zoo import random_parameters
from goldens import Golden, load
from recurrent_options import (
    CELLS,
    COMBINED,
    EXCLUDED,
    NAMES,
    OPTIONS,
    RANDOM,
    SHAPES,
    SINGLE,
    Case,
    inputs_of,
    passes,
    refusal,
)
from single_nodes import MASK, check_gradients
from tolerance import Array, assert_all_close, assert_all_equal, assert_threads_agree

from rnncore import _core, reference
from rnncore.program import EXCLUDED_OPTIONS

EXECUTORS = [_core.Executor, reference.Executor]
CASES = [*SINGLE, *COMBINED]
each_executor = pytest.mark.parametrize("executor", EXECUTORS)
GATES = ("recurrent_activation", "recurrent_alpha", "recurrent_beta")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bare": {"bias": False, "activation": "sigmoid", "go_backwards": True, "given": False},
    "kept_inputs": {
        "activation": "scaled_tanh",
        "alpha": 0.9,
        "beta": 0.4,
        "recurrent_activation": "scaled_tanh",
        "recurrent_alpha": 0.3,
        "recurrent_beta": 0.6,
    },
    "backwards": {
        "recurrent_dropout": 0.3,
        "seed": 3,
        "go_backwards": True,
        "aligned": True,
        "zero_output_for_mask": True,
        "checkpoint_every": 2,
    },
}


def told(case: Case, variant: str) -> dict[str, Any]:
    """The attributes of a variant; a simple_rnn has no gates."""
    unknown = GATES if case.op == "simple_rnn" else ()
    return {name: value for name, value in VARIANTS[variant].items() if name not in unknown}


def shapes(case: Case) -> list[tuple[int, ...]]:
    """All for each option, but no unit alone where it would be normalized; two for what goes together."""
    return SHAPES[3:6:2] if case in COMBINED else SHAPES["layer_normalization" in case.options :]


each_run = pytest.mark.parametrize(
    ("case", "shape", "dtype"),
    [(case, shape, dtype) for case in CASES for shape in shapes(case) for dtype in case.dtypes],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else getattr(value, "__name__", str(value)),
)


@pytest.mark.parametrize("level", _core.isa_levels())
@each_run
def test_executors_agree(case: Case, shape: tuple[int, ...], dtype: Any, level: str) -> None:
    _core.set_isa(level)
    rounded: list[dict[str, Any]] = [{}, {"go_backwards": True}, told(case, "kept_inputs")]
    for attributes in rounded if "bfloat16" in case.options else (told(case, variant) for variant in VARIANTS):
        program = case.program(shape, **attributes)
        for ragged in (False, True):
            found, expected = (passes(kind, program, shape, dtype, ragged) for kind in EXECUTORS)
            for actual, wanted in zip(found, expected, strict=True):
                case.assert_close(actual, wanted)


@each_run
def test_threads_give_the_same_bits(case: Case, shape: tuple[int, ...], dtype: Any) -> None:
    program = case.program(shape)
    for ragged in (False, True):
        assert_threads_agree(lambda ragged=ragged: passes(_core.Executor, program, shape, dtype, ragged))


@pytest.mark.parametrize(
    ("case", "size", "variant"),
    [
        (case, size, variant)
        for case in CASES
        if "bfloat16" not in case.options
        for size in ([1, 2, 5] if "projected" in case.options else [2])
        for variant in (VARIANTS if case in SINGLE else ["backwards"])
    ],
    ids=str,
)
def test_gradients(case: Case, size: int, variant: str) -> None:
    """Of the reference, against finite differences."""
    shape = (*MASK.shape, 2, 3, size)
    program = case.program(shape, "mask", **told(case, variant))
    *inputs, _ = inputs_of(program, shape, np.float64, 5)
    check_gradients(program, [*inputs, MASK])


@pytest.mark.parametrize("case", [case for case in SINGLE if not RANDOM & {*case.options}], ids=str)
def test_rows_do_not_depend_on_their_neighbours(case: Case) -> None:
    shape = (40, 4, 9, 70, 13)
    program = case.program(shape)
    parts = 2 * (1 + case.states)  # outputs and the gradients of the inputs
    whole = passes(_core.Executor, program, shape, np.float32, True)
    for rows in (slice(0, 1), slice(7, 21), np.arange(shape[0])[::-1]):
        part = passes(_core.Executor, program, shape, np.float32, True, rows)
        assert_all_equal(part[:parts], [array[rows] for array in whole[:parts]])


@pytest.mark.parametrize("steps", ["lengths", "none"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_initial_state_is_zeros(case: Case, steps: str) -> None:
    shape = (5, 7, 3, 6, 4)
    lengths = np.array([7, 1, 0, 4, 7], np.int32) if steps == "lengths" else None
    found = []
    for given in (False, True):
        program = case.program(shape, steps, given)
        parameters = random_parameters(program, np.float32)
        gradients = np.zeros_like(parameters)
        executor = _core.Executor(program, parameters, gradients)
        x, *states = inputs_of(program, shape, np.float32)
        outputs = executor.forward([x, *map(np.zeros_like, states)], lengths, training=True)
        found.append([*outputs, executor.backward([np.ones_like(y) for y in outputs])[0], gradients])
    assert_all_equal(*found)


@pytest.mark.parametrize("case", [case for case in CASES if not RANDOM & {*case.options}], ids=str)
def test_prediction_is_the_training_pass(case: Case) -> None:
    """Without a tape only two steps are kept; the numbers are the same."""
    shape = (5, 7, 3, 6, 4)
    program = case.program(shape)
    parameters = random_parameters(program, np.float32)
    executor = _core.Executor(program, parameters, np.zeros_like(parameters))
    inputs, lengths = inputs_of(program, shape, np.float32), np.array([7, 1, 0, 4, 6], np.int32)
    assert_all_equal(*(executor.forward(inputs, lengths, training=training) for training in (False, True)))


GOLDENS = {
    "projected": ("torch_projection", "projection_kernel"),
    "peepholes": ("onnx_peepholes", "peephole_kernel"),
    "layer_normalization": ("torch_normalized", "normalization_weights"),
}


def states_of(golden: Golden, name: str) -> list[Array]:
    """An array for each state; those of other sizes are stored one by one."""
    arrays = golden.arrays
    return list(arrays[name]) if name in arrays else [arrays[f"{name}_{state}"] for state in "hc"]


@each_executor
@pytest.mark.parametrize(
    ("option", "golden"), [(option, golden) for option, (peer, _) in GOLDENS.items() for golden in load(peer)], ids=str
)
def test_values_of_others(option: str, golden: Golden, executor: Any) -> None:
    arrays = golden.arrays
    names = ("kernel", "recurrent_kernel", "bias", GOLDENS[option][1])
    size, columns = arrays["recurrent_kernel"].shape
    units = columns // {"simple_rnn": 1, "lstm": 4, "gru": 3}[golden.function]
    options = {"go_backwards": True, "aligned": True} if golden.options["reverse"] else {}
    program = Case(golden.function, (option,)).program((*arrays["x"].shape, units, size), **options)
    vector = np.concatenate([arrays[name].ravel() for name in names])
    gradients = np.full_like(vector, np.nan)
    run = executor(program, vector, gradients)
    inputs = [arrays["x"], *states_of(golden, "initial_state")]
    trained = "gradient_x" in arrays
    sequence, *state = run.forward(inputs, arrays["lengths"].astype(np.int32), training=trained)
    assert_all_close([sequence[golden.real], *state], [arrays["output"][golden.real], *states_of(golden, "state")])
    if trained:
        doutput = np.where(golden.real[..., None], arrays["doutput"], 0)
        found = run.backward([doutput, *states_of(golden, "dstate")])
        assert_all_close(found, [arrays["gradient_x"], *states_of(golden, "gradient_initial_state")])
        assert_all_close([gradients], [np.concatenate([arrays[f"gradient_{name}"].ravel() for name in names])])


def refused(executor: Any, program: Any, message: str) -> None:
    parameters = np.zeros(200, np.float32)
    with pytest.raises(ValueError, match=message):
        executor(program, parameters, parameters.copy()).forward(inputs_of(program, (2, 4), np.float32))


@each_executor
@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case(cell, pair), message)
        for pair, message in EXCLUDED.items()
        for cell in CELLS
        if all(cell in OPTIONS[option][1] for option in pair)
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(case: Case, message: str, executor: Any) -> None:
    refused(executor, case.program((2, 4, 3, 2, 4)), message)


@each_executor
@pytest.mark.parametrize("option", [name for name, others in EXCLUDED_OPTIONS.items() if "reset_after" in others])
def test_a_reset_before_the_product_has_fewer_options(option: str, executor: Any) -> None:
    program = Case("gru_reset_before", (NAMES.get(option, option),)).program((2, 4, 3, 2, 4))
    refused(executor, program, refusal(option, "reset_after"))


@each_executor
@pytest.mark.parametrize(
    ("option", "number", "shape", "message"),
    [
        ("projected", 3, (4, 2), r"projection_kernel: expected shape [\[(]2, 4[\])], got [\[(]4, 2[\])]"),
        ("projected", 1, (4, 7), "recurrent_kernel: expected shape"),
        ("peepholes", 3, (2, 2), "peephole_kernel: expected shape"),
        ("layer_normalization", 3, (9, 2), "normalization_weights: expected shape"),
    ],
)
def test_weights_of_another_shape_are_refused(
    option: str, number: int, shape: tuple[int, int], message: str, executor: Any
) -> None:
    program = Case("lstm", (option,)).program((2, 4, 3, 2, 4))
    parameters = list(program.parameters)
    parameters[number] = replace(parameters[number], shape=shape)
    refused(executor, replace(program, parameters=tuple(parameters)), message)


def test_each_option_is_tried_alone_and_with_each_that_it_goes_with() -> None:
    tried = {frozenset(case.options) for case in CASES}
    for one, other in combinations(OPTIONS, 2):
        shared = {*OPTIONS[one][1]} & {*OPTIONS[other][1]}
        assert (frozenset((one, other)) in tried) == (bool(shared) and (one, other) not in EXCLUDED)
