"""Numbers for strings and words: the examples of Keras's documentation, files, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncore import layers, models

LETTERS = ["a", "b", "c", "d"]
DATA = [["a", "c", "d"], ["d", "z", "b"]]


# Values of the examples in Keras's documentation.
@pytest.mark.parametrize(
    ("arguments", "data", "expected"),
    [
        ({}, DATA, [[1, 3, 4], [4, 0, 2]]),
        ({"mask_token": ""}, [["a", "", "z"]], [[2, 0, 1]]),
        ({"output_mode": "one_hot"}, ["a", "b", "c", "d", "z"], np.eye(5)[[1, 2, 3, 4, 0]]),
        (
            {"output_mode": "multi_hot"},
            [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
            [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]],
        ),
        ({"output_mode": "count"}, [["a", "c", "d", "d"], ["d", "z", "b", "z"]], [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
        (
            {"output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.6, 0.4]},
            [["a", "c", "d", "d"], ["d", "z", "b", "z"]],
            [[0, 0.25, 0, 0.6, 0.8], [1.0, 0, 0.75, 0, 0.4]],
        ),
        ({"output_mode": "count", "max_tokens": 7, "pad_to_max_tokens": True}, [["a"]], [[0, 1, 0, 0, 0, 0, 0]]),
        ({"num_oov_indices": 0}, ["d", "a"], [3, 0]),
    ],
)
def test_strings_become_numbers(arguments: dict[str, Any], data: Any, expected: Any) -> None:
    lookup = layers.StringLookup(vocabulary=LETTERS, **arguments)
    for made in (lookup, layers.StringLookup.from_config(json.loads(json.dumps(lookup.get_config())))):
        np.testing.assert_allclose(made(data), expected, rtol=1e-6)
        np.testing.assert_allclose(made(np.array(data, dtype=object)), expected, rtol=1e-6)


def test_numbers_become_strings_again() -> None:
    lookup = layers.StringLookup(vocabulary=LETTERS)
    back = layers.StringLookup(vocabulary=lookup.get_vocabulary(), invert=True)
    assert back(lookup(DATA)).tolist() == [["a", "c", "d"], ["d", "[UNK]", "b"]]
    assert back(99) == "[UNK]"


def test_adapting_orders_by_frequency_and_then_from_the_end_of_the_alphabet() -> None:
    lookup = layers.StringLookup()
    lookup.adapt(DATA)
    assert lookup.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    lookup.adapt(iter([["x", "x"], ["y", "[UNK]"]]))
    assert lookup.get_vocabulary(include_special_tokens=False) == ["x", "y"]
    rows = layers.StringLookup(output_mode="tf_idf")
    rows.adapt(DATA)
    weights = np.log(1 + 2 / (1 + np.array([2, 1, 1, 1, 1])))
    np.testing.assert_allclose(rows([["d", "q"]]), [[weights.mean(), weights[0], 0, 0, 0, 0]], rtol=1e-6)


def test_texts_become_rows_of_numbers() -> None:
    vectorize = layers.TextVectorization(max_tokens=5000, output_sequence_length=4)
    vectorize.adapt(["foo bar", "bar baz", "baz bada boom"])
    assert vectorize.get_vocabulary() == ["", "[UNK]", "baz", "bar", "foo", "boom", "bada"]
    assert vectorize([["foo qux bar"], ["qux baz"]]).tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]
    given = layers.TextVectorization(vocabulary=["earth", "wind", "and", "fire"])
    assert given(["Earth, wind; and FIRE!", "fire"]).tolist() == [[2, 3, 4, 5], [5, 0, 0, 0]]
    assert given(np.array([b"wind"])).tolist() == [[3]]
    again = layers.TextVectorization.from_config(json.loads(json.dumps(vectorize.get_config())))
    assert again("boom bar bar bar bar").tolist() == [5, 3, 3, 3]


@pytest.mark.parametrize(
    ("arguments", "text", "words"),
    [
        ({}, "It's  a\ttest.", ["its", "a", "test"]),
        ({"standardize": "lower"}, "It's A", ["it's", "a"]),
        ({"standardize": "strip_punctuation"}, "It's A", ["Its", "A"]),
        ({"standardize": None, "split": None}, "It's A", ["It's A"]),
        ({"split": "character"}, "Ab c", ["a", "b", " ", "c"]),
        ({"ngrams": 2}, "a b c", ["a", "b", "c", "a b", "b c"]),
        ({"ngrams": [3, 1]}, "a b c", ["a b c", "a", "b", "c"]),
        ({"standardize": str.upper, "split": lambda text: text.split("X")}, "axb", ["A", "B"]),
    ],
)
def test_how_texts_are_cut(arguments: dict[str, Any], text: str, words: list[str]) -> None:
    vectorize = layers.TextVectorization(vocabulary=words, **arguments)
    assert vectorize(text).tolist() == list(range(2, len(words) + 2))


def test_ragged_rows_and_counts() -> None:
    words = ["a", "b"]
    ragged = layers.TextVectorization(vocabulary=words, ragged=True)(["a b c", "b"])
    assert [row.tolist() for row in ragged] == [[2, 3, 1], [3]]
    counts = layers.TextVectorization(vocabulary=words, output_mode="count")
    np.testing.assert_array_equal(counts(["a b c a", "b"]), [[1, 2, 1], [0, 0, 1]])
    assert counts.vocabulary_size() == 3


def test_files_of_words(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("größe\nfilm\n", encoding="utf-8")
    assert layers.TextVectorization(vocabulary=path)("Größe").tolist() == [2]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.StringLookup()(["a"]), ValueError, "no vocabulary yet: call adapt"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ValueError, "each entry once, got 'a' again"),
        (lambda: layers.StringLookup(vocabulary=[]), ValueError, "must have entries"),
        (lambda: layers.StringLookup(vocabulary=["a", 1]), TypeError, "each entry of vocabulary must be a string"),
        (lambda: layers.StringLookup(3, vocabulary=LETTERS), ValueError, "at most 3 entries, got 5"),
        (lambda: layers.StringLookup(num_oov_indices=2), ValueError, "num_oov_indices must be 0 or 1"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), ValueError, "which lacks 'b'"),
        (lambda: layers.StringLookup(vocabulary=["a"])([1]), TypeError, "must be an array of strings"),
        (lambda: layers.StringLookup(vocabulary=["a"], invert=True)(["a"]), TypeError, "must be integers"),
        (lambda: layers.StringLookup(output_mode="binry"), ValueError, "unknown output_mode 'binry'"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), ValueError, "idf_weights"),
        (lambda: layers.StringLookup().adapt([]), TypeError, "must be an array of strings"),
        (lambda: layers.StringLookup(vocab=["a"]), TypeError, "unknown argument 'vocab'; did you mean 'vocabulary'"),
        (lambda: layers.TextVectorization(split="word"), ValueError, "unknown split 'word'"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), ValueError, r"\(N,\) or \(N, 1\)"),
        (lambda: layers.TextVectorization(output_mode="count", ragged=True), ValueError, "need the output_mode 'int'"),
        (lambda: layers.TextVectorization(split=str.split).get_config(), ValueError, "split is a function"),
        (lambda: layers.TextVectorization(vocabulary=["a"])(layers.Input((1,))), TypeError, "before the model"),
        (lambda: models.Sequential([layers.TextVectorization()]), TypeError, "TextVectorization"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
