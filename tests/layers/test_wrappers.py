"""Bidirectional, TimeDistributed, RNN and the cells as layers: shapes, weights, configs, bad arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, same
from tolerance import assert_all_equal

from rnncore import initializers, layers, models

X = np.random.default_rng(1).normal(size=(4, 5, 3))

FLAGS = [False, True]
BIDIRECTIONAL = [(mode, sequences, state) for mode in ("concat", "sum", None) for sequences in FLAGS for state in FLAGS]


def run(backend: str, describe: Any, *arrays: Any, lengths: Any = None) -> Any:
    """The outputs of a model that was described, written down and made again with the same weights."""
    inputs = [layers.Input(array.shape[1:]) for array in arrays]
    model = models.Model(inputs, describe(*inputs))
    copy = models.Model.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    rng = np.random.default_rng(3)
    copy.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    copy.compile(backend=backend, dtype_policy="float64")
    return copy.predict(arrays[0] if len(arrays) == 1 else list(arrays), verbose=0, lengths=lengths)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("mode", "sequences", "state"), BIDIRECTIONAL)
def test_bidirectional_is_two_layers(mode: Any, sequences: bool, state: bool, backend: str) -> None:
    options = {"return_sequences": sequences, "return_state": state}
    found = run(backend, layers.Bidirectional(layers.LSTM(2, **options), merge_mode=mode), X)
    found = found if isinstance(found, list) else [found]

    def by_hand(x: Any) -> Any:
        forward = layers.LSTM(2, return_sequences=True, return_state=True)(x)
        backward = layers.LSTM(2, return_sequences=True, return_state=True, go_backwards=True)(x)
        return [*forward, *backward]

    forward, *states, backward, h, c = run(backend, by_hand, X)
    expected = [forward, backward[:, ::-1]] if sequences else [states[0], h]
    if mode == "concat":
        expected = [np.concatenate(expected, -1)]
    elif mode == "sum":
        expected = [expected[0] + expected[1]]
    expected += [*states, h, c] if state else []
    assert len(found) == len(expected)
    for actual, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("concat", [[0.39687276, 0.39687276, 0.10004295, 0.10004295], [0.7237238, 0.7237238, 0.53391594, 0.53391594]]),
        ("ave", [[0.24845785, 0.24845785], [0.6288199, 0.6288199]]),
    ],
)
def test_bidirectional_gives_the_numbers_of_keras(mode: str, expected: Any) -> None:
    cell = layers.SimpleRNN(
        2,
        kernel_initializer=initializers.Constant(0.01),
        recurrent_initializer=initializers.Constant(0.02),
        bias_initializer=initializers.Constant(0.03),
    )
    model = models.Sequential([layers.Input((3, 4)), layers.Bidirectional(cell, merge_mode=mode)])
    np.testing.assert_allclose(model.predict(np.arange(24.0).reshape(2, 3, 4), verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_initial_states_are_those_of_the_forward_then_of_the_backward_layer(backend: str) -> None:
    states = [np.random.default_rng(k).normal(size=(4, 2)) for k in range(4)]
    found = run(backend, lambda x, *s: layers.Bidirectional(layers.LSTM(2))(x, initial_state=list(s)), X, *states)

    def by_hand(x: Any, *s: Any) -> Any:
        parts = [layers.LSTM(2)(x, initial_state=list(s[:2])), layers.LSTM(2, go_backwards=True)(x, list(s[2:]))]
        return layers.concatenate(parts)

    np.testing.assert_allclose(found, run(backend, by_hand, X, *states), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_leaves_the_real_steps_of_both_directions_alone(backend: str) -> None:
    lengths = [5, 2, 0, 3]

    def both(x: Any) -> Any:
        return layers.Bidirectional(layers.GRU(2, return_sequences=True, return_state=True))(x)

    y, forward, backward = run(backend, both, X, lengths=lengths)
    for n, length in enumerate(lengths):
        if length:
            whole = run(backend, both, X[n : n + 1, :length])
            np.testing.assert_allclose(y[n, :length], whole[0][0], atol=1e-12)
            np.testing.assert_allclose(forward[n], whole[1][0], atol=1e-12)
            np.testing.assert_allclose(backward[n], whole[2][0], atol=1e-12)
        assert (y[n, length:] == 0).all()


def test_weights_and_names_of_bidirectional_are_those_of_keras() -> None:
    layer = layers.Bidirectional(layers.LSTM(2, name="cell"), name="both")
    layer.build((None, 5, 3))
    assert [weight.path for weight in layer.weights] == [
        f"{direction}_cell/{name}"
        for direction in ("forward", "backward")
        for name in ("kernel", "recurrent_kernel", "bias")
    ]
    given = [np.full(weight.shape, k + 1.0) for k, weight in enumerate(layer.weights)]
    again = layers.Bidirectional(layers.LSTM(2), weights=given)
    again.build((None, 5, 3))
    assert same(again.get_weights(), [array.astype(np.float32) for array in given])
    layer.trainable = False
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 6
    model = models.Sequential([layers.Input((5, 3)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.train_on_batch(X, np.ones((4, 1)))
    assert same(before[:6], model.get_weights()[:6])
    assert not same(before[6:], model.get_weights()[6:])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("cell", "layer"),
    [
        (layers.SimpleRNNCell(4, "relu"), layers.SimpleRNN(4, "relu", return_sequences=True, return_state=True)),
        (layers.LSTMCell(4, use_bias=False), layers.LSTM(4, use_bias=False, return_sequences=True, return_state=True)),
        (
            layers.LSTMCell(4, zoneout=0.5, cell_zoneout=0.25),
            layers.LSTM(4, zoneout=0.5, cell_zoneout=0.25, return_sequences=True, return_state=True),
        ),
        (
            layers.GRUCell(4, reset_after=False),
            layers.GRU(4, reset_after=False, return_sequences=True, return_state=True),
        ),
    ],
)
def test_a_cell_in_rnn_is_the_layer(cell: Any, layer: Any, backend: str) -> None:
    rnn = layers.RNN(cell, return_sequences=True, return_state=True)
    assert_all_equal(run(backend, rnn, X), run(backend, layer, X))
    rnn.build((None, 5, 3))
    assert [weight.name for weight in rnn.weights] == [weight.name for weight in cell.weights]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("backwards", [False, True])
def test_stacked_cells_are_stacked_layers(backwards: bool, backend: str) -> None:
    cells = [layers.GRUCell(4), layers.LSTMCell(2)]
    rnn = layers.RNN(cells, return_sequences=True, return_state=True, go_backwards=backwards)
    lengths = [5, 2, 4, 3]

    def by_hand(x: Any) -> Any:
        first, h = layers.GRU(4, return_sequences=True, return_state=True)(x)
        second, h2, c2 = layers.LSTM(2, return_sequences=True, return_state=True)(first)
        return [second, h, h2, c2]

    found = run(backend, rnn, X, lengths=lengths)
    turned = X.copy()
    for n, length in enumerate(lengths):
        turned[n, :length] = X[n, :length][::-1] if backwards else X[n, :length]
    expected = run(backend, by_hand, turned, lengths=lengths)
    for actual, wanted in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(actual, wanted, atol=1e-12)
    for n, length in enumerate(lengths):
        real = slice(5 - length, 5) if backwards else slice(0, length)
        np.testing.assert_allclose(found[0][n, real], expected[0][n, :length], atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(4, activation="tanh"),
        layers.GRU(4),
        layers.Flatten(),
        layers.Permute((2, 1)),
        layers.Bidirectional(layers.LSTM(2)),
    ],
    ids=["dense", "gru", "flatten", "permute", "bidirectional"],
)
def test_time_distributed_treats_each_step_as_a_sample(layer: Any, backend: str) -> None:
    x = np.random.default_rng(2).normal(size=(4, 5, 3, 2))
    found = run(backend, layers.TimeDistributed(layers.deserialize(layers.serialize(layer))), x)
    for t in range(5):
        expected = run(backend, layers.deserialize(layers.serialize(layer)), x[:, t])
        np.testing.assert_allclose(found[:, t], expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "layer",
    [
        layers.ZeroPadding1D((1, 2)),
        layers.Conv1D(2, 2, strides=2),
        layers.GlobalMaxPooling1D(),
        layers.Softmax(axis=1),
        layers.SpatialDropout1D(0.5),
        layers.LSTM(3, return_sequences=True, go_backwards=True),
        models.Sequential([layers.Input((4, 2)), layers.Dense(3), layers.Flatten()]),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_time_distributed_twice_treats_each_step_of_each_step_as_a_sample(layer: Any, backend: str) -> None:
    x = np.random.default_rng(2).normal(size=(3, 5, 2, 4, 2))
    once, twice = (layers.deserialize(layers.serialize(layer)) for _ in range(2))
    found = run(backend, layers.TimeDistributed(layers.TimeDistributed(twice)), x)
    expected = run(backend, once, x.reshape(-1, 4, 2))
    np.testing.assert_allclose(found, expected.reshape(*x.shape[:3], *expected.shape[1:]), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mask_given_to_a_call_goes_on_as_one_that_comes_with_the_input(backend: str, tmp_path: Path) -> None:
    x, steps = layers.Input((None, 3), name="x"), layers.Input((None,), dtype="bool", name="steps")
    dense, norm = layers.TimeDistributed(layers.Dense(3)), layers.BatchNormalization(moving_mean_initializer="ones")
    last, pooled = layers.GRU(2), layers.GlobalAveragePooling1D()
    cells = layers.RNN(layers.LSTMCell(2))
    given = models.Model([x, steps], [last(dense(x, mask=steps)), cells(norm(x, mask=steps)), pooled(x, mask=steps)])
    masked = layers.Masking(9.0)(x)
    came = models.Model(x, [last(dense(masked)), cells(norm(masked)), pooled(masked)])
    values, mask = np.random.default_rng(3).normal(size=(4, 5, 3)), np.tril(np.ones((4, 5), bool))
    results = []
    for model, arrays in ((came, np.where(mask[..., None], values, 9)), (given, [values, mask])):
        model.compile(backend=backend, dtype_policy="float64")
        results.append(model.predict(arrays, verbose=0))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    given.save(tmp_path / "model.rnn")
    again = models.load_model(tmp_path / "model.rnn").predict([values, mask], verbose=0)
    for a, b in zip(again, results[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    with pytest.raises(ValueError, match="mask of 't' must have shape"):
        layers.TimeDistributed(layers.Dense(2), name="t")(layers.Input((5, 3)), mask=layers.Input((4,), dtype="bool"))


def twice(layer: Any) -> None:
    """Call a layer on inputs of three, then of four features."""
    for features in (3, 4):
        layer(layers.Input((5, features)))


class Homemade:
    state_size = 3

    def call(self, inputs: Any, states: Any) -> Any:
        return inputs, states


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.Bidirectional(layers.Dense(2)), TypeError, "layer of Bidirectional must be a recurrent layer"),
        (lambda: layers.Bidirectional(layers.GRU(2), merge_mode="max"), ValueError, "merge_mode"),
        (lambda: layers.Bidirectional(layers.GRU(2, go_backwards=True)), ValueError, "must go forwards"),
        (lambda: layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2)), ValueError, "go_backwards=True"),
        (
            lambda: layers.Bidirectional(
                layers.GRU(2), backward_layer=layers.GRU(2, go_backwards=True, return_state=True)
            ),
            ValueError,
            "return_state of layer is False, of backward_layer True",
        ),
        (
            lambda: layers.Bidirectional(layers.GRU(2), weights=[np.ones(2)], name="b").build((None, 5, 3)),
            ValueError,
            "weights of 'b' must be 6 arrays, got 1",
        ),
        (lambda: layers.RNN(Homemade()), TypeError, "cell of RNN must be a SimpleRNNCell, LSTMCell or GRUCell"),
        (lambda: layers.RNN([]), ValueError, "at least one cell"),
        (lambda: layers.RNN([layers.GRU(2)]), TypeError, "each of cells must be"),
        (lambda: layers.GRUCell(2, name="c")(layers.Input((5, 3))), TypeError, "'c' is a cell and not called itself"),
        (lambda: layers.GRUCell(2, return_sequences=True), TypeError, "return_sequences"),
        (
            lambda: layers.RNN(layers.LSTMCell(2), name="r")(layers.Input((5, 3)), [layers.Input((2,))]),
            ValueError,
            "initial_state of 'r' must be 2 values",
        ),
        (
            lambda: layers.RNN(layers.GRUCell(2, name="c"), name="r")(layers.Input((5, None))),
            ValueError,
            "'r': 'c' needs an input whose last axis is known",
        ),
        (lambda: twice(layers.RNN(layers.GRUCell(2, name="c"), name="r")), ValueError, "'r': 'c' was built for inputs"),
        (
            lambda: twice(layers.TimeDistributed(layers.Dense(2, name="d"), name="t")),
            ValueError,
            "'t': 'd' was built for inputs with 3 features",
        ),
        (
            lambda: twice(layers.Bidirectional(layers.GRU(2), name="b")),
            ValueError,
            "'b': 'backward_gru.*' was built for inputs with 3 features",
        ),
        (
            lambda: layers.Dense(2, name="d")(layers.Input((5, 3)), mask=layers.Input((5,), dtype="bool")),
            TypeError,
            "'d' takes no mask",
        ),
        (lambda: layers.TimeDistributed("x"), TypeError, "layer of TimeDistributed must be a Layer"),
        (lambda: layers.TimeDistributed(layers.Dense(2), name="t")(layers.Input((3,))), ValueError, "'t' needs an"),
        (
            lambda: layers.TimeDistributed(layers.LSTM(2, return_state=True), name="t")(layers.Input((5, 4, 3))),
            ValueError,
            "layer of 't' must have one output",
        ),
    ],
)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
