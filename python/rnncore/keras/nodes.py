"""Calls of layers as descriptions of Keras tell them: which values they read, and what else they were told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Node", "Ref", "calls_of", "refs"]


@dataclass(frozen=True)
class Ref:
    """Output number `output` of call number `call` of a layer."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class Node:
    """One call: positional and named arguments, with a Ref for each value."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


def calls_of(entry: Mapping[str, Any]) -> list[Node]:
    """The calls of a layer in a model of any version."""
    found = entry.get("inbound_nodes", [])
    if not isinstance(found, list):
        raise TypeError(f"inbound_nodes must be a list, got {type(found).__name__}")
    return [_of_keras_3(node) if isinstance(node, dict) else _of_keras_2(node) for node in found]


def refs(value: Any) -> Iterator[Ref]:
    """All values that an argument, or a list or dict of them, names."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from refs(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from refs(entry)


def ref_of(value: Any) -> Ref:
    """The value that `[layer, call, output]` names."""
    if not isinstance(value, list) or len(value) < 3 or not isinstance(value[0], str):
        raise TypeError(f"a value must be named by layer, call and output, got {value!r}")
    if not all(type(number) is int and number >= 0 for number in value[1:3]):
        raise ValueError(f"a value must be named by layer, call and output, got {value!r}")
    return Ref(*value[:3])


def _of_keras_3(node: Mapping[str, Any]) -> Node:
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise TypeError("a call must have a list args and a dict kwargs")
    return Node(tuple(map(_argument, args)), {name: _argument(value) for name, value in kwargs.items()})


def _argument(value: Any) -> Any:
    if isinstance(value, list):
        return [_argument(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    name, config = value.get("class_name"), value.get("config")
    if name == "__keras_tensor__":
        return ref_of(config.get("keras_history") if isinstance(config, dict) else None)
    if name == "__slice__" and isinstance(config, dict):
        return slice(*(config.get(key) for key in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__tuple__" and isinstance(value.get("items"), list):
        return tuple(map(_argument, value["items"]))
    return {key: _argument(entry) for key, entry in value.items()}


def _of_keras_2(node: Any) -> Node:
    if not isinstance(node, list) or not node:
        raise TypeError(f"a call must be a list of what it reads, got {node!r}")
    entries = [node] if isinstance(node[0], str) else node
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, list) or len(entry) < 3:
            raise TypeError(f"a call must name what it reads, got {entry!r}")
        args.append(entry[2] if entry[0] == "_CONSTANT_VALUE" else ref_of(entry))
        if len(entry) > 3 and isinstance(entry[3], dict):
            kwargs |= {name: _named(value) for name, value in entry[3].items()}
    return Node(tuple(args), kwargs)


def _named(value: Any) -> Any:
    """A named argument of Keras 2, where lists name values, too."""
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int:
            return value[2] if value[0] == "_CONSTANT_VALUE" else ref_of(value)
        return [_named(entry) for entry in value]
    if isinstance(value, dict):
        if set(value) <= {"start", "stop", "step"}:
            return slice(*(value.get(key) for key in ("start", "stop", "step")))
        return {key: _named(entry) for key, entry in value.items()}
    return value
