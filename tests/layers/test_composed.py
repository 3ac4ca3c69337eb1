"""Layers that are made of several ops: their values, masks and lengths, streams, files and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array

from rnncore import layers, models, utils

RNG = np.random.default_rng(3)
X, Z = RNG.normal(size=(4, 6, 3)), RNG.normal(size=(4, 5, 3))
LENGTHS = np.array([6, 2, 4, 1])


def run(backend: str, describe: Any, *inputs: Array, shapes: Any = None, lengths: Any = None) -> Any:
    given = [layers.Input(shape) for shape in (shapes or [array.shape[1:] for array in inputs])]
    model = models.Model(given, describe(*given))
    model.compile(backend=backend, dtype_policy="float64")
    return model.predict(inputs[0] if len(inputs) == 1 else list(inputs), lengths=lengths, verbose=0)


DOTS: list[tuple[Any, Any, Any, Any, str]] = [
    (2, X, Z, [(None, 3), (None, 3)], "nik,njk->nij"),
    ((2, 1), X, Z.transpose(0, 2, 1), [(None, 3), (3, 5)], "nik,nkj->nij"),
    ((1, 2), X.transpose(0, 2, 1), Z, [(3, 6), (5, 3)], "nki,njk->nij"),
    (-1, X[:, 0], Z, [(3,), (None, 3)], "nk,njk->nj"),
    ((2, 1), X, Z[:, 0], [(None, 3), (3,)], "nik,nk->ni"),
    ((3, 1), RNG.normal(size=(4, 6, 2, 3)), Z[:, 0], [(None, 2, 3), (3,)], "niak,nk->nia"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("axes", "a", "b", "shapes", "sums"), DOTS, ids=[case[-1] for case in DOTS])
def test_dot_sums_products(axes: Any, a: Array, b: Array, shapes: Any, sums: str, backend: str) -> None:
    expected = np.einsum(sums, a, b)
    found = run(backend, lambda x, y: layers.Dot(axes)([x, y]), a, b, shapes=shapes)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    size = axes if isinstance(axes, tuple) else (axes, axes)
    lengths = [np.linalg.norm(v, axis=axis, keepdims=True) for v, axis in zip((a, b), size, strict=True)]
    found = run(backend, lambda x, y: layers.Dot(axes, normalize=True)([x, y]), a, b, shapes=shapes)
    np.testing.assert_allclose(found, np.einsum(sums, a / lengths[0], b / lengths[1]), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dot_of_vectors_is_a_column(backend: str) -> None:
    found = run(backend, lambda x, y: layers.dot([x, y], axes=1), X[:, 0], Z[:, 0])
    np.testing.assert_allclose(found, (X[:, 0] * Z[:, 0]).sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_merging_repeats_sequences_of_fewer_axes(backend: str) -> None:
    wide = RNG.normal(size=(4, 5, 6, 3))
    found = run(backend, lambda x, y: layers.Multiply()([x, y]), wide, X)
    np.testing.assert_allclose(found, wide * X[:, None])
    same = run(backend, lambda x, y: layers.Subtract()([x, y]), wide[:, :1], X)
    np.testing.assert_allclose(same, wide[:, :1] - X[:, None])


# What lengths leave out has no influence: each row becomes what it would be alone.

OVER_TIME: dict[str, Any] = {
    "group": lambda x: layers.GroupNormalization(1, center=False)(x),
    "groups": lambda x: layers.GroupNormalization(-1, scale=False)(x),
    "unit": lambda x: layers.UnitNormalization(axis=[1, 2])(x),
    "prelu": lambda x: layers.PReLU("ones", shared_axes=[1])(x),
    "mean": lambda x: layers.Normalization(mean=1.0, variance=4.0)(x),
    "dot": lambda x: layers.Dot(1)([x, layers.Rescaling(2.0)(x)]),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OVER_TIME)
def test_padding_has_no_influence(name: str, backend: str) -> None:
    rubbish = X.copy()
    rubbish[np.arange(6) >= LENGTHS[:, None]] = 1e3
    reads = LENGTHS if name not in ("mean", "prelu") else None
    whole = run(backend, OVER_TIME[name], rubbish, lengths=reads)
    for row, steps in enumerate(LENGTHS):
        alone = run(backend, OVER_TIME[name], X[row : row + 1, :steps])
        valid = whole[row] if name == "dot" else whole[row, :steps]
        np.testing.assert_allclose(valid, alone[0], rtol=1e-9, atol=1e-12)


def test_masks_go_on_and_masked_steps_count_as_in_keras() -> None:
    x = layers.Input((6, 3))
    masked = layers.Masking()(x)
    data = np.where((np.arange(6) < 4)[:, None], X, 0.0)
    for layer in (layers.GroupNormalization(3), layers.UnitNormalization(), layers.PReLU(), layers.Normalization()):
        last = layers.GRU(2, return_sequences=True, zero_output_for_mask=True)
        model = models.Model(x, [layer(masked), last(layer(masked))])
        values, sequence = model.predict(data, verbose=0)
        assert (sequence[:, 4:] == 0).all()
        assert (sequence[:, 3] != 0).any()
        plain = models.Model(x, layer(x)).predict(data, verbose=0)
        np.testing.assert_array_equal(values, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_streams_treat_each_step_by_itself(backend: str) -> None:
    x = layers.Input((None, 3))
    scaled = layers.Normalization()
    scaled.adapt(X)
    y = layers.UnitNormalization()(layers.PReLU("ones", shared_axes=[1])(layers.Dense(4)(scaled(x))))
    y = layers.ActivityRegularization(0.1)(layers.Normalization(mean=1.0, variance=2.0)(y))
    model = models.Model(x, layers.GRU(2, return_sequences=True)(y))
    model.compile(backend=backend)
    stream = model.stream(batch_size=4)
    found = np.concatenate([stream.run(X[:, :2]), stream.run(X[:, 2:3]), stream.run(X[:, 3:])], axis=1)
    np.testing.assert_allclose(found, model.predict(X, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.GroupNormalization(3, name="whole"),
        layers.UnitNormalization(axis=1, name="whole"),
        layers.PReLU(name="whole"),
        layers.Normalization(axis=[1, 2], name="whole"),
    ],
)
def test_streams_refuse_layers_over_time(layer: Any) -> None:
    x = layers.Input((6, 3))
    with pytest.raises(ValueError, match="'whole' does not treat each step by itself"):
        models.Model(x, layer(x)).stream(batch_size=4)


# Normalization


def test_adapting_counts_what_lengths_leave() -> None:
    real = np.arange(6) < LENGTHS[:, None]
    x = np.where(real[..., None], X, np.nan)
    for data, lengths in ((x, LENGTHS), (iter([(x[:1], None, None, [6]), (x[1:], None, None, LENGTHS[1:])]), None)):
        layer = layers.Normalization()
        layer.adapt(data, lengths)
        np.testing.assert_allclose(layer.mean[0, 0], X[real].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(layer.variance[0, 0], X[real].var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2)])
def test_adapting_to_batches_is_adapting_to_all(axis: Any) -> None:
    over = {-1: (0, 1), None: (0, 1, 2), 1: (0, 2), (1, 2): (0,)}[axis]

    class Batches(utils.PyDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return X[3 * index : 3 * index + 3], None

    for data in (X, [X[:3], X[3:]], (x for x in (X[:1], X[1:])), Batches()):
        layer = layers.Normalization(axis)
        layer.adapt(data)
        mean, variance, count = layer.get_weights()
        np.testing.assert_allclose(mean, X.mean(axis=over), rtol=1e-6)
        np.testing.assert_allclose(variance, X.var(axis=over), rtol=1e-6)
        assert count == 0


def test_a_running_model_sees_what_its_layer_adapts_to() -> None:
    layer = layers.Normalization()
    model = models.Sequential([layers.Input((None, 3)), layer, layers.GRU(2)])
    model.compile("sgd", "mse")
    model.fit(X, np.zeros((4, 2)), verbose=0)
    np.testing.assert_array_equal(layer.mean, np.zeros((1, 1, 3)))
    assert [weight.name for weight in model.non_trainable_weights] == ["mean", "variance", "count"]
    before = model.predict(X, verbose=0)
    layer.adapt(5 * X + 2)
    assert not np.allclose(model.predict(X, verbose=0), before)
    np.testing.assert_allclose(model.predict(5 * X + 2, verbose=0), adapted_prediction(model), atol=1e-5)


def adapted_prediction(model: models.Model) -> Any:
    """What the layers behind a Normalization make of standardized data."""
    rest = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    rest.set_weights(model.get_weights()[3:])
    return rest.predict((X - X.mean(axis=(0, 1))) / X.std(axis=(0, 1)), verbose=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), ValueError, "mean and variance must both be given"),
        (lambda: layers.Normalization(mean=[1.0], variance=[1.0, 2.0]), ValueError, "must have one shape"),
        (lambda: layers.Normalization(mean=1.0, variance=-1.0), ValueError, "must not be negative, got -1"),
        (lambda: layers.Normalization(mean=np.nan, variance=1.0), ValueError, "mean must be finite"),
        (lambda: layers.Normalization(0)(layers.Input((3,))), ValueError, "after the batch"),
        (lambda: layers.Normalization(1)(layers.Input((None, 3))), ValueError, "known sizes along axis 1"),
        (lambda: layers.Normalization(mean=[1.0], variance=[1.0]).adapt(X), ValueError, "does not adapt"),
        (lambda: layers.Normalization(mean=[1.0, 2], variance=[1.0, 2])(layers.Input((3,))), ValueError, "must fit"),
        (lambda: layers.Normalization().adapt(X * np.inf), ValueError, "must be finite"),
        (lambda: layers.Normalization().adapt(X[:0]), ValueError, "at least one number"),
        (lambda: layers.Normalization().adapt([X, Z[..., :2]]), ValueError, "data of .* must have shape"),
        (lambda: layers.Normalization().adapt([["a"]]), TypeError, "data must hold real numbers"),
        (lambda: layers.PReLU()(layers.Input((None, 3))), ValueError, r"shared_axes=\[1\]"),
        (lambda: layers.PReLU(shared_axes=[3])(layers.Input((2, 3))), ValueError, "shared_axes of"),
        (lambda: layers.Dot(1)([layers.Input((3,))] * 3), ValueError, "takes two inputs, got 3"),
        (lambda: layers.Dot(1)([layers.Input((3,)), layers.Input((4,))]), ValueError, "equal known sizes along 1"),
        (lambda: layers.Dot((0, 1)), ValueError, None),
        (lambda: layers.Dot((1, 1, 1)), ValueError, "one axis or two"),
        (lambda: layers.GroupNormalization(0), ValueError, "at least 1, or -1"),
        (lambda: layers.GroupNormalization(4)(layers.Input((2, 6))), ValueError, "must divide the 6 channels, got 4"),
        (lambda: layers.UnitNormalization(1)(layers.Input((None, 3))), ValueError, "tells the sizes along axis 1"),
        (lambda: layers.UnitNormalization(3)(layers.Input((2, 3))), ValueError, "after the batch"),
        (lambda: layers.ActivityRegularization(l1=-1.0), ValueError, "l1 must be"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str | None) -> None:
    if message is None:
        with pytest.raises(error, match="after the batch"):
            make()([layers.Input((3,)), layers.Input((3,))])
        return
    with pytest.raises(error, match=message):
        make()


def test_an_error_leaves_what_was_adapted() -> None:
    layer = layers.Normalization()
    layer.adapt(X)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="must be finite"):
        layer.adapt(np.full_like(X, np.nan))
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_files_keep_what_was_adapted(tmp_path: Path) -> None:
    layer = layers.Normalization()
    layer.adapt(X)
    model = models.Sequential([layers.Input((None, 3)), layer, layers.PReLU("ones", shared_axes=1), layers.GRU(2)])
    model.save(tmp_path / "model.rnn")
    expected = model.predict(X, verbose=0)
    np.testing.assert_array_equal(models.load_model(tmp_path / "model.rnn").predict(X, verbose=0), expected)
    twin = models.clone_model(model)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(X, verbose=0), expected)


# SeparableConv1D is a Conv1D whose kernel is a product of two.

SEPARABLE: list[dict[str, Any]] = [
    {"padding": "causal", "dilation_rate": 2},
    {"padding": "causal", "strides": 2, "depth_multiplier": 2},
    {"padding": "valid", "strides": 3},
    {"padding": "same", "activation": "tanh"},
]


def both_convolutions(options: dict[str, Any], backend: str) -> tuple[models.Model, models.Model]:
    """Each with a layer that reads which steps there are, and the same weights."""
    made = []
    for name in ("SeparableConv1D", "Conv1D"):
        common = {key: value for key, value in options.items() if key != "depth_multiplier" or name != "Conv1D"}
        last = layers.GRU(2, return_sequences=True)
        made.append(models.Sequential([layers.Input((None, 3)), getattr(layers, name)(4, 3, **common), last]))
        made[-1].compile(backend=backend, dtype_policy="float64")
    separable, plain = made
    deep, wide, bias, *rest = [RNG.normal(size=weight.shape) for weight in separable.weights]
    separable.set_weights([deep, wide, bias, *rest])
    many = wide[0].reshape(3, -1, 4)
    plain.set_weights([np.einsum("kcm,cmf->kcf", deep, many), bias, *rest])
    return separable, plain


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", SEPARABLE, ids=str)
def test_separable_convolutions_with_lengths(options: dict[str, Any], backend: str) -> None:
    separable, plain = both_convolutions(options, backend)
    assert separable.output_shape == plain.output_shape
    rubbish = X.copy()
    rubbish[np.arange(6) >= LENGTHS[:, None]] = np.inf
    for lengths in (None, LENGTHS):
        found, expected = (model.predict(X, lengths=lengths, verbose=0) for model in (separable, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(separable.predict(rubbish, lengths=LENGTHS, verbose=0), found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", SEPARABLE[:3], ids=str)
def test_separable_convolutions_in_streams(options: dict[str, Any], backend: str) -> None:
    separable, plain = both_convolutions(options, backend)
    found, expected = (
        [stream.run(chunk) for chunk in (X[:, :2], X[:, 2:3], X[:, 3:])]
        for stream in (model.stream(batch_size=4) for model in (separable, plain))
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_separable_convolutions_refuse_what_they_cannot() -> None:
    with pytest.raises(ValueError, match="tells its number of steps"):
        layers.SeparableConv1D(2, 3, 2, "same")(layers.Input((None, 3)))
    with pytest.raises(ValueError, match="must not both be above 1"):
        layers.SeparableConv1D(2, 3, 2, dilation_rate=2)
    with pytest.raises(ValueError, match="padding='same'"):
        models.Sequential([layers.Input((None, 3)), layers.SeparableConv1D(2, 3, padding="same")]).stream()
