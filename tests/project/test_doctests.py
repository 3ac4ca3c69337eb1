"""Every example in the documentation and in the docstrings of the package runs as it is printed."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest
from public_api import EXTRAS

import rnncore

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted({"rnncore", *(module.name for module in pkgutil.walk_packages(rnncore.__path__, "rnncore."))})
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples may write files."""
    monkeypatch.chdir(tmp_path)


# What imports show that a page or module needs, by package.
NEEDS = {
    **{extra: rf"(?:import|from) (?:rnncore\.(?=onnx))?{extra}\b" for extra in EXTRAS},
    "tqdm": r"from tqdm\b",
    "pyarrow": r"(?:import|from) .*\bpyarrow\b",
    "polars": r"import polars\b",
    "mlflow": r"import mlflow\b",
    "wandb": r"import wandb\b",
    "mpi4py": r"from (?:mpi4py|rnncore import .*\bdistributed\b)",
    "h5py": r"from rnncore(?: import .*\bkeras\b|\.keras\b)",
}


def skip_without_extras(file: Path) -> None:
    """Skip a page or module that imports a package which is not installed."""
    text = file.read_text(encoding="utf-8")
    for extra, imports in NEEDS.items():
        if re.search(rf"^ *(?:>>> )?{imports}", text, re.M):
            pytest.importorskip(extra, reason=f"{extra} is not installed")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path) -> None:
    skip_without_extras(page)
    result = doctest.testfile(str(page), module_relative=False, optionflags=OPTIONS, encoding="utf-8")
    assert result.failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str) -> None:
    file = importlib.util.find_spec(module).origin
    if file.endswith(".py"):
        skip_without_extras(Path(file))
    result = doctest.testmod(importlib.import_module(module), optionflags=OPTIONS)
    assert result.failed == 0
