"""Settings of the documentation: `sphinx-build -W docs site`."""

from __future__ import annotations

from typing import Any

project = "rnncore"
copyright = "the rnncore developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "rnncore"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings tell types and shapes
autodoc_mock_imports = ["google", "onnx", "torch"]  # pages are built without it
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
nitpicky = False
suppress_warnings = ["myst.xref_missing"]  # links to files outside the pages, for readers of the source
default_role = "code"


def escape_plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: stars and bars stand for themselves, outside examples."""
    example = False
    for number, line in enumerate(lines):
        example = line.strip() != "" and (example or line.lstrip().startswith(">>>"))
        if not example and not line.lstrip().startswith("*"):
            lines[number] = line.replace("*", r"\*").replace("|", r"\|")


def setup(app: Any) -> None:
    """Before napoleon, which adds stars of its own."""
    app.connect("autodoc-process-docstring", escape_plain_text, priority=400)
