"""The table that `summary` prints, laid out as Keras's."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import _html
from rnncore import _validation as check
from rnncore.layers.graph import Graph

if TYPE_CHECKING:
    from rnncore.layers import Layer
    from rnncore.models.model import Model

HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to")
RIGHT = 2  # the column of numbers
BOX = ("┏━┳┓", "┃", "┡━╇┩", "│", "├─┼┤", "└─┴┘")
ASCII = ("+-++", "|", "+=++", "|", "+-++", "+-++")


def summary(
    model: Model,
    show_trainable: bool = False,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    layer_range: Sequence[str] | None = None,
    expand_nested: bool = False,
) -> str:
    """Layers, shapes and numbers of weights as plain text; where layers branch, what each is connected to."""
    chosen = _chosen(model, layer_range)
    nested = list(_with_nested(chosen)) if expand_nested else [(layer, 0) for layer in chosen]
    layers = [layer for layer, _ in nested]
    header, rows = _cells(model, nested)
    shares = [0.3, 0.6, 0.7, 1.0] if len(header) == len(HEADER) else [0.45, 0.8, 1.0]
    if show_trainable:
        header.append("Trainable")
        rows = [[*row, ["Y" if layer.trainable else "N"]] for row, layer in zip(rows, layers, strict=True)]
        shares = [*(0.9 * share for share in shares), 1.0]
    widths = (
        _widths(header, line_length, shares if positions is None else positions) if line_length or positions else None
    )
    return "\n".join([f'Model: "{model.name}"', *_table(header, rows, widths), *_totals(model)])


def summary_html(model: Model) -> str:
    """The same for notebooks."""
    header, rows = _cells(model, [(layer, 0) for layer in model.layers])
    totals = ",".join(_totals(model)).strip()
    return _html.titled(type(model).__name__, model.name, totals, _html.table(header, rows, [RIGHT]))


def _cells(model: Model, nested: Sequence[tuple[Layer, int]]) -> tuple[list[str], list[list[list[str]]]]:
    """The titles, and the cells of each layer; connections where layers branch."""
    rows = [_row(layer, depth) for layer, depth in nested]
    if _is_chain(model):
        return list(HEADER[:-1]), rows
    sources = _sources(model)
    return list(HEADER), [[*row, sources.get(layer, ["-"])] for row, (layer, _) in zip(rows, nested, strict=True)]


def _chosen(model: Model, layer_range: Sequence[str] | None) -> list[Layer]:
    """The layers from the first to the last one named."""
    if layer_range is None:
        return model.layers
    if isinstance(layer_range, str) or len(layer_range) != 2:
        raise ValueError(f"layer_range must be the names of a first and a last layer, got {layer_range!r}")
    first, last = (model.layers.index(model.get_layer(name)) for name in layer_range)
    return model.layers[min(first, last) : max(first, last) + 1]


def _widths(header: Sequence[str], line_length: int | None, positions: Sequence[float]) -> list[int]:
    """Characters of each column's text, in a table whose columns end at these positions."""
    length = 80 if line_length is None else check.integer("line_length", line_length, low=1)
    ends = [check.number("each of positions", end, low=0.0) for end in positions]
    if len(ends) != len(header):
        raise ValueError(f"positions must be one for each of the {len(header)} columns, got {len(ends)}")
    places = [0, *(round(end * length) if ends[-1] <= 1 else round(end) for end in ends)]
    widths = [end - start - 3 for start, end in pairwise(places)]
    widths[-1] -= 1  # the right edge
    if min(widths) < 1:
        raise ValueError(
            f"line_length and positions must leave room for each column, got ends {places[1:]} in {length} characters"
        )
    return widths


def _with_nested(layers: Sequence[Layer], depth: int = 0) -> Iterator[tuple[Layer, int]]:
    """Layers, those of a model after it, and in how many models they are."""
    for layer in layers:
        yield layer, depth
        if isinstance(layer, Graph):
            yield from _with_nested(layer.layers, depth + 1)


def _row(layer: Layer, depth: int) -> list[list[str]]:
    """The cells of a layer, each with its lines."""
    title = f"{layer.name} ({type(layer).__name__})"
    if depth:
        title = f"{'   ' * depth}{'└' if _can_print('└') else '`'} {title}"
    if not layer.built:
        return [[title], ["?"], ["0 (unbuilt)"]]
    shapes = layer.output_shape
    return [[title], [str(shape) for shape in (shapes if isinstance(shapes, list) else [shapes])], [_count(layer)]]


def _count(layer: Layer) -> str:
    return f"{layer.count_params():,}"


def _is_chain(model: Model) -> bool:
    """Whether the layers follow one another, so that connections need not be told."""
    calls = model._calls() if model.built else []
    return all(len(call.inputs) <= 1 and (n == 0 or call.inputs) for n, call in enumerate(calls)) and all(
        call.inputs[0].call is before and call.inputs[0].index == 0 for before, call in pairwise(calls)
    )


def _sources(model: Model) -> dict[Layer, list[str]]:
    """For each layer where its inputs come from: layer[call][output]."""
    found: dict[Layer, list[str]] = {}
    for call in model._calls() if model.built else []:
        lines = found.setdefault(call.layer, [])
        lines += [f"{value.name}[{value.call.index}][{value.index}]" for value in call.inputs]
    return {layer: lines or ["-"] for layer, lines in found.items()}


def _table(header: Sequence[str], rows: Sequence[Sequence[Sequence[str]]], widths: Sequence[int] | None) -> list[str]:
    titles: list[list[str]] = [[title] for title in header]
    if widths is None:
        widths = [
            max(len(line) for cell in [[title], *(row[column] for row in rows)] for line in cell)
            for column, title in enumerate(header)
        ]
    else:
        titles, *rows = (
            [_broken(cell, width) for cell, width in zip(row, widths, strict=True)] for row in [titles, *rows]
        )
    top, head_side, below_head, side, between, bottom = BOX if _can_print("".join(BOX)) else ASCII

    def rule(ends: str) -> str:  # left end, line, crossing, right end
        return ends[0] + ends[2].join(ends[1] * (width + 2) for width in widths) + ends[3]

    def lines(cells: Sequence[Sequence[str]], edge: str) -> list[str]:
        made = []
        for k in range(max(map(len, cells))):
            parts = [cell[k] if k < len(cell) else "" for cell in cells]
            padded = [f"{part:{'>' if c == RIGHT else '<'}{widths[c]}}" for c, part in enumerate(parts)]
            made.append(edge + edge.join(f" {part} " for part in padded) + edge)
        return made

    table = [rule(top), *lines(titles, head_side), rule(below_head)]
    for number, row in enumerate(rows):
        table += [*([rule(between)] if number else []), *lines(row, side)]
    return [*table, rule(bottom)]


def _broken(cell: Sequence[str], width: int) -> list[str]:
    """The lines of a cell, broken between words; words that are too long are cut."""
    end = "…" if _can_print("…") else "."
    words = (
        word for line in cell for word in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    )
    return [word if len(word) <= width else word[: width - 1] + end for word in words] or [""]


def _totals(model: Model) -> list[str]:
    trainable = sum(weight.size for weight in model.trainable_weights)
    weights = sum(weight.size for weight in model.weights)
    slots = _slots(model)
    item = np.dtype(model.dtype).itemsize
    counts = [("Total", weights + slots), ("Trainable", trainable), ("Non-trainable", weights - trainable)]
    if slots:
        counts.append(("Optimizer", slots))
    return [f" {label} params: {count:,} ({_bytes(count * item)})" for label, count in counts]


def _slots(model: Model) -> int:
    """Numbers that the optimizer keeps for the weights, once it has any."""
    compilation: Any = model._session.compilation
    slots = None if compilation is None else compilation.optimizer.slots
    if slots is None:
        return 0
    trained = model._session.trainable  # what the optimizer was told of
    return int(slots.shape[0]) * sum(weight.size for weight in model.weights if trained.trains(weight))


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GB"
