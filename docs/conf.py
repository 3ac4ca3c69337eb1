"""Settings of the documentation: `sphinx-build -W docs site`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

import numpy_inventory  # noqa: E402
from public_names import MOCKED  # noqa: E402

import rnncore  # noqa: E402

project = "rnncore"
copyright = "the rnncore developers"
version = release = rnncore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "api_pages",
    "gallery",
    "lessons",
    "links",
    "mathml",
]
exclude_patterns = ["_build", "**.ipynb"]
default_role = "code"
nitpicky = False
suppress_warnings = ["myst.xref_missing"]  # links to files outside the pages, for readers of the source
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings tell types and shapes
autodoc_mock_imports = MOCKED
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# NumPy's whole list where it can be fetched, and else what docstrings name.
intersphinx_mapping = {"numpy": (numpy_inventory.ADDRESS, (None, numpy_inventory.write(HERE / "numpy.inv")))}
intersphinx_timeout = 5

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Versions say in which folder of the site they are; DOCS_ADDRESS says where the site will be.
versions = json.loads((HERE / "versions.json").read_text(encoding="utf-8"))
for entry in versions:
    entry["url"] = os.environ.get("DOCS_ADDRESS", "/") + entry["url"]
(HERE / "_static" / "versions.json").write_text(json.dumps(versions), encoding="utf-8")

html_theme = "pydata_sphinx_theme"
html_title = "rnncore"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_js_files = ["names.js"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "rnncore", "alt_text": "rnncore, first page"},
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "navbar_end": ["version-switcher", "theme-switcher"],
    "switcher": {"json_url": "_static/versions.json", "version_match": version},
    "show_toc_level": 2,
    "navigation_depth": 3,
    "collapse_navigation": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("changes", "contributing", "faq", "index", "performance", "promises", "tour")}
