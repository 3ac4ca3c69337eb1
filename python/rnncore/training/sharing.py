"""How the threads that use one model get along."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar, cast

from rnncore._turns import Turns

Method = TypeVar("Method", bound=Callable[..., Any])

PATIENCE = 0.05  # seconds, after which a thread looks whether it waits for a whole fit


def trains(name: str, whole: bool = False) -> Callable[[Method], Method]:
    """Make a method of a model one that a single thread runs at a time.

    Others wait for their turn, but not for a `whole` training: then they are refused, for it may take hours, or wait
    for them.
    """

    def make(method: Method) -> Method:
        @functools.wraps(method)
        def alone(model: Any, *arguments: Any, **options: Any) -> Any:
            turns: Turns = model._session.training
            while not turns.take(PATIENCE):
                if turns.in_series:
                    raise RuntimeError(
                        f"{name} is not possible while another thread fits this model: one thread trains a model at a"
                        " time; predict, evaluate and calls of the model are possible"
                    )
            try:
                with turns.series() if whole else nullcontext():
                    return method(model, *arguments, **options)
            finally:
                turns.give()

        return cast(Method, alone)

    return make
