"""Scripted runs that show each rule of the callbacks, for two libraries: `k` is Keras or rnncore."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

NAN = math.nan


@dataclass(frozen=True)
class Case:
    """A callback and what it is shown: one value for each epoch, under `key`."""

    name: str
    callback: str
    options: dict[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    key: str = "val_loss"
    batches: int = 1
    metrics: tuple[str, ...] = ()


def endings(k: Any) -> tuple[str, str]:
    """Of a file with a model, and of one with weights."""
    return (".rnn", ".weights.safetensors") if k.__name__ == "rnncore" else (".keras", ".weights.h5")


def weights_of(k: Any, path: Path) -> float:
    """The one weight that a file holds."""
    model = one_weight(k)
    if path.name.endswith(endings(k)[1]):
        model.load_weights(path)
    else:
        model = k.models.load_model(path)
    return float(model.get_weights()[0].item())


def one_weight(k: Any, metrics: tuple[Any, ...] = ()) -> Any:
    """A model whose weight no data moves: its inputs are zeros."""
    dense = k.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = k.models.Sequential([k.layers.Input((1,)), dense])
    model.compile(optimizer=k.optimizers.SGD(1.0), loss="mse", metrics=list(metrics))
    return model


def worst(y_true: Any, y_pred: Any) -> Any:
    """A metric that is a function: nobody can tell which way is better."""
    return y_pred[:, 0] - y_true[:, 0]


def scripted(k: Any, case: Case) -> Any:
    """Puts the values into the logs, and the number of the batch (or epoch) into the weight."""

    class Script(k.callbacks.Callback):  # type: ignore[misc,name-defined]
        batches = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1
            self.model.set_weights([np.full((1, 1), self.batches)])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if case.values:
                logs[case.key] = case.values[epoch]

    return Script()


def decided(model: Any, history: Any) -> dict[str, Any]:
    """Where training ended, and the rates on the way."""
    return {
        "epochs": len(history.epoch),
        "weight": float(model.get_weights()[0].item()),
        "rate": float(model.optimizer.learning_rate),
        "rates": [float(rate) for rate in history.history.get("learning_rate", [])],
    }


def used_again(k: Any, folder: Path) -> dict[str, Any]:
    """What callbacks decide that saw another training before."""
    folder.mkdir()
    found: dict[str, Any] = {}
    x = np.zeros((2, 1), np.float32)
    for number, (name, options) in enumerate(
        [
            ("EarlyStopping", {"patience": 2}),
            ("EarlyStopping", {"patience": 2, "restore_best_weights": True}),
            ("ReduceLROnPlateau", {"patience": 2}),
            ("ReduceLROnPlateau", {"patience": 1, "cooldown": 4, "factor": 0.5}),
            ("ModelCheckpoint", {"filepath": str(folder / ("{epoch}" + endings(k)[0])), "save_best_only": True}),
            ("ModelCheckpoint", {"filepath": str(folder / ("b{epoch}-{batch}" + endings(k)[0])), "save_freq": 5}),
        ]
    ):
        callback, runs = getattr(k.callbacks, name)(mode="min", **options), []
        for values in ((2.0, 3.0, 1.0, 1.5, 1.5), (9.0, 8.0, 8.5, 8.0, 8.0, 7.0, 7.0)):
            model = one_weight(k)
            script = scripted(k, Case("", "", values=values))
            fit = {"batch_size": 1, "epochs": len(values), "verbose": 0, "shuffle": False}
            runs.append(decided(model, model.fit(x, x, callbacks=[script, callback], **fit)))
        found[f"{name}-{number}"] = runs
    return found | {"saved": sorted(path.name.removesuffix(endings(k)[0]) for path in folder.iterdir())}


def run(k: Any, case: Case, folder: Path) -> dict[str, Any]:
    """What the callback decided."""
    options = dict(case.options)
    if case.callback == "ModelCheckpoint":
        whole, weights = endings(k)
        name = options.pop("filepath", "{epoch}")
        options["filepath"] = str(folder / (name + (weights if options.get("save_weights_only") else whole)))
    elif case.callback == "CSVLogger":
        options["filename"] = str(folder / "log.csv")
    callback = getattr(k.callbacks, case.callback)(**options)
    model = one_weight(k, (worst,) if "worst" in case.metrics else case.metrics)
    x = np.zeros((case.batches, 1), np.float32)
    fit = {"batch_size": 1, "epochs": len(case.values), "verbose": 0, "shuffle": False}
    callbacks = [scripted(k, case), callback]
    try:
        history = model.fit(x, x, callbacks=callbacks, **fit)
    except ValueError:
        return {"refused": True}
    found = decided(model, history)
    if case.callback == "ModelCheckpoint":
        found["saved"] = {
            path.name.removesuffix(endings(k)[0]).removesuffix(endings(k)[1]): weights_of(k, path)
            for path in sorted(folder.iterdir())
        }
    elif case.callback == "CSVLogger":
        if options.get("append"):
            model.fit(x, x, callbacks=callbacks, **fit)
        found["text"] = (folder / "log.csv").read_bytes().decode()
    return found


def _stopping(name: str, values: tuple[float, ...], key: str = "val_loss", **options: Any) -> list[Case]:
    """Early stopping where less is better and, with all signs turned, where more is."""
    mirrored = options | {"baseline": -options["baseline"]} if "baseline" in options else options
    return [
        Case(f"stopping-{name}-min", "EarlyStopping", {**options, "mode": "min"}, values, key),
        Case(f"stopping-{name}-max", "EarlyStopping", {**mirrored, "mode": "max"}, tuple(-v for v in values), key),
    ]


def _plateau(name: str, values: tuple[float, ...], **options: Any) -> list[Case]:
    return [
        Case(f"plateau-{name}-{mode}", "ReduceLROnPlateau", {**options, "mode": mode}, tuple(s * v for v in values))
        for mode, s in (("min", 1), ("max", -1))
    ]


def _best(name: str, values: tuple[float, ...], **options: Any) -> list[Case]:
    options = {"save_best_only": True, **options}
    threshold = options.get("initial_value_threshold")
    mirrored = options if threshold is None else options | {"initial_value_threshold": -threshold}
    return [
        Case(f"best-{name}-min", "ModelCheckpoint", {**options, "mode": "min"}, values),
        Case(f"best-{name}-max", "ModelCheckpoint", {**mirrored, "mode": "max"}, tuple(-v for v in values)),
    ]


UP, DOWN = (1.0, 2.0, 3.0, 2.0, 2.0), (3.0, 2.0, 1.0, 2.0, 2.0)
SLOW = (5.0, 4.5, 4.0, 3.4, 3.0, 2.4, 2.0)  # halves are exact: a step of 0.5 is none above a min_delta of 0.5
CASES = [
    *_stopping("patience0", (3.0, 2.0, 2.5, 1.0, 0.5)),
    *_stopping("patience1", (3.0, 2.0, 2.5, 1.0, 1.5, 1.5, 0.5), patience=1),
    *_stopping("patience2", (3.0, 3.0, 3.0, 3.0, 3.0), patience=2),
    *_stopping("waits-anew", (5.0, 5.0, 4.0, 5.0, 5.0, 5.0, 5.0), patience=3),
    *_stopping("first-epoch", (2.0, 3.0, 1.0)),
    *_stopping("min_delta", SLOW, min_delta=0.5),
    *_stopping("min_delta-patience", SLOW, min_delta=0.5, patience=2),
    *_stopping("min_delta-negative", (5.0, 4.875, 4.75, 4.5, 4.0), min_delta=-0.25),
    *_stopping("min_delta-zero", SLOW),
    *_stopping("baseline-missed", (5.0, 4.0, 4.0, 4.0, 4.0, 4.0), baseline=0.5, patience=3),
    *_stopping("baseline-improving", (5.0, 4.0, 3.0, 2.0, 1.0, 0.75), baseline=0.5, patience=3),
    *_stopping("baseline-met", (5.0, 0.25, 0.5, 0.5, 0.5), baseline=0.5, patience=2),
    *_stopping("baseline-touched", (0.5, 0.5, 0.5, 0.5), baseline=0.5, patience=2),
    *_stopping("baseline-min_delta", (0.25, 0.25, 0.25, 0.25, 0.25), baseline=0.5, patience=2, min_delta=0.25),
    *_stopping("start", (1.0, 9.0, 9.0, 9.0, 5.0, 6.0, 4.0), start_from_epoch=3),
    *_stopping("start-patience", (1.0, 2.0, 9.0, 9.0, 9.5, 9.0, 4.0), start_from_epoch=2, patience=2),
    *_stopping("nan", (NAN, 1.0, 1.0, 1.0), patience=2),
    *_stopping("later-nan", (3.0, NAN, 1.0, 2.0, 2.0), patience=2),
    *_stopping("restore", (3.0, 1.0, 2.0, 2.0, 2.0), patience=2, restore_best_weights=True),
    *_stopping("restore-not-stopped", (2.0, 1.0, 3.0), patience=5, restore_best_weights=True),
    *_stopping("restore-last", (3.0, 2.0, 1.0), patience=5, restore_best_weights=True),
    *_stopping("restore-baseline", (3.0, 2.0, 4.0, 4.0), patience=3, restore_best_weights=True, baseline=1.0),
    *_stopping("restore-start", (1.0, 9.0, 8.0, 9.0, 9.0), patience=2, restore_best_weights=True, start_from_epoch=1),
    *_stopping("restore-min_delta", SLOW, patience=1, restore_best_weights=True, min_delta=0.5),
    *_stopping("no-restore", (3.0, 1.0, 2.0, 2.0, 2.0), patience=2),
    *(
        Case(f"auto-{name}-{way}", "EarlyStopping", {"monitor": f"val_{key}"}, values, f"val_{key}", 1, metrics)
        for name, key, metrics in (
            ("loss", "loss", ()),
            ("accuracy", "binary_accuracy", ("binary_accuracy",)),
            ("mae", "mae", ("mae",)),
            ("function", "worst", ("worst",)),
            ("unknown", "speed", ()),
        )
        for way, values in (("up", UP), ("down", DOWN))
    ),
    *(
        Case(f"auto-{callback}-{key}", callback, {"monitor": key, **more}, UP, key, 1, ("worst",))
        for callback, more in (
            ("ReduceLROnPlateau", {"patience": 1}),
            ("ModelCheckpoint", {"save_best_only": True, "save_weights_only": True}),
        )
        for key in ("loss", "val_worst", "worst", "speed")
    ),
    *_plateau("patience2", (3.0, 3.0, 3.0, 3.0, 3.0, 3.0), patience=2),
    *_plateau("patience0", (3.0, 2.0, 2.0, 1.0, 1.0), patience=0),
    *_plateau("improving", (3.0, 2.0, 1.0, 0.5), patience=1),
    *_plateau("waits-anew", (3.0, 3.0, 2.0, 2.0, 2.0, 2.0), patience=2),
    *_plateau("factor", (3.0, 3.0, 3.0, 3.0), patience=1, factor=0.5),
    *_plateau("min_delta", (3.0, 2.5, 2.0, 1.4, 1.0, 1.0), patience=1, min_delta=0.5),
    *_plateau("min_delta-default", (3.0, 2.99995, 2.9999, 2.9, 2.9), patience=1),
    *_plateau("cooldown1", (3.0,) * 7, patience=1, cooldown=1, factor=0.5),
    *_plateau("cooldown2", (3.0,) * 8, patience=1, cooldown=2, factor=0.5),
    *_plateau("cooldown-patience", (3.0,) * 10, patience=2, cooldown=2, factor=0.5),
    *_plateau("cooldown-improves", (3.0, 3.0, 2.0, 2.0, 2.0, 2.0), patience=1, cooldown=2, factor=0.5),
    *_plateau("min_lr", (3.0,) * 6, patience=1, factor=0.25, min_lr=0.125),
    *_plateau("min_lr-reached", (3.0,) * 4, patience=1, factor=0.25, min_lr=1.0),
    *_plateau("nan", (NAN, 1.0, 1.0, 1.0), patience=1),
    Case("checkpoint-epochs", "ModelCheckpoint", {}, UP),
    Case("checkpoint-weights", "ModelCheckpoint", {"save_weights_only": True}, UP),
    Case("checkpoint-same-name", "ModelCheckpoint", {"filepath": "last"}, UP),
    Case("checkpoint-fields", "ModelCheckpoint", {"filepath": "{epoch:02d}-{val_loss:.1f}"}, UP),
    *(
        Case(
            f"checkpoint-every-{freq}-of-{batches}",
            "ModelCheckpoint",
            {"filepath": "{epoch}-{batch}", "save_freq": freq, "save_weights_only": True},
            UP,
            batches=batches,
        )
        for freq, batches in ((1, 2), (2, 3), (3, 2), (4, 3), (5, 1))
    ),
    *_best("improves", (3.0, 1.0, 2.0, 0.5)),
    *_best("once", (1.0, 1.0, 2.0), filepath="best"),
    *_best("threshold", (3.0, 1.0, 2.0, 0.25), initial_value_threshold=0.5),
    *_best("threshold-touched", (0.5, 0.5), initial_value_threshold=0.5),
    *_best("missing", (3.0, 1.0), monitor="val_speed"),
    *_best("nan", (NAN, 1.0, 2.0)),
    Case("csv", "CSVLogger", {}, UP),
    Case("csv-no-validation", "CSVLogger", {}, UP, "other"),
    Case("csv-separator", "CSVLogger", {"separator": ";"}, UP),
    Case("csv-append", "CSVLogger", {"append": True}, UP),
]


def scheduled(k: Any) -> dict[str, list[float]]:
    """The rates that schedules of the epoch, and of the epoch and the rate, lead to."""
    found = {}
    schedules: dict[str, Callable[..., float]] = {
        "of-both": lambda epoch, rate: rate / (epoch + 2),
        "of-epoch": lambda epoch: 0.5 ** (epoch + 1),
        "of-any": lambda *arguments: 0.5 if len(arguments) == 2 else 0.25,
        "with-default": lambda epoch, factor=0.5: factor * 0.5,
    }
    for name, schedule in schedules.items():
        callback = k.callbacks.LearningRateScheduler(schedule)
        x = np.zeros((2, 1), np.float32)
        history = one_weight(k).fit(x, x, epochs=3, initial_epoch=1, verbose=0, callbacks=[callback])
        found[name] = [float(rate) for rate in history.history["learning_rate"]]
    return found


def terminated(k: Any) -> dict[str, list[int]]:
    """Steps and epochs until a loss that is not finite ends training, and whether it is an error."""
    found = {}
    for name, bad in (("nan", NAN), ("inf", math.inf)):
        for raises in (False, True):
            x = np.array([[0.0], [0.0], [bad], [0.0]], np.float32)
            model, epochs = one_weight(k), 0
            guard = k.callbacks.TerminateOnNaN(raise_error=raises)
            try:
                options = {"batch_size": 1, "epochs": 3, "shuffle": False, "verbose": 0}
                epochs = len(model.fit(np.zeros((4, 1), np.float32), x, callbacks=[guard], **options).epoch)
                failed = 0
            except RuntimeError:
                failed = 1
            found[f"{name}-{raises}"] = [int(model.optimizer.iterations), epochs, failed]
    return found


HOOKS = [f"on_{mode}_{when}" for mode in ("train", "test", "predict") for when in ("begin", "end")]
HOOKS += [f"on_{mode}_batch_{when}" for mode in ("train", "test", "predict") for when in ("begin", "end")]
HOOKS += ["on_epoch_begin", "on_epoch_end"]


def hooks_called(k: Any) -> dict[str, list[str]]:
    """Every hook in the order in which it is called, with its number."""
    calls: list[str] = []

    def recorder(hook: str) -> Callable[..., None]:
        def record(*arguments: Any, **keywords: Any) -> None:
            numbers = [str(a) for a in arguments if isinstance(a, int)]
            calls.append(" ".join([hook, *numbers]))

        return record

    def taken() -> list[str]:
        found, calls[:] = list(calls), []
        return found

    callback = k.callbacks.LambdaCallback(**{hook: recorder(hook) for hook in HOOKS})

    class Both(k.callbacks.Callback):  # type: ignore[misc,name-defined]
        on_train_batch_begin = staticmethod(recorder("on_train_batch_begin"))
        on_batch_begin = staticmethod(recorder("on_batch_begin"))
        on_batch_end = staticmethod(recorder("on_batch_end"))

    x = np.zeros((3, 1), np.float32)
    model, options = one_weight(k), {"batch_size": 2, "verbose": 0}
    model.fit(x, x, epochs=2, validation_data=(x, x), callbacks=[callback], **options)
    found = {"fit": taken()}
    model.evaluate(x, x, callbacks=[callback], **options)
    found["evaluate"] = taken()
    model.predict(x, callbacks=[callback], **options)
    found["predict"] = taken()
    model.fit(x, x, callbacks=[Both()], **options)
    found["older names"] = taken()
    return found


def resumed(k: Any, folder: Path) -> dict[str, Any]:
    """Where training goes on after an interruption: its epochs, and the weight it begins with."""
    found: dict[str, Any] = {}
    for name, save_freq, stop in (("epoch", "epoch", 2), ("batches", 3, 2), ("few", 1, 1), ("done", "epoch", None)):
        for deleted in (True, False):
            place = folder / f"{name}-{deleted}"

            def fit(stop: int | None, place: Path = place, deleted: bool = deleted, save_freq: Any = save_freq) -> Any:
                begins: list[float] = []

                def begin(epoch: int, logs: Any = None) -> None:
                    begins.append(float(model.get_weights()[0].item()))
                    if epoch == stop:
                        raise RuntimeError

                model = one_weight(k)
                callbacks = [
                    k.callbacks.LambdaCallback(on_epoch_begin=begin),
                    scripted(k, Case("", "")),
                    k.callbacks.BackupAndRestore(str(place), save_freq, delete_checkpoint=deleted),
                ]
                x = np.zeros((2, 1), np.float32)
                epochs = model.fit(x, x, batch_size=1, epochs=4, verbose=0, callbacks=callbacks).epoch
                return [list(epochs), begins]

            with contextlib.suppress(RuntimeError):
                fit(stop)
            again = fit(None)
            left = sorted(place.iterdir()) if place.exists() else []
            found[f"{name}-{deleted}"] = [*again, bool(left)]
    return found


def everything(k: Any, folder: Path) -> dict[str, Any]:
    """All runs."""
    found: dict[str, Any] = {}
    for case in CASES:
        place = folder / case.name
        place.mkdir()
        found[case.name] = run(k, case, place)
    more = {"scheduled": scheduled(k), "terminated": terminated(k), "hooks": hooks_called(k)}
    return found | more | {"resumed": resumed(k, folder / "backups"), "again": used_again(k, folder / "again")}
