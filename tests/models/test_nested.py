"""Models within models: they compute, train and are saved like the flat models of the same layers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array, data, same
from tolerance import assert_all_close, assert_close

from rnncore import inspection, layers, models, utils


def chain() -> models.Sequential:
    """Stacks in a stack: the first begins with its shape, the last is built by what it reads."""
    encoder = models.Sequential([layers.Input((None, 3)), layers.GRU(4, return_sequences=True)], name="encoder")
    head = models.Sequential([models.Sequential([layers.Dense(5, "tanh")]), layers.Dense(2, name="last")], name="head")
    return models.Sequential([encoder, layers.LSTM(3, name="middle"), head])


def flat_chain() -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((None, 3)),
            layers.GRU(4, return_sequences=True),
            layers.LSTM(3),
            layers.Dense(5, "tanh"),
            layers.Dense(2),
        ]
    )


def masked_encoder() -> models.Model:
    x, more = layers.Input((None, 3), name="x"), layers.Input((4,), name="more")
    sequence, state = layers.GRU(4, return_sequences=True, return_state=True)(layers.Masking()(x), initial_state=more)
    return models.Model({"x": x, "more": more}, {"sequence": sequence, "state": state}, name="encoder")


def branches() -> models.Model:
    """One model of two inputs and outputs called twice, its mask read by what comes after it."""
    encoder = masked_encoder()
    x, more, other = layers.Input((None, 3)), layers.Input((4,)), layers.Input((None, 3))
    one = encoder({"x": x, "more": more})
    two = encoder([one["state"], other])
    return models.Model([x, more, other], layers.Concatenate()([layers.LSTM(3)(two["sequence"]), one["state"]]))


def flat_branches() -> models.Model:
    x, more, other = layers.Input((None, 3)), layers.Input((4,)), layers.Input((None, 3))
    mask, gru = layers.Masking(), layers.GRU(4, return_sequences=True, return_state=True)
    _, state = gru(mask(x), initial_state=more)
    sequence, _ = gru(mask(other), initial_state=state)
    return models.Model([x, more, other], layers.Concatenate()([layers.LSTM(3)(sequence), state]))


def of_steps() -> models.Sequential:
    step = models.Sequential([layers.Masking(), layers.GRU(4)])
    return models.Sequential([layers.Input((None, 5, 3)), layers.TimeDistributed(step), layers.LSTM(2)])


def flat_of_steps() -> models.Sequential:
    """The same but for the mask within a step, which there is none of in its data."""
    steps = [layers.TimeDistributed(layers.GRU(4)), layers.LSTM(2)]
    return models.Sequential([layers.Input((None, 5, 3)), *steps])


def masked(*shape: int) -> Array:
    """Sequences whose last steps are zeros, row by row."""
    x = np.random.default_rng(shape).normal(size=shape)
    for row, steps in enumerate(x):
        steps[len(steps) - row % 3 :] = 0.0
    return x


PAIRS: dict[str, tuple[Callable[[], models.Model], Callable[[], models.Model], Any]] = {
    "chain": (chain, flat_chain, data(12)[0]),
    "branches": (branches, flat_branches, [masked(12, 6, 3), data(12)[0][:, 0, :1] * np.ones(4), masked(12, 7, 3)]),
    "of steps": (of_steps, flat_of_steps, np.random.default_rng(0).normal(size=(12, 4, 5, 3))),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PAIRS)
def test_nested_models_compute_and_train_as_flat_ones(name: str, backend: str) -> None:
    nested, flat, x = PAIRS[name]
    model, other = nested(), flat()
    assert [w.shape for w in model.weights] == [w.shape for w in other.weights]
    other.set_weights(model.get_weights())
    y = np.random.default_rng(1).normal(size=(12, *model.output_shape[1:]))
    for one in (model, other):
        one.compile("adam", "mse", backend=backend, dtype_policy="float64")
    assert_close(model.predict(x, verbose=0), other.predict(x, verbose=0))
    losses = [one.fit(x, y, epochs=3, batch_size=5, shuffle=False, verbose=0).history["loss"] for one in (model, other)]
    np.testing.assert_allclose(*losses, rtol=1e-10)
    assert_all_close(model.get_weights(), other.get_weights(), 1e-8)


@pytest.mark.parametrize("name", PAIRS)
def test_nested_models_are_saved_cloned_and_pickled(tmp_path: Path, name: str) -> None:
    nested, _, x = PAIRS[name]
    model = nested()
    y = np.zeros((12, *model.output_shape[1:]))
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.rnn")
    found = model.predict(x, verbose=0)
    again = models.load_model(tmp_path / "model.rnn")
    clone = models.clone_model(model)
    assert not same(clone.get_weights(), model.get_weights())
    clone.load_weights(tmp_path / "model.rnn")
    for other in (again, clone, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x, verbose=0), found)
        assert [(type(a), a.name) for a in other.layers] == [(type(a), a.name) for a in model.layers]
    assert again.fit(x, y, verbose=0, shuffle=False).history == model.fit(x, y, verbose=0, shuffle=False).history


def test_the_layers_are_the_models_themselves() -> None:
    model = chain()
    encoder = model.get_layer("encoder")
    assert model.layers[0] is encoder
    assert isinstance(encoder, models.Sequential)
    x = data()[0]
    before = encoder.predict(x, verbose=0)
    model.compile("sgd", "mse")
    model.fit(*data(), verbose=0)
    after = encoder.predict(x, verbose=0)
    assert not np.array_equal(before, after)
    cut = models.Model(model.inputs, model.layers[1].output)
    assert cut.predict(x, verbose=0).shape == (20, 3)
    assert model.get_layer("head").get_layer("last").units == 2


def test_what_is_frozen_inside_stays() -> None:
    model = chain()
    model.get_layer("encoder").trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(*data(), verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 3 + [True] * 7
    model.get_layer("head").layers[0].trainable = False
    assert len(model.trainable_weights) == 5
    with pytest.warns(UserWarning, match="dense"):
        model.train_on_batch(*data())


def test_functions_see_the_layers_of_models_inside_when_asked() -> None:
    given: list[str] = []

    def note(layer: layers.Layer) -> layers.Layer:
        given.append(layer.name)
        return type(layer).from_config(layer.get_config())

    model = chain()
    models.clone_model(model, clone_function=note)
    assert given == ["encoder", "middle", "head"]
    given.clear()
    clone = models.clone_model(model, clone_function=note, recursive=True)
    assert given[1] == "middle"
    assert len(given) == 4
    assert [w.path for w in clone.weights] == [w.path for w in model.weights]


def test_summary_shows_the_layers_inside(capsys: pytest.CaptureFixture[str]) -> None:
    model = chain()
    model.summary()
    assert "last" not in capsys.readouterr().out
    model.summary(expand_nested=True)
    rows = [line for line in capsys.readouterr().out.splitlines() if "(Dense)" in line]
    assert rows[1].startswith("│    └ last (Dense)")
    assert rows[0].startswith("│       └ ")


def test_streams_go_through_models_inside() -> None:
    causal = models.Sequential([layers.Conv1D(4, 3, padding="causal"), layers.GRU(3, return_sequences=True)])
    model = models.Sequential([layers.Input((None, 3)), causal, models.Sequential([layers.Dense(2)])])
    x = data(2)[0].astype(np.float32)
    stream = model.stream(2)
    steps = np.stack([stream.step(x[:, t]) for t in range(x.shape[1])], axis=1)
    assert_close(steps, model.predict(x, verbose=0))


def test_states_are_kept_by_layers_inside() -> None:
    inner = models.Sequential([layers.Input(batch_shape=(2, None, 3)), layers.GRU(3, stateful=True)])
    model = models.Sequential([inner, layers.Dense(1)])
    x = data(2)[0]
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    model.reset_states()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)


def test_gradients_are_told_by_model_and_layer() -> None:
    model = chain()
    model.compile("sgd", "mse")
    flow = inspection.gradient_flow(model, *data())
    assert [name.partition("/")[0] for name in flow] == ["encoder", "middle"]


def test_ids_go_through_a_model_whose_embedding_reads_them() -> None:
    inner = models.Sequential([layers.Embedding(7, 4, mask_zero=True), layers.GRU(3)])
    model = models.Sequential([layers.Input((None,)), inner, layers.Dense(1)])
    flat = models.Sequential([layers.Input((None,)), layers.Embedding(7, 4, mask_zero=True), layers.GRU(3)])
    flat.set_weights(inner.get_weights())
    ids = np.random.default_rng(0).integers(0, 7, (5, 6))
    np.testing.assert_array_equal(inner.predict(ids, verbose=0), flat.predict(ids, verbose=0))
    assert model.predict(ids, verbose=0).shape == (5, 1)


def hierarchy(*reader: layers.Layer) -> tuple[models.Sequential, models.Sequential]:
    """A reader of the letters of a word, and a model of the words of a sentence."""
    letters = models.Sequential([*reader, layers.GRU(3)])
    return letters, models.Sequential([layers.Input((None, 6)), layers.TimeDistributed(letters), layers.LSTM(2)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_ids_of_steps_go_to_a_model_for_each_step(backend: str, tmp_path: Path) -> None:
    letters, model = hierarchy(layers.Embedding(7, 4), layers.Dense(4, "tanh"))
    ids = np.random.default_rng(0).integers(0, 7, (5, 8, 6))
    words = letters.predict(ids.reshape(-1, 6), verbose=0).reshape(5, 8, 3)
    flat = models.Sequential([layers.Input((None, 3)), layers.LSTM(2)])
    flat.set_weights(model.layers[-1].get_weights())
    model.compile("adam", "mse", backend=backend)
    assert_close(model.predict(ids, verbose=0), flat.predict(words, verbose=0))
    before = model.get_weights()
    model.fit(ids, np.ones((5, 2)), verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.rnn")
    found = models.load_model(tmp_path / "model.rnn").predict(ids, verbose=0)
    assert_close(found, model.predict(ids, verbose=0))


def test_ids_of_steps_are_read_by_embeddings_without_masks() -> None:
    with pytest.raises(ValueError, match="takes a model that reads ids by an Embedding without mask_zero"):
        hierarchy(layers.Embedding(7, 4, mask_zero=True))


def test_a_model_without_a_shape_is_built_by_the_first_data() -> None:
    utils.set_random_seed(0)
    model = models.Sequential([models.Sequential([layers.GRU(3)]), layers.Dense(2)])
    assert not model.built
    model.compile("sgd", "mse")
    model.fit(*data(), verbose=0)
    assert model.output_shape == (None, 2)


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    encoder = masked_encoder()
    x, more = layers.Input((None, 3)), layers.Input((4,))
    with pytest.raises(ValueError, match="takes 2 inputs, got 1"):
        encoder(x)
    with pytest.raises(ValueError, match=r"is built for \(None, None, 3\) as 'x', got \(None, None, 2\)"):
        encoder([more, layers.Input((None, 2))])
    with pytest.raises(ValueError, match=r"must be \['more', 'x'\], got \['x'\]"):
        encoder({"x": x})
    with pytest.raises(TypeError, match="takes float values for 'x'"):
        encoder([more, layers.Input((None, 3), dtype="int32")])
    with pytest.raises(ValueError, match="takes no training and no lengths"):
        encoder([more, x], training=True)
    with pytest.raises(TypeError, match="must be a symbolic value"):
        encoder([more, np.zeros((1, 2, 3))])
    with pytest.raises(ValueError, match="has no layers"):
        models.Sequential()(x)
    inner = models.Sequential([layers.GRU(3), layers.LSTM(2)])
    with pytest.raises(ValueError, match="needs an input of shape"):
        inner(x)
    assert not inner.built
    assert inner.layers[0].weights == []
    with pytest.raises(ValueError, match="has 2 outputs"):
        models.Sequential([layers.Input((None, 3)), models.Model(x, [layers.GRU(2)(x), layers.GRU(2)(x)])])
    with pytest.raises(TypeError, match="recurrent layer"):
        layers.Bidirectional(models.Sequential([layers.GRU(3)]))


def test_a_layer_in_two_places_cannot_be_described() -> None:
    shared = layers.Dense(3)
    inner = models.Sequential([layers.Input((3,)), shared])
    x = layers.Input((3,))
    model = models.Model(x, shared(inner(x)))
    assert len(model.weights) == 2
    with pytest.raises(ValueError, match="shared by a model"):
        model.get_config()


def test_a_model_holds_no_model_that_holds_it() -> None:
    outer = models.Sequential([layers.Input((4, 3)), layers.Dense(3)])
    for layer in (outer, models.Sequential([layers.Input((4, 3)), outer]), layers.TimeDistributed(outer)):
        with pytest.raises(ValueError, match="layer must not hold the model that it is added to"):
            outer.add(layer)
    assert outer.output_shape == (None, 4, 3)
