"""Training programs with wrapped, merged and reshaped layers, for two libraries: `k` is Keras or rnncore."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras_programs import FIT, Program


def _data(steps: int, features: int, *outputs: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(7)
    return [rng.normal(size=(30, *shape)).astype(np.float32) for shape in ((steps, features), *outputs)]


def _trained(k: Any, model: Any, x: Any, y: Any) -> tuple[Any, Any]:
    model.compile(optimizer=k.optimizers.Adam(0.01), loss="mse", metrics=None if isinstance(y, list) else ["mae"])
    return model, lambda: model.fit(x, y, **FIT)


def _bidirectional(cell: str, mode: str | None, **arguments: Any) -> Program:
    """A sequence, then a last output."""

    def program(k: Any) -> tuple[Any, Any]:
        x, y = _data(6, 3, (2,))
        layer = getattr(k.layers, cell)
        given = k.layers.Input((6, 3))
        sequence = k.layers.Bidirectional(layer(4, return_sequences=True, **arguments), merge_mode=mode)(given)
        if mode is None:
            sequence = k.layers.Multiply()(sequence)
        last = k.layers.Bidirectional(layer(3, **arguments), merge_mode=mode or "concat")(sequence)
        return _trained(k, k.models.Model(given, k.layers.Dense(2)(last)), x, y)

    return program


def _masked(k: Any) -> tuple[Any, Any]:
    """Two directions over masked steps, sequences and states returned, the backward layer given."""
    x, y, z = _data(6, 3, (6, 2), (2,))
    x[::2, 3:] = 0.0
    x[1::3, 1] = 0.0
    given = k.layers.Input((6, 3))
    masked = k.layers.Masking()(given)
    both = k.layers.Bidirectional(
        k.layers.LSTM(4, return_sequences=True, return_state=True),
        backward_layer=k.layers.LSTM(4, "relu", return_sequences=True, return_state=True, go_backwards=True),
    )
    sequence, h, _c, other, _d = both(masked)
    every = k.layers.TimeDistributed(k.layers.Dense(2), name="every")(sequence)
    state = k.layers.Dense(2, name="last")(k.layers.Concatenate()([h, other]))
    return _trained(k, k.models.Model(given, [every, state]), x, [y, z])


def _encoder_decoder(k: Any) -> tuple[Any, Any]:
    """The states of both directions begin a stack of cells that reads a repeated vector."""
    x, y = _data(5, 3, (4, 2))
    given = k.layers.Input((5, 3))
    encoder = k.layers.Bidirectional(k.layers.GRU(3, return_state=True))
    vector, forward, backward = encoder(given)
    state = k.layers.Concatenate()([forward, backward])
    repeated = k.layers.RepeatVector(4)(vector)
    cells = [k.layers.GRUCell(6), k.layers.SimpleRNNCell(3), k.layers.GRUCell(2, reset_after=False)]
    decoder = k.layers.RNN(cells, return_sequences=True)
    start = [state, k.layers.Subtract()([forward, backward]), k.layers.Dense(2)(state)]
    return _trained(k, k.models.Model(given, decoder(repeated, initial_state=start)), x, y)


def _cells(k: Any) -> tuple[Any, Any]:
    """A stack of cells backwards, its last sequence merged with a residual; axes exchanged and reshaped."""
    x, y = _data(6, 3, (6, 2))
    given = k.layers.Input((6, 3))
    sequence = k.layers.RNN(
        k.layers.StackedRNNCells([k.layers.LSTMCell(4), k.layers.LSTMCell(3)]),
        return_sequences=True,
        go_backwards=True,
    )(given)
    x1 = k.layers.Average()([sequence, given])
    x2 = k.layers.Maximum()([sequence, k.layers.Dense(1)(given)])
    x3 = k.layers.Permute((2, 1))(k.layers.Reshape((3, 6))(given))
    merged = k.layers.Minimum()([x2, k.layers.Add()([x1, x3])])
    return _trained(k, k.models.Model(given, k.layers.Dense(2)(merged)), x, y)


def _windows(k: Any) -> tuple[Any, Any]:
    """Each step is a small sequence that a recurrent layer of its own reads."""
    x, y = _data(4, 6, (4, 2))
    model = k.models.Sequential(
        [
            k.layers.Input((4, 6)),
            k.layers.Reshape((4, 3, 2)),
            k.layers.TimeDistributed(k.layers.SimpleRNN(4)),
            k.layers.LSTM(3, return_sequences=True),
            k.layers.TimeDistributed(k.layers.Dense(2, activation="tanh")),
        ]
    )
    return _trained(k, model, x, y)


PROGRAMS: dict[str, Program] = {
    "bidirectional lstm": _bidirectional("LSTM", "concat"),
    "bidirectional gru": _bidirectional("GRU", "sum", reset_after=False),
    "bidirectional simple_rnn": _bidirectional("SimpleRNN", "ave"),
    "bidirectional mul": _bidirectional("LSTM", "mul", use_bias=False),
    "bidirectional both": _bidirectional("GRU", None),
    "bidirectional masked": _masked,
    "encoder decoder": _encoder_decoder,
    "stacked cells": _cells,
    "windows": _windows,
}
