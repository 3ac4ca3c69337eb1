"""Keras 3 beside rnncore: models go there and back, files of one load in the other, training goes on alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed")

from keras_at_hand import keras_3
from keras_models import MODELS, TRAINED, Array, filled, fitted, listed, one_or_list
from model_zoo import CASES

from rnncore import keras, layers, losses, metrics, models, optimizers, utils

pytestmark = pytest.mark.filterwarnings("ignore")
there = keras_3()

# Models of the zoo that Keras can have, too.
OF_BOTH = (
    "front_end",
    "transformer",
    "encoder_decoder",
    "branches",
    "reader",
    "stateful",
    "windows",
    "shared_stack",
    "details",
    "nested",
)


def outputs(model: Any, inputs: list[Array]) -> list[Array]:
    return listed(model.predict(one_or_list(inputs), verbose=0))


def close(found: list[Array], expected: list[Array]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def loaded(model: models.Model, folder: Path) -> Any:
    keras.save_model(model, folder / "model.keras")
    return there.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("name", MODELS)
def test_models_of_keras_come_and_go(tmp_path: Path, name: str) -> None:
    original, inputs = filled(there, name)
    expected = outputs(original, inputs)
    model = keras.from_keras(original)
    close(outputs(model, inputs), expected)
    described = keras.model_from_json(original.to_json())
    described.set_weights(model.get_weights())
    close(outputs(described, inputs), expected)
    close(outputs(keras.to_keras(model), inputs), expected)
    close(outputs(loaded(model, tmp_path), inputs), expected)
    close(outputs(keras.load_model(tmp_path / "model.keras"), inputs), expected)
    for ending in (".keras", ".h5", ".weights.h5"):
        path = tmp_path / f"there{ending}"
        (original.save_weights if "weights" in ending else original.save)(path)
        if "weights" not in ending:
            close(outputs(keras.load_model(path), inputs), expected)
        other = models.clone_model(model)
        keras.load_weights(other, path)
        close(outputs(other, inputs), expected)


@pytest.mark.parametrize("name", TRAINED)
def test_training_goes_on_with_equal_losses(tmp_path: Path, name: str) -> None:
    original, inputs = filled(there, name)
    expected = outputs(original, inputs)
    original.compile(there.optimizers.Adam(0.01), "mse")
    first = fitted(original, inputs, expected, 2)
    original.save(tmp_path / "there.keras")
    original.save(tmp_path / "there.h5")  # what is in memory stays compiled
    ours = [keras.from_keras(original), keras.load_model(tmp_path / "there.keras")]
    theirs = [keras.to_keras(ours[0]), loaded(ours[0], tmp_path)]
    losses = fitted(original, inputs, expected, 3)
    assert losses[0] < first[0]
    for model in [*ours, *theirs]:
        np.testing.assert_allclose(fitted(model, inputs, expected, 3), losses, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_models_of_the_zoo_are_models_of_keras(tmp_path: Path, name: str) -> None:
    utils.clear_session()
    case = CASES[name]()
    problem = ""
    try:
        keras.save_model(case.model, tmp_path / "model.keras")
    except ValueError as error:
        problem = str(error)
    if problem:
        assert name not in OF_BOTH
        assert re.search(r"layer '\w+' \(\w+\): .*Keras", problem)
        assert not (tmp_path / "model.keras").exists()
        return
    size = case.batch_size if case.model.stateful else 32
    names = case.model.input_names
    x = case.x if isinstance(case.x, dict) else dict(zip(names, listed(case.x), strict=True))
    x = {
        key: np.asarray(value, np.float32 if np.asarray(value).dtype.kind == "f" else None) for key, value in x.items()
    }
    given: Any = x if isinstance(case.x, dict) else one_or_list(list(x.values()))
    found = case.model.predict(given, batch_size=size, verbose=0)
    other = loaded(case.model, tmp_path).predict(given, batch_size=size, verbose=0)
    keys = sorted(found) if isinstance(found, dict) else range(len(listed(found)))
    for key in keys:
        one, two = (value[key] if isinstance(value, dict) else listed(value)[key] for value in (found, other))
        np.testing.assert_allclose(one, two, rtol=0, atol=2e-6)


OPTIMIZERS = [
    optimizers.SGD(0.1),
    optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    optimizers.Adam(optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)),
    optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
    optimizers.AdamW(0.01, weight_decay=0.1),
    optimizers.Nadam(0.01),
    optimizers.Adamax(0.01),
    optimizers.Adagrad(0.1),
    optimizers.Adadelta(1.0),
    optimizers.Lion(0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_states_of_optimizers_come_and_go(tmp_path: Path, optimizer: optimizers.Optimizer) -> None:
    utils.set_random_seed(1)
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4), layers.Dense(2)])
    model.compile(optimizers.get(type(optimizer).from_config(optimizer.get_config())), "mae", metrics=["mse"])
    x, y = [np.random.default_rng(0).normal(size=(6, 5, 3)).astype("f")], [np.zeros((6, 2))]
    fitted(model, x, y, 2)
    other = keras.to_keras(model)
    again = loaded(model, tmp_path)
    back = keras.load_model(tmp_path / "model.keras")
    losses = fitted(model, x, y, 3)
    assert losses[-1] < losses[0]
    for one in (other, again, back):
        np.testing.assert_allclose(fitted(one, x, y, 3), losses, rtol=1e-5)


def test_losses_and_metrics_keep_their_options(tmp_path: Path) -> None:
    x = layers.Input((3,))
    model = models.Model(x, {"a": layers.Dense(2)(x), "b": layers.Dense(1)(x)})
    model.compile(
        "sgd",
        {"a": losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), "b": losses.Huber(0.3)},
        loss_weights={"a": 2.0, "b": 0.5},
        metrics={"a": ["accuracy"], "b": [metrics.RootMeanSquaredError(), "mae"]},
    )
    data = np.random.default_rng(0).normal(size=(8, 3)).astype("f")
    y = {"a": np.eye(2, dtype="f")[[0, 1] * 4], "b": data[:, :1]}
    expected = model.evaluate(data, y, verbose=0, return_dict=True)
    for other in (keras.to_keras(model), loaded(model, tmp_path), keras.load_model(tmp_path / "model.keras")):
        found = other.evaluate(data, y, verbose=0, return_dict=True)
        for key in expected:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, err_msg=key)


def test_what_cannot_go_is_refused(tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d")])
    with pytest.raises(ValueError, match=r"must end in '\.keras'"):
        keras.save_model(model, tmp_path / "model.h5")
    keras.save_model(model, tmp_path / "model.keras")
    with pytest.raises(FileExistsError):
        keras.save_model(model, tmp_path / "model.keras", overwrite=False)
    for act in (keras.to_keras, lambda model: keras.save_model(model, tmp_path / "a.keras")):
        with pytest.raises(TypeError, match="model must be a Model or Sequential, got Dense"):
            act(layers.Dense(2))
        with pytest.raises(ValueError, match="must be built"):
            act(models.Sequential([layers.Dense(2)]))
    with pytest.raises(TypeError, match="must be a built model of Keras, got int"):
        keras.from_keras(3)
    own = there.Sequential([there.layers.Input((3,)), there.layers.Lambda(lambda x: x * 2, name="twice")])
    with pytest.raises(ValueError, match=r"layer 'twice' \(Lambda\)"):
        keras.from_keras(own)
    assert keras.from_keras(own, {"twice": layers.Rescaling(2.0)}).predict(np.ones((1, 3)), verbose=0).max() == 2
    model.compile("sgd", lambda y, p: (0.0, np.zeros_like(p)))
    with pytest.warns(UserWarning, match="is code of your own"):
        assert not keras.to_keras(model).compiled
