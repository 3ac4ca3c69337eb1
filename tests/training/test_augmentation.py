"""Augmentations: what each does, and that a sample's change depends on seed, epoch and sample alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array, data, forecaster, same

from rnncore import augmentation, layers, models, seeds, utils
from rnncore.augmentation.draws import Draws

ALL = [
    augmentation.Jitter(0.1),
    augmentation.Scaling(0.2),
    augmentation.MagnitudeWarp(0.3),
    augmentation.TimeMasking(4, count=2, value=7.0),
    augmentation.FeatureMasking(2, value=7.0),
    augmentation.TimeWarp(0.3),
    augmentation.WindowSlicing(0.6),
    augmentation.Permutation(4),
    augmentation.Jitter(0.1, probability=0.5),
    augmentation.Compose([augmentation.Jitter(0.1), augmentation.Compose([augmentation.Permutation(3)])]),
]
each = pytest.mark.parametrize("augment", ALL, ids=lambda augment: type(augment).__name__)
X = np.random.default_rng(0).normal(size=(30, 12, 3))
LENGTHS = np.random.default_rng(1).integers(0, 13, size=30)


@each
def test_a_sample_changes_in_the_same_way_in_any_batch(augment: Any) -> None:
    before = X.copy()
    whole = augment(X, LENGTHS, seed=3, epoch=2)
    order = np.random.default_rng(2).permutation(30)
    parts = [augment(X[rows], LENGTHS[rows], seed=3, epoch=2, samples=rows) for rows in np.split(order, [1, 8, 9])]
    assert np.array_equal(np.concatenate(parts), whole[order])
    assert np.array_equal(before, X)
    for other in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 1}, {"seed": 3, "epoch": 2, "stage": 1}):
        assert not np.array_equal(augment(X, LENGTHS, **other), whole)


@each
def test_padding_stays_and_does_not_matter(augment: Any) -> None:
    changed = augment(X, LENGTHS, seed=3)
    padding = np.arange(12) >= LENGTHS[:, None]
    assert np.array_equal(changed[padding], X[padding])
    other = np.where(padding[..., None], 1e6, X)
    assert np.array_equal(augment(other, LENGTHS, seed=3)[~padding], changed[~padding])
    assert not np.array_equal(changed, X)


@each
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (3, 5, 1), (0, 4, 2)])
def test_small_shapes_and_dtypes(augment: Any, shape: tuple[int, ...]) -> None:
    for dtype, expected in (("float32", "float32"), ("float64", "float64"), ("int64", "float32")):
        changed = augment(np.ones(shape, dtype), seed=1)
        assert changed.shape == shape
        assert changed.dtype == expected
        assert np.isfinite(changed).all()


def test_random_numbers_have_their_distributions() -> None:
    draws = Draws(9, 1, np.arange(500), 0)
    uniform, normal = draws.uniform(400), draws.normal(401)
    assert 0 < uniform.min() < 1e-4
    assert 1 > uniform.max() > 1 - 1e-4
    assert abs(uniform.mean() - 0.5) < 0.002
    assert abs(normal.mean()) < 0.007
    assert abs(normal.std() - 1) < 0.005
    assert abs((normal**4).mean() - 3) < 0.1
    assert sorted(set(draws.whole(3, 50).ravel())) == [0, 1, 2, 3]
    assert len(np.unique(uniform)) > 0.9999 * uniform.size


def test_what_each_does() -> None:
    x = np.random.default_rng(5).normal(size=(200, 20, 4)) + 3
    ratio = augmentation.Scaling(0.2)(x, seed=1) / x
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(20, axis=1), rtol=1e-12)
    assert abs(ratio[:, 0].std() - 0.2) < 0.02
    curve = augmentation.MagnitudeWarp(0.2)(x, seed=1) / x
    assert np.diff(curve, n=2, axis=1).std() < 0.1  # independent values would give 0.2 * sqrt(6) = 0.49
    assert abs(curve[:, 0].std() - 0.2) < 0.02
    masked = augmentation.TimeMasking(6)(x, seed=1) == 0
    assert (masked.all(axis=2) == masked.any(axis=2)).all()
    widths = masked[..., 0].sum(axis=1)
    assert sorted(set(widths)) == list(range(7))
    assert (np.abs(np.diff(masked[..., 0].astype(int), axis=1)).sum(axis=1) <= 2).all()
    bands = augmentation.FeatureMasking(2)(x, seed=1) == 0
    assert (bands.all(axis=1) == bands.any(axis=1)).all()
    assert set(bands[:, 0].sum(axis=1)) == {0, 1, 2}
    moved = augmentation.Permutation(5)(x, seed=1)
    assert np.array_equal(np.sort(moved, axis=1), np.sort(x, axis=1))
    times = np.broadcast_to(np.arange(20.0)[:, None], (200, 20, 1))
    warped = augmentation.TimeWarp(0.5)(times, seed=1)[..., 0]
    assert (np.diff(warped, axis=1) > 0).all()
    np.testing.assert_allclose(warped[:, [0, -1]], np.broadcast_to([0.0, 19.0], (200, 2)), atol=1e-12)
    window = augmentation.WindowSlicing(0.5)(times, seed=1)[..., 0]
    np.testing.assert_allclose(np.diff(window, axis=1), 0.5)
    assert np.ptp(window[:, 0]) > 8
    some = (augmentation.Jitter(1.0, probability=0.3)(x, seed=1) != x).any(axis=(1, 2)).mean()
    assert 0.2 < some < 0.4


def trained(backend: str = "compiled", **fit: Any) -> list[Array]:
    x, y = data()
    utils.set_random_seed(5)
    model = forecaster(optimizer="adam", loss="mse", backend=backend, dtype_policy="float64")
    model.fit(x, y, batch_size=8, epochs=3, verbose=0, **fit)
    return model.get_weights()


def test_fit_augments_each_epoch_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    augment = [augmentation.Jitter(0.3), augmentation.TimeMasking(2)]
    found = trained(augment=augment, shuffle=False)
    assert not same(found, trained(shuffle=False))
    utils.set_random_seed(5)
    model = forecaster(optimizer="adam", loss="mse", dtype_policy="float64")
    seed = int(np.random.default_rng(seeds.next_seed()).integers(2**32))
    for epoch in range(3):
        changed = x
        for stage, function in enumerate(augment):
            changed = function(changed, seed=seed, epoch=epoch, stage=stage)
        for start in range(0, 20, 8):
            model.train_on_batch(changed[start : start + 8], y[start : start + 8])
    assert same(found, model.get_weights())
    monkeypatch.setattr("rnncore.training.feed.ArrayFeed._chunk", lambda feed: feed._batch_size)
    assert same(found, trained(augment=augment, shuffle=False))


def test_both_backends_train_alike_and_validation_stays() -> None:
    augment = augmentation.TimeWarp(0.5)
    lengths = np.arange(20) % 7
    compiled, reference = (trained(backend, augment=augment, lengths=lengths) for backend in BACKENDS)
    for a, b in zip(compiled, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    x, y = data()
    model = forecaster(optimizer="sgd", loss="mse")
    history = model.fit(x, y, validation_data=(x, y), augment=augmentation.Jitter(9.0), verbose=0)
    np.testing.assert_allclose(history.history["val_loss"][0], model.evaluate(x, y, verbose=0), rtol=1e-6)


def test_functions_and_iterables() -> None:
    def flip(x: Array, rng: np.random.Generator) -> Array:
        return x * rng.choice([-1, 1], size=(len(x), 1, 1))

    assert same(trained(augment=flip), trained(augment=flip))
    assert not same(trained(augment=flip), trained())
    x, y = data()
    jitter = augmentation.Jitter(0.2)
    utils.set_random_seed(5)
    model = forecaster(optimizer="adam", loss="mse", dtype_policy="float64")
    model.fit(
        [(x[:8], y[:8]), (x[8:16], y[8:16]), (x[16:], y[16:])].__iter__(),
        steps_per_epoch=3,
        shuffle=False,
        augment=jitter,
        verbose=0,
    )
    utils.set_random_seed(5)
    arrays = forecaster(optimizer="adam", loss="mse", dtype_policy="float64")
    arrays.fit(x, y, batch_size=8, shuffle=False, augment=jitter, verbose=0)
    assert same(model.get_weights(), arrays.get_weights())


def test_wrong_arguments() -> None:
    x, y = data()
    for wrong, error, message in (
        (3, TypeError, "augment must be callable"),
        ({"nobody": augmentation.Jitter()}, ValueError, "augment must name inputs"),
        (lambda x, rng: x[:, :2], ValueError, "augment must keep the shape"),
    ):
        with pytest.raises(error, match=message):
            forecaster(optimizer="sgd", loss="mse").fit(x, y, augment=wrong, verbose=0)
    ids = models.Sequential([layers.Input((3,), dtype="int32"), layers.Embedding(4, 2), layers.GRU(2)])
    ids.compile("sgd", "mse")
    with pytest.raises(ValueError, match="augment needs an input of real numbers"):
        ids.fit(np.zeros((2, 3), int), np.zeros((2, 2)), augment=augmentation.Jitter(), verbose=0)
    with pytest.raises(ValueError, match="x must have shape"):
        augmentation.Jitter()(np.ones((2, 3)))
    with pytest.raises(ValueError, match="sigma must"):
        augmentation.Jitter(-1)
    with pytest.raises(TypeError, match=r"augmentations\[0\] must be an Augmentation"):
        augmentation.Compose([abs])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"ratio must lie in \(0, 1\]"):
        augmentation.WindowSlicing(0)
