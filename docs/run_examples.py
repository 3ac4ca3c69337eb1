"""Runs the programs of `examples` and keeps their pictures and what they print, for the gallery.

`python docs/run_examples.py --data DIR --packages DIR [--quick NAME ...] [NAME ...]` writes `docs/images/examples`.
Of a program that draws nothing the picture shows the lines that it prints.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from textwrap import wrap

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images" / "examples"
WIDTH = 960  # of a picture in pixels
PACKAGES = {
    "grapheme_to_phoneme": "g2p_en-*.whl",
    "old_keras_model": "dgaintel-*.tar.gz",
    "voice_activity": "silero_vad-*.whl",
}
ARGUMENTS = {"gradient_flow": ["--plot", "gradients.png"]}


def command(name: str, options: argparse.Namespace) -> list[str]:
    file = ROOT / "examples" / f"{name}.py"
    text = file.read_text(encoding="utf-8")
    found = [sys.executable, str(file), *ARGUMENTS.get(name, [])]
    if "--data DIR" in text:
        found += ["--data", str(options.data.resolve())]
    if name in PACKAGES:
        (package,) = options.packages.resolve().glob(PACKAGES[name])
        found += ["--package", str(package)]
    if name == "voice_activity":
        found += ["--audio", str(options.data.resolve() / "fsdd" / "recordings" / "7_george_10.wav")]
    if "from _common import" in text:
        found += ["--verbose", "0"]
    launcher = ["mpiexec", "-n", "2"] if "mpiexec" in text else []
    return launcher + found + (["--quick"] if name in options.quick else [])


def drawn_lines(text: str) -> str:
    """The lines as an SVG picture, as large as they fit."""
    lines = [part for line in text.splitlines() for part in wrap(line, 54, drop_whitespace=False)][:14]
    size = min(30, int(660 / (0.61 * max(map(len, lines)))), int(350 / (1.4 * len(lines))))
    top = 200 - 0.7 * size * (len(lines) - 2)
    rows = "\n".join(
        f'<text x="30" y="{top + 1.4 * size * number:g}" xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400">\n'
        '<rect width="720" height="400" fill="#14212b"/>\n'
        f'<g font-family="monospace" font-size="{size}" fill="#e8eef2">\n{rows}\n</g>\n</svg>\n'
    )


def keep(picture: Path, name: str) -> None:
    """Store a picture in few bytes."""
    image = Image.open(picture).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    image.quantize(128).save(IMAGES / f"{name}.png", optimize=True)


def run(name: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command(name, options), cwd=folder, capture_output=True, text=True, check=True)
        text = "".join(line + "\n" for line in done.stdout.splitlines() if not line.startswith("Epoch "))
        (IMAGES / f"{name}.txt").write_text(text, encoding="utf-8")
        pictures = sorted(Path(folder).glob("*.png"))
        if pictures:
            keep(pictures[0], name)
        else:
            (IMAGES / f"{name}.svg").write_text(drawn_lines(text), encoding="utf-8")
    print(f"{name}: {pictures[0].name if pictures else 'printed lines'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep pictures and printed lines of the examples.")
    parser.add_argument("names", nargs="*", help="default all")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of downloaded packages")
    parser.add_argument("--quick", nargs="*", default=[], help="programs to run in their short form")
    options = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in options.names or sorted(path.stem for path in (ROOT / "examples").glob("[!_]*.py")):
        run(name, options)


if __name__ == "__main__":
    main()
