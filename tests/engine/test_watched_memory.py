"""`_core.WatchedMemory`: it lends an array's memory, and knows who has it."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest
from executor_zoo import random_parameters
from recurrent_options import Case, inputs_of

from rnncore import _core, layers, models
from rnncore.program import RECURRENT_OPS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_it_lends_the_array_itself(dtype: Any, size: int) -> None:
    array = np.arange(size, dtype=dtype)
    view = np.asarray(_core.WatchedMemory(array))
    assert (view.dtype, view.shape) == (array.dtype, array.shape)
    view[...] = 5
    assert (array == 5).all()


def test_it_counts_who_has_it() -> None:
    memory = _core.WatchedMemory(np.zeros(6))
    assert memory.held == 0
    first, second = np.asarray(memory), memoryview(memory)  # type: ignore[arg-type]
    assert memory.held == 2
    part = first[2:4].reshape(2, 1)
    del first
    second.release()
    gc.collect()
    assert memory.held == 1  # a view of a view
    del part
    assert memory.held == 0


def test_it_lives_as_long_as_its_memory_is_held() -> None:
    view = np.asarray(_core.WatchedMemory(np.ones(3)))
    gc.collect()
    assert view.tolist() == [1, 1, 1]


def test_read_only_arrays_are_lent_read_only() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    view = np.asarray(_core.WatchedMemory(array))
    assert not view.flags.writeable


@pytest.mark.parametrize("value", [None, [1.0, 2.0], b"abc"])
def test_it_takes_arrays_only(value: Any) -> None:
    with pytest.raises(TypeError, match="array: expected a NumPy array"):
        _core.WatchedMemory(value)


SHAPE = (2, 3, 4, 20, 0)


def test_executors_take_it_or_none() -> None:
    program = Case("lstm").program(SHAPE)
    parameters = random_parameters(program, np.float32)
    with pytest.raises(TypeError, match="memory: expected a WatchedMemory or None"):
        _core.Executor(program, parameters, parameters.copy(), parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("op", RECURRENT_OPS)
def test_executors_without_it_look_at_the_parameters_each_time(op: str) -> None:
    program = Case(op).program(SHAPE)
    parameters, inputs = random_parameters(program, np.float32), inputs_of(program, SHAPE, np.float32)
    executor = _core.Executor(program, parameters, parameters.copy())
    before = executor.forward(inputs)[0]
    parameters *= np.float32(0.5)
    expected = _core.Executor(program, parameters.copy(), parameters.copy()).forward(inputs)[0]
    assert np.array_equal(executor.forward(inputs)[0], expected)
    assert not np.array_equal(before, expected)


def test_copies_of_models_have_their_own() -> None:
    model = models.Sequential([layers.Input((None, 2)), layers.GRU(20)])
    x = np.ones((1, 4, 2), np.float32)
    before = model.predict(x, verbose=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.layers[0].kernel[...] = 0
        assert np.array_equal(model.predict(x, verbose=0), before)
        assert not np.array_equal(other.predict(x, verbose=0), before)
