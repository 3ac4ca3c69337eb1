"""What a module shows: `dir()` lists its public names, and a name that is not there meets the nearest ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rnncore import _validation as check
from rnncore._keras_names import MODULES

__all__ = ["UnknownName", "public"]

_HOMES = ("layers", "models", "losses", "metrics", "optimizers", "callbacks", "utils", "initializers", "functional")


class UnknownName(AttributeError):
    """The error for a name that a module has not: its text says where the name is, or which names are like it.

    The text is made when somebody reads it: an import asks a package for its submodules by their names first, and
    must neither wait for a search nor begin another import.
    """

    def __init__(self, module: str, name: str, names: Sequence[str]) -> None:
        super().__init__(f"module {module!r} has no attribute {name!r}")
        self._module, self._name, self._names = module, name, names

    def __str__(self) -> str:
        advice = MODULES.get(self._module, {}).get(self._name)
        if advice is not None:
            return f"{super().__str__()}; {advice}"
        for home in _HOMES:
            owner = f"rnncore.{home}"
            if owner != self._module and self._name in importlib.import_module(owner).__all__:
                return f"{super().__str__()}; it is {owner}.{self._name}"
        return f"{super().__str__()}; {check.nearest(self._name, self._names)}"


def public(module: str, names: Sequence[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a module with these public names.

    Give them to a module where type checkers do not look, as for them any name would exist then.
    """

    def __getattr__(name: str) -> NoReturn:
        raise UnknownName(module, name, names)

    def __dir__() -> list[str]:
        return sorted(names)

    return __getattr__, __dir__
