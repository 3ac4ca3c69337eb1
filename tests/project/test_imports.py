"""Modules import each other in one direction only, inside functions too."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "rnncore"


def modules(package: Path) -> dict[str, Path]:
    """The files of a package by the names of their modules."""
    names = {path: path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in names.items()}


def imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements below a node, but for those that type checkers alone follow."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from imports(child)


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a module imports: a submodule rather than the package that has it."""
    found = set()
    for statement in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
            continue
        above = name.split(".")[: -statement.level + (path.name == "__init__.py") or None] if statement.level else []
        source = ".".join([*above, *([statement.module] if statement.module else [])])
        whole = {alias.name: f"{source}.{alias.name}" for alias in statement.names}
        found |= {whole[alias] if whole[alias] in known else source for alias in whole}
    return found & set(known) - {name}


def circle(package: Path) -> list[str]:
    """The modules of a circle, or none."""
    known = modules(package)
    try:
        graphlib.TopologicalSorter({name: imported(name, path, known) for name, path in known.items()}).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle() -> None:
    assert circle(PACKAGE) == []


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        ("def f():\n    from pair.b import g\n", True),
        ("from . import b\n", True),
        ("from .b import g\n", True),
        ("import pair.b\n", True),
        ("if TYPE_CHECKING:\n    from pair.b import g\n", False),
        ("from pair import g\n", False),
    ],
)
def test_a_circle_is_found(tmp_path: Path, inside: str, found: bool) -> None:
    package = tmp_path / "pair"
    package.mkdir()
    for name, text in (("__init__", ""), ("a", inside), ("b", "from pair import a\n")):
        (package / f"{name}.py").write_text(text)
    assert bool(circle(package)) is found
