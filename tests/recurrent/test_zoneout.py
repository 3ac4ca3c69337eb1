"""Zoneout: units of a state that a step leaves as they were."""

from __future__ import annotations

import numpy as np
import pytest
from recurrent_options import PLAIN, Case
from single_nodes import SEED, STEP
from tolerance import assert_close

from rnncore.reference import Executor

SHAPE = (200, 6, 3, 2, 0)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_a_held_unit_keeps_its_value(case: Case) -> None:
    """In training a part of the units repeats; otherwise, one step from zeros gives 1 - rate of what it would be."""
    rate = 0.4
    x = np.random.default_rng(5).normal(size=(200, 6, 3))
    program, plain = case.program(SHAPE, given=False, zoneout=rate), case.program(SHAPE, given=False)
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
    program, plain = Case("lstm").program(SHAPE, zoneout=0.25, cell_zoneout=0.5), Case("lstm").program(SHAPE)
    rng = np.random.default_rng(3)
    vector = rng.normal(size=sum(p.size for p in program.parameters))
    x, h0, c0 = rng.normal(size=(2, 1, 3)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    _, h, c = Executor(plain, vector, vector.copy()).forward([x, h0, c0])
    _, mixed_h, mixed_c = Executor(program, vector, vector.copy()).forward([x, h0, c0])
    assert_close(mixed_h, 0.25 * h0 + 0.75 * h)
    assert_close(mixed_c, 0.5 * c0 + 0.5 * c)
