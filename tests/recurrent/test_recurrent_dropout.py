"""Dropout of what a recurrent layer reads and of its state: one mask for all steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from goldens import arrays
from recurrent_options import PLAIN, Case
from single_nodes import SEED, STEP
from tolerance import assert_close

from rnncore import layers, models
from rnncore._sequence_arguments import sequence_arguments
from rnncore.reference import Executor, sequence
from rnncore.reference.cell import Cell
from rnncore.reference.gru import GRUCell
from rnncore.reference.lstm import LSTMCell
from rnncore.reference.simple_rnn import SimpleRNNCell

CELLS: dict[str, Cell] = {
    "simple_rnn": SimpleRNNCell(),
    "lstm": LSTMCell(),
    "gru": GRUCell(),
    "gru_reset_before": GRUCell(reset_after=False),
}


@pytest.mark.parametrize("name", CELLS)
def test_cells_match_keras(name: str) -> None:
    cell = CELLS[name]
    golden = arrays("keras_dropout")
    x, mask, expected = (golden[f"{name}/{key}"] for key in ("x", "mask", "output"))
    weights = [golden[f"{name}/weights/{k}"] for k in range(3)]
    states = tuple(golden[f"{name}/states/{k}"] for k in range(cell.STATES))
    facts: dict[str, Any] = {"gates": cell.GATES, "states": cell.STATES, "split_bias": cell.split_bias}
    arguments = sequence_arguments(x, *weights, states, None, **facts)
    result = sequence.forward(cell, arguments, np.ones(x.shape[:2], bool), False, False, mask)
    assert_close(result.output, expected)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_recurrent_dropout_is_off_outside_training(case: Case) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(6, 4, 3))
    results = []
    for rate, training in [(0.0, False), (0.9, False), (0.9, True)]:
        program = case.program((6, 4, 3, 2, 0), given=False, recurrent_dropout=rate)
        vector = np.random.default_rng(1).normal(size=sum(p.size for p in program.parameters))
        executor = Executor(program, vector, vector.copy())
        results.append(executor.forward([x], training=training, seed=SEED, step=STEP)[0])
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0][:, 1:], results[2][:, 1:])
    np.testing.assert_array_equal(results[0][:, 0], results[2][:, 0])  # no state to drop yet


def test_input_dropout_has_one_mask_for_all_steps() -> None:
    rows, steps, features = 50, 7, 80
    layer = layers.SimpleRNN(features, "linear", use_bias=False, dropout=0.3)
    model = models.Sequential([layers.Input((steps, features)), layer])
    layer.set_weights([np.eye(features), np.eye(features)])  # the sum of the steps
    model.compile(loss="mse")
    y = model.forward(np.ones((rows, steps, features), np.float32), training=True)
    assert set(np.unique(np.round(y, 4))) == {0.0, 10.0}
    assert abs(np.mean(y == 0) - 0.3) < 0.03
