"""Writes the gallery: one page for each program of `examples`, with its picture, what it prints and its source.

Pages are made anew in `docs/examples` with every build. Pictures and printed lines lie in `docs/images/examples`;
`docs/run_examples.py` makes them.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from api_pages import literal, title
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)\.py` \| ([^|]*?) \| ([^|]*?) \|(?: ([^|]*?) ?\|)?$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    """Name, what it does, data and result of each program, from the tables of its README."""
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    return [(name, what, data, result or "") for name, what, data, result in ROW.findall(text)]


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a docstring as reStructuredText; indented ones are code."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            yield f".. code-block:: text\n\n{paragraph}"
        else:
            yield literal(paragraph)


def picture(folder: Path, name: str) -> str:
    found = sorted(folder.glob(f"{name}.*g"))
    if len(found) != 1:
        raise FileNotFoundError(f"docs/images/examples must have one picture of examples/{name}.py, it has {found}")
    return f"/images/examples/{found[0].name}"


def page(images: Path, name: str, data: str, result: str) -> list[str]:
    doc = ast.get_docstring(ast.parse((ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8"))) or ""
    first, _, rest = doc.partition("\n\n")
    lines = [*title(literal(first.replace("\n", " ").rstrip("."))), "\n\n".join(paragraphs(rest)), ""]
    drawn = picture(images, name)
    if not drawn.endswith(".svg"):  # the others show the printed lines, which follow
        lines += [f".. image:: {drawn}", f"   :alt: What examples/{name}.py draws: {first}", ""]
    facts = [("Data", data), ("On rows held back", result)]
    lines += [f"| **{label}:** {literal(text)}" for label, text in facts if text]
    lines += ["", "What it prints", "--------------", ""]
    lines += ["One run on a busy machine, of some programs with ``--quick``: times are no measurements.", ""]
    lines += [f".. literalinclude:: /images/examples/{name}.txt", "   :language: text", ""]
    lines += [
        "The program",
        "-----------",
        "",
        f".. literalinclude:: /../examples/{name}.py",
        "   :language: python",
        "",
    ]
    return lines


def spoken(name: str) -> str:
    """The name of a program as words."""
    words = {"rnn": "RNN", "keras": "Keras", "torch": "PyTorch"}
    text = " ".join(words.get(word, word) for word in name.split("_"))
    return text[0].upper() + text[1:]


def card(images: Path, name: str, what: str) -> list[str]:
    return [
        f"   .. grid-item-card:: {spoken(name)}",
        f"      :link: /examples/{name}",
        "      :link-type: doc",
        f"      :img-top: {picture(images, name)}",
        f"      :img-alt: Picture of the example {name}",
        "",
        f"      {literal(what[0].upper() + what[1:])}.",
        "",
    ]


def write(app: Sphinx) -> None:
    folder, images = (Path(app.srcdir) / name for name in ("examples", "images/examples"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    lines = [*title("Examples"), "Whole programs, each read in five minutes. They lie in the folder `examples`.", ""]
    lines += [".. grid:: 1 2 2 3", "   :gutter: 3", ""]
    for name, what, data, result in rows():
        lines += card(images, name, what)
        (folder / f"{name}.rst").write_text("\n".join(page(images, name, data, result)), encoding="utf-8")
    lines += [".. toctree::", "   :hidden:", "", *(f"   {name}" for name, *_ in rows()), ""]
    (folder / "index.rst").write_text("\n".join(lines), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
