"""Layers whose rows begin new sequences, by `resets` of a call, and from states that are learned."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import same
from tolerance import Array, assert_all_close, assert_close

from rnncore import layers, models, utils

KINDS = [layers.SimpleRNN, layers.GRU, layers.LSTM]
N, T, F, H = 6, 9, 3, 5
each_kind = pytest.mark.parametrize("kind", KINDS)
each_backend = pytest.mark.parametrize("backend", ["compiled", "reference"])


def data(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    resets = rng.random((N, T)) < 0.3
    resets[:, :3], resets[0] = [False, False, True], False
    return rng.normal(size=(N, T, F)).astype(np.float32), resets


def random_weights(model: Any, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])


def model_of(layer: Any, dtype: Any = "bool", **arguments: Any) -> models.Model:
    x, marks = layers.Input((None, F), name="x"), layers.Input((None,), dtype=dtype, name="begins")
    return models.Model([x, marks], layer(x, resets=marks, **arguments))


@each_backend
@pytest.mark.parametrize("learned", [False, True])
@each_kind
def test_a_piece_is_what_a_model_makes_of_it_alone(kind: Any, learned: bool, backend: str) -> None:
    """In a layer, in both directions, in a stack of cells; marks may be booleans or integers."""
    told: dict[str, Any] = {"trainable_initial_state": learned}
    cells = [kind(4, **told).get_config(), kind(3, **told).get_config()]
    made = {layers.SimpleRNN: layers.SimpleRNNCell, layers.GRU: layers.GRUCell, layers.LSTM: layers.LSTMCell}[kind]
    stack = [made(config["units"], **told) for config in cells]
    x, resets = data()
    for layer, dtype in (
        (kind(H, return_sequences=True, **told), None),
        (layers.Bidirectional(kind(H, return_sequences=True, **told)), "int32"),
        (layers.RNN(stack, return_sequences=True), "bool"),
    ):
        model = model_of(layer, dtype)
        alone = models.Sequential([layers.Input((None, F)), type(layer).from_config(layer.get_config())])
        random_weights(model)
        random_weights(alone)
        for one in (model, alone):
            one.compile(loss="mse", backend=backend)
        found = model.predict([x, resets], verbose=0)
        for n in range(N):
            cuts = [0, *(t for t in range(1, T) if resets[n, t]), T]
            for first, end in pairwise(cuts):
                expected = alone.predict(x[n : n + 1, first:end], verbose=0)
                assert_close(found[n : n + 1, first:end], expected)


@each_kind
def test_the_state_given_is_for_the_first_sequence_alone(kind: Any) -> None:
    """A mark at the first step leaves nothing of it, as when a rollout goes on from a state that has ended."""
    states = [layers.Input((H,)) for _ in range(1 + (kind is layers.LSTM))]
    x, marks = layers.Input((T, F)), layers.Input((T,), dtype="bool")
    outputs = kind(H, return_sequences=True, return_state=True)(x, initial_state=states, resets=marks)
    model = models.Model([x, marks, *states], outputs)
    given, resets = data()
    resets[1, 0] = True
    ones, zeros = ([np.full((N, H), value) for _ in states] for value in (1, 0))
    one, none = (model.predict([given, resets, *of], verbose=0)[0] for of in (ones, zeros))
    begun = np.logical_or.accumulate(resets, axis=1)
    np.testing.assert_array_equal(one[begun], none[begun])
    assert (one[~begun] != none[~begun]).any(axis=1).all()


@each_backend
@each_kind
def test_a_stream_goes_step_by_step(kind: Any, backend: str) -> None:
    x, resets = data()
    inputs = layers.Input((None, F)), layers.Input((None,), dtype="bool")
    y = kind(H, return_sequences=True, trainable_initial_state=True)(inputs[0], resets=inputs[1])
    y = layers.Conv1D(4, 2, padding="causal")(y)
    model = models.Model(inputs, kind(3, return_sequences=True, trainable_initial_state=True)(y, resets=inputs[1]))
    random_weights(model)
    model.compile(loss="mse", backend=backend)
    expected = model.predict([x, resets], verbose=0)
    stream = model.stream(batch_size=N)
    assert_close(np.stack([stream.step([x[:, t], resets[:, t]]) for t in range(T)], axis=1), expected)
    stream.reset(rows=[1, 4])
    assert_close(stream.step([x[:, 0], resets[:, 0]])[[1, 4]], expected[[1, 4], 0])
    stream.reset()
    chunks = [stream.run([x[:, part], resets[:, part]]) for part in (slice(4), slice(4, 4), slice(4, T))]
    assert_close(np.concatenate(chunks, axis=1), expected)


@each_kind
def test_a_learned_state_begins_what_is_streamed_and_truncated(kind: Any) -> None:
    x, _ = data()
    layer = kind(H, return_sequences=True, trainable_initial_state=True)
    model = models.Sequential([layers.Input((None, F)), layer])
    random_weights(model)
    stream = model.stream(batch_size=N)
    names = [name for name in stream.states if name != "steps"]
    for name, weight in zip(names, layer.weights[-len(names) :], strict=True):
        np.testing.assert_array_equal(stream.states[name], np.repeat(weight.numpy(), N, axis=0))
    steps = np.stack([stream.step(x[:, t]) for t in range(T)], axis=1)
    np.testing.assert_array_equal(steps, model.predict(x, verbose=0))
    weights, found = model.get_weights(), []
    for backend in ("compiled", "reference"):
        model.set_weights(weights)
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
        model.fit(x, np.ones((N, T, H)), truncate=4, batch_size=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert_all_close(*found)
    assert all((now != before).any() for now, before in zip(found[0], weights, strict=True))


@each_kind
def test_a_stateful_layer_begins_with_what_it_learned(kind: Any) -> None:
    x, _ = data()
    layer = kind(H, stateful=True, trainable_initial_state=True)
    model = models.Sequential([layers.Input(batch_shape=(N, T, F)), layer])
    free = models.Sequential([layers.Input((T, F)), kind(H, trainable_initial_state=True)])
    random_weights(model)
    free.set_weights(model.get_weights())
    layer.reset_states()
    first, second = (model.predict(x, batch_size=N, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first, free.predict(x, verbose=0))
    assert not np.array_equal(first, second)
    layer.reset_states()
    np.testing.assert_array_equal(model.predict(x, batch_size=N, verbose=0), first)
    per_step = models.Sequential([layers.Input((2, T, F)), layers.TimeDistributed(free.layers[-1])])
    np.testing.assert_array_equal(per_step.predict(np.stack([x, x], axis=1), verbose=0)[:, 1], first)


@each_kind
def test_the_learned_weights(kind: Any) -> None:
    """Rows of zeros, the last ones, that only serve where no state is given; frozen with their layer."""
    layer = kind(H, trainable_initial_state=True)
    x = layers.Input((T, F))
    y = layer(x)
    states = ["initial_h", "initial_c"][: 1 + (kind is layers.LSTM)]
    assert [weight.name for weight in layer.weights[-len(states) :]] == states
    for name in states:
        assert getattr(layer, name).shape == (1, H)
        assert not getattr(layer, name).any()
    given, _ = data()
    model = models.Model(x, y)
    plain = models.Sequential([layers.Input((T, F)), kind(H)])
    plain.set_weights(model.get_weights()[: -len(states)])
    np.testing.assert_array_equal(model.predict(given, verbose=0), plain.predict(given, verbose=0))
    layer.trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(given, np.ones((N, H)), verbose=0)
    assert same(model.get_weights(), before)
    taken = [layers.Input((H,)) for _ in states]
    told = models.Model([x, *taken], layer(x, initial_state=taken))
    random_weights(told)
    found = [told.predict([given, *[np.zeros((N, H))] * len(states)], verbose=0)]
    told.set_weights([*told.get_weights()[: -len(states)], *[np.ones((1, H))] * len(states)])
    found.append(told.predict([given, *[np.zeros((N, H))] * len(states)], verbose=0))
    np.testing.assert_array_equal(*found)


def test_models_are_saved_with_their_marks(tmp_path: Path) -> None:
    x, resets = data()
    inner = model_of(layers.LSTM(4, return_sequences=True, trainable_initial_state=True), None)
    given, marks = layers.Input((None, F)), layers.Input((None,), dtype="int32")
    model = models.Model([given, marks], layers.GRU(2)(inner([given, marks]), resets=marks))
    random_weights(model)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    assert same(loaded.get_weights(), model.get_weights())
    np.testing.assert_array_equal(
        loaded.predict([x, resets], verbose=0), model.predict([x, resets.astype(np.int8)], verbose=0)
    )


def test_bad_calls_are_refused() -> None:
    x, marks = layers.Input((T, F)), layers.Input((T,), dtype="bool")
    with pytest.raises(ValueError, match=rf"resets of 'short' must have shape \(None, {T}\), got \(None, 4\)"):
        layers.GRU(2, name="short")(x, resets=layers.Input((4,), dtype="bool"))
    with pytest.raises(TypeError, match="resets of 'real' must be an Input of integers or booleans"):
        layers.GRU(2, name="real")(x, resets=layers.Input((T,), dtype="float32"))
    with pytest.raises(TypeError, match="resets of 'array' must be a symbolic value .* got ndarray"):
        layers.GRU(2, name="array")(x, resets=np.zeros((4, T)))
    with pytest.raises(TypeError, match="resets"):
        layers.Dense(2)(x, resets=marks)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="trainable_initial_state must be True or False, got str 'yes'"):
        layers.GRU(2, trainable_initial_state="yes")  # type: ignore[arg-type]
    model = models.Model([x, marks], layers.GRU(2, name="kept")(x, resets=marks))
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="checkpoint_every must be None with resets, which 'kept' is called with"):
        model.fit(list(data()), np.ones((N, 2)), checkpoint_every=2, verbose=0)
    utils.clear_session()
