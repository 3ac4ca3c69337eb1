"""What Keras calls the parts of models and layers, and what asking for the rest says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

import rnncore
from rnncore import _keras_names, config, layers, losses, metrics, models, optimizers, utils


def chain(**compilation: Any) -> models.Sequential:
    stack = [layers.Input((3,), name="x"), layers.Dense(2, kernel_regularizer="l2", name="a")]
    model = models.Sequential([*stack, layers.BatchNormalization(name="b")], name="m")
    if compilation:
        model.compile(**compilation)
    return model


def test_inputs_and_outputs() -> None:
    model = chain()
    assert model.input is model.inputs[0]
    assert model.output is model.outputs[0]
    assert models.Model(model.input, model.output).predict(np.ones((1, 3)), verbose=0).shape == (1, 2)
    a, b = layers.Input((2,)), layers.Input((3,))
    both = models.Model([a, b], layers.Concatenate()([a, b]))
    assert both.input == [a, b]
    assert both.inputs == [a, b]
    assert model.layers[0].input is model.input
    assert model.layers[-1].output is model.output
    empty = models.Sequential([layers.Dense(2)])
    assert empty.inputs == empty.outputs == empty.weights == empty.variables == []
    for side in ("input", "output"):
        with pytest.raises(AttributeError, match=f"has no {side} before it is built"):
            getattr(empty, side)
        with pytest.raises(AttributeError, match="has not been called on a symbolic value yet"):
            getattr(empty.layers[0], side)


def test_variables_are_weights() -> None:
    model = chain()
    names = {
        "variables": ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"],
        "trainable_variables": ["kernel", "bias", "gamma", "beta"],
        "non_trainable_variables": ["moving_mean", "moving_variance"],
    }
    for attribute, expected in names.items():
        found = getattr(model, attribute)
        assert [weight.name for weight in found] == expected
        assert found == getattr(model, attribute.replace("variables", "weights"))
        by_layer = [weight for layer in model.layers for weight in getattr(layer, attribute)]
        assert {id(weight) for weight in by_layer} == {id(weight) for weight in found}
    assert model.count_params() == sum(weight.numpy().size for weight in model.variables)


def test_losses_are_the_penalties_of_now() -> None:
    model = chain()
    kernel = model.get_weights()[0]
    assert model.losses == pytest.approx([0.01 * np.sum(kernel**2)])
    assert model.layers[0].losses == model.losses
    model.layers[0].kernel = kernel * 2
    assert model.losses == pytest.approx([0.04 * np.sum(kernel**2)])
    assert model.layers[1].losses == []


def test_what_compile_was_given() -> None:
    model = chain()
    assert (model.compiled, model.loss, model.metrics) == (False, None, [])
    measured = metrics.MeanSquaredError()
    model.compile("sgd", "mse", metrics=["mae", measured], weighted_metrics=["mape"])
    assert (model.compiled, model.loss) == (True, "mse")
    assert [metric.name for metric in model.metrics] == ["mae", "mean_squared_error", "mape"]
    assert model.metrics[1] is measured
    loss = losses.Huber()
    model.compile("sgd", loss)
    assert model.loss is loss
    assert model.metrics_names == ["loss"]


# dtype of a layer


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", np.float32, {"class_name": "DTypePolicy", "config": {"name": "float32"}}])
def test_a_layer_may_say_the_precision_of_the_model(dtype: Any, backend: str) -> None:
    model = models.Sequential([layers.Input((2,)), layers.Dense(2, dtype=dtype)])
    model.compile("sgd", "mse", backend=backend)
    assert model.predict(np.ones((1, 2)), verbose=0).dtype == np.float32
    assert model.layers[0].dtype == model.layers[0].dtype_policy == "float32"
    again = models.clone_model(model)
    assert again.layers[0].get_config()["dtype"] == "float32"
    assert "dtype" not in layers.Dense(2).get_config()


def test_a_layer_of_another_precision_is_refused() -> None:
    x = layers.Input((3, 2))
    wide = layers.GRU(2, dtype="float64", name="wide")
    model = models.Model(x, layers.Bidirectional(wide)(x))
    message = "made with dtype='float64', but the model computes with 'float32'.*give dtype_policy to compile"
    with pytest.raises(ValueError, match=message):
        model.predict(np.ones((1, 3, 2)), verbose=0)
    model.compile("sgd", "mse", dtype_policy="float64")
    assert model.predict(np.ones((1, 3, 2)), verbose=0).dtype == np.float64
    mixed = models.Sequential([layers.Input((3, 2)), layers.GRU(2, dtype="mixed_bfloat16")])
    mixed.compile("sgd", "mse", dtype_policy="mixed_bfloat16")
    assert mixed.predict(np.ones((1, 3, 2)), verbose=0).dtype == np.float32
    with pytest.raises(ValueError, match="LSTM: dtype must be one of float32, float64, mixed_bfloat16, got 'float16'"):
        layers.LSTM(2, dtype="float16")
    assert config.floatx() == "float32"


# summary and clone_model


def printed(model: models.Model, **options: Any) -> list[str]:
    text: list[str] = []
    model.summary(print_fn=text.append, **options)
    return text[0].splitlines()


@pytest.mark.parametrize("length", [70, 100])
def test_a_summary_of_a_given_length(length: int) -> None:
    x = layers.Input((None, 3), name="x")
    h = layers.LSTM(4, name="a_very_long_name_for_a_layer_that_does_not_fit")(x)
    for model in (models.Sequential([x, h.layer, layers.Dense(1)]), models.Model(x, layers.Add(name="sum")([h, h]))):
        lines = printed(model, line_length=length)
        table = [line for line in lines if line[0] in "┏┃┡│├└"]
        assert {len(line) for line in table} == {length}
        text = "".join(table)
        assert "a_very" in text
        assert "(LSTM)" in text.replace("…", "")
        assert "128" in text


def test_positions_and_ranges_of_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = chain()
    lines = printed(model, positions=[0.5, 0.75, 1.0])
    assert [place for place, sign in enumerate(lines[1]) if sign in "┏┳┓"] == [0, 40, 60, 79]
    lines = printed(model, positions=[30, 50, 70], line_length=70)
    assert [place for place, sign in enumerate(lines[1]) if sign in "┏┳┓"] == [0, 30, 50, 69]
    assert not any("a (Dense)" in line for line in printed(model, layer_range=["b", "b"]))
    model.summary(print_fn=None, expand_nested=True, show_trainable=True)
    assert "Trainable" in capsys.readouterr().out
    for options, message in (
        ({"line_length": 8}, "must leave room for each column"),
        ({"line_length": "a"}, "line_length must be an integer"),
        ({"positions": [0.5, 1.0]}, "positions must be one for each of the 3 columns, got 2"),
        ({"layer_range": ["b", "c"]}, "unknown layer 'c'"),
        ({"layer_range": ["b"]}, "layer_range must be the names"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            model.summary(**options)


def test_clone_functions_choose_the_layers() -> None:
    x = layers.Input((3, 2), name="x")
    shared = layers.GRU(4, name="shared")
    model = models.Model({"x": x}, {"y": layers.Dense(1, name="head")(shared(x)), "z": shared(x)})
    seen: list[str] = []

    def clone(layer: layers.Layer) -> layers.Layer:
        seen.append(layer.name)
        return layer if layer.name == "shared" else type(layer).from_config({**layer.get_config(), "units": 5})

    twin = models.clone_model(model, clone_function=clone)
    assert sorted(seen) == ["head", "shared"]
    assert twin.output_names == ["y", "z"]
    assert twin.output_shape == [(None, 5), (None, 4)]
    assert twin.get_layer("shared") is shared
    again = models.clone_model(chain(), clone_function=lambda layer: layer.from_config(layer.get_config()))
    assert [layer.name for layer in again.layers] == ["a", "b"]
    with pytest.raises(TypeError, match="clone_function must return a layer for 'a', got int"):
        models.clone_model(chain(), clone_function=lambda layer: 3)  # type: ignore[arg-type,return-value]


# Names that are not there


@pytest.mark.parametrize("module", _keras_names.MODULES)
def test_tables_of_absent_names_hold_only_absent_ones(module: str) -> None:
    namespace = importlib.import_module(module)
    for name, advice in _keras_names.MODULES[module].items():
        assert name not in getattr(namespace, "__all__", dir(namespace)), name
        with pytest.raises(AttributeError) as error:
            getattr(namespace, name)
        assert str(error.value) == f"module {module!r} has no attribute {name!r}; {advice}"


@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: layers.LSTM(2), _keras_names.LAYER),
        (lambda: chain(optimizer="sgd", loss="mse"), {**_keras_names.MODEL}),
        (optimizers.Adam, _keras_names.OPTIMIZER),
        (metrics.MeanSquaredError, _keras_names.METRIC),
        (lambda: layers.Input((2,)), _keras_names.SYMBOLIC),
    ],
    ids=["layer", "model", "optimizer", "metric", "symbolic"],
)
def test_absent_attributes_say_what_to_use(make: Callable[[], Any], table: dict[str, str]) -> None:
    thing = make()
    here = [name for name in table if hasattr(type(thing), name)]
    assert here in ([], ["metrics"], ["build", "metrics"], ["metrics", "build"])  # those a model or a Sequential has
    for name in set(table) - set(here):
        with pytest.raises(AttributeError, match=f"has no attribute {name!r}: "):
            getattr(thing, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_this_name'$"):
        thing.nothing_of_this_name  # noqa: B018


def test_names_at_the_top() -> None:
    assert rnncore.Layer is layers.Layer
    assert rnncore.Loss is losses.Loss
    assert rnncore.Metric is metrics.Metric
    assert rnncore.Optimizer is optimizers.Optimizer
    assert rnncore.Initializer is rnncore.initializers.Initializer
    assert rnncore.Regularizer is rnncore.regularizers.Regularizer
    assert rnncore.initializers.glorot_uniform is rnncore.initializers.GlorotUniform


def test_normalize() -> None:
    np.testing.assert_allclose(utils.normalize([[3, 4], [0, 0]]), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(utils.normalize([[3.0, 4.0]], axis=0), [[1, 1]])
    np.testing.assert_allclose(utils.normalize([1.0, -3.0], order=1), [0.25, -0.75])
    np.testing.assert_allclose(utils.normalize([[[2.0]]], axis=1), [[[1.0]]])
