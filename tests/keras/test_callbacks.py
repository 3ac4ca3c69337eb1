"""Each rule of each callback beside Keras's: the same scripts lead to the same decisions."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import keras_callbacks as scripts
import numpy as np
import pytest
from goldens import arrays

import rnncore
from rnncore import callbacks, layers, metrics, models

STORED = json.loads(str(arrays("keras_callbacks")["text"]))
RUNS = STORED["runs"]


def near(found: Any, expected: Any) -> bool:
    """Equal, but for the float32 in which Keras keeps a rate."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(near(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(near(a, b) for a, b in zip(found, expected, strict=True))
    return bool(found == pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else found == expected)


@pytest.mark.parametrize("case", scripts.CASES, ids=[case.name for case in scripts.CASES])
def test_scripts_lead_to_the_same_decisions(case: scripts.Case, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ModelCheckpoint watches 'val_speed', which is not logged")
        found = scripts.run(rnncore, case, tmp_path)
    assert near(found, RUNS[case.name]), (found, RUNS[case.name])


def test_schedules_lead_to_the_same_rates() -> None:
    assert near(scripts.scheduled(rnncore), RUNS["scheduled"])


@pytest.mark.filterwarnings("ignore:invalid value")
def test_losses_that_are_not_finite_end_training_at_the_same_step() -> None:
    assert scripts.terminated(rnncore) == RUNS["terminated"]


def test_hooks_come_in_the_same_order() -> None:
    assert scripts.hooks_called(rnncore) == RUNS["hooks"]


def test_an_interrupted_training_goes_on_in_the_same_place(tmp_path: Path) -> None:
    assert near(scripts.resumed(rnncore, tmp_path), RUNS["resumed"])


def test_callbacks_used_again_decide_alike(tmp_path: Path) -> None:
    assert near(scripts.used_again(rnncore, tmp_path / "again"), RUNS["again"])


def test_metrics_are_better_the_same_way() -> None:
    known = {name: way for name, way in STORED["directions"].items() if hasattr(metrics, name)}
    assert len(known) > 25
    ways = {"up": "max", "down": "min"}
    assert {name: getattr(metrics, name).direction for name in known} == {n: ways[way] for n, way in known.items()}
    counts = {"TruePositives": "max", "TrueNegatives": "max", "FalsePositives": "min", "FalseNegatives": "min"}
    assert {name: getattr(metrics, name).direction for name in counts} == counts  # Keras cannot tell


def test_whoever_monitors_a_function_says_which_way() -> None:
    """Before the first epoch, so that nothing is lost."""

    class Own(metrics.Metric):
        def increment(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return np.array([np.sum(y_pred), len(y_pred)])

    x = np.zeros((2, 1))
    for metric, key in ((scripts.worst, "worst"), (Own("own"), "own")):
        for callback, options in (
            (callbacks.EarlyStopping, {}),
            (callbacks.ReduceLROnPlateau, {}),
            (callbacks.ModelCheckpoint, {"filepath": "never.rnn", "save_best_only": True}),
        ):
            for monitor in (key, f"val_{key}"):
                model = scripts.one_weight(rnncore, (metric,))
                with pytest.raises(ValueError, match=f"monitor '{key}': .* give mode='min' or mode='max'"):
                    model.fit(x, x, verbose=0, callbacks=[callback(monitor=monitor, **options)])  # type: ignore[operator]
                assert model.history.epoch == []
    for direction, way in (("min", [0.0, 1.0]), ("max", [1.0, 0.0])):
        known = metrics.MeanMetricWrapper(scripts.worst, direction=direction)
        stop = callbacks.EarlyStopping("worst", restore_best_weights=True)
        model = scripts.one_weight(rnncore, (known,))
        worst = iter(way)
        show = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs, worst=worst: logs.update(worst=next(worst)))
        assert len(model.fit(x, x, epochs=2, verbose=0, callbacks=[show, stop]).epoch) == 2
        assert stop.best_epoch == 0
    for loss in (rnncore.losses.mean_squared_error, rnncore.losses.Huber()):
        assert metrics.MeanMetricWrapper(loss).direction == "min"


def test_a_callback_used_again_asks_the_new_model_which_way() -> None:
    x, stop = np.zeros((2, 1)), callbacks.EarlyStopping("value")
    for metric, values, epochs in (
        (metrics.MeanAbsoluteError("value"), [1.0, 2.0, 3.0], 2),
        (metrics.BinaryAccuracy("value"), [1.0, 2.0, 3.0], 3),
    ):
        model = scripts.one_weight(rnncore, (metric,))
        given = iter(values)
        show = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs, given=given: logs.update(value=next(given)))
        assert len(model.fit(x, x, epochs=3, verbose=0, callbacks=[show, stop]).epoch) == epochs


def test_columns_of_a_validation_wait_for_it(tmp_path: Path) -> None:
    x, log = np.zeros((2, 2)), callbacks.CSVLogger(tmp_path / "log.csv")
    model = models.Sequential([layers.Input((2,)), layers.Dense(2, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=[metrics.F1Score()])
    model.fit(x, x + 1, epochs=2, validation_data=(x, x), validation_freq=2, verbose=0, callbacks=[log])
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,f1_score,loss,val_f1_score,val_loss"
    assert lines[1].endswith(",NA,NA")
    assert "NA" not in lines[2]
    assert lines[1].startswith('0,"""[')  # an array as Keras writes it: in brackets, quoted twice
