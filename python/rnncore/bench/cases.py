"""What is measured: a cell at a shape, with its data, its right answer and its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import reference

__all__ = ["CELLS", "SHAPES", "Answer", "Case", "Shape"]

Array = npt.NDArray[Any]

CELLS = {"lstm": 4, "gru": 3, "simple_rnn": 1}  # gates

TOLERANCE = 2e-4  # of the largest element: float32 sums in another order, over up to T·N terms


class Shape(NamedTuple):
    """Rows N, steps T, input features I and hidden units H."""

    rows: int
    steps: int
    inputs: int
    units: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read a name of `SHAPES` or four numbers N,T,I,H."""
        if text in SHAPES:
            return SHAPES[text]
        try:
            shape = cls(*map(int, text.split(",")))
        except (TypeError, ValueError):
            shape = cls(0, 0, 0, 0)
        if min(shape) < 1:
            raise ValueError(f"shape: expected one of {', '.join(SHAPES)} or N,T,I,H, got {text!r}")
        return shape

    def __str__(self) -> str:
        sizes = ",".join(map(str, self))
        return next((f"{name} {sizes}" for name, shape in SHAPES.items() if shape == self), sizes)


SHAPES = {
    "tiny": Shape(1, 50, 4, 16),
    "small": Shape(32, 50, 16, 32),
    "medium": Shape(32, 100, 64, 128),
    "b8h256": Shape(8, 100, 128, 256),
    "large": Shape(64, 100, 256, 512),
    "xl": Shape(128, 50, 512, 1024),
    "b1long": Shape(1, 500, 32, 256),
    "odd": Shape(27, 73, 37, 90),
    "wide": Shape(1000, 20, 8, 16),
    "h1500": Shape(16, 20, 300, 1500),
    "t5000": Shape(4, 5000, 16, 32),
}


class Answer(NamedTuple):
    """What a peer computed, in rnncore's layout; the gradients are None after a forward pass."""

    output: Array  # (N, T, H)
    x: Array | None = None
    kernel: Array | None = None
    recurrent_kernel: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True)
class Case:
    """One cell at one shape, forward only or a training step (forward and all gradients).

    The rows of a `padded` case have lengths drawn uniformly from 1..T, and outputs and their gradients are
    zero behind them.
    """

    cell: str
    shape: Shape
    training: bool
    padded: bool = False

    @property
    def flop(self) -> int:
        """Multiplications and additions of the matrix products; backward costs twice the forward pass."""
        rows, steps, inputs, units = self.shape
        real = rows * steps if self.lengths is None else int(self.lengths.sum())
        return (6 if self.training else 2) * real * CELLS[self.cell] * units * (inputs + units)

    @cached_property
    def lengths(self) -> Array | None:
        """Valid steps of each row (N,), or None when all are valid."""
        if not self.padded:
            return None
        return np.random.default_rng(2).integers(1, self.shape.steps, self.shape.rows, np.int32, endpoint=True)

    @cached_property
    def data(self) -> dict[str, Array]:
        """The arguments of the cell's function, float32."""
        rows, steps, inputs, units = self.shape
        width = CELLS[self.cell] * units
        random = np.random.default_rng(0)

        def uniform(shape: tuple[int, ...], bound: float) -> Array:
            return random.uniform(-bound, bound, shape).astype(np.float32)

        return {
            "x": random.standard_normal((rows, steps, inputs), np.float32),
            "kernel": uniform((inputs, width), inputs**-0.5),
            "recurrent_kernel": uniform((units, width), units**-0.5),
            "bias": uniform((2, width) if self.cell == "gru" else (width,), 0.1),
        }

    @cached_property
    def doutput(self) -> Array:
        """The gradient that comes back, (N, T, H)."""
        rows, steps, _, units = self.shape
        return self.cut(np.random.default_rng(1).standard_normal((rows, steps, units), np.float32))

    def cut(self, values: Array) -> Array:
        """Set padded steps to zero, in a copy; (N, T, H)."""
        if self.lengths is None:
            return values
        return values * (np.arange(self.shape.steps) < self.lengths[:, None])[:, :, None]

    @cached_property
    def answer(self) -> Answer:
        """The right answer, from the NumPy reference."""
        return functions_answer(prepare_functions(reference, self)())

    def check(self, peer: str, answer: Answer) -> None:
        """Raise AssertionError unless a peer's answer is right."""
        for name, actual, expected in zip(Answer._fields, answer, self.answer, strict=True):
            if expected is None:
                continue
            if actual is None or actual.shape != expected.shape:
                raise AssertionError(f"{peer}, {self}: {name} is missing or has another shape")
            if name == "output":
                actual, expected = self.cut(actual), self.cut(expected)
            error, largest = float(np.abs(actual - expected).max()), float(np.abs(expected).max())
            if not error <= TOLERANCE * largest:
                raise AssertionError(
                    f"{peer}, {self}: {name} is off by {error:.1e}; the largest element is {largest:.1e}"
                )

    def __str__(self) -> str:
        return f"{self.cell} {self.shape} {'training' if self.training else 'forward'}{' padded' * self.padded}"


def prepare_functions(functions: Any, case: Case) -> Callable[[], tuple[Any, Any]]:
    """Make the call of a case's function in `rnncore.functional` or `rnncore.reference`, and of its backward pass."""
    function, backward = getattr(functions, case.cell), functions.backward
    x, kernel, recurrent_kernel, bias = case.data.values()
    lengths, doutput = case.lengths, case.doutput

    def forward() -> tuple[Any, None]:
        return function(x, kernel, recurrent_kernel, bias, lengths=lengths), None

    def step() -> tuple[Any, Any]:
        result = function(x, kernel, recurrent_kernel, bias, lengths=lengths, training=True)
        return result, backward(result.tape, doutput)

    return step if case.training else forward


def functions_answer(returned: tuple[Any, Any]) -> Answer:
    """Read what such a call returns."""
    result, gradients = returned
    if gradients is None:
        return Answer(result.output)
    return Answer(result.output, gradients.x, gradients.kernel, gradients.recurrent_kernel, gradients.bias)
