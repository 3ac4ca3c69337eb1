"""The attention op: the reference against finite differences and by what it promises, the compiled one beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from executor_zoo import Array, Builder, random_parameters
from single_nodes import SEED, STEP, check_gradients
from tolerance import assert_all_close, assert_threads_agree

from rnncore import _core, reference
from rnncore.program import Program

SCORES: dict[str, list[list[tuple[int, ...]]]] = {  # parameters for keys of width K = 0
    "dot": [[], [()]],
    "additive": [[], [(0,)]],
    "concat": [[()], [(), ()]],
}
CASES = [(score, number) for score, choices in SCORES.items() for number in range(len(choices))]


def attention(
    score: str,
    parameters: list[tuple[int, ...]],
    queries: int = 3,
    keys: int = 4,
    widths: tuple[int, int] = (3, 2),
    masks: str = "",
    outputs: str = "context weights",
    lengths: bool = False,
    **attributes: Any,
) -> Program:
    b = Builder()
    heads = attributes.get("heads") or 1
    x = [b.input(steps, heads * width) for steps, width in ((queries, widths[0]), (keys, widths[1]), (keys, widths[0]))]
    shapes = {"query": (queries,), "value": (keys,), "attention": (queries, keys)}
    slots = tuple(b.input(*shapes[name], dtype="int") if name in masks else -1 for name in shapes)
    if lengths:
        slots = (b.lengths_value(), *slots[1:])
    weights = tuple(b.parameter(*(size or widths[0] for size in shape)) for shape in parameters)
    return b.build(*b.attention(*x, masks=slots, weights=weights, outputs=outputs, score=score, **attributes))


def inputs_of(program: Program, samples: int, seed: int = 0) -> list[Array]:
    """Random arrays; every tenth row of a mask is all zeros."""
    rng = np.random.default_rng(seed)
    arrays: list[Array] = []
    for number in program.inputs:
        value = program.values[number]
        shape = (samples, *(size or 0 for size in value.shape[1:]))
        if value.dtype == "float":
            arrays.append(rng.normal(size=shape))
        else:
            real = rng.random(shape) < 0.7
            real[rng.random(shape[:-1]) < 0.1] = False
            arrays.append(real.astype(np.int32))
    return arrays


@pytest.mark.parametrize(("score", "number"), CASES)
@pytest.mark.parametrize("masks", ["", "value", "query attention"])
@pytest.mark.parametrize("options", [{}, {"causal": True, "rate": 0.3, "seed": 4}])
def test_gradients(score: str, number: int, masks: str, options: dict[str, Any]) -> None:
    program = attention(score, SCORES[score][number], masks=masks, drops_weights=number == 0, **options)
    check_gradients(program, inputs_of(program, 5))


@pytest.mark.parametrize("hides_queries", [False, True])
def test_gradients_of_heads(hides_queries: bool) -> None:
    program = attention(
        "dot", [()], masks="query value", heads=3, factor=0.7, rate=0.2, hides_queries=hides_queries, lengths=True
    )
    check_gradients(program, inputs_of(program, 3), np.array([3, 0, 2], np.int32))


def random_case(seed: int) -> tuple[Program, list[Array], Array | None]:
    rng = np.random.default_rng(seed)
    score, number = CASES[rng.integers(len(CASES))]
    lengths = bool(rng.random() < 0.3)
    program = attention(
        score,
        SCORES[score][number],
        queries=int(rng.choice([1, 2, 15, 48, 49, 100])),
        keys=int(rng.choice([1, 3, 16, 17, 65])),
        widths=tuple(int(width) for width in rng.choice([1, 4, 7, 16, 33, 66], 2)),  # type: ignore[arg-type]
        masks=str(rng.choice(["", "value", "query value", "attention", "query value attention"])),
        outputs=str(rng.choice(["context", "weights", "context weights"])),
        lengths=lengths,
        heads=int(rng.integers(1, 5)) if score == "dot" and rng.random() < 0.5 else None,
        factor=0.4,
        causal=bool(rng.random() < 0.3),
        rate=float(rng.choice([0.0, 0.4])),
        seed=seed,
        hides_queries=bool(rng.random() < 0.5),
        drops_weights=bool(rng.random() < 0.5),
    )
    inputs = inputs_of(program, int(rng.choice([1, 2, 5])), seed)
    steps = rng.integers(inputs[0].shape[1] + 1, size=len(inputs[0]))
    return program, inputs, steps.astype(np.int32) if lengths else None


def results(kind: Any, program: Program, inputs: list[Array], lengths: Array | None, dtype: Any) -> list[Array]:
    """Outputs, without and with training, and all gradients."""
    parameters = random_parameters(program, dtype) + dtype(1)
    gradients = np.full_like(parameters, 7)
    executor = kind(program, parameters, gradients)
    arrays = [x if x.dtype == np.int32 else x.astype(dtype) for x in inputs]
    outputs = executor.forward(arrays, lengths)
    outputs += executor.forward(arrays, lengths, training=True, seed=SEED, step=STEP)
    rng = np.random.default_rng(8)
    count = len(outputs) // 2
    dinputs = executor.backward([rng.normal(size=y.shape).astype(dtype) for y in outputs[count:]])
    return [
        *outputs,
        gradients,
        *(np.zeros(x.shape) if dx is None else dx for x, dx in zip(arrays, dinputs, strict=True)),
    ]


@pytest.mark.parametrize("seed", range(60))
def test_random_shapes(seed: int) -> None:
    program, inputs, lengths = random_case(seed)
    _core.set_isa(np.random.default_rng(seed).choice(_core.isa_levels()))
    _core.set_num_threads(1 + seed % 4, always=True)
    compiled = results(_core.Executor, program, inputs, lengths, np.float64)
    expected = results(reference.Executor, program, inputs, lengths, np.float64)
    assert_all_close(compiled, expected)


@pytest.mark.parametrize("seed", range(8))
def test_any_number_of_threads_gives_the_same_bits(seed: int) -> None:
    program, inputs, lengths = random_case(seed)
    assert_threads_agree(lambda: results(_core.Executor, program, inputs, lengths, np.float32))


EXECUTORS = [_core.Executor, reference.Executor]


@pytest.mark.parametrize("kind", EXECUTORS)
@pytest.mark.parametrize("score", SCORES)
def test_what_is_masked_has_no_weight(kind: Any, score: str) -> None:
    program = attention(score, SCORES[score][-1], masks="query value attention", causal=True)
    query, value, key, query_mask, value_mask, attention_mask = inputs_of(program, 40)
    parameters = random_parameters(program, np.float64)
    executor = kind(program, parameters, np.zeros_like(parameters))
    context, weights = executor.forward([query, value, key, query_mask, value_mask, attention_mask])
    visible = (value_mask[:, None] * attention_mask != 0) & np.tri(3, 4, dtype=bool)
    assert ((weights > 0) == visible).all()
    np.testing.assert_allclose(weights.sum(axis=-1), visible.any(axis=-1), rtol=1e-12)
    assert not context[query_mask == 0].any()
    # What lies under the mask does not matter.
    value[value_mask == 0], key[value_mask == 0] = 100, -100
    again = executor.forward([query, value, key, query_mask, value_mask, attention_mask])
    np.testing.assert_array_equal(again[0], context)
    np.testing.assert_array_equal(again[1], weights)


@pytest.mark.parametrize("kind", EXECUTORS)
def test_a_row_does_not_depend_on_the_others(kind: Any) -> None:
    program = attention("additive", [(0,)], queries=5, keys=6, widths=(20, 3), masks="value")
    inputs = inputs_of(program, 6)
    parameters = random_parameters(program, np.float64)
    executor = kind(program, parameters, np.zeros_like(parameters))
    whole = executor.forward(inputs)
    for part, of_whole in zip(executor.forward([x[2:3] for x in inputs]), whole, strict=True):
        np.testing.assert_array_equal(part, of_whole[2:3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": "cosine"}, "score: expected dot, additive or concat, got 'cosine'"),
        ({"rate": 1.0}, "rate: expected a number from 0 to below 1"),
        ({"heads": 2}, "heads: expected a divisor"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    b = Builder()
    x = b.input(3, 5)
    (y,) = b.attention(x, x, x, **{"score": "dot", **changes})
    executor = _core.Executor(b.build(y), np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=message):
        executor.forward([np.zeros((1, 3, 5))])
