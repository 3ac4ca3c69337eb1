"""Callbacks: when hooks are called, and the rules of those that act."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster, same
from tolerance import assert_all_equal

from rnncore import callbacks, layers, models, optimizers, utils


def line(**compile_arguments: Any) -> models.Sequential:
    """One weight."""
    model = models.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_arguments})
    return model


class Script(callbacks.Callback):
    """Puts scripted values into the logs, and the number of the epoch into the weight."""

    def __init__(self, values: Iterable[float], key: str = "val_loss") -> None:
        self.values = list(values)
        self.key = key

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs[self.key] = self.values[epoch]
        self.model.set_weights([[[epoch]]])


def run(callback: callbacks.Callback, values: list[float], key: str = "val_loss") -> models.Sequential:
    """Train as many epochs as there are values, without data of consequence."""
    model = line(optimizer=optimizers.SGD(1.0), metrics=["binary_accuracy"])
    zero = np.zeros((1, 1))
    model.fit(zero, zero, epochs=len(values), verbose=0, callbacks=[Script(values, key), callback])
    return model


def epochs_done(model: models.Sequential) -> int:
    assert model.history is not None
    return len(model.history.epoch)


class Recorder(callbacks.Callback):
    """Writes down every hook that is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def hook(*arguments: Any) -> None:
            number = f" {arguments[0]}" if arguments and isinstance(arguments[0], int) else ""
            self.calls.append(name.removeprefix("on_") + number)

        return hook


def test_hooks_come_in_order() -> None:
    x, y = data(rows=5)
    model, recorder = forecaster(loss="mse"), Recorder()
    model.fit(x[:4], y[:4], batch_size=2, epochs=2, verbose=0, callbacks=recorder, validation_data=(x[4:], y[4:]))
    batch = [f"train_batch_{hook} {k}" for k in (0, 1) for hook in ("begin", "end")]
    test = ["test_begin", "test_batch_begin 0", "test_batch_end 0", "test_end"]
    epochs = [[f"epoch_begin {k}", *batch, *test, f"epoch_end {k}"] for k in (0, 1)]
    assert recorder.calls == ["train_begin", *epochs[0], *epochs[1], "train_end"]

    recorder.calls.clear()
    model.predict(x, batch_size=3, verbose=0, callbacks=[recorder])
    batches = [f"predict_batch_{hook} {k}" for k in (0, 1) for hook in ("begin", "end")]
    assert recorder.calls == ["predict_begin", *batches, "predict_end"]
    recorder.calls.clear()
    model.evaluate(x, y, verbose=0, callbacks=[recorder])
    assert recorder.calls == test


def test_batch_logs_are_running_means() -> None:
    x, y = data(rows=5)
    seen: list[float] = []
    model = forecaster(loss="mse", optimizer=optimizers.SGD(0.0))
    show = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=show)
    expected = [model.test_on_batch(x[:stop], y[:stop]) for stop in (2, 4, 5)]
    assert seen == pytest.approx(expected, rel=1e-5)


def test_parameters_and_model_are_known_to_callbacks() -> None:
    x, y = data(rows=5)
    model, callback = forecaster(loss="mse"), callbacks.Callback()
    model.fit(x, y, batch_size=2, epochs=3, verbose=0, callbacks=[callback])
    assert callback.model is model
    assert callback.params == {"verbose": 0, "epochs": 3, "steps": 3}


def test_stop_training_ends_after_a_batch() -> None:
    x, y = data(rows=10)
    model = forecaster(loss="mse")

    def stop(batch: int, logs: dict[str, float]) -> None:
        model.stop_training = batch == 2

    model.fit(x, y, batch_size=2, epochs=5, verbose=0, callbacks=callbacks.LambdaCallback(on_train_batch_end=stop))
    assert (epochs_done(model), model.optimizer.iterations) == (1, 3)
    model.fit(x, y, batch_size=2, epochs=1, verbose=0)
    assert model.optimizer.iterations == 8


def test_an_error_in_a_callback_leaves_the_last_whole_step() -> None:
    x, y = data(rows=10)
    model, twin = forecaster(loss="mse"), forecaster(loss="mse")
    twin.set_weights(model.get_weights())

    def fail(batch: int, logs: dict[str, float]) -> None:
        if batch == 1:
            raise RuntimeError("enough")

    failing = callbacks.LambdaCallback(on_train_batch_end=fail)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=[failing])
    assert model.optimizer.iterations == 2
    twin.fit(x[:4], y[:4], batch_size=2, shuffle=False, verbose=0)
    assert_all_equal(model.get_weights(), twin.get_weights())


# EarlyStopping


@pytest.mark.parametrize(
    ("values", "options", "epochs", "kept"),
    [
        ([5, 4, 3, 2, 1], {}, 5, None),
        ([3, 4, 2, 1, 0], {}, 2, None),  # patience 0: the first epoch without improvement
        ([3, 3, 3, 3, 3], {"patience": 2}, 3, None),
        ([5, 5, 4, 5, 5, 5], {"patience": 2}, 5, None),
        ([5, 4.5, 4.1, 3.7, 3.3], {"min_delta": 0.5}, 2, None),  # 0.5 less is no improvement by more than 0.5
        ([5, 4.5, 4.1, 3.7, 3.3], {"min_delta": -0.3}, 5, None),  # the sign does not matter
        ([5, 4, 3, 2, 1], {"baseline": 0.5, "patience": 3}, 5, None),  # improving each time, though never enough
        ([5, 4, 4, 4, 4], {"baseline": 0.5, "patience": 3}, 3, None),  # epochs above the baseline count
        ([1, 9, 9, 9, 5], {"start_from_epoch": 3}, 5, None),
        ([math.nan] * 4, {"patience": 2}, 3, None),
        ([3, 1, 2, 2, 2, 2], {"patience": 2, "restore_best_weights": True}, 4, 1),
        ([3, 2, 1], {"patience": 5, "restore_best_weights": True}, 3, 2),
        ([2, 1, 3], {"patience": 5, "restore_best_weights": True}, 3, 1),  # restored though not stopped early
        ([1, 9, 8, 9, 9], {"restore_best_weights": True, "start_from_epoch": 1, "patience": 2}, 5, 2),
    ],
)
def test_early_stopping(values: list[float], options: dict[str, Any], epochs: int, kept: int | None) -> None:
    model = run(callbacks.EarlyStopping(**options), values)
    assert epochs_done(model) == epochs
    assert model.get_weights()[0].item() == (epochs - 1 if kept is None else kept)


def test_early_stopping_watches_accuracies_upwards() -> None:
    key = "val_binary_accuracy"
    assert epochs_done(run(callbacks.EarlyStopping(key), [0.1, 0.2, 0.3, 0.2], key)) == 4
    assert epochs_done(run(callbacks.EarlyStopping(key), [0.3, 0.2, 0.1, 0.1], key)) == 2
    assert epochs_done(run(callbacks.EarlyStopping(key, mode="min"), [0.3, 0.2, 0.1, 0.2], key)) == 4


def test_early_stopping_can_be_used_again() -> None:
    stop = callbacks.EarlyStopping()
    assert epochs_done(run(stop, [1, 2, 3])) == 2
    assert epochs_done(run(stop, [9, 8, 7])) == 3


def test_monitors_say_what_is_missing() -> None:
    x, y = data(rows=4)
    model = forecaster(loss="mse")
    with pytest.warns(UserWarning, match="'val_loss', which is not logged; logged are: loss"):
        model.fit(x, y, verbose=0, callbacks=callbacks.EarlyStopping())
    with pytest.raises(ValueError, match="monitor 'speed' is none of loss, binary_accuracy; give mode='min'"):
        run(callbacks.EarlyStopping("speed"), [1.0, 2.0], "speed")


# ReduceLROnPlateau


@pytest.mark.parametrize(
    ("values", "options", "rates"),
    [
        ([3, 3, 3, 3, 3], {"patience": 2}, [1, 1, 1, 0.1, 0.1]),
        ([3, 2, 1, 0, -1], {"patience": 1}, [1, 1, 1, 1, 1]),
        ([3, 3, 3, 3, 3], {"patience": 1, "factor": 0.5, "cooldown": 1}, [1, 1, 0.5, 0.25, 0.125]),
        ([3, 3, 3, 3, 3, 3], {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([3, 3, 3, 3], {"patience": 1, "factor": 0.1, "min_lr": 0.05}, [1, 1, 0.1, 0.05]),
        ([3, 2.99995, 2.9999, 2], {"patience": 1}, [1, 1, 0.1, 0.1 * 0.1]),  # below min_delta
    ],
)
def test_reduce_on_plateau(values: list[float], options: dict[str, Any], rates: list[float]) -> None:
    model = run(callbacks.ReduceLROnPlateau(**options), values)
    assert model.history is not None
    assert model.history.history["learning_rate"] == pytest.approx(rates)


def test_reduce_on_plateau_wants_a_factor_below_one() -> None:
    with pytest.raises(ValueError, match="factor must be below 1, got 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


# The others


def test_learning_rate_scheduler_sets_and_logs() -> None:
    for schedule in (lambda epoch, rate: rate / 2, lambda epoch: 0.5 ** (epoch + 1)):
        model = line(optimizer=optimizers.SGD(1.0))
        scheduler = callbacks.LearningRateScheduler(schedule)
        history = model.fit([[1.0]], [1.0], epochs=3, verbose=0, callbacks=[scheduler])
        assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    with pytest.raises(TypeError, match="what schedule returned must be a number, got str"):
        line().fit([[1.0]], [1.0], verbose=0, callbacks=callbacks.LearningRateScheduler(lambda epoch: "fast"))


def test_a_rate_set_between_batches_is_used_by_the_next() -> None:
    model = line(optimizer=optimizers.SGD(0.0))

    def faster(batch: int, logs: dict[str, float]) -> None:
        model.optimizer.learning_rate = 0.25

    faster_after = callbacks.LambdaCallback(on_train_batch_end=faster)
    model.fit([[1.0], [1.0]], [0.0, 0.0], batch_size=1, verbose=0, callbacks=faster_after)
    assert model.get_weights()[0].item() == 0.5  # 1 - 0 · 2, then 1 - 0.25 · 2


def test_terminate_on_nan() -> None:
    model = line()
    x = np.array([[1.0], [math.nan], [1.0], [1.0]])
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        model.fit(x, x, batch_size=1, epochs=3, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert model.optimizer.iterations == 2
    assert printed == ["Batch 1: the loss is nan, training stops"]


def test_csv_logger_writes_appends_and_fills(tmp_path: Path) -> None:
    file, model = tmp_path / "log.csv", line(metrics=["mae"])
    first = model.fit([[1.0]], [0.0], epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(file)])
    second = model.fit(
        [[1.0]], [0.0], epochs=3, initial_epoch=2, verbose=0, callbacks=[callbacks.CSVLogger(file, append=True)]
    )
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for key in ("loss", "mae"):
        assert [float(row[key]) for row in rows] == first.history[key] + second.history[key]
    model.fit([[1.0]], [0.0], verbose=0, callbacks=[callbacks.CSVLogger(file, separator=";")])
    assert file.read_text().splitlines()[0] == "epoch;loss;mae;val_loss;val_mae"
    assert len(file.read_text().splitlines()) == 2


def test_checkpoints_take_names_and_come_when_asked(tmp_path: Path) -> None:
    x, y = data(rows=6)
    model = forecaster(loss="mse")
    save = callbacks.ModelCheckpoint(tmp_path / "deep" / "{epoch:02d}-{val_loss:.2f}.rnn")
    history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.5, callbacks=[save])
    expected = [f"{k + 1:02d}-{loss:.2f}.rnn" for k, loss in enumerate(history.history["val_loss"])]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == expected
    again = models.load_model(tmp_path / "deep" / expected[-1])
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))

    weights = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{batch}.weights.safetensors", save_weights_only=True, save_freq=2
    )
    model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[weights])
    found = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert found == ["1-2.weights.safetensors", "2-1.weights.safetensors", "2-3.weights.safetensors"]


def test_checkpoints_of_the_best_only(tmp_path: Path) -> None:
    path = tmp_path / "best.rnn"
    run(callbacks.ModelCheckpoint(path, save_best_only=True), [3, 1, 2])
    assert models.load_model(path).get_weights()[0].item() == 1
    run(callbacks.ModelCheckpoint(path, save_best_only=True, initial_value_threshold=0.5), [3, 1, 2])
    assert models.load_model(path).get_weights()[0].item() == 1
    run(
        callbacks.ModelCheckpoint(path, "val_binary_accuracy", save_best_only=True),
        [0.1, 0.3, 0.9],
        "val_binary_accuracy",
    )
    assert models.load_model(path).get_weights()[0].item() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filepath": "model.keras"}, r"filepath of a model must end in '.rnn', got 'model.keras'"),
        ({"filepath": "model.h5"}, r"must end in '.rnn'"),
        ({"filepath": "m.weights.h5", "save_weights_only": True}, r"must end in '.weights.safetensors'"),
        ({"filepath": "m.rnn", "save_freq": 0}, "save_freq .* must be at least 1"),
        ({"filepath": "m.rnn", "mode": "up"}, "unknown mode 'up'"),
    ],
)
def test_checkpoints_refuse_what_they_cannot_do(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        callbacks.ModelCheckpoint(**arguments)


def test_checkpoint_names_must_be_logged(tmp_path: Path) -> None:
    save = callbacks.ModelCheckpoint(tmp_path / "{speed}.rnn")
    with pytest.raises(KeyError, match="uses 'speed', which is not logged; logged are: epoch, loss"):
        line().fit([[1.0]], [1.0], verbose=0, callbacks=[save])


def test_what_is_watched_has_a_name() -> None:
    with pytest.raises(TypeError, match="monitor must be a string, got NoneType None"):
        callbacks.EarlyStopping(monitor=None)  # type: ignore[arg-type]


def test_lambda_callback_knows_the_hooks() -> None:
    with pytest.raises(ValueError, match="on_epoch_start is not a hook"):
        callbacks.LambdaCallback(on_epoch_start=print)
    with pytest.raises(TypeError, match="on_epoch_end must be callable, got str"):
        callbacks.LambdaCallback(on_epoch_end="print")


def test_callbacks_must_be_callbacks() -> None:
    with pytest.raises(TypeError, match="callbacks must be a Callback or a list of them, got function"):
        line().fit([[1.0]], [1.0], verbose=0, callbacks=[lambda epoch: None])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("save_freq", "resumed"), [("epoch", [2, 3, 4]), (3, [1, 2, 3, 4])])
def test_an_interrupted_training_goes_on(
    save_freq: str | int, resumed: list[int], backend: str, tmp_path: Path
) -> None:
    x, y = data(rows=12)
    halve = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)

    def fit(model: models.Sequential, *more: callbacks.Callback, seed: int = 1) -> callbacks.History:
        utils.set_random_seed(seed)
        return model.fit(x, y, batch_size=4, epochs=5, verbose=0, callbacks=[*more, halve])

    def made() -> models.Sequential:
        model = forecaster(optimizer=optimizers.Adam(0.01), loss="mse", backend=backend)
        model.set_weights([np.full(weight.shape, 0.1) for weight in model.get_weights()])
        return model

    def interrupt(epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    def backup() -> callbacks.BackupAndRestore:
        return callbacks.BackupAndRestore(tmp_path / "backup", save_freq)

    with pytest.raises(KeyboardInterrupt):
        fit(made(), callbacks.LambdaCallback(on_epoch_begin=interrupt), backup())
    assert len(list((tmp_path / "backup").iterdir())) == 1
    going_on, whole = made(), made()
    assert fit(going_on, backup(), seed=2).epoch == resumed  # the order of the samples is in the backup
    assert list((tmp_path / "backup").iterdir()) == []
    fit(whole)
    if save_freq == "epoch":
        assert going_on.optimizer.iterations == whole.optimizer.iterations == 15
        assert going_on.optimizer.learning_rate == whole.optimizer.learning_rate == 0.01 / 32
        assert same(going_on.get_weights(), whole.get_weights())


def test_a_backup_of_another_model_is_refused(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(loss="mse")
    model.fit(x, y, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    other = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    other.compile(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)), "mse")
    before = other.get_weights()
    with pytest.raises(ValueError, match="does not fit: its weights are those of other layers"):
        other.fit(x, y, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    assert same(before, other.get_weights())
    with pytest.raises(ValueError, match="backup_dir must name a directory"):
        callbacks.BackupAndRestore("")
    with pytest.raises(ValueError, match=r"save_freq .* must be at least 1, got 0"):
        callbacks.BackupAndRestore("a", 0)


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_weights_that_a_callback_moves_are_not_lost_silently(backend: str) -> None:
    """A new model of trained and new layers holds them in one vector."""
    x = layers.Input((3,))
    y = layers.Dense(1)(x)
    model = models.Model(x, y)
    model.compile("sgd", "mse", backend=backend)

    class Looks(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            models.Model(x, layers.Dense(2)(y)).predict(np.ones((1, 3)), verbose=0)

    with pytest.raises(RuntimeError, match="the weights were moved between two batches"):
        model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=[Looks()])
