"""Layers side by side on halves of the threads: equal bits with any number of them, and the reference's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from executor_zoo import random_parameters
from tolerance import assert_all_close, assert_all_equal

from rnncore import _core, layers, models, reference
from rnncore.program import Program

Array = npt.NDArray[Any]
STEPS, FEATURES = 6, 5
RELATIVE = {np.float64: 1e-10, np.float32: 1e-4}


def one_layer(units: int, cell: Any = layers.LSTM, **options: Any) -> Any:
    return models.Sequential(
        [layers.Input((STEPS, FEATURES)), layers.Bidirectional(cell(units, return_sequences=True, **options))]
    )


def two_layers() -> Any:
    """Nodes of dropout lie between the directions."""
    directions = [
        layers.Bidirectional(layers.GRU(9, return_sequences=True, dropout=0.3)),
        layers.Bidirectional(layers.LSTM(7, dropout=0.2, recurrent_dropout=0.2), merge_mode="sum"),
    ]
    return models.Sequential([layers.Input((STEPS, FEATURES)), layers.Masking(), *directions])


def shared_weights() -> Any:
    """One layer reads two inputs: both calls add to one gradient."""
    inputs = [layers.Input((STEPS, FEATURES)) for _ in range(2)]
    layer = layers.GRU(11)
    return models.Model(inputs, layers.Add()([layer(x) for x in inputs]))


def other_kinds_between() -> Any:
    """Two LSTMs of a size, with another layer and one of another size between them."""
    x = layers.Input((STEPS, FEATURES))
    first = layers.LSTM(8)(x)
    between = layers.Dense(8)(layers.GRU(8)(layers.Dense(3)(x)))
    return models.Model(x, layers.Concatenate()([first, between, layers.LSTM(6)(x), layers.LSTM(8)(x)]))


def one_after_the_other() -> Any:
    """Equal layers, but the second reads the first one's last state."""
    x = layers.Input((STEPS, FEATURES))
    _, state = layers.GRU(8, return_state=True)(x)
    return models.Model(x, layers.GRU(8)(x, initial_state=[state]))


MODELS = {
    "lstm": lambda: one_layer(12),
    "gru": lambda: one_layer(12, layers.GRU),
    "simple_rnn": lambda: one_layer(40, layers.SimpleRNN),
    "reset_before": lambda: one_layer(12, layers.GRU, reset_after=False),
    "checkpoints": lambda: one_layer(12),
    "weights from far": lambda: one_layer(520, layers.LSTM),
    "two layers": two_layers,
    "shared weights": shared_weights,
    "other kinds between": other_kinds_between,
    "one after the other": one_after_the_other,
}


def results(kind: Any, program: Program, samples: int, dtype: Any, *, ragged: bool) -> list[Array]:
    """Outputs and all gradients."""
    rng = np.random.default_rng(1)
    inputs = [rng.normal(size=(samples, STEPS, FEATURES)).astype(dtype) for _ in program.inputs]
    if ragged:
        for x in inputs:
            x[:, rng.integers(STEPS)] = 0
    lengths = rng.integers(1, STEPS + 1, size=samples, dtype=np.int32) if program.lengths >= 0 and ragged else None
    parameters = (0.5 * random_parameters(program, np.float64, 2)).astype(dtype)
    gradients = np.zeros_like(parameters)
    executor = kind(program, parameters, gradients)
    outputs = executor.forward(inputs, lengths, training=True, seed=3, step=4)
    input_gradients = executor.backward([rng.normal(size=y.shape).astype(dtype) for y in outputs])
    return [*outputs, *input_gradients, gradients]


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_directions(name: str, ragged: bool) -> None:
    model = MODELS[name]()
    model.compile("sgd", "mse")
    program = model._session.engine(model).program
    if name == "checkpoints":
        nodes = [
            replace(node, attributes={**node.attributes, "checkpoint_every": 2}) if node.op == "lstm" else node
            for node in program.nodes
        ]
        program = replace(program, nodes=tuple(nodes))

    def run(kind: Any, dtype: Any) -> list[Array]:
        return [array for samples in (2, 9) for array in results(kind, program, samples, dtype, ragged=ragged)]

    expected = run(reference.Executor, np.float64)
    for dtype in (np.float64, np.float32):
        alone: list[Array] = []
        for threads in (1, 2, 3, 4, 6, 8):
            _core.set_num_threads(threads, always=True)
            found = run(_core.Executor, dtype)
            alone = alone or found
            assert_all_equal(alone, found)
        assert_all_close(alone, expected, RELATIVE[dtype])
