"""Forward passes that backward may follow."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._sequence_arguments import Array
from ..program import Node
from .op import Arrays


@dataclass(frozen=True)
class Pass:
    """What a forward pass leaves for what comes after it."""

    outputs: list[Array]
    masks: Arrays  # of the outputs
    penalised: list[Array]  # the values with activity regularizers
    tape: list[tuple[Node, Any]]
    parameters: Sequence[Array] = ()  # those that it read, where backward may follow by itself


class Passes(threading.local):
    """The passes of one thread: those of others come between without harm."""

    forward: Pass | None = None  # in training, that backward may follow
    last: Pass | None = None  # that went back
