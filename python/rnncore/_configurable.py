"""Objects that can be written down as JSON and made again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from rnncore import _validation as check

Kind = TypeVar("Kind", bound="Configurable")
Item = TypeVar("Item", bound="Configurable")


class Configurable:
    """Base of objects that keep each argument of their constructor in an attribute of that name."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-serialisable."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls: type[Item], config: dict[str, Any]) -> Item:
        """Make the object again from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"


def serialize(item: Configurable) -> dict[str, Any]:
    """Describe an object as `{"class_name": ..., "config": ...}`."""
    return {"class_name": type(item).__name__, "config": item.get_config()}


def find(kind: str, identifier: Any, base: type[Kind], table: Mapping[str, type[Kind]]) -> Kind:
    """The object that a name, a class, a description or the object itself stands for."""
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, dict):
        return check.lookup(kind, identifier.get("class_name", ""), table).from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    return check.lookup(kind, identifier, table)()
