"""The public names of the package: which modules there are, and where each object is described."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.ext.autodoc.mock import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from public_api import EXTRAS, MODULES  # noqa: E402, the list that tests hold

MOCKED = ["google", "onnx", "torch"]  # large or not everywhere; pages are built without them


@dataclass(frozen=True)
class Name:
    """A public name of a module."""

    module: str
    name: str
    value: Any
    home: str  # the full name under which the object is described

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


def modules() -> dict[str, ModuleType]:
    """All public modules; `rnncore` itself comes last, since it shows again what the others have."""
    names = [*MODULES[1:], *(name for extra in EXTRAS.values() for name in extra), MODULES[0]]
    with mock(MOCKED):
        return {name: importlib.import_module(name) for name in names}


def public_names() -> dict[str, list[Name]]:
    """The public names of each module in their order there."""
    found: dict[str, list[Name]] = {}
    homes: dict[int, str] = {}
    with mock(MOCKED):
        for module, namespace in modules().items():
            found[module] = []
            for name in namespace.__all__:
                value = getattr(namespace, name)
                if name.startswith("_"):
                    continue
                home = value.__name__ if inspect.ismodule(value) else homes.setdefault(id(value), f"{module}.{name}")
                found[module].append(Name(module, name, value, home))
    return found


def summary(value: Any) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
