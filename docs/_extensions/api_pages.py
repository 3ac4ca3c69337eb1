"""Writes the pages of the API: one for each module, with its functions, and one for each class.

They are made anew in `docs/api` with every build. A page of a class has what the class and its private bases define;
what it inherits from a public class is listed, and described there.
"""

from __future__ import annotations

import inspect
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from public_names import Name, modules, public_names, summary
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

SHARED = re.compile(r"(\w+(?:, \w+)+)((?: : .*)?)")  # names of attributes, and their type


def literal(text: str) -> str:
    """A line of a docstring as reStructuredText: stars and bars stand for themselves."""
    return text.replace("*", r"\*").replace("|", r"\|")


def title(text: str) -> list[str]:
    return [text, "=" * len(text), ""]


def is_described(value: Any) -> bool:
    """Whether a member is a method or a property, and none that another package has put there."""
    return type(value).__module__ == "builtins" and (inspect.isroutine(value) or isinstance(value, property))


def members(cls: type, classes: dict[type, str]) -> tuple[list[str], dict[type, list[str]]]:
    """The members that the page of a class describes, and those that the page of another class does, by class."""
    own: list[str] = []
    inherited: dict[type, list[str]] = {}
    seen: set[str] = set()
    page = cls  # whose page describes what the classes of the chain define
    for base in cls.__mro__:
        if not base.__module__.startswith("rnncore"):
            continue
        if base in classes:
            page = base
        for name, value in vars(base).items():
            if name.startswith("_") or name in seen or not is_described(value):
                continue
            seen.add(name)
            if inspect.getdoc(getattr(cls, name)):
                (own if page is cls else inherited.setdefault(page, [])).append(name)
    return own, inherited


def class_page(entry: Name, classes: dict[type, str]) -> list[str]:
    own, inherited = members(entry.value, classes)
    lines = [*title(entry.name), f".. currentmodule:: {entry.module}", "", f".. autoclass:: {entry.full}"]
    for name in own:
        static = inspect.getattr_static(entry.value, name)
        kind = "autoproperty" if isinstance(static, property) else "automethod"
        lines += ["", f"   .. {kind}:: {entry.full}.{name}"]
    for base, names in inherited.items():
        links = ", ".join(f":py:obj:`{name} <{classes[base]}.{name}>`" for name in names)
        lines += ["", f".. rubric:: Inherited from {classes[base].rpartition('.')[2]}", "", links]
    return [*lines, ""]


def table(rows: list[tuple[str, str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :class: api-names", "   :widths: 35 65", "")
    for first, second in rows:
        yield f"   * - {first}"
        yield f"     - {second}"
    yield ""


def row(entry: Name) -> tuple[str, str]:
    text = literal(summary(entry.value)) if entry.full == entry.home else f"Another name of `{entry.home}`."
    if not callable(entry.value):
        text = literal(summary(entry.value)) if inspect.ismodule(entry.value) else "A string."
        if not inspect.ismodule(entry.value):
            return f"``{entry.name}``", text
    role = ":py:mod:" if inspect.ismodule(entry.value) else ":py:obj:"
    return f"{role}`{entry.name} <{entry.home}>`", text


def module_page(module: str, doc: str, names: list[Name]) -> list[str]:
    names = sorted(names, key=lambda entry: entry.name.lower())
    here = [entry for entry in names if entry.full == entry.home]
    classes = [entry for entry in here if inspect.isclass(entry.value)]
    functions = [entry for entry in here if inspect.isroutine(entry.value)]
    others = [entry for entry in names if entry not in classes and entry not in functions]
    lines = [*title(module), f".. module:: {module}", "", literal(inspect.cleandoc(doc)), ""]
    for heading, group in (("Classes", classes), ("Other names", others), ("Functions", functions)):
        if group:
            lines += [heading, "-" * len(heading), "", *table([row(entry) for entry in group])]
    if classes:
        entries = [f"   {entry.name} <{entry.full}>" for entry in classes]
        lines += [".. toctree::", "   :hidden:", "", *entries, ""]
    for entry in functions:
        lines += [f".. autofunction:: {entry.full}", ""]
    return lines


def write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "api"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    found = public_names()
    classes = {
        entry.value: entry.full
        for names in found.values()
        for entry in names
        if inspect.isclass(entry.value) and entry.full == entry.home
    }
    for module, namespace in modules().items():
        pages = {module: module_page(module, namespace.__doc__ or "", found[module])}
        for entry in found[module]:
            if classes.get(entry.value if inspect.isclass(entry.value) else object) == entry.full:
                pages[entry.full] = class_page(entry, classes)
        for name, lines in pages.items():
            (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")


def escape_plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: stars and bars stand for themselves, outside examples."""
    example = False
    for number, line in enumerate(lines):
        example = line.strip() != "" and (example or line.lstrip().startswith(">>>"))
        if not example and not line.lstrip().startswith("*"):
            lines[number] = literal(line)


def split_attributes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Attributes that share a line get one each, with the same text; napoleon does so with parameters only."""
    found: list[str] = []
    section = ""
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and set(lines[number + 1]) == {"-"}:
            section = line
        if section == "Attributes" and (shared := SHARED.fullmatch(line)):
            *others, last = shared[1].split(", ")
            text = list(itertools.takewhile(lambda later: later.startswith(" "), lines[number + 1 :]))
            for other in others:
                found += [other + shared[2], *text]
            line = last + shared[2]
        found.append(line)
    lines[:] = [re.sub(r"^(\w+)_(?= : |$)", r"\1\_", line) for line in found]  # no links in reStructuredText


def setup(app: Sphinx) -> dict[str, bool]:
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as docstrings call them
    app.connect("builder-inited", write)
    for change in (escape_plain_text, split_attributes):
        app.connect("autodoc-process-docstring", change, priority=400)  # before napoleon, which adds stars of its own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
