"""What every example does: read its arguments and save its picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def arguments(description: str, given: Sequence[str] | None, *, epochs: int, quick: int, data: str = "") -> Any:
    """Parse the command line: `epochs` is the default, `quick` that of ``--quick``, `data` says what ``--data`` holds.

    The first line of `description` becomes the help text.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    if data:
        parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"folder that holds {data}")
    parser.add_argument("--epochs", type=int, help=f"passes over the training rows (default {epochs})")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, shuffling and samples (default 0)")
    parser.add_argument("--quick", action="store_true", help="less data and fewer epochs: seconds in place of minutes")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where results go (default here)")
    parser.add_argument("--verbose", type=int, default=1, choices=(0, 1, 2), help="0 hides the progress bar")
    options = parser.parse_args(given)
    if options.epochs is None:
        options.epochs = quick if options.quick else epochs
    if data and not options.data.is_dir():
        parser.error(f"--data must be an existing folder that holds {data}, got {options.data}")
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def figure(**arguments: Any) -> Figure | None:
    """A new matplotlib figure, or None, and a word about it, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print("No picture: matplotlib is not installed (pip install 'rnncore[plot]').")
        return None
    return Figure(**{"figsize": (8, 4), "layout": "constrained", **arguments})


def save(picture: Figure, file: Path) -> None:
    """Write a picture and say where."""
    picture.savefig(file, dpi=120)
    print(f"Drawn to {file}.")
