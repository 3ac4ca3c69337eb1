"""What is printed: Markdown tables of GFLOP/s and of ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from .cases import Case

__all__ = ["Timing", "geometric_mean", "markdown", "tables"]

T = TypeVar("T")


class Timing(NamedTuple):
    """One peer on one case: seconds of a call, for each round."""

    case: Case
    peer: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """GFLOP/s of the median round."""
        return self.case.flop / statistics.median(self.seconds) / 1e9

    @property
    def best(self) -> float:
        """GFLOP/s of the best round."""
        return self.case.flop / min(self.seconds) / 1e9


def tables(timings: Sequence[Timing]) -> str:
    """Print a table for each cell and mode, and the geometric means over all of them.

    Each peer has its GFLOP/s, median (best), and every peer but the first how many times faster the first one is.
    """
    lines = []
    for cell, training in _distinct((timing.case.cell, timing.case.training) for timing in timings):
        chosen = [timing for timing in timings if (timing.case.cell, timing.case.training) == (cell, training)]
        lines += [f"### {cell}, {'training step' if training else 'forward'}", "", _table(chosen), ""]
    if len({timing.peer for timing in timings}) > 1:
        lines += ["### Geometric means over cells and shapes", "", _means(timings), ""]
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align a Markdown table; the first column to the left, the others to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(
        "| "
        + " | ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        + " |"
        for row in cells
    )


def geometric_mean(values: Iterable[float]) -> float:
    """Exponential of the mean logarithm."""
    return math.exp(statistics.fmean(map(math.log, values)))


def _table(timings: Sequence[Timing]) -> str:
    peers = _distinct(timing.peer for timing in timings)
    first, *others = peers
    rows = []
    for case in _distinct(timing.case for timing in timings):
        rates = {timing.peer: timing for timing in timings if timing.case == case}
        row = [str(case.shape)]
        row += [_rate(rates.get(peer)) for peer in peers]
        row += [_ratio(rates, first, peer) for peer in others]
        rows.append(row)
    return markdown(["shape N,T,I,H", *peers, *(f"× {peer}" for peer in others)], rows)


def _means(timings: Sequence[Timing]) -> str:
    first, *others = _distinct(timing.peer for timing in timings)
    rows = []
    for training in _distinct(timing.case.training for timing in timings):
        row = ["training step" if training else "forward"]
        for peer in others:
            ratios = _ratios([timing for timing in timings if timing.case.training == training], first, peer)
            row += [f"{geometric_mean(ratios):.2f}", f"{min(ratios):.2f}"] if ratios else ["–", "–"]
        rows.append(row)
    return markdown(["", *(label for peer in others for label in (f"× {peer}", "least"))], rows)


def _ratios(timings: Sequence[Timing], first: str, peer: str) -> list[float]:
    rates = {(timing.case, timing.peer): timing.median for timing in timings}
    return [
        rates[case, first] / rate for (case, name), rate in rates.items() if name == peer and (case, first) in rates
    ]


def _ratio(rates: dict[str, Timing], first: str, peer: str) -> str:
    return f"{rates[first].median / rates[peer].median:.2f}" if first in rates and peer in rates else "–"


def _rate(timing: Timing | None) -> str:
    return "–" if timing is None else f"{timing.median:.3g} ({timing.best:.3g})"


def _distinct(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
