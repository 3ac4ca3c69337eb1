"""What a file holds, as a table to print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Description", "Row"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A layer, or a node of a graph.

    Attributes
    ----------
    name, kind : str
    output : str
        The shape of what it gives, as text.
    weights : tuple of tuple of int
        The shapes of its weights.
    """

    name: str
    kind: str
    output: str
    weights: tuple[Shape, ...]

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.weights)


@dataclass(frozen=True)
class Description:
    """The content of a file.

    Attributes
    ----------
    format, version : str
    rows : tuple of Row
    parameters : int
        Numbers in all weights together.
    details : dict of str to str
        What else there is to say.
    """

    format: str
    version: str
    rows: tuple[Row, ...]
    parameters: int
    details: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The lines to print."""
        yield f"{self.format}, {self.version}"
        for name, text in self.details.items():
            yield f"{name}: {text}"
        header = ("Layer (type)", "Output shape", "Weights", "Param #")
        cells = [
            header,
            *((f"{row.name} ({row.kind})", row.output, _text(row), f"{row.parameters:,}") for row in self.rows),
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        for number, line in enumerate(cells):
            parts = [f"{part:{'>' if column == 3 else '<'}{widths[column]}}" for column, part in enumerate(line)]
            yield "  ".join(parts).rstrip()
            if number == 0:
                yield "  ".join("-" * width for width in widths)
        yield f"Total params: {self.parameters:,}"


def _text(row: Row) -> str:
    return " ".join(str(shape).replace(" ", "") for shape in row.weights) or "-"
