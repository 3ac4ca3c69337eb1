"""fit, evaluate, predict and single steps: the arithmetic around the executors."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, Array, data, forecaster, same
from tolerance import assert_all_close, assert_close

from rnncore import callbacks, layers, losses, models, optimizers, utils


@pytest.fixture(params=BACKENDS, autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RNNCORE_BACKEND", request.param)
    return str(request.param)


X, Y = data()


def twins(**compile_arguments: Any) -> tuple[models.Sequential, models.Sequential]:
    """Two models with the same weights."""
    arguments = {"optimizer": "adam", "loss": "mse", "dtype_policy": "float64", **compile_arguments}
    a = forecaster(**arguments)
    b = forecaster(**{**arguments, "optimizer": optimizers.deserialize(optimizers.serialize(a.optimizer))})
    b.set_weights(a.get_weights())
    return a, b


def assert_same_weights(a: models.Model, b: models.Model) -> None:
    assert_all_close(a.get_weights(), b.get_weights())


# The order of samples


def test_epochs_are_steps_over_batches_in_order() -> None:
    a, b = twins(metrics=["mae"])
    history = a.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    for epoch in range(2):
        found = [(len(X[i : i + 8]), b.train_on_batch(X[i : i + 8], Y[i : i + 8])) for i in (0, 8, 16)]
        for k, key in enumerate(("loss", "mae")):
            assert history[key][epoch] == pytest.approx(sum(n * v[k] for n, v in found) / 20, rel=1e-10)
    assert a.optimizer.iterations == b.optimizer.iterations == 6
    assert_same_weights(a, b)


def test_shuffling_follows_the_seed_and_changes_the_order() -> None:
    found = []
    for seed, shuffle in ((1, True), (1, True), (2, True), (1, False)):
        utils.set_random_seed(7)
        model = forecaster(loss="mse", optimizer="sgd")
        utils.set_random_seed(seed)
        model.fit(X, Y, batch_size=3, epochs=2, shuffle=shuffle, verbose=0)
        found.append(model.get_weights())
    assert same(found[0], found[1])
    assert not same(found[0], found[2])
    assert not same(found[0], found[3])


def test_each_epoch_visits_every_sample_once() -> None:
    model = models.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.0), "mae")
    numbers = np.arange(1.0, 12.0)
    history = model.fit(numbers, np.zeros(11), batch_size=4, epochs=3, verbose=0).history
    assert history["loss"] == pytest.approx([numbers.mean()] * 3)


def test_steps_per_epoch_go_on_where_the_last_epoch_stopped() -> None:
    a, b = twins()
    a.fit(X, Y, batch_size=8, epochs=3, steps_per_epoch=1, shuffle=False, verbose=0)
    b.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    assert a.optimizer.iterations == 3
    # The third batch is the last 4 rows and the first 4 of the next pass.
    c = forecaster(optimizer="adam", loss="mse", dtype_policy="float64")
    assert same([X[16:], X[:4]], [X[16:20], X[0:4]])
    a, c = twins()
    a.fit(X, Y, batch_size=8, epochs=3, steps_per_epoch=1, shuffle=False, verbose=0)
    for rows in (np.arange(8), np.arange(8, 16), np.r_[16:20, 0:4]):
        c.train_on_batch(X[rows], Y[rows])
    assert_same_weights(a, c)


def test_initial_epoch_counts_on() -> None:
    model = forecaster(loss="mse")
    assert model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(X, Y, epochs=3, initial_epoch=3, verbose=0).history == {}


# Validation


def test_validation_split_keeps_the_last_samples_out() -> None:
    a, b = twins(metrics=["mae"])
    first = a.fit(X, Y, batch_size=4, epochs=2, shuffle=False, validation_split=0.3, verbose=0).history
    kept = (X[14:], Y[14:])
    second = b.fit(X[:14], Y[:14], batch_size=4, epochs=2, shuffle=False, validation_data=kept, verbose=0).history
    assert first == second
    assert list(first) == ["loss", "mae", "val_loss", "val_mae"]
    assert [first["val_loss"][-1], first["val_mae"][-1]] == pytest.approx(b.evaluate(*kept, verbose=0), rel=1e-10)
    assert_same_weights(a, b)


def test_validation_can_be_rare_weighted_and_short() -> None:
    model, _ = twins()
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0)
    assert len(history.history["val_loss"]) == 2
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=[1, 5], verbose=0)
    assert len(history.history["val_loss"]) == 2
    weights = np.arange(20.0)
    found = model.fit(X, Y, validation_data=(X, Y, weights), verbose=0).history["val_loss"]
    assert found == [pytest.approx(model.evaluate(X, Y, sample_weight=weights, verbose=0), rel=1e-10)]
    found = model.fit(X, Y, validation_data=(X, Y), validation_batch_size=3, validation_steps=2, verbose=0).history[
        "val_loss"
    ]
    assert found == [pytest.approx(model.evaluate(X[:6], Y[:6], verbose=0), rel=1e-10)]


# Weights of samples


def test_sample_weights_scale_the_loss_of_each_sample() -> None:
    model, _ = twins()
    weights = np.arange(20.0) / 7
    each = ((model.predict(X, verbose=0) - Y) ** 2).mean(axis=1)
    assert model.evaluate(X, Y, sample_weight=weights, verbose=0) == pytest.approx((weights * each).sum() / 20)
    assert model.evaluate(X, Y, sample_weight=weights[:, None], verbose=0) == pytest.approx((weights * each).sum() / 20)


def test_weights_of_time_steps() -> None:
    model = models.Sequential([layers.Input((6, 3)), layers.LSTM(2, return_sequences=True)])
    model.compile("sgd", "mae", weighted_metrics=["mae"], dtype_policy="float64")
    rng = np.random.default_rng(0)
    y, weights = rng.normal(size=(20, 6, 2)), rng.uniform(size=(20, 6))
    each = np.abs(model.predict(X, verbose=0) - y).mean(axis=-1)
    loss, metric = model.evaluate(X, y, sample_weight=weights, verbose=0)
    assert loss == pytest.approx((weights * each).mean())
    assert metric == pytest.approx((weights * each).sum() / weights.sum())


def test_class_weights_are_sample_weights_by_class() -> None:
    labels = np.arange(20) % 3
    chosen = {0: 0.5, 2: 3.0}
    by_sample = np.array([0.5, 1.0, 3.0])[labels]
    one_hot = np.eye(3)[labels]
    for loss, y in (("sparse_categorical_crossentropy", labels), ("categorical_crossentropy", one_hot)):
        pair = []
        for _ in range(2):
            utils.set_random_seed(4)
            model = models.Sequential([layers.Input((6, 3)), layers.GRU(3), layers.Dense(3, activation="softmax")])
            model.compile("sgd", loss, dtype_policy="float64")
            pair.append(model)
        pair[0].fit(X, y, class_weight=chosen, shuffle=False, verbose=0)
        pair[1].fit(X, y, sample_weight=by_sample, shuffle=False, verbose=0)
        assert same(pair[0].get_weights(), pair[1].get_weights())
        pair[0].fit(X, y, class_weight=chosen, sample_weight=by_sample, shuffle=False, verbose=0)
        pair[1].fit(X, y, sample_weight=by_sample**2, shuffle=False, verbose=0)
        assert_same_weights(pair[0], pair[1])


def test_class_weights_leave_validation_alone() -> None:
    model = models.Sequential([layers.Input((6, 3)), layers.GRU(3), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    labels, by_sample = np.arange(20) % 3, np.arange(1.0, 21)
    found = model.fit(
        X, labels, class_weight={0: 9.0}, sample_weight=by_sample, validation_split=0.25, verbose=0
    ).history["val_loss"]
    assert found == [pytest.approx(model.evaluate(X[15:], labels[15:], sample_weight=by_sample[15:], verbose=0))]


# Lengths


def test_lengths_make_padding_harmless() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 7, size=20)
    padded = np.where(np.arange(6)[:, None] < lengths[:, None, None], X, 99.0)
    a, b = twins()
    for k in (0, 7):
        alone = a.predict(X[k : k + 1, : lengths[k]], verbose=0)
        assert_close(a.predict(padded, lengths=lengths, verbose=0)[k : k + 1], alone)
    a.fit(padded, Y, lengths=lengths, epochs=2, verbose=0, shuffle=False)
    b.fit(X, Y, lengths=lengths.astype(float), epochs=2, verbose=0, shuffle=False)
    assert same(a.get_weights(), b.get_weights())
    assert a.evaluate(padded, Y, lengths=lengths, verbose=0) == b.evaluate(X, Y, lengths=lengths, verbose=0)
    assert a.evaluate(X, Y, lengths=lengths, verbose=0) != a.evaluate(X, Y, verbose=0)
    history = a.fit(X, Y, validation_data=(X, Y, None, lengths), verbose=0).history
    assert history["val_loss"] == [pytest.approx(a.evaluate(X, Y, lengths=lengths, verbose=0))]


# Shapes and dtypes


def test_a_last_axis_of_one_may_be_left_out() -> None:
    series, wanted = X[..., 0], Y[:, 0]
    found = []
    for x, y in ((series, wanted), (series[..., None], wanted[:, None])):
        utils.set_random_seed(5)
        model = models.Sequential([layers.SimpleRNN(4, input_shape=(6, 1)), layers.Dense(1)])
        model.compile(loss="mse")
        found.append(model.fit(x, y, verbose=0).history["loss"])
        assert model.predict(x, verbose=0).shape == (20, 1)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float32),
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1].copy()[::-1],
        lambda a: a.tolist(),
    ],
    ids=["float32", "byte-swapped", "column order", "every second", "negative strides", "lists"],
)
def test_layout_and_dtype_do_not_matter(change: Any) -> None:
    x, y = X.astype(np.float32).astype(np.float64), Y.astype(np.float32).astype(np.float64)
    a, b = twins()
    first = a.fit(x, y, shuffle=False, verbose=0).history
    assert b.fit(change(x), change(y), shuffle=False, verbose=0).history == first
    assert np.array_equal(b.predict(change(x), verbose=0), a.predict(x, verbose=0))


def test_read_only_integers_and_half_floats_work() -> None:
    a, _ = twins()
    whole = (X * 4).round()
    frozen = whole.copy()
    frozen.flags.writeable = False
    expected = a.predict(whole, verbose=0)
    for x in (frozen, whole.astype(np.int8), whole.astype(np.float16)):
        assert np.array_equal(a.predict(x, verbose=0), expected)


def test_user_arrays_stay_as_they_are() -> None:
    x, y, weights = X.copy(), Y.copy(), np.ones(20)
    a, _ = twins()
    a.fit(x, y, sample_weight=weights, verbose=0)
    assert same([x, y, weights], [X, Y, np.ones(20)])


# Predicting


def test_predictions_do_not_depend_on_the_batches() -> None:
    a, _ = twins()
    expected = a.predict_on_batch(X)
    for batch_size in (1, 3, 20, 50):
        assert_close(a.predict(X, batch_size=batch_size, verbose=0), expected)
    assert a.predict(X, batch_size=3, steps=2, verbose=0).shape == (6, 2)


def test_dropout_is_off_outside_training() -> None:
    model = models.Sequential([layers.Input((6, 3)), layers.Dropout(0.5), layers.GRU(3)])
    assert np.array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not np.array_equal(model.forward(X, training=True), model.forward(X, training=True))
    assert np.array_equal(model.forward(X), model.predict_on_batch(X))


# Steps by hand


def test_forward_backward_apply_is_a_training_step() -> None:
    a, b = twins()
    for _ in range(3):
        a.train_on_batch(X, Y)
        p = b.forward(X, training=True)
        b.backward(2 * (p - Y) / Y.size)
        b.apply_gradients()
    assert_same_weights(a, b)
    assert b.optimizer.iterations == 3


def test_backward_gives_the_gradients_of_weights_and_inputs() -> None:
    a, _ = twins()
    rng = np.random.default_rng(2)
    dy = rng.normal(size=Y.shape)
    a.forward(X, training=True)
    dx = a.backward(dy)
    gradients = [g.copy() for g in a.gradients]
    step = 1e-6

    def value(x: Array) -> float:
        return float((a.forward(x) * dy).sum())

    direction = rng.normal(size=X.shape)
    found = (value(X + step * direction) - value(X - step * direction)) / (2 * step)
    assert found == pytest.approx((dx * direction).sum(), rel=1e-7)
    weights = a.get_weights()
    directions = [rng.normal(size=w.shape) for w in weights]
    values = []
    for sign in (1, -1):
        a.set_weights([w + sign * step * d for w, d in zip(weights, directions, strict=True)])
        values.append(value(X))
    expected = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=1e-7)


def test_a_loss_of_ones_own_trains_like_the_built_in_one() -> None:
    def squared(y: Array, p: Array) -> tuple[float, Array]:
        return float(((p - y) ** 2).mean()), 2 * (p - y) / p.size

    a = models.Sequential([layers.Input((6, 3)), layers.GRU(3, kernel_regularizer="l2"), layers.Dense(2)])
    b = models.Sequential([layers.Input((6, 3)), layers.GRU(3, kernel_regularizer="l2"), layers.Dense(2)])
    b.set_weights(a.get_weights())
    histories = []
    for model, loss in ((a, squared), (b, losses.MeanSquaredError())):
        model.compile("adam", loss, metrics=["mae"], dtype_policy="float64")
        run = model.fit(X, Y, batch_size=6, epochs=2, shuffle=False, validation_split=0.2, verbose=0)
        histories.append(run.history)
    assert list(histories[0]) == list(histories[1])
    for key, values in histories[0].items():
        assert values == pytest.approx(histories[1][key], rel=1e-10)
    assert_same_weights(a, b)


def test_train_on_batch_and_test_on_batch_measure_one_batch() -> None:
    a, _ = twins(metrics=["mae"])
    a.train_on_batch(X[:5], Y[:5])
    expected = a.evaluate(X, Y, verbose=0)
    assert a.test_on_batch(X, Y) == pytest.approx(expected, rel=1e-10)
    assert a.train_on_batch(X, Y, return_dict=True) == pytest.approx(dict(zip(["loss", "mae"], expected, strict=True)))
    assert a.metrics_names == ["loss", "mae"]


# Stopping and showing


def test_ctrl_c_stops_soon_and_leaves_a_usable_model() -> None:
    model = forecaster(loss="mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4000, 60, 3)), rng.normal(size=(4000, 2))
    model.fit(x[:32], y[:32], verbose=0)
    before, done = model.get_weights(), model.optimizer.iterations
    sent: list[float] = []

    def interrupt() -> None:
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=10_000, verbose=0)
    passed = time.perf_counter() - sent[0]
    thread.join()
    assert passed < 0.2
    assert model.optimizer.iterations > done
    assert not same(model.get_weights(), before)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    again = model.optimizer.iterations
    assert np.isfinite(model.fit(x[:64], y[:64], verbose=0).history["loss"]).all()
    assert model.optimizer.iterations == again + 2


class Terminal:
    """A stand-in for a terminal's standard output."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    model = forecaster(loss="mse")

    def slow(batch: int, logs: dict[str, float]) -> None:
        time.sleep(0.06)

    model.fit(X, Y, batch_size=5, epochs=2, callbacks=callbacks.LambdaCallback(on_train_batch_end=slow))
    first, second = (epoch.split("\n") for epoch in terminal.text.split("Epoch ")[1:])
    assert first[0] == "1/2"
    assert second[0] == "2/2"
    drawings = first[1].split("\r")[1:]
    assert len(drawings) > 2
    assert any(drawing.startswith("2/4 ━━━━━━━━━━────────── ") for drawing in drawings)
    assert drawings[-1].startswith("4/4 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    assert " - loss: " in drawings[-1]


def test_a_terminal_without_block_characters_gets_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    terminal.encoding = "ascii"
    monkeypatch.setattr("sys.stdout", terminal)
    forecaster(loss="mse").evaluate(X, Y)
    assert "1/1 ==================== 0s " in terminal.text


def test_elsewhere_an_epoch_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = forecaster(loss="mse", metrics=["mae"])
    for verbose in (1, 2, "auto"):
        model.fit(X, Y, epochs=2, validation_split=0.5, verbose=verbose)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
        assert [part.split(":")[0] for part in lines[0].split(" - ")[4:]] == ["loss", "mae", "val_loss", "val_mae"]
    model.evaluate(X, Y)
    model.predict(X)
    assert [line.split(" - ")[0] for line in capsys.readouterr().out.splitlines()] == ["1/1", "1/1"]
    model.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""
