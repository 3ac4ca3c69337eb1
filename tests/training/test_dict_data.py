"""Models whose inputs and outputs are dicts, and outputs without a loss; rules and values are Keras 3.15's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS

from rnncore import layers, losses, metrics, models, utils

RNG = np.random.default_rng(3)
X = {"p": RNG.normal(size=(6, 4)), "q": RNG.normal(size=(6, 3))}
Y = {"far": RNG.normal(size=(6, 1)), "near": RNG.normal(size=(6, 2))}
WEIGHTS = {"far": np.arange(6.0), "near": np.ones(6)}


def named(**compilation: Any) -> models.Model:
    """Outputs near and far of inputs q and p, in neither case in the order of their keys."""
    q, p = layers.Input((3,), name="second"), layers.Input((4,), name="first")
    near = layers.Dense(2, name="one", kernel_initializer="ones")(layers.Concatenate()([p, q]))
    far = layers.Dense(1, name="two", kernel_initializer="ones")(q)
    model = models.Model({"q": q, "p": p}, {"near": near, "far": far})
    if compilation:
        model.compile(**compilation)
    return model


FAR = X["q"].sum(axis=1, keepdims=True)
NEAR = np.repeat(X["p"].sum(axis=1, keepdims=True) + FAR, 2, axis=1)


def test_keys_are_the_names_in_sorted_order() -> None:
    model = named()
    assert model.input_names == ["p", "q"]
    assert model.output_names == ["far", "near"]
    assert model.input == {"p": model.inputs[0], "q": model.inputs[1]}
    assert model.output == {"far": model.outputs[0], "near": model.outputs[1]}
    assert [value.name for value in model.inputs] == ["first", "second"]
    assert model.input_shape == [(None, 4), (None, 3)]
    assert model.output_shape == [(None, 1), (None, 2)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_predictions_are_a_dict(backend: str) -> None:
    model = named(backend=backend)
    for found in (
        model.predict(X, verbose=0),
        model.predict([X["p"], X["q"]], verbose=0),
        model.predict(iter([X]), verbose=0),
        model.predict_on_batch(X),
        model(X),
    ):
        assert list(found) == ["far", "near"]
        np.testing.assert_allclose(found["far"], FAR, atol=1e-5)
        np.testing.assert_allclose(found["near"], NEAR, atol=1e-5)


def test_gradients_are_a_dict_as_the_inputs() -> None:
    model = named()
    y = model.forward(X, training=True)
    found = model.backward({"near": np.ones_like(y["near"])})
    assert list(found) == ["p", "q"]
    for name, gradient in found.items():
        np.testing.assert_array_equal(gradient, np.full(X[name].shape, 2.0))


def test_streams_take_and_give_dicts() -> None:
    x = layers.Input((None, 2))
    model = models.Model({"x": x}, {"y": layers.GRU(3, return_sequences=True)(x)})
    sequence = RNG.normal(size=(1, 4, 2))
    expected = model.predict({"x": sequence}, verbose=0)["y"]
    stream = model.stream()
    for t in range(4):
        found = stream.step({"x": sequence[:, t]})
        np.testing.assert_allclose(found["y"], expected[:, t], atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_metrics_and_weights_by_key(backend: str) -> None:
    model = named(
        optimizer="sgd",
        loss={"near": "mse", "far": "mae"},
        loss_weights={"far": 2.0},
        metrics={"near": ["mae"]},
        weighted_metrics={"far": "mse"},
        backend=backend,
    )
    far, near = np.abs(FAR - Y["far"]).mean(axis=1), np.mean((NEAR - Y["near"]) ** 2, axis=1)
    expected = {
        "loss": 2 * np.mean(far * WEIGHTS["far"]) + near.mean(),
        "far_loss": np.mean(far * WEIGHTS["far"]),
        "near_loss": near.mean(),
        "near_mae": np.abs(NEAR - Y["near"]).mean(),
        "far_mse": np.average(far**2, weights=WEIGHTS["far"]),
    }
    found = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    assert model.metrics_names == list(found)
    assert model.test_on_batch(X, Y, WEIGHTS, return_dict=True) == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(X, list(Y.values()), sample_weight=list(WEIGHTS.values()), verbose=0) == pytest.approx(
        list(expected.values()), rel=1e-5
    )
    assert model.train_on_batch(X, Y, WEIGHTS, return_dict=True) == pytest.approx(expected, rel=1e-5)


def test_one_array_of_weights_is_for_all_outputs() -> None:
    model = named(optimizer="sgd", loss="mse")
    both = model.evaluate(X, Y, sample_weight={"far": WEIGHTS["far"], "near": WEIGHTS["far"]}, verbose=0)
    assert model.evaluate(X, Y, sample_weight=WEIGHTS["far"], verbose=0) == both


class Batches(utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        rows = slice(3 * index, 3 * index + 3)
        return tuple({key: array[rows] for key, array in given.items()} for given in (X, Y, WEIGHTS))


def generated() -> Iterator[Any]:
    while True:
        yield from (Batches()[0], Batches()[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_sets_and_validation_in_dicts_are_as_arrays(backend: str) -> None:
    runs: list[tuple[Any, dict[str, Any]]] = [
        (X, {"y": Y, "sample_weight": WEIGHTS, "batch_size": 3, "validation_data": (X, Y)}),
        (Batches(), {"validation_data": iter([(X, Y)] * 2), "validation_steps": 1}),
        (generated(), {"steps_per_epoch": 2, "validation_data": (X, Y)}),
    ]
    histories = []
    for x, options in runs:
        model = named(optimizer="sgd", loss="mse", metrics={"far": "mae"}, backend=backend)
        histories.append(model.fit(x, **options, epochs=2, shuffle=False, verbose=0).history)
    assert set(histories[0]) >= {"loss", "far_loss", "near_loss", "far_mae", "val_loss", "val_far_mae"}
    for history in histories[1:]:
        for key, values in histories[0].items():
            assert history[key] == pytest.approx(values, rel=1e-5), key


def test_a_model_of_dicts_survives_saving_and_cloning(tmp_path: Any) -> None:
    model = named(optimizer="sgd", loss={"near": "mse", "far": None}, metrics={"far": ["mae"], "near": []})
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.rnn")
    twins = [models.load_model(tmp_path / "model.rnn"), models.clone_model(model)]
    twins.append(models.model_from_json(model.to_json()))
    for twin in twins:
        assert twin.input_names == ["p", "q"]
        twin.set_weights(model.get_weights())
        for key, expected in model.predict(X, verbose=0).items():
            np.testing.assert_array_equal(twin.predict(X, verbose=0)[key], expected)
    assert twins[0].evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_one_output_in_a_dict() -> None:
    x = layers.Input((3,))
    model = models.Model(x, {"y": layers.Dense(1, name="head", kernel_initializer="ones")(x)})
    model.compile("sgd", {"y": "mse"}, metrics=["mae"])
    assert model.evaluate(X["q"], Y["far"], verbose=0) == model.evaluate(X["q"], {"y": Y["far"]}, verbose=0)
    assert model.metrics_names == ["loss", "mae"]
    assert list(model.predict(X["q"], verbose=0)) == ["y"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: named().predict({"p": X["p"]}, verbose=0),
            ValueError,
            r"x must have the keys \['p', 'q'\], got \['p'\]",
        ),
        (lambda: named(loss="mse").fit(X, {"far": Y["far"]}), ValueError, r"y must have the keys \['far', 'near'\]"),
        (lambda: named(loss={"far": "mse"}), ValueError, r"with None where there is none, got none for \['near'\]"),
        (lambda: named(loss={"fare": "mse", "near": "mse"}), ValueError, r"loss names outputs \['fare'\]"),
        (lambda: named(loss=[None, None]), ValueError, "loss must be given for at least one output"),
        (lambda: models.Model({1: layers.Input((2,))}, {}), TypeError, "inputs must have strings as keys"),
        (lambda: models.Model(layers.Input((2,)), {}), ValueError, "outputs must hold at least one"),
        (lambda: models.Model({"a": {"b": layers.Input((2,))}}, {}), TypeError, "inputs must be a symbolic value"),
    ],
)
def test_bad_dicts_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# Outputs without a loss


def pair(backend: str, **compilation: Any) -> models.Model:
    """Two outputs of one input (N, T, 2), whose steps that are all zero are no steps: 1·Σ and 2·Σ."""
    x = layers.Input((None, 2))
    real = layers.Masking()(x)
    outputs = [
        layers.Dense(2, use_bias=False, kernel_initializer=start, name=name)(real)
        for name, start in (("a", "ones"), ("b", "ones"))
    ]
    model = models.Model(x, outputs)
    model.compile("sgd", backend=backend, **compilation)
    return model


STEPS = RNG.normal(size=(3, 4, 2))
STEPS[0, 2:] = 0.0
REAL = STEPS.any(axis=-1)
GIVEN = np.repeat(STEPS.sum(axis=-1, keepdims=True), 2, axis=-1)
A, B = RNG.normal(size=(2, 3, 4, 2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_output_without_a_loss_need_not_have_targets(backend: str) -> None:
    model = pair(backend, loss=["mse", None])
    expected = np.mean((GIVEN - A)[REAL] ** 2)
    for y in ([A, B], [A, None], A, {"a": A}, {"a": A, "b": B}):
        assert model.evaluate(STEPS, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    before = model.get_weights()
    history = model.fit(STEPS, A, epochs=2, verbose=0, validation_data=(STEPS, [A, None]))
    assert set(history.history) == {"loss", "val_loss"}
    assert not np.array_equal(before[0], model.get_weights()[0])
    np.testing.assert_array_equal(before[1], model.get_weights()[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("loss", [["mse", None], {"a": "mse", "b": None}, [losses.MeanSquaredError(), None]])
def test_metrics_of_an_output_without_a_loss(backend: str, loss: Any) -> None:
    """They know its mask, and its weights if they are weighted ones."""
    model = pair(
        backend, loss=loss, loss_weights=[0.5, 1.0], metrics=[["mae"], ["mae"]], weighted_metrics=[[], ["mse"]]
    )
    weights = [np.ones(3), np.array([1.0, 0.0, 2.0])]
    spread = np.broadcast_to(weights[1][:, None], REAL.shape)[REAL]
    expected = {
        "loss": 0.5 * np.mean((GIVEN - A)[REAL] ** 2),
        "a_mae": np.mean(np.abs(GIVEN - A)[REAL]),
        "b_mae": np.mean(np.abs(GIVEN - B)[REAL]),
        "b_mse": np.average(np.mean((GIVEN - B)[REAL] ** 2, axis=-1), weights=spread),
    }
    found = model.evaluate(STEPS, [A, B], sample_weight=weights, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    by_hand = model.train_on_batch(STEPS, [A, B], sample_weight=weights, return_dict=True)
    assert by_hand == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_class_ids_measured_without_a_loss(backend: str) -> None:
    model = pair(backend, loss=["mse", None], metrics=[[], [metrics.SparseCategoricalAccuracy("right"), "accuracy"]])
    ids = np.array([[0, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]])
    found = model.evaluate(STEPS, [A, ids], verbose=0, return_dict=True)
    assert found["b_right"] == pytest.approx(np.mean(ids[REAL] == 0))
    with pytest.raises(ValueError, match="needs targets like the output, unlike the metric before it"):
        pair(backend, loss=["mse", None], metrics=[[], ["sparse_categorical_accuracy", "mse"]])
    with pytest.raises(TypeError, match=r"y\[1\] must hold real numbers"):
        model.evaluate(STEPS, [A, None], verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_norms_and_class_weights_with_one_loss_of_two(backend: str) -> None:
    x = layers.Input((2,))
    model = models.Model(x, [layers.Dense(1, name="a")(x), layers.Dense(1, name="b", kernel_initializer="zeros")(x)])
    model.compile("sgd", [None, "binary_crossentropy"], backend=backend)
    x, y = np.ones((2, 2)), np.array([0.0, 1.0])
    # Outputs of 0 are clipped to 1e-7 on the way to the loss.
    wrong, right = -np.log(1e-7), -np.log(1 - 1e-7)
    assert model.train_on_batch(x, [None, y], class_weight={0: 2.0, 1: 0.5}) == pytest.approx(
        (2 * right + 0.5 * wrong) / 2, rel=1e-4
    )
    assert model.per_sample_gradient_norms(x, [None, y]).shape == (2,)
