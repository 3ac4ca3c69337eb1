"""The parts agree with each other, and with the habits of the project."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import rnncore
import rnncore.functional
import rnncore.reference

ROOT = Path(__file__).parent.parent
PUBLIC_MODULES = [
    "rnncore",
    "rnncore.callbacks",
    "rnncore.datasets",
    "rnncore.functional",
    "rnncore.initializers",
    "rnncore.layers",
    "rnncore.losses",
    "rnncore.metrics",
    "rnncore.models",
    "rnncore.optimizers",
    "rnncore.reference",
    "rnncore.regularizers",
    "rnncore.runtime",
    "rnncore.utils",
]


def public(module: ModuleType) -> list[str]:
    return [name for name in module.__all__ if not name.startswith("_")]


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru", "backward"])
def test_functional_and_reference_have_the_same_signature(name: str) -> None:
    compiled, reference = (getattr(module, name) for module in (rnncore.functional, rnncore.reference))
    assert inspect.signature(compiled) == inspect.signature(reference)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_names_exist_and_are_documented(module: str) -> None:
    namespace = importlib.import_module(module)
    undocumented = []
    for name in public(namespace):
        value = getattr(namespace, name)
        documented = (value.__doc__ or "") if callable(value) else ">>>"
        if ">>>" not in documented:
            undocumented.append(name)
    assert undocumented == []


def sources() -> list[Path]:
    folders = ("python", "cpp", "tests", "examples", "cmake", "docs")
    endings = {".py", ".pyi", ".h", ".cpp", ".cmake", ".md"}
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_source_is_short_and_finished(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 600
    if path != Path(__file__):
        assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", text) == []
