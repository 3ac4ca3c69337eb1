"""Every recurrent cell with every option and every set of options that go together: Programs of one such node."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from executor_zoo import random_parameters
from program_builder import Builder
from tolerance import RELATIVE, Array, assert_close

from rnncore.program import EXCLUDED_OPTIONS, RECURRENT_OPTIONS, Program
from rnncore.reference.ops import OPS
from rnncore.reference.recurrent import Recurrent


def refusal(option: str, other: str) -> str:
    """What executors say of a node where one option excludes another."""
    return f"{other}: expected {RECURRENT_OPTIONS[other]!r} with {option}"


# Of each op its states, and of each cell its op and what that is told.
STATES: dict[str, int] = {name: op.make_cell.STATES for name, op in OPS.items() if isinstance(op, Recurrent)}
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    **{op: (op, {}) for op in STATES},
    "gru_reset_before": ("gru", {"reset_after": False}),
}

# Attributes of each option, and the cells that have it. How many numbers a projection has is in the shape.
OPTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "recurrent_dropout": ({"recurrent_dropout": 0.3}, tuple(CELLS)),
    "zoneout": ({"zoneout": 0.3}, tuple(CELLS)),
    "cell_zoneout": ({"cell_zoneout": 0.4}, ("lstm",)),
    "peepholes": ({"peepholes": True}, ("lstm",)),
    "projected": ({}, ("lstm",)),
    "layer_normalization": ({"layer_normalization": True}, tuple(STATES)),
    "bfloat16": ({"products": "bfloat16"}, tuple(STATES)),
}
NAMES = {"products": "bfloat16"}  # of an option, where it is not that of the attribute
RANDOM = {"recurrent_dropout", "zoneout", "cell_zoneout"}  # other numbers in training than in prediction
# Two options that no node has together, and what both executors say.
EXCLUDED = {
    tuple(sorted((NAMES.get(name, name) for name in (option, other)), key=[*OPTIONS].index)): refusal(option, other)
    for option, others in EXCLUDED_OPTIONS.items()
    for other in others
    if other != "reset_after"
}


@dataclass(frozen=True)
class Case:
    """A cell and some options; without any, the plain cell."""

    cell: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.cell, *self.options])

    @property
    def op(self) -> str:
        return CELLS[self.cell][0]

    @property
    def states(self) -> int:
        return STATES[self.op]

    @property
    def dtypes(self) -> list[Any]:
        return [np.float32] if "bfloat16" in self.options else [np.float32, np.float64]

    def program(
        self,
        shape: tuple[int, ...],
        steps: str = "lengths",
        given: bool = True,
        outputs: str = "sequence h c",
        resets: bool = False,
        **attributes: Any,
    ) -> Program:
        """A node for x (N, T, I) with H units and a projection to P numbers, in a `shape` (N, T, I, H, P).

        The inputs are x, the initial states if `given`, a mask if `steps` is "mask", and with `resets` these and the
        states that go with them.
        """
        _, _, features, units, size = shape
        projected = size if "projected" in self.options else 0
        for option in self.options:
            attributes = {**OPTIONS[option][0], **attributes}
        b = Builder()
        x = b.input(None, features)
        sizes = (projected or units, units)[: self.states]
        initial = tuple(b.input(n) for n in sizes) if given else ()
        mask = b.mask() if steps == "mask" else -1
        cut = (b.input(None, dtype="int"), *(b.input(n) for n in sizes)) if resets else ()
        return b.build(
            *b.recurrent(
                self.op,
                x,
                units,
                outputs=outputs if self.states == 2 else outputs.removesuffix(" c"),
                initial=initial,
                lengths=steps == "lengths",
                mask=mask,
                resets=cut,
                projected=projected,
                **CELLS[self.cell][1],
                **attributes,
            )
        )

    def assert_close(self, actual: Array, expected: Array) -> None:
        """Products of bfloat16 are rounded to one side or the other by the last bit of a factor, if only few."""
        if "bfloat16" in self.options:
            error = np.abs(actual - expected) / (np.abs(expected).max() or 1)
            assert np.median(error) <= RELATIVE[np.dtype(np.float32)]
            assert error.max() <= 2**-7
        else:
            assert_close(actual, expected)


def together(cell: str) -> list[tuple[str, ...]]:
    """Each option of a cell, each two that go together, and all that do."""
    own = [option for option, (_, cells) in OPTIONS.items() if cell in cells]
    sets = [chosen for count in range(1, len(own) + 1) for chosen in combinations(own, count)]
    sets = [chosen for chosen in sets if not any(pair in EXCLUDED for pair in combinations(chosen, 2))]
    return [chosen for chosen in sets if len(chosen) < 3 or not any({*chosen} < {*other} for other in sets)]


PLAIN = [Case(cell) for cell in CELLS]
SINGLE = [Case(cell, options) for cell in CELLS for options in together(cell) if len(options) == 1]
COMBINED = [Case(cell, options) for cell in CELLS for options in together(cell) if len(options) > 1]
# N, T, I, H, P: one of everything, many steps, odd sizes that fill no vector, panel or tile, P above and at H.
SHAPES = [
    (1, 1, 1, 1, 1),
    (1, 1, 3, 5, 2),
    (1, 33, 3, 17, 5),
    (3, 5, 2, 6, 33),
    (6, 3, 17, 33, 5),
    (40, 4, 9, 70, 13),
    (5, 3, 64, 64, 64),
]


def inputs_of(program: Program, shape: tuple[int, ...], dtype: Any, seed: int = 3) -> list[Array]:
    """Normal numbers for x and the states, and resets, one of four steps and all steps of the last row."""
    rows, steps = shape[:2]
    rng = np.random.default_rng(seed)
    sizes = [[steps if size is None else size for size in program.values[k].shape[1:]] for k in program.inputs]
    arrays = []
    for number, size in zip(program.inputs, sizes, strict=True):
        if program.values[number].dtype == "int":
            arrays.append((rng.random((rows, *size)) < 0.25).astype(np.int32))
            arrays[-1][-1:] = 1
        else:
            arrays.append(rng.normal(size=(rows, *size)).astype(dtype))
    return arrays


def passes(
    kind: Any, program: Program, shape: tuple[int, ...], dtype: Any, ragged: bool, rows: Any = slice(None)
) -> list[Array]:
    """Outputs and gradients of the inputs, for some rows of a batch, and each parameter's gradient from them."""
    parameters = random_parameters(program, dtype)
    gradients = np.full_like(parameters, 7)
    executor = kind(program, parameters, gradients)
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, shape[1] + 1, shape[0]).astype(np.int32)[rows] if ragged else None
    inputs = [x[rows] for x in inputs_of(program, shape, dtype)]
    outputs = executor.forward(inputs, lengths, training=True, seed=5, step=2)
    doutputs = [rng.normal(size=(shape[0], *y.shape[1:])).astype(dtype)[rows] for y in outputs]
    dinputs = executor.backward(doutputs)
    return [*outputs, *dinputs, *(gradients[p.offset : p.offset + p.size] for p in program.parameters)]
