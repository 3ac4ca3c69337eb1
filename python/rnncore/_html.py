"""What notebooks show of models, layers and training runs: tables in the colours of the page around them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

LINE = "1px solid rgba(128, 128, 128, 0.4)"
CELL = f"padding: 0.25em 0.75em; border-bottom: {LINE}; vertical-align: top; text-align: "
WIDTH, HEIGHT = 120, 24  # of a curve in pixels


def titled(kind: str, name: str, text: str, *parts: str) -> str:
    """A block with a title, a line of text and what follows."""
    called = f" <code>{escape(name)}</code>" if name else ""
    return f"<div><p><strong>{escape(kind)}</strong>{called} {escape(text)}</p>{''.join(parts)}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str | Sequence[str]]], numbers: Sequence[int] = ()) -> str:
    """A table of text; a cell may have several lines, columns of `numbers` stand to the right, SVG stays as it is."""
    sides = ["right" if column in numbers else "left" for column in range(len(header))]

    def line(tag: str, cells: Sequence[str | Sequence[str]]) -> str:
        return "".join(
            f'<{tag} style="{CELL}{side}">{_lines(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return (
        f'<table style="border-collapse: collapse"><thead><tr>{line("th", header)}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


class Markup(str):
    """Text that is HTML already."""


def _lines(cell: str | Sequence[str]) -> str:
    if isinstance(cell, Markup):
        return cell
    return "<br/>".join(escape(text) for text in ([cell] if isinstance(cell, str) else cell))


def layer(shown: Any) -> str:
    """A layer or cell: its arguments but for defaults, and its weights."""
    arguments = ", ".join(f"{name}={_argument(value)}" for name, value in _given(shown).items())
    if not shown.built:
        return titled(type(shown).__name__, shown.name, f"({arguments}), not built")
    rows = [
        (weight.path, str(weight.shape), f"{weight.size:,}", "yes" if weight.trainable else "no")
        for weight in shown.weights
    ]
    parts = [table(["Weight", "Shape", "Param #", "Trainable"], rows, [2])] if rows else []
    return titled(type(shown).__name__, shown.name, f"({arguments})", *parts)


def _given(shown: Any) -> dict[str, Any]:
    """The arguments of a constructor that differ from their defaults."""
    config, found = shown.get_config(), {}
    for name, parameter in inspect.signature(type(shown)).parameters.items():
        default, value = parameter.default, config.get(name)
        named = isinstance(value, Mapping) and isinstance(default, str)
        if name == "name" or value is None or value == default:
            continue
        if not (named and str(value.get("class_name")).lower() == default.replace("_", "").lower()):
            found[name] = value
    return found


def _argument(value: Any) -> str:
    return str(value["class_name"]) if isinstance(value, Mapping) and "class_name" in value else repr(value)


def history(count: int, logs: Mapping[str, Sequence[Any]], epochs: Mapping[str, Sequence[int]]) -> str:
    """The logs of a training run: a row for each key, with its curve."""
    text = f"of {count} epoch{'' if count == 1 else 's'}"
    if not logs:
        return titled("History", "", text)
    rows = []
    for key, values in logs.items():
        means = [float(np.mean(value)) for value in values]  # of a metric with a value for each output
        finite = [value for value in means if np.isfinite(value)]
        ends = [
            f"{end(finite):.4g} (epoch {epochs[key][means.index(end(finite))] + 1})" if finite else ""
            for end in (min, max)
        ]
        rows.append((key, f"{means[0]:.4g}", f"{means[-1]:.4g}", *ends, Markup(_curve(key, means))))
    return titled("History", "", text, table(["", "First", "Last", "Lowest", "Highest", "Curve"], rows, [1, 2, 3, 4]))


def _curve(key: str, values: Sequence[float]) -> str:
    """Numbers as a line in the colour of the text; where one is not finite, it has a gap."""
    finite = [value for value in values if np.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    step, scale = (WIDTH - 4) / max(len(values) - 1, 1), (HEIGHT - 4) / ((high - low) or 1.0)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if np.isfinite(value):
            pieces[-1].append(f"{2 + number * step:.1f},{HEIGHT - 2 - (value - low) * scale:.1f}")
        else:
            pieces.append([])
    lines = "".join(
        f'<polyline points="{" ".join(piece if len(piece) > 1 else piece * 2)}"/>' for piece in pieces if piece
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(key)} by epoch">'
        '<g fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">'
        f"{lines}</g></svg>"
    )
