"""Methods that Keras would call and the engine does not: defining one is an error rather than without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from rnncore import _validation as check

HOOK = re.compile(r"on_\w*(begin|end|start|stop|finish|finished)")


class NoIgnoredOverrides:
    """Base of what users may subclass.

    Attributes
    ----------
    _ignored : frozenset of str
        The methods that would be ignored in a class of the user's.
    _instead : str
        Why, and what to do: the end of an error message.
    """

    _ignored: ClassVar[frozenset[str]] = frozenset()
    _instead: ClassVar[str] = ""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._refuse_overrides()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._ignored:
            raise TypeError(self._refusal(name))
        super().__setattr__(name, value)

    @classmethod
    def _refuse_overrides(cls) -> None:
        """TypeError if the class, or a class of the user's that it is made of, defines what would be ignored."""
        for name in cls._ignored:
            if is_users(cls, name):
                raise TypeError(cls._refusal(name))

    @classmethod
    def _require_kind(cls, attribute: str = "kind") -> None:
        """TypeError unless the class is, or is made of, one that the engine knows."""
        if not getattr(cls, attribute, ""):
            raise TypeError(f"{cls.__name__} is none that the engine knows: {cls._instead}")

    @classmethod
    def _refusal(cls, name: str) -> str:
        return f"{cls.__name__}.{name} would be ignored: {cls._instead}"


class OnlyKnownHooks:
    """Base of what has hooks: one that is never called is an error, its name being misspelt."""

    _hooks: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for owner in user_classes(cls):
            for name in vars(owner):
                cls._check_hook(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check_hook(name)
        super().__setattr__(name, value)

    @classmethod
    def _check_hook(cls, name: str) -> None:
        if name not in cls._hooks and HOOK.fullmatch(name):
            raise TypeError(f"{cls.__name__}.{name} would never be called; {check.nearest(name, cls._hooks)}")


def is_own(cls: type) -> bool:
    """Whether a class is rnncore's."""
    return cls.__module__.partition(".")[0] == "rnncore"


def user_classes(cls: type) -> Iterator[type]:
    """The class and those it is made of, as far as they are not rnncore's."""
    for owner in cls.__mro__:
        if owner is not object and not is_own(owner):
            yield owner


def is_users(cls: type, name: str) -> bool:
    """Whether a class has a method of this name from the user rather than from rnncore, be it assigned later."""
    owner = next((owner for owner in cls.__mro__ if name in vars(owner)), object)
    found = vars(owner).get(name)
    function = getattr(found, "fget", None) or getattr(found, "__func__", found)  # of a property, of a static method
    made_by = function if is_own(owner) else owner
    return owner is not object and getattr(made_by, "__module__", "rnncore").partition(".")[0] != "rnncore"
