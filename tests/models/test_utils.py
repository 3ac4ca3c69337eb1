"""Seeds, names, one-hot rows and padding."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from rnncore import layers, models, seeds, utils
from rnncore._naming import snake_case
from rnncore._validation import lookup, nearest


def test_one_seed_for_everything() -> None:
    def draw() -> tuple[int, float, float]:
        return seeds.next_seed(), random.random(), float(np.random.random())  # noqa: NPY002 (the generator meant)

    utils.set_random_seed(5)
    first = draw()
    assert draw() != first
    utils.set_random_seed(5)
    assert draw() == first
    utils.set_random_seed(6)
    assert draw() != first


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LSTM", "lstm"),
        ("GRU", "gru"),
        ("SimpleRNN", "simple_rnn"),
        ("InputLayer", "input_layer"),
        ("GlorotUniform", "glorot_uniform"),
        ("RMSprop", "rm_sprop"),
        ("MaxPooling1D", "max_pooling1d"),
        ("LSTMCell", "lstm_cell"),
        ("F1Score", "f1_score"),
    ],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_to_categorical() -> None:
    labels = np.array([[0, 3], [1, 1]])
    one_hot = utils.to_categorical(labels)
    assert one_hot.shape == (2, 2, 4)
    assert one_hot.dtype == np.float32
    np.testing.assert_array_equal(one_hot.argmax(axis=-1), labels)
    np.testing.assert_array_equal(one_hot.sum(axis=-1), np.ones((2, 2)))
    assert utils.to_categorical([[2], [0]], 5).shape == (2, 5)
    assert utils.to_categorical([1.0, 2.0]).shape == (2, 3)
    assert utils.to_categorical(np.zeros(0, int), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([[1, 2], [0.7]], {}, r"sequences\[1\] must hold numbers of dtype int32, got 0.7; give a dtype of floats"),
        ([[float("nan")]], {}, r"sequences\[0\] must hold numbers of dtype int32, got nan"),
        ([[float("inf")]], {"dtype": "int64"}, "got inf"),
        ([[2.0**31]], {}, "got 2147483648.0"),
        ([[2.0**63]], {"dtype": "int64"}, r"got 9.2233720368547\d*e\+18"),
        ([[2**31]], {}, "got 2147483648"),
        ([[-1]], {"dtype": "uint8"}, "dtype uint8, got -1"),
        ([[2]], {"dtype": "bool"}, "dtype bool, got 2"),
        ([[1e39]], {"dtype": "float32"}, "dtype float32, got 1e\\+39"),
        ([[1], [1, 2]], {"value": 0.5}, "value must hold numbers of dtype int32, got 0.5"),
        ([[1], [1, 2]], {"value": np.nan}, "value must hold numbers of dtype int32, got nan"),
    ],
)
def test_pad_sequences_loses_no_number(rows: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utils.pad_sequences(rows, **options)
    with pytest.raises(TypeError, match="must hold real numbers, got dtype complex128"):
        utils.pad_sequences([[1j]])


def test_pad_sequences_keeps_what_fits() -> None:
    extremes = [[-(2**63), 2**63 - 1], [5.0]]
    assert utils.pad_sequences(extremes, dtype="int64").tolist() == [[-(2**63), 2**63 - 1], [0, 5]]
    assert utils.pad_sequences([[np.inf, np.nan]], dtype="float32", value=-np.inf).dtype == np.float32
    assert utils.pad_sequences([[0.1]], dtype="float32")[0, 0] == np.float32(0.1)  # rounding is no loss
    assert utils.pad_sequences([["a", "b"], ["c"]], dtype=object, value="").tolist() == [["a", "b"], ["", "c"]]


def test_pad_sequences() -> None:
    rows = [[1, 2, 3], [4, 5], []]

    def pad(**options: Any) -> list[list[float]]:
        padded: list[list[float]] = utils.pad_sequences(rows, **options).tolist()
        return padded

    assert pad() == [[1, 2, 3], [0, 4, 5], [0, 0, 0]]
    assert pad(padding="post", value=9) == [[1, 2, 3], [4, 5, 9], [9, 9, 9]]
    assert pad(maxlen=2) == [[2, 3], [4, 5], [0, 0]]
    assert pad(maxlen=2, truncating="post") == [[1, 2], [4, 5], [0, 0]]
    assert pad(maxlen=4, dtype="float32", value=0.5)[1] == [0.5, 0.5, 4, 5]
    vectors = utils.pad_sequences([np.ones((2, 3)), np.ones((1, 3))], padding="post", dtype="float32")
    assert vectors.shape == (2, 2, 3)
    np.testing.assert_array_equal(vectors[1], [[1, 1, 1], [0, 0, 0]])
    assert utils.pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: utils.set_random_seed(-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: utils.set_random_seed(2**32), ValueError, "seed must be below"),
        (lambda: utils.set_random_seed(1.0), TypeError, "seed must be an integer, got float 1.0"),
        (lambda: utils.to_categorical([0, 3], 3), ValueError, r"x must hold ids in \[0, 3\), got 0 to 3"),
        (lambda: utils.to_categorical([0, -1]), ValueError, "x must hold ids in"),
        (lambda: utils.to_categorical([0.5]), ValueError, "x must hold whole numbers"),
        (lambda: utils.to_categorical(["a"]), TypeError, "x must hold real numbers, got dtype <U1"),
        (lambda: utils.to_categorical([]), ValueError, "num_classes must be given when x is empty"),
        (lambda: utils.pad_sequences([[1]], padding="left"), ValueError, "unknown padding 'left'"),
        (lambda: utils.pad_sequences([[1]], truncating="pots"), ValueError, "did you mean 'post'"),
        (lambda: utils.pad_sequences([[1]], maxlen=0), ValueError, "maxlen must be at least 1, got 0"),
        (lambda: utils.pad_sequences([1, 2]), ValueError, r"sequences\[0\] must be a sequence, got the single value 1"),
        (
            lambda: utils.pad_sequences([np.ones((2, 3)), np.ones((2, 4))]),
            ValueError,
            r"sequences\[1\] must have steps of shape \(3,\), got \(4,\)",
        ),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_nearest_names() -> None:
    table = {"mean_squared_error": 1, "mean_absolute_error": 2, "huber": 3}
    assert lookup("loss", "huber", table) == 3
    with pytest.raises(ValueError, match="unknown loss 'MeanSquaredErorr'; did you mean 'mean_squared_error'"):
        lookup("loss", "MeanSquaredErorr", table)
    with pytest.raises(ValueError, match="known names: huber, mean_absolute_error, mean_squared_error"):
        lookup("loss", "xyz", table)
    with pytest.raises(TypeError, match="loss must be given by name or object, got list"):
        lookup("loss", [], table)  # type: ignore[arg-type]
    assert nearest("hubr", table) == "did you mean 'huber'?"


def test_windows_of_a_series() -> None:
    series = np.arange(60.0).reshape(30, 2)
    cut = utils.timeseries_dataset_from_array
    found = list(cut(series, series[4:, 0], 3, sequence_stride=5, sampling_rate=2, batch_size=2, start_index=1))
    assert [x.shape for x, _ in found] == [(2, 3, 2), (2, 3, 2), (1, 3, 2)]
    windows, targets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    np.testing.assert_array_equal(
        windows[:, :, 0], [[2, 6, 10], [12, 16, 20], [22, 26, 30], [32, 36, 40], [42, 46, 50]]
    )
    np.testing.assert_array_equal(targets, [10, 20, 30, 40, 50])
    last = [x.tolist() for x in cut(np.arange(9), None, 4, batch_size=None, start_index=2, end_index=7)]
    assert last == [[2, 3, 4, 5], [3, 4, 5, 6]]
    whole = cut(np.arange(9), None, 4, batch_size=4)
    assert len(whole) == 2
    assert [len(x) for x in whole] == [4, 2]
    assert [x.tolist() for x in whole] == [x.tolist() for x in whole]


def test_shuffled_windows_are_the_same_in_another_order_each_time() -> None:
    series = np.arange(100)
    windows = utils.timeseries_dataset_from_array(series, series, 4, batch_size=16, shuffle=True, seed=3)
    passes = [np.concatenate([y for _, y in windows]) for _ in range(2)]
    assert not np.array_equal(*passes)
    again = utils.timeseries_dataset_from_array(series, series, 4, batch_size=16, shuffle=True, seed=3)
    np.testing.assert_array_equal(np.concatenate([y for _, y in again]), passes[0])
    for targets in passes:
        np.testing.assert_array_equal(np.sort(targets), np.arange(97))
    assert all(np.array_equal(x[:, 0], y) for x, y in windows)


def test_a_model_trains_on_windows_as_on_their_array() -> None:
    series = np.sin(np.arange(40.0))[:, None]
    windows = utils.timeseries_dataset_from_array(series[:-5], series[5:], 5, batch_size=8)
    x, y = (np.concatenate(parts) for parts in zip(*windows, strict=True))
    first = models.Sequential([layers.Input((5, 1)), layers.GRU(3), layers.Dense(1)])
    second = models.clone_model(first)
    second.set_weights(first.get_weights())
    for model in (first, second):
        model.compile("adam", "mse")
    first.fit(windows, epochs=2, verbose=0)
    second.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": 3.0}, ValueError, "data must be an array with one row per sample"),
        ({"sequence_length": 0}, ValueError, "sequence_length must be at least 1, got 0"),
        ({"sequence_stride": 1.5}, TypeError, "sequence_stride must be an integer"),
        (
            {"sequence_length": 11},
            ValueError,
            "must leave room for a window in 10 steps of data and 10 targets, got 11",
        ),
        ({"sampling_rate": 5}, ValueError, "sequence_length and sampling_rate must leave room for a window"),
        ({"targets": [1.0], "start_index": 2}, ValueError, "in 8 steps of data and 0 targets, got 3 and 1"),
        ({"start_index": 4, "end_index": 4}, ValueError, "start_index and end_index must be from 0 to 10"),
        ({"end_index": 11}, ValueError, "start_index and end_index must be from 0 to 10"),
        ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
        ({"seed": -1, "shuffle": True}, ValueError, "seed must be at least 0"),
    ],
)
def test_bad_windows_of_a_series(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    sound: dict[str, Any] = {"data": np.arange(10.0), "targets": np.arange(10.0), "sequence_length": 3}
    with pytest.raises(error, match=message):
        utils.timeseries_dataset_from_array(**{**sound, **arguments})
