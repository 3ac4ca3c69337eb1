"""The command line: ``python -m rnncore info | demo | bench | inspect | convert | predict``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import rnncore

# Of the commands on files: what it does, and the names of its files.
FILES = {
    "inspect": ("show what a model file holds, without running anything", {"file": "a model, or weights"}),
    "convert": ("write a model as another kind of file", {"source": "a model", "target": "the file to write"}),
    "predict": (
        "compute a model's outputs",
        {"file": "a model", "source": "an .npy file, or an .npz with an array for each input", "target": "likewise"},
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are the words after ``python -m rnncore``."""
    parser = argparse.ArgumentParser(prog="python -m rnncore", description="Recurrent networks for NumPy.")
    parser.add_argument("--version", action="version", version=f"rnncore {rnncore.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="show the build and what it uses on this machine")
    demo = commands.add_parser("demo", help="forecast sunspot numbers, compared with simpler forecasts")
    demo.add_argument("--seed", type=int, default=0, help="seed of the initial weights and the shuffling (default 0)")
    demo.add_argument("--output", type=Path, default=Path(), help="folder for the model and the picture (default .)")
    demo.add_argument("--quiet", action="store_true", help="no progress bar")
    commands.add_parser(
        "bench", help="time the kernels against other packages (bench --help says more)", add_help=False
    )
    for name, (help_text, files) in FILES.items():
        command = commands.add_parser(name, help=help_text)
        for file, meaning in files.items():
            command.add_argument(file, type=Path, help=meaning)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "bench":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")

    # Imported late, so that --help answers at once.
    if options.command == "info":
        from rnncore.runtime import show_config

        show_config()
    elif options.command == "demo":
        from rnncore.demo import run

        run(options.output, seed=options.seed, verbose=0 if options.quiet else 1)
    elif options.command == "bench":
        from rnncore.bench.command import main as bench

        return bench(rest)
    else:
        return _on_files(options)
    return 0


def _on_files(options: argparse.Namespace) -> int:
    """Run a command on files; what is wrong with them is a line on the standard error output."""
    from rnncore import commands

    try:
        getattr(commands, options.command)(*(getattr(options, file) for file in FILES[options.command][1]))
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"rnncore {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
