"""Bad data is refused at every door with the argument's name, and the model stays as it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array, data, forecaster, same

from rnncore import layers, models

X, Y = data()
LENGTHS = np.full(len(X), 6)

# What each door is called with: the arrays of the sound call, changed by a case.
DOORS: dict[str, Callable[[models.Model, dict[str, Any]], Any]] = {
    "fit": lambda model, a: model.fit(**a, verbose=0),
    "validation": lambda model, a: model.fit(
        X, Y, verbose=0, validation_data=(a["x"], a["y"], a.get("sample_weight"), a.get("lengths"))
    ),
    "evaluate": lambda model, a: model.evaluate(**a, verbose=0),
    "train_on_batch": lambda model, a: model.train_on_batch(**a),
    "test_on_batch": lambda model, a: model.test_on_batch(**a),
    "predict": lambda model, a: model.predict(**a, verbose=0),
    "predict_on_batch": lambda model, a: model.predict_on_batch(**a),
    "forward": lambda model, a: model.forward(**a),
}
WITH_TARGETS = {"fit", "validation", "evaluate", "train_on_batch", "test_on_batch"}

Case = tuple[dict[str, Any], type[Exception], str]

INPUTS: dict[str, Case] = {
    "rank 1": ({"x": X[0, 0]}, ValueError, "x must have shape (any, any, 3), got (3,)"),
    "rank 2": ({"x": X[:, 0]}, ValueError, "x must have shape (any, any, 3), got (20, 3)"),
    "rank 4": ({"x": X[None]}, ValueError, "x must have shape (any, any, 3), got (1, 20, 6, 3)"),
    "a number": ({"x": 3.0}, ValueError, "x must be an array with one row per sample, got the single value 3.0"),
    "features": ({"x": X[..., :2]}, ValueError, "x must have shape (any, any, 3), got (20, 6, 2)"),
    "zero steps": ({"x": X[:, :0]}, ValueError, "x must have shape (any, any, 3) with no empty axis"),
    "zero rows": ({"x": X[:0], "y": Y[:0]}, ValueError, "x must have at least one row, got shape (0, 6, 3)"),
    "objects": ({"x": X.astype(object)}, TypeError, "x must hold real numbers, got dtype object"),
    "complex": ({"x": X.astype(complex)}, TypeError, "x must hold real numbers, got dtype complex128"),
    "strings": ({"x": X.astype(str)}, TypeError, "x must hold real numbers, got dtype <U"),
    "dates": ({"x": X.astype("M8[s]")}, TypeError, "x must hold real numbers, got dtype datetime64[s]"),
    "ragged": ({"x": [[[1.0, 2, 3]], [[1.0, 2]]]}, ValueError, "x must be one rectangular array"),
    "no lengths": (
        {"lengths": LENGTHS[:5]},
        ValueError,
        "lengths must have shape (20,), one for each row of x, got (5,)",
    ),
    "flat lengths": ({"lengths": LENGTHS[:, None]}, ValueError, "lengths must have shape (20,)"),
    "NaN lengths": (
        {"lengths": np.where(np.arange(20) == 3, np.nan, 6)},
        ValueError,
        "lengths must hold whole numbers, got nan",
    ),
    "half lengths": ({"lengths": LENGTHS - 0.5}, ValueError, "lengths must hold whole numbers, got 5.5"),
    "long lengths": ({"lengths": LENGTHS + 1}, ValueError, "lengths must lie in [0, 6], got 7"),
    "negative lengths": ({"lengths": LENGTHS - 7}, ValueError, "lengths must lie in [0, 6], got -1"),
    "infinite lengths": ({"lengths": LENGTHS * np.inf}, ValueError, "lengths must lie in [0, 6], got inf"),
    "text lengths": ({"lengths": ["6"] * 20}, TypeError, "lengths must hold real numbers, got dtype <U1"),
}

TARGETS: dict[str, Case] = {
    "no y": ({"y": None}, ValueError, "y must be given, got None"),
    "rows": ({"y": Y[:19]}, ValueError, "all arrays must have the same number of rows: x has 20, y has 19"),
    "outputs": ({"y": Y[:, :1]}, ValueError, "y must have shape (any, 2), got (20, 1)"),
    "rank": ({"y": Y[:, None]}, ValueError, "y must have shape (any, 2), got (20, 1, 2)"),
    "labels": ({"y": np.zeros(20, int)}, ValueError, "class ids go with sparse_categorical_crossentropy"),
    "objects": ({"y": Y.astype(object)}, TypeError, "y must hold real numbers, got dtype object"),
    "complex": ({"y": Y.astype(complex)}, TypeError, "y must hold real numbers, got dtype complex128"),
    "strings": ({"y": Y.astype(str)}, TypeError, "y must hold real numbers, got dtype <U"),
    "weights": ({"sample_weight": np.ones(19)}, ValueError, "sample_weight must have shape (20,), got (19,)"),
    "weights of steps": (
        {"sample_weight": np.ones((20, 6))},
        ValueError,
        "sample_weight must have shape (20,), got (20, 6)",
    ),
    "infinite weights": (
        {"sample_weight": np.full(20, np.inf)},
        ValueError,
        "sample_weight must hold finite weights, got inf",
    ),
    "text weights": ({"sample_weight": ["1"] * 20}, TypeError, "sample_weight must hold real numbers"),
}


def refuse(door: str, model: models.Model, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """The call raises the error, and neither weights nor optimizer have moved."""
    before, done = model.get_weights(), model.optimizer.iterations
    with pytest.raises(error, match=re.escape(message)):
        DOORS[door](model, arguments)
    assert same(model.get_weights(), before)
    assert model.optimizer.iterations == done


@pytest.fixture(params=BACKENDS)
def model(request: pytest.FixtureRequest) -> models.Model:
    built = forecaster(optimizer="adam", loss="mse", backend=request.param)
    built.train_on_batch(X, Y)
    return built


def arguments_of(door: str, change: dict[str, Any]) -> dict[str, Any]:
    targets = {"y": Y} if door in WITH_TARGETS else {}
    return {"x": X, **targets, **{key: value for key, value in change.items() if key != "y" or targets}}


@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("door", DOORS)
def test_bad_inputs(model: models.Model, door: str, case: str) -> None:
    change, error, message = INPUTS[case]
    refuse(door, model, arguments_of(door, change), error, message)


@pytest.mark.parametrize("case", TARGETS)
@pytest.mark.parametrize("door", sorted(WITH_TARGETS))
def test_bad_targets(model: models.Model, door: str, case: str) -> None:
    change, error, message = TARGETS[case]
    refuse(door, model, arguments_of(door, change), error, message)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", sorted(WITH_TARGETS))
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.arange(20) % 4, ValueError, "y must lie in [0, 2], got 3"),
        (np.arange(20) % 3 - 1, ValueError, "y must lie in [0, 2], got -1"),
        (np.arange(20) % 3 + 0.5, ValueError, "y must hold whole numbers, got 0.5"),
        (np.full(20, np.nan), ValueError, "y must hold whole numbers, got nan"),
        (np.eye(3)[np.arange(20) % 3], ValueError, "y must have shape (any,), got (20, 3)"),
    ],
)
def test_bad_labels(door: str, backend: str, labels: Array, error: type[Exception], message: str) -> None:
    model = models.Sequential([layers.Input((6, 3)), layers.GRU(4), layers.Dense(3, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", backend=backend)
    if door == "validation":
        with pytest.raises(error, match=re.escape(message)):
            model.fit(X, np.arange(20) % 3, validation_data=(X, labels), verbose=0)
        assert model.optimizer.iterations == 0
    else:
        refuse(door, model, {"x": X, "y": labels}, error, message)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("wrong", [-1, 2])
def test_targets_of_cross_entropies_are_probabilities(loss: str, wrong: int) -> None:
    model = forecaster(loss=loss, backend="reference")
    labels = np.eye(2)[np.arange(20) % 2]
    model.evaluate(X, labels, verbose=0)
    labels[3, 1] = wrong
    for door in WITH_TARGETS:
        message = f"y must lie in [0, 1] for a cross-entropy, got {wrong}"
        if door == "validation":
            with pytest.raises(ValueError, match=re.escape(f"validation_data: {message}")):
                model.fit(X, labels.clip(0, 1), validation_data=(X, labels), verbose=0)
        else:
            refuse(door, model, {"x": X, "y": labels}, ValueError, message)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", sorted(set(DOORS) - {"validation"}))
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.arange(20).reshape(10, 2), "x must lie in [0, 10], got 11"),
        (np.arange(20).reshape(10, 2) - 12, "x must lie in [0, 10], got -12"),
        (np.full((10, 2), 2.5), "x must hold whole numbers, got 2.5"),
        (np.full((10, 2), np.nan), "x must hold whole numbers, got nan"),
    ],
)
def test_bad_ids(door: str, backend: str, ids: Array, message: str) -> None:
    model = models.Sequential([layers.Input((None,), dtype="int32"), layers.Embedding(11, 3), layers.LSTM(2)])
    model.compile(loss="mse", backend=backend)
    arguments = {"x": ids, "y": np.zeros((10, 2))} if door in WITH_TARGETS else {"x": ids}
    refuse(door, model, arguments, ValueError, message)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"loss": "mean_squared_eror"},
            ValueError,
            "unknown loss 'mean_squared_eror'; did you mean 'mean_squared_error'",
        ),
        ({"optimizer": "adan"}, ValueError, "unknown optimizer 'adan'; did you mean 'adam'"),
        ({"metrics": ["acuracy"]}, ValueError, "unknown metric 'acuracy'; did you mean"),
        ({"backend": "gpu"}, ValueError, "unknown backend 'gpu'"),
        ({"dtype_policy": "float16"}, ValueError, "unknown dtype_policy 'float16'; did you mean"),
        ({"optimizer": 3}, TypeError, "optimizer must be given by name or object, got int 3"),
        ({"metrics": ["sparse_categorical_accuracy"]}, ValueError, "'sparse_categorical_accuracy' needs class ids"),
        ({"loss": ["mse", "mse"]}, ValueError, "loss must have 1 entries, one for each output, got 2"),
        ({"loss": {"nobody": "mse"}}, ValueError, "loss names outputs ['nobody']"),
        ({"loss": {}}, ValueError, "loss must be one for each of the outputs"),
        ({"loss_weights": "heavy"}, TypeError, "loss_weights must be a number, got str"),
    ],
)
def test_compile_refuses_and_keeps_what_was(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    model = forecaster(loss="mse", backend="reference")
    before = model.evaluate(X, Y, verbose=0)
    with pytest.raises(error, match=re.escape(message)):
        model.compile(**{"loss": "mse", **arguments})
    assert model.evaluate(X, Y, verbose=0) == before


def test_an_unknown_backend_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNCORE_BACKEND", "referenz")
    for call in (lambda: forecaster(loss="mse"), lambda: forecaster().predict(X, verbose=0)):
        with pytest.raises(ValueError, match="unknown backend in RNNCORE_BACKEND 'referenz'; did you mean 'reference'"):
            call()


def test_unknown_activations_offer_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown activation 'than'.*'tanh'"):
        layers.SimpleRNN(3, activation="than")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer, got float 2.5"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"epochs": "5"}, TypeError, "epochs must be an integer, got str '5'"),
        ({"verbose": 3}, ValueError, 'verbose must be "auto", 0, 1 or 2, got 3'),
        ({"verbose": "loud"}, ValueError, "verbose must be"),
        ({"shuffle": "batch"}, TypeError, "shuffle must be True or False, got str 'batch'"),
        ({"validation_split": 1.0}, ValueError, "validation_split 1.0 of 20 rows must leave rows on both sides"),
        ({"validation_split": 0.96}, ValueError, "validation_split 0.96 of 20 rows must leave rows on both sides"),
        ({"validation_split": -0.5}, ValueError, "validation_split must be a finite number in [0.0, 1.0]"),
        ({"validation_data": X}, ValueError, "validation_data must be (x, y)"),
        ({"validation_data": (X,)}, ValueError, "validation_data must be (x, y)"),
        ({"validation_data": (X[0], Y)}, ValueError, "validation_data: x must have shape (any, any, 3), got (6, 3)"),
        ({"validation_freq": 0}, ValueError, "validation_freq must be at least 1, got 0"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1, got 0"),
        ({"class_weight": [1.0, 2.0]}, TypeError, "class_weight must map class ids to weights, got list"),
        ({"class_weight": {"cat": 1.0}}, TypeError, "class_weight must map class ids to weights, got 'cat': 1.0"),
        ({"class_weight": {0: "much"}}, TypeError, "class_weight must map class ids to weights, got 0: 'much'"),
        ({"class_weight": {0: np.nan}}, ValueError, "class_weight must hold finite weights"),
        ({"callbacks": 3}, TypeError, "callbacks must be a Callback or a list of them, got int"),
    ],
)
def test_bad_options_of_fit(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    model = forecaster(loss="mse", backend="reference")
    before = model.get_weights()
    with pytest.raises(error, match=re.escape(message)):
        model.fit(X, Y, **{"verbose": 0, **arguments})
    assert same(model.get_weights(), before)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("door", ["evaluate", "predict"])
def test_bad_options_of_evaluate_and_predict(door: str) -> None:
    model = forecaster(loss="mse", backend="reference")
    call = (lambda **a: model.evaluate(X, Y, **a)) if door == "evaluate" else (lambda **a: model.predict(X, **a))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        call(batch_size=0, verbose=0)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        call(steps=0, verbose=0)
    with pytest.raises(ValueError, match="verbose must be"):
        call(verbose=7)


@pytest.mark.parametrize("door", sorted(WITH_TARGETS - {"validation"}))
def test_a_model_must_be_compiled_with_a_loss(door: str) -> None:
    model = forecaster()
    with pytest.raises(ValueError, match="the model must be compiled before it can be trained or evaluated"):
        DOORS[door](model, {"x": X, "y": Y})
    model.compile("sgd", backend="reference")
    with pytest.raises(ValueError, match="compiled without a loss"):
        DOORS[door](model, {"x": X, "y": Y})


def test_a_model_must_be_built() -> None:
    model = models.Sequential([layers.LSTM(4), layers.Dense(2)])
    calls: list[Callable[[], Any]] = [
        model.count_params,
        lambda: model.set_weights([]),
        lambda: model.output_shape,
        lambda: model.save("model.rnn"),
        lambda: model.load_weights("a.weights.safetensors"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="must be built before"):
            call()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="the model is not built: give its first layer an input shape"):
        model.apply_gradients()
    with pytest.raises(ValueError, match="the model has no layers"):
        models.Sequential().predict(X, verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backward_follows_forward(backend: str) -> None:
    model = forecaster(optimizer="sgd", loss="mse", backend=backend)
    with pytest.raises(ValueError, match=r"backward must follow forward\(x, training=True\)"):
        model.backward(Y)
    model.forward(X)
    with pytest.raises(ValueError, match="backward must follow forward"):
        model.backward(Y)
    model.forward(X, training=True)
    with pytest.raises(ValueError, match=r"dy must have shape \(20, 2\), got \(20, 3\)"):
        model.backward(np.zeros((20, 3)))
    with pytest.raises(TypeError, match="dy must hold real numbers, got dtype complex128"):
        model.backward(Y * 1j)
    assert model.backward(Y).shape == X.shape


def test_lengths_need_a_layer_that_reads_them() -> None:
    model = models.Sequential([layers.Input((6, 3)), layers.Flatten(), layers.Dense(2)])
    model.compile(loss="mse", backend="reference")
    with pytest.raises(ValueError, match="lengths must be left out: no layer of this model reads them"):
        model.predict(X, lengths=LENGTHS, verbose=0)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (1.0, TypeError, "the loss function must return (value, gradient), got float"),
        ((1.0, np.zeros(2)), ValueError, "gradient of the loss function must have shape (20, 2), got (2,)"),
        ((np.zeros(20), np.zeros((20, 2))), ValueError, "value of the loss function must have shape (), got (20,)"),
    ],
)
def test_what_a_loss_function_returns_is_checked(result: Any, error: type[Exception], message: str) -> None:
    model = forecaster(loss=lambda y, p: result, backend="reference")
    refuse("train_on_batch", model, {"x": X, "y": Y}, error, message)


def test_weights_need_a_loss_with_a_name() -> None:
    model = forecaster(loss=lambda y, p: (0.0, 0 * p), backend="reference")
    with pytest.raises(ValueError, match="sample_weight and class_weight need a loss by name"):
        model.fit(X, Y, sample_weight=np.ones(20), verbose=0)
