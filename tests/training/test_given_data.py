"""Data as people have it, at every door: tables, tensors, masked arrays, sequences of different lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from given_kinds import KINDS, need
from small_models import Array, same

from rnncore import functional, layers, losses, models, reference, utils

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X.sum(axis=1)
WEIGHT = np.linspace(0.5, 2, 8, dtype=np.float32)
SIZES = [4, 1, 6, 2, 6]
ROWS = [np.random.default_rng(n).normal(size=(size, 3)).astype(np.float32) for n, size in enumerate(SIZES)]
STEPS = [row.sum(axis=1) for row in ROWS]
MASK = np.arange(6) >= np.array(SIZES)[:, None]


def dense() -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def recurrent(**output: Any) -> models.Sequential:
    """A model of sequences; with `return_sequences=True` its targets have steps."""
    utils.set_random_seed(2)
    model = models.Sequential([layers.GRU(4, **output), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def padded(rows: list[Array]) -> Array:
    return utils.pad_sequences(rows, padding="post", dtype="float32")


def trained(model: models.Sequential, x: Any, y: Any, weight: Any = None, lengths: Any = None) -> list[Any]:
    """What each door that takes targets makes of the data, and the weights at the end."""
    given = {"sample_weight": weight, "lengths": lengths}
    validation = (x, y, weight, lengths)
    history = model.fit(x, y, epochs=2, batch_size=3, verbose=0, validation_data=validation, **given)
    found = [history.history["val_loss"], model.evaluate(x, y, verbose=0, **given)]
    found += [model.evaluate([{"x": x, "y": y, **given}].__iter__(), verbose=0)]
    found += [model.train_on_batch(x, y, **given), model.test_on_batch(x, y, **given), *model.get_weights()]
    return [np.asarray(value) for value in found]


def predicted(model: models.Sequential, x: Any) -> list[Array]:
    return [model.predict(x, verbose=0), model(x), model.predict_on_batch(x), model.forward(x)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_door_reads_it(kind: str) -> None:
    x, y, weight = (KINDS[kind](array) for array in (X, Y, WEIGHT))
    assert same(predicted(dense(), x), predicted(dense(), X))
    assert same(trained(dense(), x, y, weight), trained(dense(), X, Y, WEIGHT))


@pytest.mark.parametrize("kind", KINDS)
def test_streams_functions_and_series_read_it(kind: str) -> None:
    x = KINDS[kind](X)
    model = recurrent()
    model.build((None, None, 3))
    first, second = model.stream(8), model.stream(8)
    for _ in range(2):
        assert np.array_equal(first.step(x), second.step(X))
    windows = next(iter(utils.timeseries_dataset_from_array(x, None, 2)))
    assert np.array_equal(windows[4], X[4:6])
    kernel = KINDS[kind](X[:3])
    for functions in (functional, reference):
        found = functions.simple_rnn(X[None], kernel, kernel)
        assert np.array_equal(found.output, functions.simple_rnn(X[None], X[:3], X[:3]).output)


def lists_of(kind: str) -> list[Any]:
    return [KINDS[kind](row) for row in ROWS]


RAGGED: dict[str, Callable[[], Any]] = {
    "arrays": lambda: ROWS,
    "lists": lambda: [row.tolist() for row in ROWS],
    "tuple": lambda: tuple(ROWS),
    "objects": lambda: np.array([*ROWS, None], dtype=object)[:-1],
    "pandas": lambda: lists_of("pandas"),
    "polars": lambda: lists_of("polars"),
    "tensors": lambda: lists_of("torch with gradient"),
    "DLPack": lambda: lists_of("only DLPack"),
    "mask": lambda: np.ma.array(np.where(MASK[..., None], np.nan, padded(ROWS)), mask=np.repeat(MASK[..., None], 3, 2)),
}


@pytest.mark.parametrize("kind", RAGGED)
def test_sequences_of_different_lengths_are_padded_and_count_as_long_as_they_are(kind: str) -> None:
    x, y = RAGGED[kind](), Y[:5]
    alone = np.concatenate([recurrent().predict(row[None], verbose=0) for row in ROWS])
    for output in predicted(recurrent(), x):
        np.testing.assert_array_equal(output, alone)
    assert same(trained(recurrent(), x, y), trained(recurrent(), padded(ROWS), y, lengths=SIZES))


def test_targets_and_weights_of_steps_come_as_x_does() -> None:
    weights = [np.full(size, size, np.float32) for size in SIZES]
    model = recurrent(return_sequences=True)
    expected = trained(model, padded(ROWS), padded(STEPS), padded(weights), SIZES)
    assert same(trained(recurrent(return_sequences=True), ROWS, STEPS, weights), expected)
    masked = [np.ma.array(padded(rows), mask=MASK) for rows in (STEPS, weights)]
    assert same(trained(recurrent(return_sequences=True), ROWS, *masked), expected)


def test_words_and_several_inputs_may_have_different_lengths() -> None:
    words = [[4, 2], [1], [3, 3, 5]]
    ids, numbers = layers.Input((None,), dtype="int32", name="ids"), layers.Input((None, 1), name="numbers")
    both = layers.Concatenate()([layers.Embedding(6, 2)(ids), numbers])
    utils.set_random_seed(3)
    model = models.Model([ids, numbers], layers.LSTM(3)(both))
    beside = [[[1.0], [2.0]], [[3.0]], [[4.0], [5.0], [6.0]]]
    alone = [model.predict([np.array([w]), np.array([b])], verbose=0) for w, b in zip(words, beside, strict=True)]
    for given in ([words, beside], {"ids": words, "numbers": beside}):
        np.testing.assert_array_equal(model.predict(given, verbose=0), np.concatenate(alone))
    with pytest.raises(ValueError, match=r"x\[1\] must have the steps of x, 2 in row 0, got 1"):
        model.predict([words, beside[1:] + beside[:1]], verbose=0)


def test_functions_take_sequences_of_different_lengths() -> None:
    rng = np.random.default_rng(4)
    rows, weights = [row.astype(float) for row in ROWS], (rng.normal(size=(3, 8)), rng.normal(size=(2, 8)))
    for functions in (functional, reference):
        output, (h, c), _ = functions.lstm(rows, *weights)
        for n, row in enumerate(rows):
            alone = functions.lstm(row[None], *weights)
            np.testing.assert_allclose(output[n, : len(row)], alone.output[0], rtol=1e-12)
            np.testing.assert_allclose([h[n], c[n]], [state[0] for state in alone.state], rtol=1e-12)
        with pytest.raises(ValueError, match="lengths: expected values from 0 to 1, the time steps of x, got 2"):
            functions.lstm(rows, *weights, lengths=[2] * 5)
    packed = functional.pack(*weights, cell="lstm")
    assert np.array_equal(functional.lstm(rows, packed).output, functional.lstm(rows, *weights).output)


def test_labels_for_ctc_have_lengths_of_their_own() -> None:
    model = models.Sequential([layers.Input((None, 3)), layers.GRU(4, return_sequences=True), layers.Dense(5)])
    model.compile("sgd", losses.CTC())
    words = [[1, 2], [3], [1, 2, 3], [4], [2, 2]]
    x, lengths = padded(ROWS), np.full(5, 6)
    assert model.evaluate(x, words, verbose=0, lengths=lengths) == model.evaluate(
        x, utils.pad_sequences(words, padding="post"), verbose=0, lengths=lengths
    )


def test_lengths_may_shorten_sequences() -> None:
    ones, model = [1] * 5, recurrent()
    model.build((None, None, 3))
    short = model.predict(padded(ROWS)[:, :1], verbose=0)
    assert np.array_equal(model.predict(ROWS, lengths=ones, verbose=0), short)
    with pytest.raises(ValueError, match="lengths must be at most 1 in row 1, the steps of x there, got 2"):
        model.predict(ROWS, lengths=[2] * 5, verbose=0)


HOLE = np.zeros((5, 6, 3), bool)
HOLE[2, 1] = True
PART = np.zeros((5, 6, 3), bool)
PART[3, 4, 0] = True

BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a hole": (lambda: np.ma.array(padded(ROWS), mask=HOLE), ValueError, "a step, but not those after it at [2, 1]"),
    "a part": (lambda: np.ma.array(padded(ROWS), mask=PART), ValueError, "some features but not all at [3, 4]"),
    "features": (lambda: [ROWS[0], ROWS[1][:, :2]], ValueError, "x[1] must have steps of shape (3,) as the rows"),
    "strings": (lambda: [ROWS[0], ROWS[1].astype(str)], TypeError, "x[1] must hold real numbers, got dtype <U32"),
    "deeper": (lambda: [ROWS[0], [[1.0], [1.0, 2.0]]], ValueError, "x[1] must be one rectangular array"),
    "a masked row": (lambda: [np.ma.array(row, mask=row > 0) for row in ROWS], ValueError, "x[0] must have no masked"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sequences_are_named(case: str) -> None:
    make, error, message = BAD[case]
    model = recurrent()
    for call in (lambda: model.predict(make()), lambda: model.fit(make(), Y[:5]), lambda: model(make())):
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)
    assert not model.built


def test_what_has_no_lengths_is_refused() -> None:
    last = np.arange(24).reshape(8, 3) == 23
    with pytest.raises(ValueError, match="x must have rows of one length and no masked steps: no layer of this model"):
        dense().predict(np.ma.array(X, mask=last), verbose=0)
    model = recurrent(return_sequences=True)
    for y, came in (([*STEPS[:4], STEPS[1]], "6 in row 4, got 1"), (STEPS[:4], "5 sequences, got 4")):
        with pytest.raises(ValueError, match=f"y must have the steps of x, {came}"):
            model.fit(ROWS, y, verbose=0)
    with pytest.raises(ValueError, match="y must have the steps of x, all are valid, got 5 rows of different"):
        model.fit(padded(ROWS), STEPS, verbose=0)
    with pytest.raises(ValueError, match="y must have no masked entries, got 1"):
        dense().fit(X, np.ma.array(Y, mask=np.arange(8) == 2), verbose=0)
    model.build((None, None, 3))
    with pytest.raises(ValueError, match=r"x_t must have no masked entries, got 1"):
        model.stream().step(np.ma.array([[1.0, 2, 3]], mask=[[0, 1, 0]]))


COLUMNS = {"a": [1.0, 2], "words": ["one", "two"], "c": [1.0, 2]}


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_the_column_that_holds_no_numbers_is_named(package: str) -> None:
    with pytest.raises(TypeError, match="x must hold real numbers; its column 'words' holds (str|object|String)"):
        dense().predict(need(package).DataFrame(COLUMNS), verbose=0)
    with pytest.raises(TypeError, match="y must hold real numbers, (got one that holds (str|object)|got dtype <U3)"):
        dense().fit(X[:2], need(package).Series(COLUMNS["words"]), verbose=0)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_missing_numbers_of_a_table_are_nan(package: str) -> None:
    pd = need(package)
    kinds = {"dtype": "Int64"} if package == "pandas" else {}
    x = pd.DataFrame({"a": pd.Series([1, None], **kinds), "b": [1, 2], "c": [True, False]})
    assert np.isnan(dense().predict(x, verbose=0)).ravel().tolist() == [False, True]


def test_what_is_elsewhere_or_not_computed_yet_is_refused() -> None:
    with pytest.raises(TypeError, match="give the result of its collect"):
        dense().predict(need("polars").DataFrame(X).lazy(), verbose=0)
    with pytest.raises(TypeError, match="x must be convertible to a NumPy array"):
        dense().predict(need("torch").zeros((2, 3), device="meta"), verbose=0)


def test_bfloat16_tensors_keep_their_numbers() -> None:
    torch = need("torch")
    x = torch.tensor(X).bfloat16()
    assert np.array_equal(dense().predict(x, verbose=0), dense().predict(x.float().numpy(), verbose=0))


def arrow(**first: Any) -> Any:
    """A table of PyArrow with X, of which a column is another."""
    return need("pyarrow").table({**dict(zip("abc", X.T, strict=True)), **first})


def test_pyarrow_null_booleans_and_decimal_numbers() -> None:
    pa, model = need("pyarrow"), dense()
    for column, numbers in (
        (pa.array([None, True, False, True] * 2), [np.nan, 1, 0, 1] * 2),
        (pa.array([None, 1, 2, 3] * 2, pa.decimal128(5, 2)), [np.nan, 1, 2, 3] * 2),
    ):
        expected = np.column_stack([numbers, X[:, 1:]])
        for found in predicted(model, arrow(a=column)):
            np.testing.assert_array_equal(found, model.predict(expected, verbose=0))
    assert same([model.predict(pa.array(X.tolist()), verbose=0)], [model.predict(X, verbose=0)])


def test_columns_of_pyarrow_and_polars_without_numbers_are_named() -> None:
    pa, pl = need("pyarrow"), need("polars")
    days = pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 1, 8), eager=True)
    polars = pl.DataFrame({"a": X[:, 0], "day": days, "c": X[:, 2]})  # NumPy would be given numbers of days
    for x, message in (
        (arrow(b=["text"] * 8), "x must hold real numbers; its column 'b' holds string"),
        (arrow(b=days.to_arrow()), "x must hold real numbers; its column 'b' holds date32"),
        (polars, "x must hold real numbers; its column 'day' holds Date"),
    ):
        with pytest.raises(TypeError, match=message):
            dense().predict(x, verbose=0)
    with pytest.raises(TypeError, match="y must hold real numbers, got one that holds string"):
        dense().fit(X, pa.array(["text"] * 8), verbose=0)


def test_rows_of_lists_of_pyarrow_and_polars_are_sequences() -> None:
    lists = [row.tolist() for row in ROWS]
    expected = recurrent().predict(padded(ROWS), lengths=SIZES, verbose=0)
    for rows in (need("pyarrow").array(lists), need("polars").Series(lists), need("pandas").Series(lists)):
        for found in predicted(recurrent(), rows):
            np.testing.assert_allclose(found, expected, rtol=1e-6)
