"""Seeds, names, one-hot rows and padding."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from rnncore import utils
from rnncore._validation import lookup, nearest


def test_one_seed_for_everything() -> None:
    def draw() -> tuple[int, float, float]:
        return utils.next_seed(), random.random(), float(np.random.random())  # noqa: NPY002 (the generator meant)

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
    assert utils.snake_case(name) == expected


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
