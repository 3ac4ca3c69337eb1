"""`trainable` of models, layers, layers inside others, cells and weights: it counts from the next `compile` on."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster, same

from rnncore import callbacks, layers, models, optimizers

COMPILED = {"optimizer": "sgd", "loss": "mse"}


def moved(model: models.Model, x: Any, y: Any) -> list[bool]:
    """Which weights a training step changes."""
    before = model.get_weights()
    model.fit(x, y, batch_size=len(x), verbose=0)
    return [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]


def normalized(**compile_arguments: Any) -> models.Sequential:
    """A recurrent layer, batch normalization and an output."""
    model = models.Sequential(
        [layers.Input((None, 3)), layers.LSTM(4), layers.BatchNormalization(), layers.Dense(2, activation="tanh")]
    )
    if compile_arguments:
        model.compile(**compile_arguments)
    return model


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_layer_rests_until_it_is_freed_and_compiled(backend: str) -> None:
    x, y = data()
    model = forecaster(optimizer=optimizers.SGD(0.1), loss="mse", backend=backend)
    model.train_on_batch(x, y)
    for frozen in (True, False):
        model.layers[0].trainable = not frozen
        model.compile(optimizers.SGD(0.1, weight_decay=0.1), "mse", backend=backend)
        before = model.get_weights()
        model.train_on_batch(x, y)
        first = len(model.layers[0].weights)
        assert first == 3
        moved = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
        assert moved == [not frozen] * first + [True] * (len(moved) - first)
        assert len(model.layers[0].trainable_weights) == (0 if frozen else first)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_model_trains_nothing(backend: str) -> None:
    x, y = data()
    model = normalized()
    model.trainable = False
    assert [layer.trainable for layer in model.layers] == [False] * 3
    assert model.trainable_weights == []
    assert model.non_trainable_weights == model.weights
    model.compile(**COMPILED, backend=backend)
    expected = model.evaluate(x, y, verbose=0)
    history = model.fit(x, y, batch_size=len(x), epochs=2, verbose=0).history
    assert not any(moved(model, x, y))
    # Frozen batch normalization normalizes by its moving statistics, in training too.
    assert history["loss"] == pytest.approx([expected] * 2, rel=1e-6)
    model.trainable = True
    model.compile(**COMPILED, backend=backend)
    assert all(moved(model, x, y))
    assert len(model.trainable_weights) == 7
    assert len(model.non_trainable_weights) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frozen_model_rests_though_its_layers_are_freed(backend: str) -> None:
    x, y = data()
    model = forecaster()
    model.trainable = False
    model.layers[-1].trainable = True
    model.compile(**COMPILED, backend=backend)
    assert model.trainable_weights == []
    assert not any(moved(model, x, y))


def test_a_layer_added_to_a_frozen_model_rests_too() -> None:
    x, y = data()
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
    model.trainable = False
    model.add(layers.Dense(2))
    model.compile(**COMPILED)
    assert model.layers[-1].trainable
    assert not any(moved(model, x, y))


@pytest.mark.parametrize("made", [models.Sequential, lambda parts, **options: chain(parts, **options)])
def test_models_take_trainable_when_they_are_made(made: Callable[..., models.Model]) -> None:
    x, y = data()
    parts = [layers.Input((None, 3)), layers.GRU(4), layers.Dense(2)]
    model = made(parts, trainable=False)
    assert [layer.trainable for layer in model.layers if layer.weights] == [False, False]
    model.compile(**COMPILED)
    assert not any(moved(model, x, y))
    with pytest.raises(TypeError, match="trainable must be True or False, got str"):
        made([layers.Input((None, 3)), layers.GRU(4)], trainable="no")


def chain(parts: list[Any], **options: Any) -> models.Model:
    value = parts[0]
    for layer in parts[1:]:
        value = layer(value)
    return models.Model(parts[0], value, **options)


def bidirectional() -> layers.Layer:
    return layers.Bidirectional(layers.LSTM(2, return_sequences=True))


def distributed() -> layers.Layer:
    return layers.TimeDistributed(layers.Dense(4))


def stacked() -> layers.Layer:
    return layers.RNN([layers.LSTMCell(2), layers.GRUCell(4)], return_sequences=True)


def nested() -> layers.Layer:
    return layers.Bidirectional(layers.RNN([layers.GRUCell(2), layers.GRUCell(2)], return_sequences=True))


def around(layer: layers.Layer, backend: str = "reference") -> models.Sequential:
    model = models.Sequential([layers.Input((None, 3)), layer, layers.GRU(2)])
    model.compile(**COMPILED, backend=backend)
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [bidirectional, distributed, stacked, nested])
def test_wrappers_pass_trainable_on(make: Callable[[], Any], backend: str) -> None:
    x, y = data()
    for built in (False, True):
        layer = make()
        model = models.Sequential([layer, layers.GRU(2)])
        if built:
            model.build((None, None, 3))
        layer.trainable = False
        model.compile(**COMPILED, backend=backend)
        model.build((None, None, 3))
        count = len(layer.weights)
        assert layer.trainable_weights == []
        assert layer.non_trainable_weights == layer.weights
        assert moved(model, x, y) == [False] * count + [True] * 3
        # What is inside can be freed by itself, as in Keras.
        first = layer._inner[0]
        first.trainable = True
        model.compile(**COMPILED, backend=backend)
        share = len(first.weights)
        assert moved(model, x, y) == [True] * share + [False] * (count - share) + [True] * 3
        assert len(model.trainable_weights) == share + 3
        layer.trainable = True
        model.compile(**COMPILED, backend=backend)
        assert all(moved(model, x, y))


@pytest.mark.parametrize(
    ("layer", "frozen"),
    [
        (lambda: layers.Bidirectional(layers.LSTM(2, return_sequences=True), trainable=False), [True] * 6),
        (lambda: layers.Bidirectional(layers.LSTM(2, return_sequences=True, trainable=False)), [True] * 6),
        (lambda: layers.TimeDistributed(layers.Dense(4, trainable=False)), [True] * 2),
        (lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(2)], trainable=False)), [True] * 3),
        (lambda: layers.RNN([layers.GRUCell(2, trainable=False), layers.LSTMCell(2)]), [True] * 3 + [False] * 3),
        (lambda: layers.LSTM(4, return_sequences=True, trainable=False), [True] * 3),
        (lambda: layers.BatchNormalization(trainable=False), [True] * 4),
        (lambda: layers.BatchNormalization(), [False, False, True, True]),
    ],
)
def test_layers_take_trainable_when_they_are_made(layer: Callable[[], Any], frozen: list[bool]) -> None:
    made = layer()
    made.build((None, 5, 3))
    assert [weight.trainable for weight in made.weights] == [not f for f in frozen]
    again = type(made).from_config(made.get_config())
    again.build((None, 5, 3))
    assert [weight.trainable for weight in again.weights] == [not f for f in frozen]
    assert again.trainable == made.trainable


def test_stacked_cells_pass_trainable_on() -> None:
    cells = layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)])
    cells.trainable = False
    assert [cell.trainable for cell in cells.cells] == [False, False]
    assert not cells.trainable
    cells.cells[0].trainable = True
    assert cells.trainable


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_single_weight_can_be_frozen(backend: str) -> None:
    x, y = data()
    model = forecaster()
    model.layers[0].weights[1].trainable = False
    model.compile(**COMPILED, backend=backend)
    assert moved(model, x, y) == [True, False] + [True] * 6
    assert [weight.name for weight in model.layers[0].non_trainable_weights] == ["recurrent_kernel"]
    statistic = normalized().layers[1].weights[2]
    with pytest.raises(ValueError, match="trainable of .*moving_mean must be False"):
        statistic.trainable = True


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_change_after_compile_waits_for_the_next_with_a_warning(backend: str) -> None:
    x, y = data()
    for make in (forecaster, lambda: models.Sequential([layers.Bidirectional(layers.GRU(4)), layers.Dense(2)])):
        model = make()
        first = 3 if make is forecaster else 6  # weights of its first layer
        model.layers[0].trainable = False
        model.compile(**COMPILED, backend=backend)
        model.layers[0].trainable = True
        named = f"trainable was changed after compile, for .*'{model.layers[0].name}'.*: it takes effect at"
        with pytest.warns(UserWarning, match=named):
            model.fit(x, y, verbose=0)
        with pytest.warns(UserWarning, match="takes effect at the next compile"):
            assert moved(model, x, y)[: first + 1] == [False] * first + [True]
        with pytest.warns(UserWarning, match="takes effect at the next compile"):
            model.train_on_batch(x, y)
        with pytest.warns(UserWarning, match="takes effect at the next compile"):
            model.forward(x, training=True)
        model.evaluate(x, y, verbose=0)  # nothing to warn of
        model.forward(x)
        model.compile(**COMPILED, backend=backend)
        assert all(moved(model, x, y))
    model.layers[0].trainable = False
    model.layers[0].trainable = True  # back again
    model.fit(x, y, verbose=0)
    model.trainable = False
    with pytest.warns(UserWarning, match="trainable was changed after compile, for the model: it takes effect at"):
        assert all(moved(model, x, y))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_added_after_compile_keeps_what_it_began_with(backend: str) -> None:
    x, y = data()
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
    model.compile(**COMPILED, backend=backend)
    model.add(layers.Dense(2, trainable=False))
    assert moved(model, x, y) == [True] * 3 + [False] * 2
    model.layers[-1].trainable = True
    with pytest.warns(UserWarning, match="takes effect at the next compile"):
        assert moved(model, x, y) == [True] * 3 + [False] * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_callback_that_frees_a_layer_compiles_anew(backend: str) -> None:
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse", backend=backend)
    model.layers[0].trainable = False
    model.compile(**COMPILED, backend=backend)
    before = model.get_weights()[0]

    def free(epoch: int, logs: Any) -> None:
        model.layers[0].trainable = epoch >= 1

    def compiled(epoch: int, logs: Any) -> None:
        free(epoch, logs)
        model.compile(**COMPILED, backend=backend)

    with pytest.warns(UserWarning, match="takes effect at the next compile") as found:
        model.fit(x, y, epochs=4, verbose=0, callbacks=[callbacks.LambdaCallback(free)])
    assert len(found) == 1  # said once
    assert np.array_equal(before, model.get_weights()[0])
    model.fit(x, y, epochs=4, verbose=0, callbacks=[callbacks.LambdaCallback(compiled)])
    assert not np.array_equal(before, model.get_weights()[0])


def test_models_that_share_layers_keep_what_each_was_compiled_with() -> None:
    """A critic that trains by itself rests in the model that it judges."""
    rng = np.random.default_rng(0)
    noise, judged = layers.Input((4, 3)), layers.Input((4, 2))
    maker, critic = layers.GRU(2, return_sequences=True), layers.LSTM(1)
    alone = models.Model(judged, critic(judged))
    alone.compile(**COMPILED)
    critic.trainable = False
    both = models.Model(noise, critic(maker(noise)))
    both.compile(**COMPILED)
    y = np.ones((5, 1))
    assert moved(both, rng.normal(size=(5, 4, 3)), y) == [True] * 3 + [False] * 3
    with pytest.warns(UserWarning, match="takes effect at the next compile"):
        assert all(moved(alone, rng.normal(size=(5, 4, 2)), y))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
def test_frozen_weights_count_in_no_norm_penalty_or_decay(optimizer: Any, backend: str) -> None:
    """A frozen layer below makes the same steps as its outputs given as data."""
    x, y = data(rows=12)
    for clip in ({"global_clipnorm": 0.05}, {"clipnorm": 0.03}, {"weight_decay": 0.1}, {"use_ema": True}):
        frozen = layers.GRU(4, kernel_regularizer="l2", recurrent_constraint="non_neg", trainable=False)
        whole = models.Sequential([layers.Input((None, 3)), frozen, layers.Dense(2)])
        below = models.Sequential([layers.Input((None, 3)), frozen])
        above = models.Sequential([layers.Input((4,)), layers.Dense(2)])
        above.set_weights(whole.get_weights()[3:])
        before = frozen.get_weights()
        for model in (whole, above, below):
            model.compile(optimizer(0.1, **clip), "mse", dtype_policy="float64", backend=backend)
        hidden = below.predict(x, verbose=0)
        options = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0}
        losses = [m.fit(given, y, **options).history["loss"] for m, given in ((whole, x), (above, hidden))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
        assert same(frozen.get_weights(), before)
        for a, b in zip(whole.get_weights()[3:], above.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


def test_an_uncompiled_model_follows_at_once() -> None:
    x, _ = data()
    model = normalized()
    for trainable in (False, True, False):
        model.trainable = trainable
        y = model.forward(x, training=True)
        before = model.get_weights()[5]
        model.backward(np.ones_like(y))
        assert len(model.gradients) == (7 if trainable else 0)
        model.forward(x, training=True)
        assert np.array_equal(before, model.get_weights()[5]) == (not trainable)


def test_summary_counts_what_trains() -> None:
    model = normalized(optimizer="adam", loss="mse")
    x, y = data()
    model.fit(x, y, verbose=0)
    model.layers[0].trainable = False
    lines: list[str] = []
    model.summary(print_fn=lines.append, show_trainable=True)
    text = lines[0]
    lstm, norm, dense = 4 * (3 + 4 + 1) * 4, 4 * 4, 4 * 2 + 2
    assert f"Trainable params: {norm // 2 + dense} (" in text
    assert f"Non-trainable params: {lstm + norm // 2} (" in text
    assert f"Optimizer params: {2 * (lstm + norm // 2 + dense)} (" in text  # until the next compile
    assert [line.rstrip(" │").rpartition("│")[2].strip() for line in text.splitlines() if "│ " in line] == [
        "N",
        "Y",
        "Y",
    ]


def test_trainable_is_saved(tmp_path: Path) -> None:
    x, y = data()
    model = models.Sequential(
        [layers.Input((None, 3)), bidirectional(), layers.BatchNormalization(), layers.GRU(2)], name="kept"
    )
    model.trainable = False
    model.layers[0].backward_layer.trainable = True
    model.compile(**COMPILED)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    for again in (loaded, models.clone_model(model), models.model_from_json(model.to_json())):
        assert not again.trainable
        assert [layer.trainable for layer in again.layers] == [False] * 3
        assert [w.trainable for w in again.weights] == [w.trainable for w in model.weights]
    assert not any(moved(loaded, x, y))
    functional = chain([layers.Input((None, 3)), layers.GRU(2)], trainable=False)
    assert not models.clone_model(functional).trainable
    assert models.clone_model(chain([layers.Input((None, 3)), layers.GRU(2, trainable=False)])).trainable


@pytest.mark.parametrize("value", ["no", None, 2])
def test_trainable_is_true_or_false(value: Any) -> None:
    model, layer = forecaster(), bidirectional()
    for owner in (model, layer, model.weights[0], layers.StackedRNNCells([layers.GRUCell(2)])):
        with pytest.raises(TypeError, match="must be True or False"):
            owner.trainable = value
    assert model.trainable
    assert all(w.trainable for w in model.weights)
    assert layer.trainable
    model.trainable = np.bool_(False)  # as NumPy compares
    assert model.trainable is False


@pytest.mark.parametrize("backend", BACKENDS)
def test_frozen_weights_rest_however_a_model_is_trained(backend: str) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 6, 3)), rng.normal(size=(8, 6, 2))

    def loss(y_true: Any, y_pred: Any) -> Any:
        return ((y_pred - y_true) ** 2).mean(), 2 * (y_pred - y_true) / y_pred.size

    def largest(y_true: Any, y_pred: Any) -> Any:
        return np.abs(y_true - y_pred).max(axis=(1, 2))

    def by_hand(model: models.Model) -> None:
        model.backward(model.forward(x, training=True) - y)
        model.apply_gradients()

    ways: list[tuple[dict[str, Any], Callable[[models.Model], Any]]] = [
        ({}, lambda model: model.fit(x, y, truncate=3, verbose=0)),
        ({}, lambda model: model.fit(x, y, checkpoint_every=2, verbose=0)),
        ({}, lambda model: model.fit(iter([(x, y)]), verbose=0)),
        ({}, by_hand),
        ({"loss": loss}, lambda model: model.fit(x, y, verbose=0)),
        ({"metrics": [largest]}, lambda model: model.fit(x, y, verbose=0)),
        ({"dtype_policy": "float64"}, lambda model: model.train_on_batch(x, y)),
        ({"dtype_policy": "mixed_bfloat16"}, lambda model: model.train_on_batch(x, y)),
        ({"optimizer": optimizers.Adam(use_ema=True)}, lambda model: model.fit(x, y, epochs=2, verbose=0)),
        ({"optimizer": optimizers.SGD(gradient_accumulation_steps=2)}, lambda model: model.fit(x, y, 4, verbose=0)),
    ]
    for arguments, train in ways:
        model = models.Sequential(
            [
                layers.Input((6, 3)),
                layers.LSTM(4, return_sequences=True, kernel_regularizer="l2"),
                layers.GRU(
                    3, return_sequences=True, trainable=False, kernel_regularizer="l2", bias_constraint="non_neg"
                ),
                layers.Dense(2, kernel_regularizer="l1", bias_initializer="random_normal"),
            ]
        )
        model.layers[2].weights[1].trainable = False
        model.compile(**{"optimizer": "adamw", "loss": "mse", **arguments}, backend=backend)
        model.predict(x, verbose=0)  # brings the weights into the dtype of the policy
        before = model.get_weights()
        train(model)
        changed = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
        assert changed == [True] * 3 + [False] * 3 + [True, False]


def test_the_norm_of_a_gradient_is_that_of_what_trains() -> None:
    """Frozen weights count in no norm, as if they were not there: that of a Dense layer by hand."""
    x, y = np.array([[1.0, 2.0]]), np.array([[0.0]])
    model = models.Sequential(
        [layers.Input((2,)), layers.Dense(2, "linear"), layers.Dense(1, kernel_initializer="ones")]
    )
    model.layers[0].set_weights([np.eye(2), np.zeros(2)])
    model.compile("sgd", "mse")
    free = model.per_sample_gradient_norms(x, y)
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    # The output is 3 and the gradient of the loss 6: to the last kernel 6 (1, 2), to its bias 6, to what is below
    # 6 (1, 2) for each unit and 6 for its bias.
    np.testing.assert_allclose(model.per_sample_gradient_norms(x, y), 6 * np.sqrt(1 + 4 + 1))
    np.testing.assert_allclose(free, 6 * np.sqrt(3 * (1 + 4 + 1)))
    again = pickle.loads(pickle.dumps(model))
    again.layers[0].trainable = True
    with pytest.warns(UserWarning, match="takes effect at the next compile"):
        again.train_on_batch(x, y)
