"""Convolution, pooling, normalization and noise in models: lengths go on, statistics are kept, configs come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS
from tolerance import assert_all_equal, assert_close

from rnncore import layers, models

LENGTHS = np.array([9, 4, 1, 7, 0])
X = np.random.default_rng(1).normal(size=(5, 9, 3)).astype(np.float32)


def garbage_after(lengths: Any, x: Any) -> Any:
    """The same rows with other numbers beyond their ends."""
    real = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(real[..., None], x, 1e3).astype(np.float32)


def front_end(padding: str, strides: int) -> models.Sequential:
    """What a speech model begins with: two convolutions, the second with a stride, and pooling."""
    return models.Sequential(
        [
            layers.Input((None, 3)),
            layers.Conv1D(4, 3, padding="same" if padding == "same" else "causal", activation="relu"),
            layers.Conv1D(5, 2, strides=strides, padding=padding),
            layers.MaxPooling1D(2, strides=1, padding="same"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("padding", "strides"), [("same", 1), ("same", 2), ("causal", 2), ("valid", 2), ("valid", 1)])
def test_what_lies_beyond_the_end_of_a_row_does_not_matter(padding: str, strides: int, backend: str) -> None:
    model = front_end(padding, strides)
    model.compile(optimizer="sgd", loss="mse", backend=backend)
    before = model.get_weights()
    outputs, losses = [], []
    for x in (X, garbage_after(LENGTHS, X)):
        model.set_weights(before)
        outputs.append(model.predict(x, lengths=LENGTHS, verbose=0))
        losses.append(
            model.fit(x, np.ones((5, 2)), lengths=LENGTHS, epochs=2, shuffle=False, verbose=0).history["loss"]
        )
        outputs.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    np.testing.assert_array_equal(outputs[0], outputs[2])
    np.testing.assert_array_equal(outputs[1], outputs[3])
    assert losses[0] == losses[1]
    assert losses[0][1] < losses[0][0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("padding", "strides"), [("same", 1), ("causal", 2), ("valid", 2)])
def test_a_padded_row_gives_what_it_gives_alone(padding: str, strides: int, backend: str) -> None:
    model = front_end(padding, strides)
    model.compile(backend=backend)
    together = model.predict(X, lengths=LENGTHS, verbose=0)
    for row, length in enumerate(LENGTHS):
        if length > 1:
            assert_close(together[row], model.predict(X[row : row + 1, :length], verbose=0)[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_leave_out_the_steps_that_lengths_leave_out_after_a_stride(backend: str) -> None:
    model = models.Sequential([layers.Input((9, 3)), layers.Conv1D(2, 3, strides=2, padding="causal")])
    model.compile(loss="mse", optimizer="sgd", backend=backend)
    y = np.random.default_rng(2).normal(size=(5, 5, 2)).astype(np.float32)
    real = np.arange(5) < -(-LENGTHS // 2)[:, None]
    outputs = model.predict(X, lengths=LENGTHS, verbose=0)
    expected = ((outputs - y) ** 2).mean(axis=-1)[real].mean()
    np.testing.assert_allclose(model.evaluate(X, y, lengths=LENGTHS, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_end_at_a_convolution_and_count_in_a_global_average(backend: str) -> None:
    ids = np.array([[0, 3, 0, 2], [1, 0, 0, 0]])
    given = layers.Input((4,), dtype="int32")
    x = layers.Embedding(5, 3, mask_zero=True)(given)
    mean, largest = layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)
    plain = layers.GlobalAveragePooling1D()(layers.Conv1D(3, 1, use_bias=False, name="c")(x))
    model = models.Model(given, [x, mean, largest, plain])
    model.compile(backend=backend)
    model.get_layer("c").kernel = np.eye(3)[None]
    x, mean, largest, plain = model.predict(ids, verbose=0)
    np.testing.assert_allclose(mean, [x[0, [1, 3]].mean(axis=0), x[1, 0]], rtol=1e-6)
    np.testing.assert_allclose(largest, x.max(axis=1))
    np.testing.assert_allclose(plain, x.mean(axis=1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_normalization_learns_its_statistics_and_is_saved(backend: str, tmp_path: Any) -> None:
    layer = layers.BatchNormalization(momentum=0.5, name="norm")
    model = models.Sequential([layers.Input((4,)), layer, layers.Dense(1)])
    model.compile(loss="mse", optimizer="sgd", backend=backend)
    assert [weight.name for weight in layer.trainable_weights] == ["gamma", "beta"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["moving_mean", "moving_variance"]
    x = np.random.default_rng(3).normal(2.0, 3.0, size=(64, 4)).astype(np.float32)
    model.fit(x, np.ones(64), batch_size=64, epochs=20, verbose=0)
    np.testing.assert_allclose(layer.moving_mean, x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, x.var(axis=0), rtol=1e-4)
    model.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn")
    assert_all_equal(again.get_weights(), model.get_weights())
    assert_close(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_frozen_batch_normalization_stays(backend: str) -> None:
    layer = layers.BatchNormalization(trainable=False)
    model = models.Sequential([layers.Input((4,)), layers.Dense(4), layer])
    model.compile(loss="mse", optimizer="sgd", backend=backend)
    before = layer.get_weights()
    x = np.random.default_rng(3).normal(size=(20, 4))
    model.fit(x, x, verbose=0)
    assert_all_equal(layer.get_weights(), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_spatial_dropout_drops_whole_features(backend: str) -> None:
    model = models.Sequential([layers.Input((9, 3)), layers.SpatialDropout1D(0.5)])
    model.compile(backend=backend)
    y = model.forward(np.ones((50, 9, 3)), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    np.testing.assert_array_equal(model.forward(X), X)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv1D(4, 3, strides=2, padding="same", activation="gelu", use_bias=False),
        layers.MaxPooling1D(3, strides=2),
        layers.AveragePooling1D(2, padding="same"),
        layers.GlobalMaxPooling1D(keepdims=True),
        layers.GlobalAveragePooling1D(),
        layers.BatchNormalization(momentum=0.9, scale=False),
        layers.LayerNormalization(epsilon=0.1, center=False),
        layers.SpatialDropout1D(0.2, seed=3),
        layers.Dropout(0.2, noise_shape=(None, 1, None)),
        layers.GaussianNoise(0.2, seed=3),
        layers.GaussianDropout(0.2),
        layers.AlphaDropout(0.2),
        layers.ReLU(max_value=2.0, threshold=0.1),
        layers.LeakyReLU(0.1),
        layers.ELU(0.5),
        layers.Softmax(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs_come_back(layer: layers.Layer) -> None:
    again = layers.deserialize(layers.serialize(layer))
    assert layers.serialize(again) == layers.serialize(layer)
    model = models.Sequential([layers.Input((9, 3)), again])
    model.compile()
    assert model.predict(X, verbose=0).shape == (5, *layer.compute_output_shape((None, 9, 3))[1:])


def test_short_names_are_the_layers_themselves() -> None:
    for short, long in (
        ("MaxPool1D", "MaxPooling1D"),
        ("AvgPool1D", "AveragePooling1D"),
        ("GlobalMaxPool1D", "GlobalMaxPooling1D"),
        ("GlobalAvgPool1D", "GlobalAveragePooling1D"),
        ("Convolution1D", "Conv1D"),
    ):
        assert getattr(layers, short) is getattr(layers, long)
