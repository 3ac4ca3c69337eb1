"""The command line: ``python -m rnncore info | demo | bench``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are the words after ``python -m rnncore``."""
    parser = argparse.ArgumentParser(prog="python -m rnncore", description="Recurrent networks for NumPy.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="show the build and what it uses on this machine")
    demo = commands.add_parser("demo", help="forecast sunspot numbers, compared with simpler forecasts")
    demo.add_argument("--seed", type=int, default=0, help="seed of the initial weights and the shuffling (default 0)")
    demo.add_argument("--output", type=Path, default=Path(), help="folder for the model and the picture (default .)")
    demo.add_argument("--quiet", action="store_true", help="no progress bar")
    commands.add_parser(
        "bench", help="time the kernels against other packages (bench --help says more)", add_help=False
    )
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
    else:
        from rnncore.bench.command import main as bench

        return bench(rest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
