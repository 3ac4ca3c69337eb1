"""Programs of one node, and their gradients in the reference against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from tolerance import FINITE_DIFFERENCES, Array, assert_close, numerical_gradient

from rnncore.program import Node, Parameter, Program, Value
from rnncore.reference import Executor

SEED, STEP = 11, 4
MASK = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], np.int32)


def one_node(
    op: str,
    inputs: list[tuple[str, tuple[int | None, ...], str]],
    outputs: int,
    parameters: list[tuple[int, ...]],
    attributes: dict[str, Any],
) -> Program:
    """A program of a single node; an input named "lengths" becomes the lengths, "absent" an empty slot."""
    values, slots = [], []
    for name, shape, dtype in inputs:
        slots.append(-1 if name == "absent" else len(values))
        if name != "absent":
            values.append(Value(name, shape, dtype))
    names = [value.name for value in values]
    lengths = names.index("lengths") if "lengths" in names else -1
    given = tuple(number for number in range(len(values)) if number != lengths)
    results = tuple(range(len(values), len(values) + outputs))
    values += [Value(f"y{number}", (None,)) for number in results]
    windows, offset = [], 0
    for number, shape in enumerate(parameters):
        windows.append(Parameter(f"w{number}", shape, offset))
        offset += windows[-1].size
    node = Node(op, op, tuple(slots), results, tuple(range(len(windows))), attributes)
    return Program(tuple(values), tuple(windows), (node,), given, results, lengths)


def check_gradients(program: Program, inputs: list[Array], lengths: Array | None = None, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    size = sum(parameter.size for parameter in program.parameters)
    parameters, gradients = rng.normal(scale=0.6, size=size), np.full(size, np.nan)
    executor = Executor(program, parameters, gradients)

    def outputs() -> list[Array]:
        return executor.forward(inputs, lengths, training=True, seed=SEED, step=STEP)

    douts = [rng.normal(size=output.shape) for output in outputs()]
    dinputs = executor.backward(douts)

    def loss() -> float:
        return sum(float(np.sum(output * d)) for output, d in zip(outputs(), douts, strict=True))

    assert_close(gradients, numerical_gradient(loss, parameters), FINITE_DIFFERENCES)
    for array, gradient in zip(inputs, dinputs, strict=True):
        if array.dtype == np.int32:
            assert gradient is None
        else:
            assert gradient is not None
            assert_close(gradient, numerical_gradient(loss, array), FINITE_DIFFERENCES)
