"""Zoneout: units of a state that a step leaves as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from single_nodes import MASK, RECURRENT, SEED, STEP, check_gradients, recurrent
from tolerance import assert_close

from rnncore import layers, models
from rnncore.reference import Executor


@pytest.mark.parametrize(("op", "parameters", "states", "attributes"), RECURRENT)
@pytest.mark.parametrize("given_state", [False, True])
def test_gradients(
    op: str, parameters: list[tuple[int, ...]], states: int, attributes: dict[str, Any], given_state: bool
) -> None:
    rng = np.random.default_rng(5)
    attributes = {**attributes, "zoneout": 0.4, "seed": 3, "go_backwards": given_state}
    if op == "lstm":
        attributes["cell_zoneout"] = 0.3
    program = recurrent(op, parameters, states, attributes, given_state, mask=True)
    initial = [rng.normal(size=(6, 2)) for _ in range(states if given_state else 0)]
    check_gradients(program, [rng.normal(size=(6, 4, 3)), MASK, *initial])


@pytest.mark.parametrize(("op", "parameters", "states", "attributes"), RECURRENT)
def test_a_held_unit_keeps_its_value(
    op: str, parameters: list[tuple[int, ...]], states: int, attributes: dict[str, Any]
) -> None:
    """In training a part of the units repeats; otherwise, one step from zeros gives 1 - rate of what it would be."""
    rate = 0.4
    x = np.random.default_rng(5).normal(size=(200, 6, 3))
    program = recurrent(op, parameters, states, {**attributes, "zoneout": rate}, given_state=False)
    plain = recurrent(op, parameters, states, attributes, given_state=False)
    vector = np.random.default_rng(1).normal(size=sum(p.size for p in program.parameters))
    executor = Executor(program, vector, vector.copy())
    sequence = executor.forward([x], training=True, seed=SEED, step=STEP)[0]
    held = np.diff(sequence, axis=1) == 0
    assert abs(held.mean() - rate) < 0.03
    assert 0.1 < held.all(axis=2).mean() < 0.25  # units are drawn one by one
    mean = executor.forward([x[:, :1]])[0]
    assert_close(mean, (1 - rate) * Executor(plain, vector, vector.copy()).forward([x[:, :1]])[0])


def test_lstm_zoneout_follows_the_paper() -> None:
    """One step written out: h is made of the new c, whether that is held or not."""
    op, parameters, states, attributes = RECURRENT[1]
    program = recurrent(op, parameters, states, {**attributes, "zoneout": 0.25, "cell_zoneout": 0.5}, True)
    plain = recurrent(op, parameters, states, attributes, True)
    rng = np.random.default_rng(3)
    vector = rng.normal(size=sum(p.size for p in program.parameters))
    x, h0, c0 = rng.normal(size=(2, 1, 3)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    _, h, c = Executor(plain, vector, vector.copy()).forward([x, h0, c0])
    _, mixed_h, mixed_c = Executor(program, vector, vector.copy()).forward([x, h0, c0])
    assert_close(mixed_h, 0.25 * h0 + 0.75 * h)
    assert_close(mixed_c, 0.5 * c0 + 0.5 * c)


@pytest.mark.parametrize("make", [layers.SimpleRNN, layers.LSTM, layers.GRU], ids=lambda make: make.__name__)
def test_layers_take_zoneout(make: Any) -> None:
    arguments = {"zoneout": 0.5, **({"cell_zoneout": 0.25} if make is layers.LSTM else {})}
    model = models.Sequential([layers.Input((6, 3)), make(4, seed=2, **arguments)])
    config = model.layers[-1].get_config()
    assert {key: config[key] for key in arguments} == arguments
    x = np.random.default_rng(0).normal(size=(5, 6, 3))
    results = []
    for backend in ("compiled", "reference"):
        model.compile(loss="mse", backend=backend)
        results.append(model.predict(x, verbose=0))
    assert_close(*results)
    assert not np.allclose(model.forward(x, training=True), results[0])
    with pytest.raises(ValueError, match="zoneout must be below 1"):
        make(4, zoneout=1.0)
