"""The pages for users of other packages name only what exists, and every page is reached from the first."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path

import pytest
from public_api import EXTRAS, MODULES

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


def pages_from(page: str) -> set[str]:
    """The pages that the tables of contents of a page lead to, and theirs; those that builds write are not at hand."""
    file = DOCS / f"{page}.md"
    if not file.exists():
        return set()
    tables = re.findall(r"^```\{toctree\}$(.*?)^```$", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    entries = [entry for table in tables for entry in re.findall(r"^[\w./-]+$", table, re.MULTILINE)]
    return {page}.union(*(pages_from(entry) for entry in entries))


def test_every_page_is_reached_from_the_first() -> None:
    assert pages_from("index") == {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}


def test_every_public_module_has_a_page() -> None:
    listed = set(re.findall(r"^api/([\w.]+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {*MODULES, *(module for modules in EXTRAS.values() for module in modules)}


def test_every_example_is_in_the_gallery_with_its_picture() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    programs = {path.stem for path in (ROOT / "examples").glob("[!_]*.py")}
    assert set(re.findall(r"^\| `(\w+)\.py` \|", text, re.MULTILINE)) == programs
    images = DOCS / "images" / "examples"
    for program in programs:
        kept = sorted(path.suffix for path in images.glob(f"{program}.*"))
        assert kept in ([".png", ".txt"], [".svg", ".txt"]), f"docs/run_examples.py {program} makes its picture"


def test_the_picture_of_the_tasks_is_that_of_their_table() -> None:
    table = (DOCS / "performance.md").read_text(encoding="utf-8").partition("## Whole tasks")[2].partition("\n## ")[0]
    ratios = re.findall(r"^\| `\w+`: .*\| +([\d.]+) \|$", table, re.MULTILINE)
    drawn = re.findall(r"([\d.]+) times as fast", (DOCS / "images" / "tasks.svg").read_text(encoding="utf-8"))
    assert sorted(drawn) == sorted(ratios) != [], "docs/draw_pictures.py draws it"
