"""Makes notebooks of the lessons in `docs/tutorials`: `python docs/write_tutorials.py [NAME ...]`.

A lesson is a program in the percent format. Its text stands in both languages, its code once. The program is run, cell
by cell, and the notebooks keep what cells print and draw. Needs matplotlib.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parent / "tutorials"
LANGUAGES = {"en": "", "zh": ".zh-CN"}  # what stands between the name of a lesson and the ending of its notebook
MARKER = re.compile(r'^# %%(?: \[markdown\] lang="(\w+)")?\n', re.MULTILINE)
WIDE = "[\u2014\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"  # Chinese characters and stops, between which a line may break


@dataclass
class Cell:
    """A cell of code, or of text in one language."""

    language: str  # "" for code
    text: str
    outputs: list[dict[str, Any]] = field(default_factory=list)


def read(name: str) -> list[Cell]:
    """The cells of a lesson, with text in both languages."""
    _, *parts = MARKER.split((TUTORIALS / f"{name}.py").read_text(encoding="utf-8"))
    cells = []
    for language, text in zip(parts[::2], parts[1::2], strict=True):
        if language:
            text = re.sub("^# ?", "", text, flags=re.MULTILINE)
            text = re.sub(f"(?<={WIDE})\n(?={WIDE})", "", text)
        cells.append(Cell(language or "", text.strip("\n")))
    return cells


def run(cells: list[Cell]) -> dict[str, Any]:
    """Run the code and keep in its cells what it prints and draws; the names that it leaves."""
    from matplotlib import pyplot as plt

    from rnncore.utils import clear_session

    clear_session()  # the same names of layers, whatever ran before
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell.language:
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(cell.text, f"cell {number}", "exec", dont_inherit=True), names)
        if text := printed.getvalue():
            cell.outputs.append({"name": "stdout", "output_type": "stream", "text": lines(text)})
        for figure in map(plt.figure, plt.get_fignums()):
            cell.outputs.append({"data": picture(figure), "metadata": {}, "output_type": "display_data"})
        plt.close("all")
    return names


def picture(figure: Any) -> dict[str, Any]:
    """A figure in few bytes, and what it shows in words."""
    from PIL import Image

    made, small = io.BytesIO(), io.BytesIO()
    figure.savefig(made, format="png", dpi=90)
    Image.open(made).convert("RGB").quantize(32).save(small, format="png", optimize=True)
    words = "; ".join(f"{axes.get_ylabel()} by {axes.get_xlabel()}" for axes in figure.axes)
    return {"image/png": base64.b64encode(small.getvalue()).decode(), "text/plain": [words]}


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def notebook(cells: list[Cell], language: str) -> dict[str, Any]:
    """The notebook of one language, as its file says it."""
    found: list[dict[str, Any]] = []
    count = 0  # of cells that have run
    for cell in cells:
        made: dict[str, Any] = {"id": f"cell-{len(found)}", "metadata": {}, "source": lines(cell.text)}
        if not cell.language:
            count += 1
            found.append({"cell_type": "code", "execution_count": count, "outputs": cell.outputs, **made})
        elif cell.language == language:
            found.append({"cell_type": "markdown", **made})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    for name in sys.argv[1:] or sorted(path.stem for path in TUTORIALS.glob("*.py")):
        cells = read(name)
        run(cells)
        for language, middle in LANGUAGES.items():
            text = json.dumps(notebook(cells, language), ensure_ascii=False, indent=1, sort_keys=True)
            (TUTORIALS / f"{name}{middle}.ipynb").write_text(text + "\n", encoding="utf-8")
        print(name, flush=True)


if __name__ == "__main__":
    main()
