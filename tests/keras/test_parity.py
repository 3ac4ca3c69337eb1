"""Training from the same weights ends where Keras ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_programs
import keras_trainable
import keras_wrappers
import numpy as np
import pytest
from goldens import arrays

import rnncore

FOLDER = Path(__file__).parent / "golden"
FILES = ("keras_training", "keras_wrappers", "keras_trainable")
GOLDEN = {key: array for file in FILES for key, array in arrays(file).items()}
PROGRAMS = {**keras_programs.PROGRAMS, **keras_wrappers.PROGRAMS, **keras_trainable.PROGRAMS}
TOLERANCE = 2e-4  # after 40 steps in float32, absolute: weights and losses are of the order of 1


def golden(prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): array for key, array in GOLDEN.items() if key.startswith(prefix)}


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_forty_steps_end_with_the_weights_and_logs_of_keras(
    name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNCORE_BACKEND", backend)
    model, train = PROGRAMS[name](rnncore)
    before, after = golden(f"{name}/before/"), golden(f"{name}/after/")
    model.set_weights(list(before.values()))
    history = train().history

    assert len(model.get_weights()) == len(after)
    for weight, expected in zip(model.get_weights(), after.values(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=TOLERANCE, rtol=0)
    moved = [np.abs(w - before[number]).max() for number, w in after.items()]
    assert max(moved) > 100 * TOLERANCE  # the weights went far enough for the comparison to mean something

    logs = golden(f"{name}/log/")
    assert set(history) == set(logs)
    for key, values in history.items():
        np.testing.assert_allclose(values, logs[key], atol=TOLERANCE, rtol=0, err_msg=key)
