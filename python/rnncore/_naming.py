"""Names that follow from classes."""

from __future__ import annotations

import re
from collections import Counter

from rnncore import _validation as check

__all__ = ["forget_names", "given_name", "snake_case"]

_names: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """`SimpleRNN` becomes `simple_rnn`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", name).lower()


def given_name(item: object, name: str | None) -> str:
    """The name given to an object; by default one that no other got: `lstm`, then `lstm_1`, `lstm_2`, ..."""
    if name is not None:
        return check.name("name", name)
    prefix = snake_case(type(item).__name__)
    count = _names[prefix]
    _names[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def forget_names() -> None:
    """Let automatic names start again."""
    _names.clear()
