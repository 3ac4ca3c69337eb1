"""The pages for users of other packages name only what exists, and every page is reached from the first."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path

import pytest

import rnncore

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = (
    "activations|augmentation|callbacks|config|constraints|decoding|layers|losses|metrics|mixed_precision|models"
    "|optimizers|regularizers|utils"
)
HERE = re.compile(rf"`((?:rnncore\.)?(?:{PACKAGES})(?:\.\w+)+|set_num_threads)`")
ROWS = [
    (page, row)
    for page in ("from_keras.md", "from_pytorch.md")
    for row in (DOCS / page).read_text(encoding="utf-8").splitlines()
    if row.startswith("|") and not row.startswith("|---")
]


@pytest.mark.parametrize(("page", "row"), ROWS, ids=[f"{page[5:-3]}-{number}" for number, (page, _) in enumerate(ROWS)])
def test_what_the_last_column_names_exists(page: str, row: str) -> None:
    for name in HERE.findall(row.rsplit("|", 2)[1]):
        reduce(getattr, name.removeprefix("rnncore.").split("."), rnncore)


PAGES = [ROOT / "README.md", *sorted(ROOT.glob("CONTRIBUTING.md")), *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_pages_name_exist_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:\.ci|benchmarks|cpp|docs|examples|python|tests)/[\w./]+)`", text):
        assert (ROOT / path).exists() or not (ROOT / path.split("/")[0]).exists(), path  # where the folder is at hand


def test_enough_names_are_found() -> None:
    assert sum(len(HERE.findall(row.rsplit("|", 2)[1])) for _, row in ROWS) > 100


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w/]+)$", index, re.MULTILINE))
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    assert pages - {"index"} <= listed
