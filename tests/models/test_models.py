"""What models are: chains and graphs of layers, their weights, shapes and descriptions."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster, same
from tolerance import assert_all_close

import rnncore
from rnncore import layers, losses, models, optimizers, utils


def test_the_ways_to_make_a_sequential_are_one() -> None:
    def chain() -> list[layers.Layer]:
        return [layers.LSTM(4, return_sequences=True), layers.SimpleRNN(3), layers.Dense(2)]

    def grown() -> models.Sequential:
        model = models.Sequential()
        model.add(layers.Input((None, 5)))
        for layer in chain():
            model.add(layer)
        return model

    def built() -> models.Sequential:
        model = models.Sequential(chain())
        model.build((None, None, 5))
        return model

    def seen() -> models.Sequential:
        model = models.Sequential(chain())
        model.predict(np.zeros((2, 3, 5)), verbose=0)
        return model

    def declared() -> models.Sequential:
        first = layers.LSTM(4, return_sequences=True, input_shape=(None, 5))
        return models.Sequential([first, layers.SimpleRNN(3), layers.Dense(2)])

    weights = []
    for make in (lambda: models.Sequential([layers.Input((None, 5)), *chain()]), grown, built, seen, declared):
        utils.set_random_seed(3)
        model = make()
        assert model.built
        assert model.output_shape == (None, 2)
        assert [type(layer) for layer in model.layers] == [layers.LSTM, layers.SimpleRNN, layers.Dense]
        weights.append(model.get_weights())
    assert all(same(weights[0], other) for other in weights[1:])


def test_a_chain_can_grow_and_shrink() -> None:
    x, _ = data()
    model = forecaster()
    two = model.predict(x, verbose=0)
    last = model.pop()
    assert model.predict(x, verbose=0).shape == (20, 4)
    model.add(last)
    assert np.array_equal(model.predict(x, verbose=0), two)
    model.add(layers.Dense(7))
    assert model.predict(x, verbose=0).shape == (20, 7)
    for _ in range(4):
        model.pop()
    assert not model.built
    with pytest.raises(ValueError, match="pop needs a layer"):
        model.pop()

    model = models.Sequential([layers.Dense(2, input_shape=(3,))])
    model.pop()
    model.add(layers.Dense(2, input_shape=(5,)))
    assert model.input_shape == (None, 5)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_a_chain_that_begins_with_an_embedding_takes_ids(dtype: type) -> None:
    ids = np.array([[0, 4, 2], [1, 1, 3]])
    model = models.Sequential([layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)])
    found = model.predict(ids.astype(dtype), verbose=0)
    table, kernel, bias = model.get_weights()
    np.testing.assert_allclose(found, table[ids].reshape(2, 6) @ kernel + bias, rtol=1e-5)


def test_a_failed_build_is_taken_back() -> None:
    model = models.Sequential([layers.LSTM(4), layers.Dense(2)])
    model.compile(loss="mse")
    for x, y in (
        (np.zeros((4, 3)), np.zeros((4, 2))),
        (np.zeros((4, 3, 5)), np.zeros((4, 3))),
        (np.zeros((4, 3, 5)), np.zeros((5, 2))),
        (np.zeros((0, 3, 5)), np.zeros((0, 2))),
    ):
        with pytest.raises(ValueError, match="must"):
            model.fit(x, y, verbose=0)
        assert not model.built
        assert not model.layers[0].built
    model.fit(np.zeros((4, 3, 7)), np.zeros((4, 2)), verbose=0)
    assert model.input_shape == (None, 3, 7)


def test_models_that_share_layers_share_weights() -> None:
    x, y = data()
    given = layers.Input((None, 3))
    sequence, last = layers.GRU(4, return_sequences=True, return_state=True)(given)
    head = layers.Dense(2)
    at_end, everywhere = models.Model(given, head(last)), models.Model(given, head(sequence))
    before = everywhere.predict(x, verbose=0)
    np.testing.assert_allclose(before[:, -1], at_end.predict(x, verbose=0), atol=1e-6)
    at_end.compile("adam", "mse")
    at_end.fit(x, y, verbose=0)
    after = everywhere.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(after[:, -1], at_end.predict(x, verbose=0), atol=1e-6)

    # A third model joins the stores of two: training goes on with the optimizer's state where it was.
    other = layers.Dense(1)
    alone = models.Model(given, other(last))
    both = models.Model(given, [head(last), other(last)])
    twin = copy.deepcopy(at_end)
    both.predict(x, verbose=0)
    assert at_end.fit(x, y, shuffle=False, verbose=0).history == twin.fit(x, y, shuffle=False, verbose=0).history
    assert same(at_end.get_weights(), twin.get_weights())
    assert same(alone.get_weights()[:3], at_end.get_weights()[:3])


def test_several_inputs_come_as_lists_or_by_name() -> None:
    rng = np.random.default_rng(0)
    a, b = layers.Input((4, 2), name="a"), layers.Input((3,), name="b")
    model = models.Model([a, b], [layers.LSTM(5, name="left")(a), layers.Dense(2, name="right")(b)])
    x = [rng.normal(size=(6, 4, 2)), rng.normal(size=(6, 3))]
    left, right = model.predict(x, verbose=0)
    for other in (tuple(x), {"b": x[1], "a": x[0]}):
        again = model.predict(other, verbose=0)
        assert same(again, [left, right])
    assert model.input_names == ["a", "b"]
    assert model.output_names == ["left", "right"]
    with pytest.raises(ValueError, match=r"x must be a list of 2 arrays \(for a, b\), got ndarray"):
        model.predict(x[0], verbose=0)
    with pytest.raises(ValueError, match=r"x must have the keys \['a', 'b'\], got \['a'\]"):
        model.predict({"a": x[0]}, verbose=0)
    with pytest.raises(ValueError, match=r"same number of rows: x\[0\] has 6, x\[1\] has 5"):
        model.predict([x[0], x[1][:5]], verbose=0)
    with pytest.raises(ValueError, match=r"x\['b'\] must have shape \(any, 3\)"):
        model.predict({"a": x[0], "b": x[0]}, verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_value_may_be_an_output_twice(backend: str) -> None:
    """The output of an LSTM and its returned h are one value: losses on both add up."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(9, 4, 3)), [rng.normal(size=(9, 2)) for _ in range(3)]
    given = layers.Input((4, 3))
    out, h, c = layers.LSTM(2, return_state=True, name="cell")(given)
    twice, once = models.Model(given, [out, h, c]), models.Model(given, [h, c])
    compiled = {"loss": "mse", "backend": backend, "dtype_policy": "float64"}
    twice.compile(optimizers.SGD(0.1), loss_weights=[0.5, 2.0, 1.0], **compiled)
    assert twice.metrics_names == ["loss", "cell_loss", "cell_1_loss", "cell_2_loss"]
    named_so = layers.Dense(1, name="cell_1")(out)
    assert models.Model(given, [out, h, named_so]).output_names == ["cell", "cell_2", "cell_1"]
    outputs = twice.predict(x, batch_size=4, verbose=0)
    assert np.array_equal(outputs[0], outputs[1])
    values = [losses.get("mse")(target, output) for target, output in zip(y, outputs, strict=True)]
    np.testing.assert_allclose(
        twice.evaluate(x, y, batch_size=9, verbose=0), [np.dot([0.5, 2.0, 1.0], values), *values], rtol=1e-10
    )
    # One step on the sum of the losses, taken by hand through the model in which h is there once.
    start = twice.get_weights()
    twice.train_on_batch(x, y)
    trained = twice.get_weights()
    once.compile(optimizers.SGD(0.1), backend=backend, dtype_policy="float64")
    once.set_weights(start)
    h_now, c_now = once.forward(x, training=True)
    once.backward([(0.5 * (h_now - y[0]) + 2.0 * (h_now - y[1])) / 9, (c_now - y[2]) / 9])
    once.apply_gradients()
    assert_all_close(trained, once.get_weights())


def test_layers_are_found_by_name_and_place() -> None:
    model = forecaster()
    assert model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(model.layers[2].name) is model.layers[2]
    with pytest.raises(ValueError, match="unknown layer"):
        model.get_layer("nobody")
    with pytest.raises(ValueError, match="index must be that of one of 3 layers, got 3"):
        model.get_layer(index=3)
    with pytest.raises(ValueError, match="either name or index"):
        model.get_layer()


def test_weights_are_set_all_or_none() -> None:
    a, b = forecaster(), forecaster()
    b.set_weights(a.get_weights())
    assert same(a.get_weights(), b.get_weights())
    copies = a.get_weights()
    copies[0] += 1
    assert not same(a.get_weights(), copies)
    for change, message in (
        (lambda w: w[:-1], "weights must be 8 arrays, got 7"),
        (lambda w: [*w[:-1], w[-1][:1]], r"/bias must have shape \(2,\), got \(1,\)"),
        (lambda w: [*w[:-1], np.array(["a", "b"])], "/bias must hold real numbers, got dtype <U1"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            a.set_weights(change([w + 1 for w in a.get_weights()]))
        assert same(a.get_weights(), b.get_weights())


def test_frozen_layers_stay() -> None:
    x, y = data()
    model = forecaster()
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    after = model.get_weights()
    assert same(before[:3], after[:3])
    assert not any(np.array_equal(u, v) for u, v in zip(before[3:], after[3:], strict=True))
    assert len(model.trainable_weights) == len(model.gradients) == 5
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert " Trainable params: 170 (680.00 B)\n Non-trainable params: 150 (600.00 B)" in lines[0]


def test_summary_of_a_model_without_shape() -> None:
    lines: list[str] = []
    models.Sequential([layers.LSTM(4, name="cell")], name="young").summary(print_fn=lines.append)
    assert lines[0].splitlines()[0] == 'Model: "young"'
    assert lines[0].splitlines()[4].split() == ["│", "cell", "(LSTM)", "│", "?", "│", "0", "(unbuilt)", "│"]


@pytest.mark.parametrize(
    "make", [forecaster, lambda: models.Model.from_config(_graph().get_config()), lambda: _graph()]
)
def test_a_config_makes_the_model_again(make: type[models.Model]) -> None:
    x, _ = data()
    model = make()
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    first, second = ([y] if isinstance(y, np.ndarray) else y for y in (m.predict(x, verbose=0) for m in (model, again)))
    assert same(first, second)


def _graph() -> models.Model:
    """A graph in which one layer is called twice."""
    given = layers.Input((None, 3), name="given")
    cell = layers.LSTM(3, return_sequences=True, name="cell")
    return models.Model(given, [cell(cell(given)), layers.Dense(2, name="head")(cell(given))], name="graph")


@pytest.mark.parametrize("sparse", [False, True])
def test_one_input_and_target_may_come_in_lists_of_one(sparse: bool) -> None:
    x, y = data()
    y = np.arange(len(y)) % 2 if sparse else y
    model = forecaster(loss="sparse_categorical_crossentropy" if sparse else "mse", backend="reference")
    expected = model.evaluate(x, y, verbose=0)
    assert model.evaluate([x], [y], verbose=0) == model.evaluate((x,), y, verbose=0) == expected
    assert same([model.predict([x], verbose=0)], [model.predict(x, verbose=0)])
    model.fit([x], [y], validation_data=([x], [y]), verbose=0)
    one = model.predict([x[0]], verbose=0)  # a list of rows stays one
    assert same([one], [model.predict(x[:1], verbose=0)])
    assert model.evaluate([x[0]], [y[0]], verbose=0) == model.evaluate(x[:1], y[:1], verbose=0)


@pytest.mark.parametrize("make", [models.Sequential, models.Model])
def test_a_text_makes_the_model_again(make: type[models.Model]) -> None:
    given = layers.Input((None, 3))
    model = forecaster() if make is models.Sequential else models.Model(given, layers.GRU(2)(given), name="graph")
    again = models.model_from_json(model.to_json())
    assert type(again) is make
    assert again.get_config() == model.get_config()
    with pytest.raises(TypeError, match="json_string must be text, got dict"):
        models.model_from_json({})  # type: ignore[arg-type]
    for wrong in ("{", "[]", "{}", '{"class_name": "Chain", "config": {}}', '{"class_name": "Model", "config": {}}'):
        with pytest.raises(ValueError, match="json_string does not fit"):
            models.model_from_json(wrong)


def test_arguments_of_compile_that_change_nothing() -> None:
    x, y = data()
    found = []
    for arguments in ({}, {"run_eagerly": True, "steps_per_execution": 4, "jit_compile": False}):
        model = forecaster()
        model.set_weights([np.full(weight.shape, 0.1) for weight in model.get_weights()])
        model.compile("adam", "mse", **arguments)  # type: ignore[arg-type]
        model.fit(x, y, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert same(*found)
    for arguments, error in (({"steps_per_execution": 0}, ValueError), ({"jit_compile": "no"}, TypeError)):
        with pytest.raises(error, match=next(iter(arguments))):
            model.compile("adam", "mse", **arguments)  # type: ignore[arg-type]


def test_models_can_be_pickled_and_copied() -> None:
    x, y = data()
    model = forecaster(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        assert again.optimizer.iterations == 1
        again.fit(x, y, verbose=0)
        assert not same(again.get_weights(), model.get_weights())


@pytest.mark.parametrize("kind", ["chain", "graph", "not built"])
def test_a_clone_has_weights_of_its_own(kind: str) -> None:
    x, y = data()
    model: models.Model = forecaster(optimizer="adam", loss="mse")
    if kind == "graph":
        given = layers.Input((None, 3))
        model = models.Model(given, layers.Dense(2)(layers.LSTM(3)(given)))
    elif kind == "not built":
        model = models.Sequential([layers.LSTM(3), layers.Dense(2)])
    twin = models.clone_model(model)
    assert type(twin) is type(model)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert not any(a is b for a in twin.layers for b in model.layers)
    assert twin.built == model.built
    with pytest.raises(ValueError, match="must be compiled"):
        twin.fit(x, y, verbose=0)
    before = model.get_weights() if model.built else []
    twin.compile("sgd", "mse")
    twin.fit(x, y, verbose=0)
    if model.built:
        assert same(model.get_weights(), before)
        assert not same(twin.get_weights(), before)
    with pytest.raises(TypeError, match="model must be a Model or Sequential, got str"):
        models.clone_model("model")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: models.Sequential([3]), TypeError, "layer must be a Layer, got int"),
        (lambda: models.Sequential([layers.Dense(1), layers.Input((3,))]), ValueError, "Input must come first"),
        (lambda: models.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]), ValueError, "'a' twice"),
        (lambda: models.Sequential([layers.Input((3,)), layers.LSTM(2)]), ValueError, "lstm"),
        (lambda: models.Sequential([layers.LSTM(2, return_state=True, input_shape=(3, 1))]), ValueError, "3 outputs"),
        (lambda: models.Sequential(name=3), TypeError, "name must be a string"),
        (lambda: models.Sequential().build((None, 3)), ValueError, "build needs at least one layer"),
        (lambda: models.Model(layers.Input((3,)), 3), TypeError, "outputs must be a symbolic value"),
        (lambda: models.Model(layers.Input((3,)), layers.Dense(1)(layers.Input((3,)))), ValueError, "not among"),
    ],
)
def test_what_cannot_be_a_model(make: object, error: type[Exception], message: str) -> None:
    assert callable(make)
    with pytest.raises(error, match=message):
        make()


def test_a_built_model_keeps_its_shape() -> None:
    model = forecaster()
    model.build((None, None, 3))
    with pytest.raises(ValueError, match=r"built for \(None, None, 3\), got input_shape=\(None, 5, 3\)"):
        model.build((None, 5, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_is_called_on_arrays(backend: str) -> None:
    x, _ = data()
    model = forecaster(optimizer="sgd", loss="mse", backend=backend)
    assert np.array_equal(model(x), model.predict(x, batch_size=len(x), verbose=0))
    assert np.array_equal(model(x, lengths=np.full(len(x), 4)), model.forward(x, np.full(len(x), 4)))
    y = model(x, training=True)
    assert model.backward(np.ones_like(y)).shape == x.shape
    model(x, training=False)
    with pytest.raises(ValueError, match="backward must follow"):
        model.backward(np.ones_like(y))
    with pytest.raises(TypeError, match="training must be True or False, got int 1"):
        model(x, training=1)


def test_a_summary_has_no_nested_models_to_expand() -> None:
    texts: list[str] = []
    model = forecaster()
    model.summary(print_fn=texts.append)
    model.summary(print_fn=texts.append, expand_nested=True)
    assert texts[0] == texts[1]
    with pytest.raises(TypeError, match="expand_nested must be True or False, got int 1"):
        model.summary(print_fn=texts.append, expand_nested=1)  # type: ignore[arg-type]


def test_the_package_offers_its_modules_and_names() -> None:
    assert set(rnncore.__all__) <= set(dir(rnncore))
    for name in rnncore.__all__:
        assert getattr(rnncore, name) is not None
    assert (rnncore.Sequential, rnncore.Model, rnncore.Input) == (models.Sequential, models.Model, layers.Input)
    with pytest.raises(AttributeError, match="no attribute 'torch_'"):
        _ = rnncore.torch_
