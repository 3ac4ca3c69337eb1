"""The part of pickle that tensors and containers need, read without running anything that a pickle names."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore._data import Array

__all__ = ["Storage", "interpret"]

MOST_AXES = 32
MOST_EXPANDED = 2**20  # numbers of a tensor that has some of them several times, as after `expand`
ONLY = "; only tensors and containers are read, as torch.save(module.state_dict(), path) writes them"
_MARK = object()


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names, which nobody looks up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False)
class Storage:
    """The numbers that tensors are views of."""

    entry: str
    numbers: Array


def interpret(data: bytes, storage: Callable[[Any], Storage]) -> Any:
    """The dicts, lists, tuples, sets, numbers and texts of a pickle, with tensors as arrays.

    Parameters
    ----------
    data : bytes
    storage : callable
        Finds the numbers that a reference stands for.

    Returns
    -------
    object
        Arrays of one storage share memory.

    Raises
    ------
    ValueError
        If the pickle is broken, or asks for anything else.
    """
    try:
        return _Machine(storage).run(data)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, UnicodeError, MemoryError) as error:
        raise ValueError(f"it is no whole pickle: {type(error).__name__} {error}") from error


class _Machine:
    """A stack, a memo, and an operation for each code of a pickle that can be read."""

    def __init__(self, storage: Callable[[Any], Storage]) -> None:
        self._storage = storage
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        file = io.BytesIO(data)
        while (byte := file.read(1)) not in (b"", pickle.STOP):
            code = _CODES[byte.decode("latin-1")]
            if code.name not in _KNOWN:
                raise ValueError(f"it uses {code.name}{ONLY}")
            argument: Any
            if code.name == "GLOBAL":  # its lines are plain text, whatever pickletools makes of them
                argument = [file.readline().rstrip(b"\n").decode() for _ in range(2)]
            else:
                argument = code.arg.reader(file) if code.arg else None
            if code.name in _LITERALS:
                self._stack.append(argument)
            elif code.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[code.name]())
            elif code.name in _OPERATIONS:
                _OPERATIONS[code.name](self, argument)
        if not byte:
            raise ValueError("it ends too early")
        return _plain(self._stack[-1])

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        found = self._stack[place + 1 :]
        del self._stack[place:]
        return found

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise ValueError("its stack is empty")
        self._stack[len(self._stack) - count :] = [tuple(self._stack[len(self._stack) - count :])]

    def _append(self, values: list[Any]) -> None:
        _of_type(self._stack[-1], list).extend(values)

    def _add(self, values: list[Any]) -> None:
        _of_type(self._stack[-1], set).update(map(_key, values))

    def _set(self, values: list[Any]) -> None:
        target = _of_type(self._stack[-1], dict)
        target.update((_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True))

    def _pop(self, count: int) -> list[Any]:
        found = [self._stack.pop() for _ in range(count)]
        return found[::-1]

    def _reduce(self) -> None:
        function, arguments = self._pop(2)
        self._stack.append(_call(_of_type(function, Name), _of_type(arguments, tuple)))

    def _build(self) -> None:
        """State of a dict, as PyTorch's versions of modules: left out."""
        self._stack.pop()
        _of_type(self._stack[-1], dict)


_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_OPERATIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "TUPLE1": lambda m, _: m._tuple(1),
    "TUPLE2": lambda m, _: m._tuple(2),
    "TUPLE3": lambda m, _: m._tuple(3),
    "TUPLE": lambda m, _: m._stack.append(tuple(m._since_mark())),
    "LIST": lambda m, _: m._stack.append(m._since_mark()),
    "APPEND": lambda m, _: m._append(m._pop(1)),
    "APPENDS": lambda m, _: m._append(m._since_mark()),
    "ADDITEMS": lambda m, _: m._add(m._since_mark()),
    "SETITEM": lambda m, _: m._set(m._pop(2)),
    "SETITEMS": lambda m, _: m._set(m._since_mark()),
    "POP": lambda m, _: m._pop(1),
    "BINPUT": lambda m, place: m._memo.__setitem__(place, m._stack[-1]),
    "LONG_BINPUT": lambda m, place: m._memo.__setitem__(place, m._stack[-1]),
    "MEMOIZE": lambda m, _: m._memo.__setitem__(len(m._memo), m._stack[-1]),
    "BINGET": lambda m, place: m._stack.append(m._memo[place]),
    "LONG_BINGET": lambda m, place: m._stack.append(m._memo[place]),
    "GLOBAL": lambda m, lines: m._stack.append(Name(*lines)),
    "STACK_GLOBAL": lambda m, _: m._stack.append(Name(*(_of_type(part, str) for part in m._pop(2)))),
    "BINPERSID": lambda m, _: m._stack.append(m._storage(m._stack.pop())),
    "REDUCE": lambda m, _: m._reduce(),
    "BUILD": lambda m, _: m._build(),
}
_CODES = {code.code: code for code in pickletools.opcodes}
_KNOWN = {"PROTO", "FRAME", *_LITERALS, *_CONSTANTS, *_OPERATIONS}


def _call(function: Name, arguments: tuple[Any, ...]) -> Any:
    """What the few functions give that a file of weights needs."""
    name = str(function)
    if name == "collections.OrderedDict":
        pairs = _of_type(arguments[0], list) if arguments else []
        return {_key(key): value for key, value in pairs}
    if name == "torch._utils._rebuild_tensor_v2":
        storage, offset, shape, strides = arguments[:4]
        found = _tensor(_of_type(storage, Storage), offset, _of_type(shape, tuple), _of_type(strides, tuple))
        turned = _of_type(arguments[6], dict) if len(arguments) > 6 else {}
        found = found.conj() if turned.get("conj") else found
        return -found if turned.get("neg") else found
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return _of_type(arguments[0], np.ndarray)
    if name == "torch.Size":
        return tuple(_of_type(arguments[0], (tuple, list)))
    if name in ("builtins.set", "__builtin__.set"):
        return {_key(value) for value in _of_type(arguments[0], list)}
    raise ValueError(f"it would call {reprlib.repr(name)}{ONLY}")


def _tensor(storage: Storage, offset: Any, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> Array:
    """A view of a storage."""
    claim = f"a tensor of {storage.entry} with shape {reprlib.repr(shape)}, strides {reprlib.repr(strides)} "
    claim += f"and offset {reprlib.repr(offset)}"
    sizes = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > MOST_AXES or any(type(n) is not int or n < 0 for n in sizes):
        raise ValueError(f"{claim} has no sizes and places")
    there = storage.numbers.size
    used = 0 if 0 in shape else 1
    expanded = 0 in [stride for stride, size in zip(strides, shape, strict=True) if size > 1]
    expanded = expanded and math.prod(shape) <= MOST_EXPANDED
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size > 1):
        if used and stride < used and not (expanded and stride == 0):
            raise ValueError(f"{claim} has elements that overlap")
        used += used and (size - 1) * stride
    if offset + used > there:
        raise ValueError(f"{claim} runs beyond its {there} numbers")
    steps = [stride * storage.numbers.itemsize for stride in strides]
    found = np.lib.stride_tricks.as_strided(storage.numbers[offset:], shape, steps if used else None)
    return found.copy() if expanded and used else found


def _plain(found: Any) -> Any:
    """What was found, if nothing is left in it that only PyTorch would understand."""
    waiting, seen = [found], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Name, Storage)) or value is _MARK:
            what = value if isinstance(value, Name) else "a storage"
            raise ValueError(f"it holds {what}{ONLY}")
        if isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return found


def _of_type(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"it has {reprlib.repr(value)} in a wrong place")
    return value


def _key(value: Any) -> Any:
    """A key of a dict: nothing whose hash goes deep."""
    return _of_type(value, (str, int, float, bytes, type(None)))
