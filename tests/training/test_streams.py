"""Batches that come from iterables: what they train is what arrays train, and their errors say which batch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array, data, forecaster, same

from rnncore import callbacks, layers, models, optimizers, utils

NO_WARNING = nullcontext()


def batches(rows: int = 20, size: int = 8) -> list[tuple[Array, Array]]:
    x, y = data(rows)
    return [(x[k : k + size], y[k : k + size]) for k in range(0, rows, size)]


class Batches(utils.PyDataset):
    """Batches by number, counting the hooks."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.calls: list[str] = []

    def __len__(self) -> int:
        return len(batches())

    def __getitem__(self, index: int) -> Any:
        return batches()[index]

    def on_epoch_begin(self) -> None:
        self.calls.append("begin")

    def on_epoch_end(self) -> None:
        self.calls.append("end")


class Loader:
    """As a PyTorch DataLoader: it has a length, can be read again, and gives lists."""

    def __len__(self) -> int:
        return len(batches())

    def __iter__(self) -> Iterator[Any]:
        return (list(batch) for batch in batches())


def fresh(**arguments: Any) -> models.Sequential:
    utils.set_random_seed(5)
    return forecaster(optimizer="adam", loss="mse", metrics=["mae"], **arguments)


def endless() -> Iterator[Any]:
    while True:
        yield from batches()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("source", "steps"),
    [(Loader(), None), (Batches(), None), (Batches(workers=3, max_queue_size=1), None), (endless(), 3)],
    ids=["iterable", "dataset", "threads", "generator"],
)
def test_batches_train_as_the_same_rows_in_arrays(source: Any, steps: int | None, backend: str) -> None:
    x, y = data()
    expected, model = fresh(backend=backend), fresh(backend=backend)
    history = expected.fit(x, y, batch_size=8, epochs=3, shuffle=False, validation_data=(x, y), verbose=0)
    found = model.fit(
        source, epochs=3, steps_per_epoch=steps, shuffle=False, validation_data=Loader(), validation_steps=3, verbose=0
    )
    assert same(model.get_weights(), expected.get_weights())
    assert found.history["loss"] == history.history["loss"]
    np.testing.assert_allclose(found.history["val_mae"], history.history["val_mae"], rtol=1e-6)
    assert model.optimizer.iterations == expected.optimizer.iterations == 9


def test_the_order_of_a_data_set_is_shuffled_by_the_seed() -> None:
    def weights(shuffle: bool) -> list[Array]:
        model = fresh()
        model.fit(Batches(), epochs=3, shuffle=shuffle, verbose=0)
        return model.get_weights()

    assert same(weights(True), weights(True))
    assert not same(weights(True), weights(False))


def test_epochs_call_the_hooks_of_a_data_set_and_of_callbacks() -> None:
    source, seen = Batches(), []
    spy = callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(batch), on_train_batch_end=lambda b, logs: seen.append(-b)
    )
    fresh().fit(source, epochs=2, callbacks=[spy], verbose=0)
    assert source.calls == ["begin", "end"] * 2
    assert seen == [0, 0, 1, -1, 2, -2] * 2


def test_evaluate_and_predict_take_iterables() -> None:
    x, y = data()
    model = fresh()
    np.testing.assert_allclose(model.evaluate(Loader(), verbose=0), model.evaluate(x, y, batch_size=8, verbose=0))
    assert model.evaluate(endless(), steps=2, verbose=0) == model.evaluate(x, y, 8, 0, steps=2)
    assert np.array_equal(model.predict(Loader(), verbose=0), model.predict(x, batch_size=8, verbose=0))
    assert np.array_equal(model.predict(iter([x[:3], x[3:]]), verbose=0), model.predict(x, verbose=0))


def test_weights_lengths_and_dicts_come_with_the_batches() -> None:
    x, y = data(8)
    lengths, weights = np.array([6, 1, 3, 2, 6, 5, 4, 3]), np.linspace(0.5, 2, 8)
    expected = fresh().evaluate(x, y, sample_weight=weights, lengths=lengths, verbose=0)
    assert fresh().evaluate(iter([(x, y, weights, lengths)]), verbose=0) == expected
    named = {"x": x, "y": y, "sample_weight": weights, "lengths": lengths}
    assert fresh().evaluate(iter([named]), verbose=0) == expected


def test_steps_and_rows_may_differ_from_batch_to_batch() -> None:
    rng = np.random.default_rng(0)
    source = [(rng.normal(size=(n, t, 3)), rng.normal(size=(n, 2))) for n, t in [(4, 2), (1, 9), (7, 1)]]
    model, expected = fresh(), fresh()
    model.fit(iter(source), verbose=0)
    for x, y in source:
        expected.train_on_batch(x, y)
    assert same(model.get_weights(), expected.get_weights())
    assert [len(model.predict(iter(source), verbose=0))] == [12]
    sequences = models.Sequential([layers.Input((None, 3)), layers.GRU(2, return_sequences=True)])
    with pytest.raises(ValueError, match="must have one shape to be joined"):
        sequences.predict(iter(source), verbose=0)


def test_a_model_without_shape_is_built_for_the_first_batch() -> None:
    model = models.Sequential([layers.LSTM(4), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(Loader(), epochs=2, verbose=0)
    assert model.input_shape == (None, 6, 3)
    assert model.optimizer.iterations == 6


def test_a_generator_that_ends_stops_training_with_a_warning() -> None:
    model = fresh()
    with pytest.warns(UserWarning, match="x ran out of data"):
        history = model.fit(iter(batches()), epochs=4, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="x ran out of data.*2 batches in each epoch, got 1"):
        history = model.fit(iter(batches()), epochs=4, steps_per_epoch=2, verbose=0)
    assert history.epoch == [0, 1]
    assert model.optimizer.iterations == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(iter(batches()), steps_per_epoch=3, verbose=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_midway_leaves_the_model_at_the_last_whole_step(backend: str) -> None:
    def broken() -> Iterator[Any]:
        yield batches()[0]
        raise OSError("disk gone")

    model, expected = fresh(backend=backend), fresh(backend=backend)
    expected.train_on_batch(*batches()[0])
    with pytest.raises(OSError, match="disk gone"):
        model.fit(broken(), verbose=0)
    assert same(model.get_weights(), expected.get_weights())
    assert model.optimizer.iterations == 1
    model.train_on_batch(*batches()[1])


X, Y = data(4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (X, "batch 1 of x: y must be given"),
        ((X, Y, None, None, None), "batch 1 of x: it must be .* got 5 items"),
        ((X[:0], Y[:0]), "batch 1 of x: x must have at least one row"),
        ((X, Y[:3]), "batch 1 of x: all arrays must have the same number of rows"),
        ((X[..., :2], Y), "batch 1 of x: x must have shape"),
    ],
    ids=["no targets", "five", "empty", "rows", "features"],
)
def test_errors_name_the_batch(bad: Any, message: str, backend: str) -> None:
    model, expected = fresh(backend=backend), fresh(backend=backend)
    expected.train_on_batch(X, Y)
    with pytest.raises(ValueError, match=message):
        model.fit(iter([(X, Y), bad]), verbose=0)
    assert same(model.get_weights(), expected.get_weights())


def test_what_only_arrays_take_is_refused() -> None:
    for arguments in ({"y": Y}, {"batch_size": 4}, {"sample_weight": np.ones(4)}, {"lengths": np.ones(4)}):
        with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be left out when x is an iterable"):
            fresh().fit(Loader(), verbose=0, **arguments)
    with pytest.raises(ValueError, match="validation_split needs arrays"):
        fresh().fit(Loader(), validation_split=0.5, verbose=0)
    nothing = type("Empty", (), {"__iter__": lambda self: iter(())})()
    with pytest.raises(ValueError, match="x must give at least one batch"):
        fresh().evaluate(nothing, verbose=0)
    with pytest.raises(ValueError, match="x must give at least one batch"):
        fresh().predict(iter(()), verbose=0)
    with pytest.raises(ValueError, match="use_multiprocessing must be False"):
        utils.PyDataset(use_multiprocessing=True)


def test_states_are_carried_from_batch_to_batch() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3, 1)), np.ones((4, 3, 2))
    model = models.Sequential(
        [layers.Input(batch_shape=(4, 3, 1)), layers.GRU(2, stateful=True, return_sequences=True)]
    )
    model.compile("sgd", "mse")
    whole = model.predict(x.reshape(8, 3, 1), verbose=0)
    model.reset_states()
    assert np.array_equal(model.predict(iter(x), verbose=0), whole)
    assert not np.array_equal(model.predict(x[0], verbose=0), whole[:4])
    with pytest.raises(ValueError, match="batch_size must be 4"):
        model.fit(iter([(x[0, :3], y[:3])]), verbose=0)


class Numbers(utils.PyDataset):
    """Batches of which number k holds k, twice."""

    def __init__(self, count: int = 8, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return np.full((2, 1), index), np.zeros((2, 1))


class Readable:
    """The same as an iterable that can be read again."""

    def __iter__(self) -> Iterator[Any]:
        return one_array(8)


def one_array(count: int | None = None) -> Iterator[Any]:
    """The same from a generator that fills one array again and again, for ever by default."""
    x = np.zeros((2, 1))
    for number in itertools.count() if count is None else range(count):
        x[:] = number
        yield x, np.zeros((2, 1))


def in_arrays() -> Any:
    return np.repeat(np.arange(8.0), 2)[:, None], np.zeros((16, 1))


SOURCES = {
    "dataset": Numbers,
    "threads": lambda: Numbers(workers=2, max_queue_size=1),
    "iterable": Readable,
    "generator": lambda: one_array(8),
    "endless": one_array,
    "arrays": in_arrays,
    "windows": lambda: utils.timeseries_dataset_from_array(
        np.repeat(np.arange(8.0), 2)[:, None, None], np.zeros((16, 1)), 1, batch_size=2
    ),
}


def squares(backend: str = "reference", windows: bool = False) -> models.Sequential:
    """A model whose loss is the mean of x², whatever it trains on."""
    shape = (1, 1, 1) if windows else (1,)
    parts = [layers.Input(shape), *([layers.Reshape((1,))] if windows else [])]
    model = models.Sequential([*parts, layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.0), "mse", backend=backend)
    return model


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize(("steps", "expected"), [(2, 0.5), (3, 5 / 3), (8, 17.5), (None, 17.5), (12, 17.5)])
def test_each_validation_begins_anew(kind: str, steps: int | None, expected: float, backend: str) -> None:
    """As in Keras, which says that the same samples are used every time; its own losses for all but generators."""
    few = steps == 12
    if kind == "endless":
        if steps is None:
            return
        expected, few = float(np.mean(np.arange(steps) ** 2.0)), False
    model, shape = squares(backend, kind == "windows"), (2, 1, 1, 1) if kind == "windows" else (2, 1)
    with pytest.warns(UserWarning, match="validation_data ran out of data.*12 batches, got 8") if few else NO_WARNING:
        history = model.fit(
            np.zeros(shape),
            np.zeros((2, 1)),
            epochs=4,
            validation_data=SOURCES[kind](),
            validation_steps=steps,
            validation_batch_size=2 if kind == "arrays" else None,
            verbose=0,
        )
    assert history.history["val_loss"] == pytest.approx([expected] * 4)


@pytest.mark.parametrize("kind", list(SOURCES))
def test_what_is_measured_is_read_from_the_beginning_and_once(kind: str) -> None:
    model = squares(windows=kind == "windows")
    options = {"batch_size": 2, "verbose": 0} if kind == "arrays" else {"verbose": 0}

    def given() -> dict[str, Any]:
        source = SOURCES[kind]()
        return {"x": source[0], "y": source[1]} if kind == "arrays" else {"x": source}

    for steps, numbers in ((2, 2), (8, 8), (12, 12 if kind == "endless" else 8)):
        for _ in range(2):
            few = steps != numbers
            with pytest.warns(UserWarning, match="x ran out of data: .*12 batches, got 8") if few else NO_WARNING:
                loss = model.evaluate(**given(), steps=steps, **options)
            assert loss == pytest.approx(np.mean(np.arange(numbers) ** 2.0))
            with pytest.warns(UserWarning, match="x ran out of data") if few else NO_WARNING:
                found = model.predict(given()["x"], steps=steps, **options)
            assert found[::2, 0].tolist() == list(range(numbers))


def test_a_generator_goes_on_from_one_evaluation_to_the_next() -> None:
    """Keras's values: what was read is gone, and nothing is read ahead."""
    model, source = squares(), one_array(8)
    assert model.evaluate(source, steps=2, verbose=0) == 0.5
    assert model.predict(source, steps=2, verbose=0)[::2, 0].tolist() == [2, 3]
    with pytest.warns(UserWarning, match="12 batches, got 4"):
        assert model.evaluate(source, steps=12, verbose=0) == 31.5
    with pytest.raises(ValueError, match="x must give at least one batch, got none"):
        model.evaluate(source, steps=12, verbose=0)
    with pytest.raises(ValueError, match="validation_data must give at least one batch, got none"):
        model.fit(np.zeros((2, 1)), np.zeros((2, 1)), validation_data=source, verbose=0)


@pytest.mark.parametrize("kind", ["dataset", "threads", "iterable", "endless", "arrays", "windows"])
def test_an_epoch_of_some_steps_goes_on_where_the_last_one_stopped(kind: str) -> None:
    model, source = squares(windows=kind == "windows"), SOURCES[kind]()
    x, y = source if kind == "arrays" else (source, None)
    options = {"batch_size": 2} if kind == "arrays" else {}
    history = model.fit(x, y, epochs=3, steps_per_epoch=3, shuffle=False, verbose=0, **options)
    last = 8 if kind == "endless" else 0  # a new pass
    expected = [np.mean(np.square(numbers)) for numbers in ([0, 1, 2], [3, 4, 5], [6, 7, last])]
    assert history.history["loss"] == pytest.approx(expected)
