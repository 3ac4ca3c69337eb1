"""Draws the pictures that pages show: those of a guide by running its code, and the seconds of whole tasks.

`python docs/draw_pictures.py` writes into `docs/images`; it needs matplotlib. The seconds are those of the table on the
page on performance, which `benchmarks/tasks/run.py` prints.
"""

from __future__ import annotations

import doctest
import os
import re
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "rnncore"  # the same bytes each time, and no date
os.environ["SOURCE_DATE_EPOCH"] = "0"
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.sans-serif"] = ["Arial", "Helvetica", "DejaVu Sans"]
from matplotlib import pyplot as plt  # noqa: E402

from rnncore import demo, utils  # noqa: E402

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
ROW = re.compile(r"^\| `(\w+)`: [^,|]+ \|.*\| +([\d.]+) \| +([\d.]+) \| +([\d.]+) \|$", re.MULTILINE)


def pictures_of(page: str) -> None:
    """Run the code of a page and keep the SVG files that it writes."""
    text = (DOCS / page).read_text(encoding="utf-8")
    parts = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    folder = IMAGES / Path(page).stem
    folder.mkdir(exist_ok=True)
    before = Path.cwd()
    utils.clear_session()  # the same names and numbers, whatever ran before
    utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        failed, _ = doctest.DocTestRunner(optionflags=options).run(parts)
        os.chdir(before)
        if failed:
            raise SystemExit(f"{failed} examples of {page} failed")
        for file in sorted(Path(made).glob("*.svg")):
            (folder / file.name).write_bytes(file.read_bytes())


def tasks(file: Path) -> None:
    """Bars of the seconds that whole tasks take to train, beside PyTorch's."""
    rows = ROW.findall((DOCS / "performance.md").read_text(encoding="utf-8"))[::-1]
    names = [name.replace("_", " ") for name, *_ in rows]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for offset, column, label, colour in ((0.2, 1, "rnncore", "#1f5fa8"), (-0.2, 2, "PyTorch", "#e07b39")):
        seconds = [float(row[column]) for row in rows]
        axes.barh([place + offset for place in range(len(rows))], seconds, height=0.38, label=label, color=colour)
    for place, row in enumerate(rows):
        axes.annotate(f" {row[3]} times as fast", (float(row[2]), place - 0.2), va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), names)
    axes.set_xscale("log")
    axes.set_xlim(0.3, 4000)
    axes.set_xlabel("seconds of training on two threads (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False)
    figure.savefig(file)
    plt.close(figure)


def sunspots(file: Path) -> None:
    """What the demo draws."""
    with tempfile.TemporaryDirectory() as made:
        demo.run(made, verbose=0)
        file.write_bytes((Path(made) / "sunspots.png").read_bytes())


if __name__ == "__main__":
    sunspots(IMAGES / "sunspots.png")
    tasks(IMAGES / "tasks.svg")
    for page in ("tour.md", "guide/attention.md", "guide/seeing.md", "guide/uncertainty.md"):
        pictures_of(page)
