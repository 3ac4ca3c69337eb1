"""What is measured: a cell at a shape, with its data, its right answer and its work."""

from __future__ import annotations

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
    """One cell at one shape, forward only or a training step (forward and all gradients)."""

    cell: str
    shape: Shape
    training: bool

    @property
    def flop(self) -> int:
        """Multiplications and additions of the matrix products; backward costs twice the forward pass."""
        rows, steps, inputs, units = self.shape
        return (6 if self.training else 2) * rows * steps * CELLS[self.cell] * units * (inputs + units)

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
        return np.random.default_rng(1).standard_normal((rows, steps, units), np.float32)

    @cached_property
    def answer(self) -> Answer:
        """The right answer, from the NumPy reference."""
        return run(reference, self)

    def check(self, peer: str, answer: Answer) -> None:
        """Raise AssertionError unless a peer's answer is right."""
        for name, actual, expected in zip(Answer._fields, answer, self.answer, strict=True):
            if expected is None:
                continue
            if actual is None or actual.shape != expected.shape:
                raise AssertionError(f"{peer}, {self}: {name} is missing or has another shape")
            error, largest = float(np.abs(actual - expected).max()), float(np.abs(expected).max())
            if not error <= TOLERANCE * largest:
                raise AssertionError(
                    f"{peer}, {self}: {name} is off by {error:.1e}; the largest element is {largest:.1e}"
                )

    def __str__(self) -> str:
        return f"{self.cell} {self.shape} {'training' if self.training else 'forward'}"


def run(functions: Any, case: Case) -> Answer:
    """Run a case with the recurrent functions of a module: `rnncore.functional` or `rnncore.reference`."""
    result = getattr(functions, case.cell)(**case.data, training=case.training)
    if not case.training:
        return Answer(result.output)
    gradients = functions.backward(result.tape, case.doutput)
    return Answer(result.output, gradients.x, gradients.kernel, gradients.recurrent_kernel, gradients.bias)
