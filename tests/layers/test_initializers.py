"""Initializers: distributions by their moments and bounds, names, configs and seeds."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from rnncore import initializers, utils

SHAPE = (300, 200)  # 60 000 draws: a mean is within 0.02 and a standard deviation within 2 % (5 sigma)
TRUNCATED = 0.87962566103423978  # standard deviation of a standard normal cut off at ±2

SCALED = {
    "glorot_uniform": 2 / (300 + 200),
    "glorot_normal": 2 / (300 + 200),
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_uniform": 1 / 300,
    "lecun_normal": 1 / 300,
}

NAMES = {
    "zeros": "Zeros",
    "ones": "Ones",
    "constant": "Constant",
    "random_normal": "RandomNormal",
    "random_uniform": "RandomUniform",
    "truncated_normal": "TruncatedNormal",
    "variance_scaling": "VarianceScaling",
    "glorot_uniform": "GlorotUniform",
    "glorot_normal": "GlorotNormal",
    "he_uniform": "HeUniform",
    "he_normal": "HeNormal",
    "lecun_uniform": "LecunUniform",
    "lecun_normal": "LecunNormal",
    "orthogonal": "Orthogonal",
    "identity": "Identity",
}


def assert_moments(values: Any, mean: float, deviation: float) -> None:
    assert abs(values.mean() - mean) < 0.02 * deviation
    assert abs(values.std() / deviation - 1) < 0.02


@pytest.mark.parametrize("name", SCALED)
def test_scaled_initializers_have_the_variance_of_their_fans(name: str) -> None:
    values = initializers.get({"class_name": name, "config": {"seed": 3}})(SHAPE, "float64")
    deviation = math.sqrt(SCALED[name])
    assert_moments(values, 0.0, deviation)
    limit = math.sqrt(3) * deviation if name.endswith("uniform") else 2 * deviation / TRUNCATED
    assert 0.99 * limit < np.abs(values).max() <= limit


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform", "normal"])
def test_variance_scaling(mode: str, distribution: str) -> None:
    values = initializers.VarianceScaling(3.0, mode, distribution, seed=5)(SHAPE)
    count = {"fan_in": 300, "fan_out": 200, "fan_avg": 250}[mode]
    assert_moments(values, 0.0, math.sqrt(3 / count))
    bound = {"uniform": math.sqrt(3), "untruncated_normal": math.inf}.get(distribution, 2 / TRUNCATED)
    assert np.abs(values).max() <= bound * math.sqrt(3 / count) * (1 + 1e-6)


def test_untruncated_normal_has_tails() -> None:
    values = initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal", seed=5)(SHAPE)
    assert np.abs(values).max() > 3 * math.sqrt(1 / 300)


def test_fans_of_vectors_and_of_windows() -> None:
    limit = math.sqrt(3)
    vector = initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=1)((900,))
    assert 0.9 * limit / 30 < np.abs(vector).max() <= limit / 30
    window = initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=1)((5, 20, 60))
    assert 0.99 * limit / 10 < np.abs(window).max() <= limit / 10
    window = initializers.VarianceScaling(1.0, "fan_out", "uniform", seed=1)((5, 20, 45))
    assert 0.99 * limit / 15 < np.abs(window).max() <= limit / 15


def test_plain_distributions() -> None:
    assert_moments(initializers.RandomNormal(2.0, 0.5, seed=1)(SHAPE) - 2.0, 0.0, 0.5)
    uniform = initializers.RandomUniform(-1.0, 3.0, seed=1)(SHAPE)
    assert_moments(uniform - 1.0, 0.0, 4 / math.sqrt(12))
    assert -1 <= uniform.min() < uniform.max() <= 3
    truncated = initializers.TruncatedNormal(2.0, 0.5, seed=1)(SHAPE)
    assert_moments(truncated - 2.0, 0.0, 0.5 * TRUNCATED)
    assert 1 <= truncated.min() < truncated.max() <= 3


@pytest.mark.parametrize("shape", [(5, 5), (4, 12), (12, 4), (3, 2, 5)])
def test_orthogonal_over_the_fused_matrix(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=1.5, seed=2)(shape, "float64").reshape(-1, shape[-1])
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, 1.5**2 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_prefers_no_sign() -> None:
    corners = [initializers.Orthogonal(seed=seed)((3, 3))[0, 0] for seed in range(400)]
    assert abs(np.mean(corners)) < 0.1  # standard error 0.03


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.Ones()((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(0.25)((2, 3)), np.full((2, 3), 0.25))
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize(("name", "class_name"), NAMES.items())
def test_names_configs_and_repeatability(name: str, class_name: str) -> None:
    initializer = initializers.get(name)
    assert type(initializer).__name__ == class_name
    assert type(initializers.get(class_name)) is type(initializer)
    assert type(initializers.get(type(initializer))) is type(initializer)
    assert initializers.get(initializer) is initializer
    first, second = initializer((4, 6)), initializer((4, 6))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    config = json.loads(json.dumps(initializers.serialize(initializer)))
    assert config["class_name"] == class_name
    assert initializers.deserialize(config).get_config() == initializer.get_config()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("zeros", "ones", "constant", "identity")])
def test_seeds(name: str) -> None:
    def draw(seed: int | None) -> Any:
        return initializers.get({"class_name": name, "config": {"seed": seed}})((4, 6))

    np.testing.assert_array_equal(draw(7), draw(7))
    assert not np.array_equal(draw(7), draw(8))
    utils.set_random_seed(1)
    first, second = draw(None), draw(None)
    assert not np.array_equal(first, second)
    utils.set_random_seed(1)
    np.testing.assert_array_equal(draw(None), first)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.get("glorot"), ValueError, "unknown initializer 'glorot'; did you mean 'glorot_"),
        (lambda: initializers.get("xyzzy"), ValueError, "known names: .*zeros"),
        (lambda: initializers.get(3), TypeError, "initializer must be given by name or object, got int 3"),
        (lambda: initializers.RandomNormal(stddev=-1.0), ValueError, "stddev"),
        (lambda: initializers.RandomNormal(mean="a"), TypeError, "mean must be a number, got str 'a'"),
        (lambda: initializers.RandomUniform(1.0, 0.0), ValueError, "maxval"),
        (lambda: initializers.VarianceScaling(0.0), ValueError, "scale must be positive, got 0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "unknown mode 'fan'; did you mean 'fan_"),
        (lambda: initializers.VarianceScaling(distribution="unifrom"), ValueError, "did you mean 'uniform'"),
        (lambda: initializers.HeNormal(seed=1.5), TypeError, "seed must be an integer, got float 1.5"),
        (lambda: initializers.HeNormal(seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, "at least two sizes for Orthogonal, got \\(3,\\)"),
        (lambda: initializers.Identity()((3, 3, 3)), ValueError, "two sizes for Identity"),
        (lambda: initializers.Zeros()((2.5,)), TypeError, "each size of shape must be an integer"),
        (lambda: initializers.Constant(float("nan")), ValueError, "value must be a finite number"),
    ],
)
def test_bad_input(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
