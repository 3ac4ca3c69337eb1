"""Makes pages of the notebooks in `docs/tutorials`, with what their cells have printed and drawn.

Pages are made anew in `docs/lessons` with every build; `docs/write_tutorials.py` makes the notebooks.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

CHINESE = ".zh-CN"
LINKS = {  # by what the name of a page has at its end: the other language, and the file
    "": "[中文]({other}.md) · {{download}}`This lesson as a notebook <../tutorials/{page}.ipynb>`",
    CHINESE: "[English]({other}.md) · {{download}}`下载本课的 notebook <../tutorials/{page}.ipynb>`",
}


def shown(output: dict[str, Any], picture: Path) -> str:
    """A printed text, or a picture, as Markdown."""
    if output["output_type"] == "stream":
        return f"```text\n{''.join(output['text'])}```"
    picture.write_bytes(base64.b64decode(output["data"]["image/png"]))
    return f"```{{image}} {picture.name}\n:alt: {''.join(output['data']['text/plain'])}\n```"


def parts(page: str, cells: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    for number, cell in enumerate(cells):
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            yield f"```python\n{text}\n```"
            yield from (shown(output, folder / f"{page}-{number}.png") for output in cell["outputs"])
        elif number == 0:
            middle = CHINESE if page.endswith(CHINESE) else ""
            other = page.removesuffix(CHINESE) if middle else page + CHINESE
            heading, _, rest = text.partition("\n")
            yield heading
            yield LINKS[middle].format(page=page, other=other)
            yield rest
        else:
            yield text


def write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "lessons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in sorted((Path(app.srcdir) / "tutorials").glob("*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join(parts(file.stem, cells, folder))
        (folder / f"{file.stem}.md").write_text(text + "\n", encoding="utf-8")


def say_language(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if page.endswith(CHINESE):
        context["language"] = "zh-CN"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    app.connect("html-page-context", say_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
