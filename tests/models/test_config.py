"""The global dtype policy and default dtype: what reads them, what overrides them, and their names in Keras."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster, same

import rnncore
from rnncore import RNNModel, config, initializers, layers, mixed_precision, models, train, utils

POLICIES = {"float32": "float32", "float64": "float64", "mixed_bfloat16": "float32"}


@pytest.fixture(autouse=True)
def _same_precision() -> Iterator[None]:
    """Other tests see the defaults, whatever a test sets."""
    assert (config.floatx(), config.dtype_policy()) == ("float32", "float32")
    yield
    config.set_floatx("float32")
    config.forget_policy()


def trained(**compile_arguments: Any) -> models.Sequential:
    utils.set_random_seed(3)
    x, y = data()
    model = forecaster(optimizer="adam", loss="mse", **compile_arguments)
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_compile_and_fit_use_the_global_policy(policy: str, backend: str) -> None:
    explicit = trained(dtype_policy=policy, backend=backend)
    config.set_dtype_policy(policy)
    model = trained(backend=backend)
    assert config.dtype_policy() == model.dtype_policy == policy
    assert model.dtype == model.predict(data()[0], verbose=0).dtype == POLICIES[policy]
    for a, b in zip(model.get_weights(), explicit.get_weights(), strict=True):
        # Weights are drawn in float64 under a global float64, and in float32 before an explicit one.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 if policy == "float64" else 0)


def test_mixed_products_are_not_those_of_float32() -> None:
    plain = trained()
    config.set_dtype_policy("mixed_bfloat16")
    assert not same(trained().get_weights(), plain.get_weights())


def test_an_explicit_policy_wins() -> None:
    plain = trained()
    config.set_dtype_policy("float64")
    assert same(trained(dtype_policy="float32").get_weights(), plain.get_weights())
    config.set_dtype_policy("float32")
    assert trained(dtype_policy="float64").dtype == "float64"


def test_a_compiled_model_keeps_its_policy() -> None:
    config.set_dtype_policy("mixed_bfloat16")
    model = forecaster(optimizer="adam", loss="mse")
    config.set_dtype_policy("float64")
    model.fit(*data(), verbose=0)
    assert (model.dtype_policy, model.dtype) == ("mixed_bfloat16", "float32")
    assert pickle.loads(pickle.dumps(model)).dtype_policy == "mixed_bfloat16"
    model.compile("adam", "mse")
    assert model.dtype_policy == "float64"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("compile", [True, False])
def test_a_saved_model_keeps_its_policy(tmp_path: Path, policy: str, compile: bool) -> None:
    x, _ = data()
    model = forecaster(optimizer="adam", loss="mse", dtype_policy=policy)
    model.save(tmp_path / "fresh.rnn")  # before it computes anything, too
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "used.rnn")
    config.set_dtype_policy("float32" if policy == "float64" else "float64")
    for name in ("fresh.rnn", "used.rnn"):
        again = models.load_model(tmp_path / name, compile=compile)
        assert again.dtype_policy == policy
        assert again.dtype == POLICIES[policy]
        assert np.array_equal(again.predict(x, verbose=0), wanted)


@pytest.mark.parametrize("policy", POLICIES)
def test_weights_and_models_that_are_not_compiled_have_the_global_policy(policy: str) -> None:
    config.set_dtype_policy(policy)
    x, y = data()
    given = layers.Input((None, 3))
    sequence = layers.GRU(4, return_sequences=True)(given)
    model = models.Model(given, layers.Attention(use_scale=True)([sequence, sequence]))
    assert {array.dtype for array in model.get_weights()} == {np.dtype(POLICIES[policy])}
    assert model.dtype_policy == models.clone_model(model).dtype_policy == policy
    assert model.predict(x, verbose=0).dtype == POLICIES[policy]

    textbook = RNNModel(3, 4, 2)
    train(textbook, x, y > 0, learning_rate=0.01, epochs=1)
    assert {each.dtype_policy for each in (textbook.last_step, textbook.every_step)} == {policy}
    assert textbook(x).dtype == POLICIES[policy]


def test_floatx_is_the_policy_until_one_is_set() -> None:
    config.set_floatx("float64")
    assert (config.floatx(), config.dtype_policy()) == ("float64", "float64")
    assert trained().dtype == "float64"
    assert initializers.GlorotUniform()((2, 3)).dtype == "float64"
    assert initializers.GlorotUniform()((2, 3), "float32").dtype == "float32"
    config.set_dtype_policy("mixed_bfloat16")
    config.set_floatx("float32")
    config.set_floatx("float64")
    assert (config.floatx(), config.dtype_policy()) == ("float64", "mixed_bfloat16")


def test_clear_session_forgets_the_policy_alone() -> None:
    config.set_floatx("float64")
    config.set_dtype_policy("mixed_bfloat16")
    utils.clear_session()
    assert (config.floatx(), config.dtype_policy()) == ("float64", "float64")


@pytest.mark.parametrize(
    ("set_it", "value", "error", "message"),
    [
        (
            "set_dtype_policy",
            "mixed_float16",
            ValueError,
            "unknown policy 'mixed_float16'; did you mean 'mixed_bfloat16'",
        ),
        (
            "set_dtype_policy",
            "half",
            ValueError,
            "unknown policy 'half'; known names: float32, float64, mixed_bfloat16",
        ),
        ("set_dtype_policy", 32, TypeError, "policy must be given by name or object, got int 32"),
        ("set_dtype_policy", None, TypeError, "policy must be given by name or object, got NoneType None"),
        ("set_floatx", "float16", ValueError, "unknown value of floatx 'float16'; did you mean 'float"),
        ("set_floatx", "mixed_bfloat16", ValueError, "unknown value of floatx 'mixed_bfloat16'; "),
        ("set_floatx", np.float64, TypeError, "value of floatx must be given by name"),
    ],
)
def test_wrong_names_change_nothing(set_it: str, value: Any, error: type[Exception], message: str) -> None:
    config.set_dtype_policy("float64")
    with pytest.raises(error, match=re.escape(message)):
        getattr(config, set_it)(value)
    assert (config.floatx(), config.dtype_policy()) == ("float32", "float64")


def test_a_wrong_explicit_policy_names_the_argument() -> None:
    with pytest.raises(ValueError, match="unknown dtype_policy 'float16'; did you mean"):
        forecaster(optimizer="adam", dtype_policy="float16")


def test_the_older_names_are_the_same_functions() -> None:
    assert mixed_precision.set_global_policy is mixed_precision.set_dtype_policy is config.set_dtype_policy
    assert mixed_precision.global_policy is mixed_precision.dtype_policy is config.dtype_policy


KERAS_SCRIPT = """
import keras
from keras import layers

keras.utils.set_random_seed(0)
{setting}
model = keras.Sequential([keras.Input((6, 3)), layers.LSTM(4), layers.Dense(2)])
begin = model.get_weights()
model.compile(optimizer="adam", loss="mse")
model.fit(x, y, batch_size=5, epochs=3, verbose=0)
output = model.predict(x, verbose=0)
"""
SETTINGS = {
    'keras.config.set_floatx("float64")': ("float64", "float64"),
    'keras.config.set_dtype_policy("float64")': ("float64", "float64"),
    'keras.mixed_precision.set_global_policy("mixed_bfloat16")': ("mixed_bfloat16", "float32"),
    'keras.mixed_precision.set_dtype_policy("float32")': ("float32", "float32"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_keras_script_needs_other_imports_alone(setting: str) -> None:
    policy, dtype = SETTINGS[setting]
    x, y = data()
    script = KERAS_SCRIPT.replace("import keras", "import rnncore as keras").replace("from keras", "from rnncore")
    found: dict[str, Any] = {"x": x, "y": y}
    exec(script.format(setting=setting), found)
    assert found["model"].dtype_policy == policy
    assert rnncore.config.dtype_policy() == rnncore.mixed_precision.global_policy() == policy
    assert {array.dtype for array in (*found["begin"], *found["model"].get_weights())} == {np.dtype(dtype)}
    assert found["output"].dtype == dtype
    losses = found["model"].history.history["loss"]
    assert losses[-1] < losses[0]
