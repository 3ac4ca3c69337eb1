"""What a stream remembers: taken, given back, branched, begun anew, and safe from bad input."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array

from rnncore import layers, models, reference, utils

X = np.random.default_rng(3).normal(size=(3, 12, 2))


def everything(backend: str = "compiled", dtype: str = "float64") -> models.Model:
    """A model that remembers states, windows, keys and values."""
    utils.set_random_seed(4)
    x = layers.Input((None, 2))
    y = layers.Masking()(x)
    y = layers.LSTM(4, return_sequences=True, name="lstm")(y)
    y = layers.MultiHeadAttention(2, 3, name="attention")(y, y, use_causal_mask=True)
    y = layers.Conv1D(3, 3, padding="causal", name="causal")(y)
    y = layers.Conv1D(3, 3, strides=2, name="strided")(y)
    model = models.Model(x, [y, layers.GRU(2, name="gru")(y)])
    model.compile(backend=backend, dtype_policy=dtype)
    return model


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def equal_states(one: dict[str, Array], other: dict[str, Array]) -> bool:
    return list(one) == list(other) and same(one.values(), other.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [0, 1, 2, 6])
def test_states_go_to_another_stream_of_the_model(backend: str, steps: int) -> None:
    model = everything(backend)
    stream, other = model.stream(3), model.stream(3)
    stream.run(X[:, :steps])
    other.run(X[:, 3:10])
    other.states = pickle.loads(pickle.dumps(stream.states))
    assert equal_states(other.states, stream.states)
    rest = stream.run(X[:, steps:])
    assert same(other.run(X[:, steps:]), rest)
    assert not equal_states(other.states, model.stream(3).states)


def test_states_say_what_is_remembered() -> None:
    stream = everything().stream(3)
    stream.run(X[:, :5])
    assert {name: array.shape for name, array in stream.states.items()} == {
        "steps": (),
        "lstm/h": (3, 4),
        "lstm/c": (3, 4),
        "gru/h": (3, 2),
        "attention/value": (3, 5, 6),
        "attention/value/mask": (3, 5),
        "attention/key": (3, 5, 6),
        "attention/key/mask": (3, 5),
        "causal/border": (3, 2, 4),
        "strided/border": (3, 1, 3),
    }
    found = stream.states
    found["lstm/h"][:] = 9
    assert not (stream.states["lstm/h"] == 9).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_states_of_a_new_stream_are_not_left_unread(backend: str) -> None:
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(2, name="gru")])
    model.compile(backend=backend)
    x, h = np.ones((1, 1, 3), "float32"), np.array([[0.5, -0.5]], "float32")
    stream = model.stream()
    stream.states = stream.states  # those that it begins with
    with pytest.raises(ValueError, match=r"states\['steps'\] must be at least 1 where a sequence has begun, got 0"):
        stream.states = {"steps": 0, "gru/h": h}
    stream.states = {"steps": 1, "gru/h": h}
    kernel, recurrent_kernel, bias = model.get_weights()
    expected = reference.gru(x, kernel, recurrent_kernel, bias, initial_state=h).state[0]
    np.testing.assert_allclose(stream.run(x), expected, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_and_a_fork_go_on_by_themselves(backend: str) -> None:
    model = everything(backend)
    stream = model.stream(3)
    stream.run(X[:, :5])
    before, twin, forked = stream.states, stream.copy(), stream.fork([2, 0, 0, 1])
    y, last = stream.run(X[:, 5:])
    assert equal_states(twin.states, before)
    assert same(twin.run(X[:, 5:]), (y, last))
    assert forked.batch_size == 4
    found = forked.run(X[[2, 0, 0, 1], 5:])
    for array, expected in zip(found, (y, last), strict=True):
        np.testing.assert_allclose(array, expected[[2, 0, 0, 1]], atol=1e-12)
    forked.reset()
    assert same(forked.run(X[[0, 0, 0, 0]]), model.stream(4).run(X[[0, 0, 0, 0]]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_some_rows_begin_anew(backend: str) -> None:
    stack = [layers.Conv1D(3, 3, padding="causal"), layers.LSTM(4, return_sequences=True), layers.Dense(2)]
    model = models.Sequential([layers.Input((None, 2)), *stack])
    model.compile(backend=backend, dtype_policy="float64")
    stream = model.stream(3)
    stream.run(X[:, :5])
    stream.reset(rows=[2, 0])
    found = stream.run(X[:, 5:])
    np.testing.assert_allclose(found[1], model.predict(X[1:2], verbose=0)[0, 5:], atol=1e-12)
    np.testing.assert_allclose(found[[0, 2]], model.predict(X[[0, 2], 5:], verbose=0), atol=1e-12)


def test_rows_that_go_together_do_not_begin_by_themselves() -> None:
    x, h = layers.Input((None, 2)), layers.Input((4,))
    refused = {
        "a step for each step": models.Model(x, layers.GRU(2)(layers.Conv1D(2, 2)(x))),
        "attention keeps": models.Model(x, layers.Attention()([x, x], use_causal_mask=True)),
        "initial states": models.Model([x, h], layers.GRU(4)(x, initial_state=h)),
    }
    for reason, model in refused.items():
        with pytest.raises(ValueError, match=f"rows must be left out, .*{reason}"):
            model.stream(2).reset(rows=[1])


def test_a_stream_follows_weights_to_another_dtype() -> None:
    model = everything(dtype="float32")
    stream = model.stream(3)
    stream.run(X[:, :5])
    model.compile(dtype_policy="float64")
    model.predict(X, verbose=0)
    found = stream.run(X[:, 5:])
    assert [y.dtype for y in found] == [np.float64] * 2
    for array, expected in zip(found, model.predict(X, verbose=0), strict=True):
        np.testing.assert_allclose(array, expected[:, -array.shape[1] :], atol=1e-5)


def test_a_model_that_grew_needs_a_new_stream() -> None:
    model = models.Sequential([layers.Input((None, 2)), layers.GRU(2, return_sequences=True)])
    stream = model.stream(3)
    model.add(layers.LSTM(2))
    model.predict(X, verbose=0)
    with pytest.raises(ValueError, match="layers of the model have changed"):
        stream.step(X[:, 0])


# Where the outputs go


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_writes_where_it_is_told(backend: str) -> None:
    x = layers.Input((None, 2), name="x")
    y, h = layers.GRU(4, return_sequences=True, return_state=True)(x)
    for outputs, keys in (([y, h], [0, 1]), ({"a": y, "b": h}, ["a", "b"])):
        model = models.Model(x, outputs)
        model.compile(backend=backend, dtype_policy="float64")
        stream, other = model.stream(3), model.stream(3)
        arrays = [np.empty((3, 4)), np.empty((3, 4))]
        out: Any = dict(zip(keys, arrays, strict=True)) if keys[0] == "a" else arrays
        for t in range(3):
            expected = other.step(X[:, t])
            assert stream.step(X[:, t], out=out) is out
            assert same([out[key] for key in keys], [expected[key] for key in keys])


BAD_OUT = {
    "a list": ([[0.0] * 4] * 3, TypeError, "out must be an ndarray, got list"),
    "float32": (np.empty((3, 4), np.float32), TypeError, "out must have dtype float64, got float32"),
    "shape": (np.empty((3, 1, 4)), ValueError, r"out must have shape \(3, 4\), got \(3, 1, 4\)"),
    "order": (np.empty((4, 3)).T, ValueError, "out must be C-contiguous and writable, .* not contiguous"),
    "read-only": (
        np.broadcast_to(np.empty((3, 4)), (3, 4)),
        ValueError,
        "out must be C-contiguous and writable, .* read-only",
    ),
}


@pytest.mark.parametrize("kind", BAD_OUT)
def test_what_cannot_receive_an_output_is_refused(kind: str) -> None:
    out, error, message = BAD_OUT[kind]
    model = models.Sequential([layers.Input((None, 2)), layers.GRU(4)])
    model.compile(dtype_policy="float64")
    stream = model.stream(3)
    stream.step(X[:, 0])
    before = stream.states
    with pytest.raises(error, match=message):
        stream.step(X[:, 1], out=out)
    assert equal_states(stream.states, before)


def test_several_outputs_need_as_many_arrays() -> None:
    x = layers.Input((None, 2))
    outputs = layers.GRU(4, return_sequences=True, return_state=True)(x)
    stream = models.Model(x, outputs).stream(3)
    with pytest.raises(ValueError, match="out must be a list of 2 arrays, one for each output, got ndarray"):
        stream.step(X[:, 0], out=np.empty((3, 4), np.float32))
    named = models.Model(x, {"a": outputs[0], "b": outputs[1]}).stream(3)
    with pytest.raises(ValueError, match=r"out must be a dict of arrays with the keys \['a', 'b'\], got list"):
        named.step(X[:, 0], out=[np.empty((3, 4), np.float32)] * 2)


# Bad input


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_input_changes_nothing(backend: str) -> None:
    stream = everything(backend).stream(3)
    stream.run(X[:, :5])
    states = stream.states
    bad_states: list[tuple[Any, Any, str]] = [
        ([1], TypeError, "states must be a dict"),
        ({**states, "more": X}, ValueError, "states must have the keys"),
        ({"steps": 1}, ValueError, "states must have the keys"),
        ({**states, "steps": -1}, ValueError, r"states\['steps'\] must be a whole number"),
        ({**states, "steps": 1.5}, ValueError, r"states\['steps'\] must be a whole number"),
        ({**states, "steps": 6}, ValueError, "must have shape .* after 6 steps"),
        ({**states, "gru/h": states["gru/h"].astype("f4")}, TypeError, r"states\['gru/h'\] must have dtype float64"),
        ({**states, "gru/h": states["gru/h"][:2]}, ValueError, r"states\['gru/h'\] must have shape \(3, 2\) after 5"),
    ]
    for value, error, message in bad_states:
        with pytest.raises(error, match=message):
            stream.states = value
    for chunk, error, message in (
        (X[:2], ValueError, r"chunk must have shape \(3, any, 2\)"),
        (X[:, 0], ValueError, "chunk must have shape"),
        (X[..., :1], ValueError, "chunk must have shape"),
        (X.astype("U5"), TypeError, "chunk must hold real numbers"),
    ):
        with pytest.raises(error, match=message):
            stream.run(chunk)
    for rows, error, message in (
        ([3], IndexError, r"rows\[0\] must be a row from 0 to 2, got 3"),
        ([0, -1], IndexError, r"rows\[1\] must be a row from 0 to 2, got -1"),
        ([], ValueError, "rows must be a list of at least one row"),
        (1, ValueError, "rows must be a list of at least one row"),
        ([0.0], TypeError, "rows must hold whole numbers"),
    ):
        with pytest.raises(error, match=message):
            stream.fork(rows)
        with pytest.raises(error, match=message):
            stream.reset(rows)
    assert equal_states(stream.states, states)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_id_out_of_range_changes_nothing(backend: str) -> None:
    x, ids = layers.Input((None, 2)), layers.Input((None,), dtype="int32")
    read = layers.Conv1D(3, 2, padding="causal")(layers.GRU(3, return_sequences=True)(x))
    model = models.Model([x, ids], layers.GRU(2)(layers.Concatenate()([read, layers.Embedding(4, 2)(ids)])))
    model.compile(backend=backend)
    stream = model.stream(3)
    stream.run([X[:, :2], np.zeros((3, 2), int)])
    before = stream.states
    with pytest.raises(ValueError, match="4"):
        stream.run([X[:, 2:4], np.full((3, 2), 4)])
    for wrong in (2**32, -(2**32) + 1):  # would be 0 and 1 of 32 bits
        with pytest.raises(ValueError, match=rf"chunk\[1\] must lie in .*, got {wrong}"):
            stream.run([X[:, 2:4], np.full((3, 2), wrong)])
        with pytest.raises(ValueError, match=rf"x_t\[1\] must lie in .*, got {wrong}"):
            stream.step([X[:, 2], np.full(3, wrong)])
    with pytest.raises(ValueError, match=r"chunk must have the same number of steps for each sequence, got \[1, 2\]"):
        stream.run([X[:, 2:4], np.zeros((3, 1), int)])
    assert equal_states(stream.states, before)


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_an_error_midway_changes_nothing(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = everything().stream(3)
    stream.run(X[:, :5])
    before, chunk = stream.states, np.concatenate([X, X], axis=1)  # more than the core does step by step

    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(stream._streaming._parts[part], "forward", fail)
    with pytest.raises(MemoryError):
        stream.run(chunk)
    assert equal_states(stream.states, before)


def test_an_id_out_of_range_midway_changes_nothing() -> None:
    ids = layers.Input((None,), dtype="int32")
    y = layers.GRU(3, return_sequences=True)(layers.Embedding(4, 2)(ids))
    y = layers.Attention()([y, y], use_causal_mask=True)
    model = models.Model(ids, layers.GRU(3)(layers.Conv1D(3, 3)(layers.Conv1D(3, 4, padding="causal")(y))))
    given = np.random.default_rng(0).integers(0, 4, (2, 30)).astype(np.int32)
    stream, wrong = model.stream(2), given.copy()
    wrong[1, 15] = 4
    for t in range(10):
        stream.step(given[:, t])
    before = stream.states
    for _ in range(2):
        with pytest.raises(ValueError, match="ids from 0 to 3, got 4"):
            stream.run(wrong[:, 10:18])
        with pytest.raises(ValueError, match="ids from 0 to 3, got 4"):
            stream.step(wrong[:, 15])
        assert equal_states(stream.states, before)
    for t in range(10, 30):
        y = stream.step(given[:, t])
    assert np.array_equal(y, model.predict(given, verbose=0))


# Several at once


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_take_turns(backend: str) -> None:
    model = everything(backend)
    stream, expected = model.stream(3), model.stream(3)
    barrier, chunk = threading.Barrier(4), np.ones((3, 3, 2))

    def work() -> None:
        barrier.wait()
        for _ in range(5):
            stream.run(chunk)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(20):
        expected.run(chunk)
    assert equal_states(stream.states, expected.states)


class Nested:
    """An input that uses the stream while it is read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __array__(self, *_: Any, **__: Any) -> Array:
        self._stream.step(X[:, 0])
        return X[:, 0]


def test_a_step_within_a_step_is_refused() -> None:
    stream = models.Sequential([layers.Input((None, 2)), layers.GRU(4)]).stream(3)
    with pytest.raises(TypeError, match="x_t must be .*cannot be used within one of its own steps"):
        stream.step(Nested(stream))
    assert stream.states["steps"] == 0
