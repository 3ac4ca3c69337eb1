"""Objects that can be written down as JSON and made again."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

from rnncore import _validation as check
from rnncore._naming import snake_case
from rnncore._overrides import is_own

Item = TypeVar("Item", bound="Configurable")
Class = TypeVar("Class")


Accepts = Callable[[str, Any], None]  # of an argument's name and value: raises unless it may be left out of account


def anything(argument: str, value: Any) -> None:
    """Accept a value that changes nothing."""


def only(*values: Any) -> Accepts:
    """Accept what holds here anyway."""

    def accepts(argument: str, value: Any) -> None:
        if value not in values:
            raise ValueError(f"{argument} must be {' or '.join(map(repr, values))} here, got {value!r}")

    return accepts


def instead(advice: str) -> Accepts:
    """Accept nothing, and say what to do."""

    def accepts(argument: str, value: Any) -> None:
        raise TypeError(f"{argument} is not there; {advice}")

    return accepts


class Configurable:
    """Base of objects that keep each argument of their constructor in an attribute of that name.

    A class with `registry`, the word for its kind of objects, begins a registry. rnncore's subclasses of it enter
    themselves by their `_names` and `aliases`, but for private ones and those with `registered=False`.

    Docstrings that share text have it from the base: `_parameters`, after their own and before the attributes, and
    `_sections`, before the examples. NAME stands for the class there.
    """

    _keras_arguments: ClassVar[Mapping[str, Accepts]] = {}  # known to Keras's constructors, and not to these
    _word: ClassVar[str]  # the word for objects of the registry
    _registry: ClassVar[dict[str, type[Any]]]
    _parameters: ClassVar[str] = ""
    _sections: ClassVar[str] = ""
    _root: ClassVar[Any]  # the class that began the registry

    def __init_subclass__(
        cls, *, registry: str = "", aliases: Sequence[str] = (), registered: bool = True, **options: Any
    ) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _with_keras_arguments(cls.__init__)  # type: ignore[method-assign]
        if registry:
            cls._word, cls._registry, cls._root = registry, {}, cls
        elif registered and is_own(cls) and not cls.__name__.startswith("_"):
            cls._registry.update(dict.fromkeys((*cls._names(), *aliases), cls))
            if cls.__doc__ and (cls._parameters or cls._sections):
                cls.__doc__ = cls._documented(inspect.cleandoc(cls.__doc__))

    @classmethod
    def _documented(cls, text: str) -> str:
        """A docstring with what it shares with others."""
        before, heading, examples = text.partition("\n\nExamples\n")
        if cls._parameters:
            own, gap, after = before.partition("\n\nAttributes\n")
            before = f"{own}\n{inspect.cleandoc(cls._parameters)}{gap}{after}"
        if cls._sections:
            before = f"{before}\n\n{inspect.cleandoc(cls._sections)}"
        return f"{before}{heading}{examples}".replace("NAME", cls.__name__)

    @classmethod
    def _names(cls) -> tuple[str, ...]:
        """The names by which the class is found, besides its aliases."""
        return cls.__name__, snake_case(cls.__name__)

    def _own_arguments(self) -> dict[str, Any]:
        """What rnncore's class takes besides what all of its kind take, where it is not None."""
        own: Any = next(filter(is_own, type(self).__mro__))
        return {name: value for name in _own_names(own, self._root) if (value := getattr(self, name)) is not None}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-serialisable."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls: type[Item], config: dict[str, Any]) -> Item:
        """Make the object again from what `get_config` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"


@functools.cache
def _own_names(cls: Any, root: Any) -> list[str]:
    """The parameters of a class's constructor that another one has not."""
    common = inspect.signature(root).parameters
    return [name for name in inspect.signature(cls).parameters if name not in common]


def _with_keras_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that takes, or refuses with advice, arguments of Keras's that it does not know itself."""
    parameters = inspect.signature(init).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return init

    @functools.wraps(init)
    def checked(self: Configurable, *values: Any, **arguments: Any) -> None:
        for argument in [name for name in arguments if name not in parameters]:
            if argument not in self._keras_arguments:
                advice = check.nearest(argument, [name for name in parameters if name != "self"])
                raise TypeError(f"{type(self).__name__} got an unknown argument {argument!r}; {advice}")
            self._keras_arguments[argument](f"{argument} of {type(self).__name__}", arguments.pop(argument))
        init(self, *values, **arguments)

    return checked


def passed_on(names: dict[str, Any], *but: str) -> dict[str, Any]:
    """What a constructor passes on to that of its base: its arguments, from `locals()` at its beginning, but for some.

    What came as `**arguments` is among them.
    """
    passed = {name: value for name, value in names.items() if name not in ("self", "__class__", "arguments", *but)}
    return {**passed, **names.get("arguments", {})}


FROM_KERAS = ("module", "registered_name", "build_config")  # what its descriptions have besides, without use here

_custom_objects: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects")


@contextlib.contextmanager
def custom_objects(objects: Any) -> Iterator[None]:
    """Around what reads descriptions: classes and functions of the user's by the names they have there."""
    if objects is None:
        yield
        return
    if not isinstance(objects, dict) or not all(isinstance(name, str) for name in objects):
        raise TypeError(f"custom_objects must be a dict of classes and functions by name, got {objects!r}")
    token = _custom_objects.set({**_custom_objects.get({}), **objects})
    try:
        yield
    finally:
        _custom_objects.reset(token)


def custom_object(name: Any) -> Any:
    """The class or function that the user gave under a name, or None."""
    return _custom_objects.get({}).get(name) if isinstance(name, str) else None


def fields(what: str, description: Any, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """A description with just these keys; an error that says what it lacks or has too much."""
    if not isinstance(description, dict):
        raise TypeError(f"{what} must be a dict, got {type(description).__name__} {description!r}")
    missing = [key for key in needed if key not in description]
    if missing:
        raise ValueError(f"{what} is not whole: it lacks {missing[0]!r}")
    for key in description:
        if key not in needed and key not in optional:
            raise ValueError(f"{what} has an unknown entry {key!r}; known are {', '.join([*needed, *optional])}")
    return description


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """Put the name of a part before what goes wrong with its description, as a ValueError."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{name}: it lacks {error}") from error
    except RecursionError as error:
        raise ValueError(f"{name}: it is nested too deeply") from error
    except (ArithmeticError, AttributeError, IndexError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def class_of(kind: str, description: Any, base: type[Class], table: Mapping[str, type[Class]]) -> type[Class]:
    """The class that a description `{"class_name": ..., "config": ...}` names."""
    name = fields(f"the description of the {kind}", description, ("class_name",), ("config", *FROM_KERAS))["class_name"]
    own = custom_object(name)
    if isinstance(own, type) and issubclass(own, base):
        return own
    if own is not None and name not in table:
        raise TypeError(f"custom_objects[{name!r}] must be a subclass of {base.__name__}, got {own!r}")
    try:
        return check.lookup(kind, name, table)
    except ValueError as error:
        raise ValueError(f"{error}; a class of your own is found when it is given in custom_objects") from None


def make(kind: str, description: Any, base: type[Class], table: Mapping[str, type[Class]]) -> Class:
    """The object that a description `{"class_name": ..., "config": ...}` stands for."""
    cls: Any = class_of(kind, description, base, table)
    config = description.get("config", {})
    if not isinstance(config, dict):
        raise TypeError(f"config of {kind} {cls.__name__!r} must be a dict, got {type(config).__name__} {config!r}")
    made: Class = cls.from_config(config)
    return made


def serialize(item: Configurable) -> dict[str, Any]:
    """Describe an object as `{"class_name": ..., "config": ...}`."""
    return {"class_name": type(item).__name__, "config": item.get_config()}


def find(base: type[Item], identifier: Any) -> Item:
    """The object of a registry that a name, a class, a description or the object itself stands for."""
    if isinstance(identifier, base):
        return identifier
    made: Item
    if isinstance(identifier, dict):
        made = make(base._word, identifier, base, base._registry)
    elif isinstance(identifier, type) and issubclass(identifier, base):
        made = identifier()
    else:
        made = check.lookup(base._word, identifier, base._registry)()
    return made
