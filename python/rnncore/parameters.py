"""Weights and the flat vectors they live in."""

from __future__ import annotations

import contextlib
import math
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from rnncore import _data as data
from rnncore import _validation as check
from rnncore import constraints, regularizers
from rnncore._core import WatchedMemory
from rnncore._keras_names import PointsElsewhere

Array = npt.NDArray[Any]
FirstValue = Callable[[tuple[int, ...], npt.DTypeLike], Array]

_deferred: ContextVar[bool] = ContextVar("deferred", default=False)


@contextlib.contextmanager
def deferring() -> Iterator[None]:
    """Around layers that are built: their weights get neither memory nor values until `start` or `hold` is called."""
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


class Weight:
    """One array of a layer: a window of `size` elements at `offset` of its store's vector.

    It is new until `start` gives it its first value, and has no store before. The window moves when stores are joined;
    `value` is always the live view.
    """

    times_set: ClassVar[int] = 0  # any `trainable`, of a weight, a layer or a model: a quick way to see that none was
    store: ParameterStore
    offset: int

    def __init__(
        self,
        path: str,
        shape: tuple[int, ...],
        first_value: FirstValue,
        regularizer: regularizers.Regularizer | None = None,
        constraint: constraints.Constraint | None = None,
        *,
        trainable: bool = True,
        statistic: bool = False,
    ) -> None:
        self.path = path
        self.shape = shape
        self.regularizer = regularizer
        self.constraint = constraint
        self.statistic = statistic  # written by its layer: no gradient ever changes it
        self._trainable = trainable and not statistic
        self._first_value: FirstValue | None = first_value

    @property
    def is_new(self) -> bool:
        """Whether it has no value yet."""
        return "store" not in self.__dict__

    def begin_with(self, number: float, window: Any) -> None:
        """Let the first value be `number` in a window of it."""
        made = self._first_value
        assert made is not None

        def changed(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
            value = np.array(made(shape, dtype))
            value[window] = number
            return value

        self._first_value = changed

    def start(self) -> None:
        """Take the first value."""
        assert self._first_value is not None
        self.value[...] = self.checked(self._first_value(self.shape, self.dtype))
        self._first_value = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def trainable(self) -> bool:
        """Whether training changes the weight; read when the model is compiled."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = check.boolean("trainable", value)
        if value and self.statistic:
            raise ValueError(f"trainable of {self.path} must be False: its layer keeps statistics there")
        Weight.times_set += 1
        self._trainable = value

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def window(self) -> slice:
        return slice(self.offset, self.offset + self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.store.vector.dtype

    @property
    def value(self) -> Array:
        """The live view, of the weight's shape."""
        return np.asarray(self.store.memory)[self.window].reshape(self.shape)

    @property
    def gradient(self) -> Array:
        """The view of the weight's gradient, which the last backward pass filled."""
        return self.store.gradients[self.window].reshape(self.shape)

    def checked(self, value: npt.ArrayLike) -> Array:
        """`value` as an array that `assign` takes; TypeError or ValueError otherwise."""
        return check.real_array(self.path, value, self.shape)

    def assign(self, value: npt.ArrayLike) -> None:
        """Overwrite the weight in place, or the first value of a new one."""
        array = self.checked(value)
        if self.is_new:
            self._first_value = lambda shape, dtype: array
        else:
            self.value[...] = array

    def numpy(self) -> Array:
        """A copy of the weight."""
        return np.array(self.value)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        array = np.asarray(self.value, dtype=dtype)
        return np.array(array) if copy else array

    def __repr__(self) -> str:
        return f"<Weight {self.path} {self.shape} {self.dtype}>"


class Weighted(Protocol):
    """A layer or a model."""

    @property
    def weights(self) -> list[Weight]: ...
    @property
    def trainable(self) -> bool: ...
    @property
    def trainable_weights(self) -> list[Weight]: ...
    @property
    def non_trainable_weights(self) -> list[Weight]: ...


class HasWeights(PointsElsewhere):
    """Base of layers and models: which of their weights train, by two names, and penalties."""

    @property
    def trainable_weights(self: Weighted) -> list[Weight]:
        """The weights that training changes: those whose own `trainable` is True, as in Keras."""
        return [weight for weight in self.weights if weight.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self: Weighted) -> list[Weight]:
        """The weights that training leaves alone, or that layers keep statistics in."""
        return [weight for weight in self.weights if not (self.trainable and weight.trainable)]

    @property
    def variables(self: Weighted) -> list[Weight]:
        """The weights, by another name."""
        return self.weights

    @property
    def trainable_variables(self: Weighted) -> list[Weight]:
        """The weights that training changes, by another name."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self: Weighted) -> list[Weight]:
        """The weights that training leaves alone, by another name."""
        return self.non_trainable_weights

    @property
    def losses(self: Weighted) -> list[float]:
        """The penalty of each weight that has a regularizer, as it is now; those of activities belong to a batch."""
        return [weight.regularizer(weight.value) for weight in self.weights if weight.regularizer is not None]


def start(weights: Sequence[Weight], dtype: npt.DTypeLike) -> None:
    """Give new weights their first values, and all of these weights one store; nothing within `deferring`."""
    if not weights or _deferred.get():
        return
    new = [weight for weight in weights if weight.is_new]
    if new:
        hold(new, dtype)
        for weight in new:
            weight.start()
    ParameterStore.join(weights)


def hold(weights: Sequence[Weight], dtype: npt.DTypeLike) -> ParameterStore:
    """A store for new weights, one after another; their values are whatever is there.

    Raises
    ------
    MemoryError
        If they and their gradients are more than the machine's memory.
    """
    offsets = [0]
    for weight in weights:
        offsets.append(offsets[-1] + weight.size)
    needed = 2 * offsets[-1] * np.dtype(dtype).itemsize
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise MemoryError(f"{offsets[-1]} weights and their gradients need {needed // 2**30} GiB of memory")
    return ParameterStore(np.empty(offsets[-1], dtype), zip(weights, offsets[:-1], strict=True))


def assign_all(argument: str, weights: Sequence[Weight], values: Iterable[npt.ArrayLike]) -> None:
    """Overwrite all weights, or none if a value does not fit."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{argument} must be a list of {len(weights)} arrays, got {type(values).__name__}")
    arrays = list(values)
    if len(arrays) != len(weights):
        raise ValueError(f"{argument} must be {len(weights)} arrays, got {len(arrays)}")
    checked = [weight.checked(array) for weight, array in zip(weights, arrays, strict=True)]
    for weight, array in zip(weights, checked, strict=True):
        weight.assign(array)


class ParameterStore:
    """One contiguous vector of weights and one of their gradients.

    A store never changes its layout. Joining stores or changing the dtype makes a new store, moves
    the weights there and leaves the old one a `successor`; so a Program and its executor stay valid
    exactly as long as `store.current is store`. A store may be larger than one Program: it then
    holds weights of other models too.

    Attributes
    ----------
    vector, gradients : ndarray, shape (P,)
        float32 or float64, C-contiguous.
    memory : WatchedMemory
        Lends `vector` to whoever may write to it, so that executors need not pack the same weights again.
    successor : ParameterStore or None
        Where the weights went.
    """

    def __init__(self, vector: Array, layout: Iterable[tuple[Weight, int]]) -> None:
        self.vector = vector
        self.memory = WatchedMemory(vector)
        self.gradients = np.zeros_like(vector)
        self._successor: ParameterStore | None = None
        # Weak, so that a joined store forgets the layers nobody holds any more.
        self._layout: list[tuple[weakref.ref[Weight], int]] = []
        for weight, offset in layout:
            weight.store, weight.offset = self, offset
            self._layout.append((weakref.ref(weight), offset))

    @property
    def successor(self) -> ParameterStore | None:
        return self._successor

    def _move_to(self, store: ParameterStore) -> ParameterStore:
        self._successor = store
        self.memory.moved = True
        return store

    @classmethod
    def join(cls, weights: Sequence[Weight]) -> ParameterStore:
        """The one store of `weights`: theirs if they share it, else a new one made of all theirs."""
        stores = list(dict.fromkeys(weight.store for weight in weights))
        if len(stores) == 1:
            return stores[0]
        moving = [weight for store in stores for weight in store.weights]
        vector = np.concatenate([np.empty(0, np.float32), *(weight.value.ravel() for weight in moving)])
        offsets = np.cumsum([0, *(weight.size for weight in moving)]).tolist()
        joined = cls(vector, zip(moving, offsets[:-1], strict=True))
        for store in stores:
            store._move_to(joined)
        return joined

    def astype(self, dtype: npt.DTypeLike) -> ParameterStore:
        """Itself if it has the dtype already, else a successor with the same layout in that dtype."""
        if self.vector.dtype == np.dtype(dtype):
            return self
        offsets = [(weight, weight.offset) for weight in self.weights]
        return self._move_to(ParameterStore(self.vector.astype(dtype), offsets))

    @property
    def current(self) -> ParameterStore:
        """Where the weights are now: this store, or the last of its successors."""
        store = self
        while store.successor is not None:
            store = store.successor
        return store

    @property
    def size(self) -> int:
        return self.vector.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.vector.dtype

    @property
    def weights(self) -> list[Weight]:
        """The weights laid out here that somebody still holds."""
        return [weight for reference, _ in self._layout if (weight := reference()) is not None]

    def transfer(self, slots: Array) -> Array:
        """Move slots (S, P) laid out like this store, e.g. an optimizer's, to the layout of `current`.

        Slots of weights that were not in this store are zero.
        """
        current = self.current
        moved = np.zeros((*slots.shape[:-1], current.size), current.dtype)
        for reference, offset in self._layout:
            weight = reference()
            if weight is not None:
                moved[..., weight.window] = slots[..., offset : offset + weight.size]
        return moved

    def __getstate__(self) -> dict[str, Any]:
        layout = [(reference(), offset) for reference, offset in self._layout]
        kept = [(weight, offset) for weight, offset in layout if weight is not None]
        return {**self.__dict__, "_layout": kept, "memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.vector, self.gradients = data.writable(self.vector), data.writable(self.gradients)
        self.memory = WatchedMemory(self.vector)
        self.memory.moved = self.successor is not None
        self._layout = [(weakref.ref(weight), offset) for weight, offset in state["_layout"]]
