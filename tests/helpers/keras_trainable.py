"""Training programs with layers that rest for a while, for two libraries: `k` is Keras or rnncore."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras_programs import FIT


def _data() -> tuple[Any, Any]:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(30, 6, 3)).astype(np.float32)
    return x, np.stack([np.tanh(x.sum(axis=(1, 2))), x[:, 0, 0]], axis=-1)


def _frozen(k: Any) -> tuple[Any, Any]:
    """Frozen ones between others, with penalties, decay and a norm over all gradients."""
    x, y = _data()
    model = k.models.Sequential(
        [
            k.layers.Input((6, 3)),
            k.layers.TimeDistributed(k.layers.Dense(4, activation="tanh")),
            k.layers.BatchNormalization(),
            k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True, kernel_regularizer="l2")),
            k.layers.BatchNormalization(trainable=False),
            k.layers.LSTM(3, recurrent_regularizer="l2"),
            k.layers.Dense(2, kernel_regularizer="l1", trainable=False),
        ]
    )
    model.layers[2].trainable = False
    model.layers[2].backward_layer.trainable = True
    model.compile(k.optimizers.AdamW(0.01, weight_decay=0.02, global_clipnorm=0.2), "mse", metrics=["mae"])
    return model, lambda: model.fit(x, y, **FIT)


def _stages(k: Any) -> tuple[Any, Any]:
    """First the head alone, then a cell with it, then all."""
    x, y = _data()
    cells = [k.layers.LSTMCell(3), k.layers.GRUCell(4)]
    model = k.models.Sequential(
        [
            k.layers.Input((6, 3)),
            k.layers.RNN(cells, return_sequences=True),
            k.layers.BatchNormalization(),
            k.layers.SimpleRNN(4),
            k.layers.Dense(2),
        ]
    )

    def compiled() -> None:
        model.compile(k.optimizers.Adam(0.01), "mse")

    def train() -> Any:
        model.trainable = False
        model.trainable = True
        for layer in model.layers[:-1]:
            layer.trainable = False
        compiled()
        model.fit(x, y, **FIT)
        cells[1].trainable = True
        compiled()
        model.fit(x, y, **FIT)
        model.trainable = True
        compiled()
        return model.fit(x, y, **FIT)

    compiled()
    return model, train


def _all_frozen(k: Any) -> tuple[Any, Any]:
    """A frozen model, of which a layer was freed, trains nothing; batch normalization that was freed counts."""
    x, y = _data()
    model = k.models.Sequential(
        [k.layers.Input((6, 3)), k.layers.BatchNormalization(), k.layers.GRU(3), k.layers.Dense(2)]
    )
    model.trainable = False
    model.layers[0].trainable = True
    model.compile("sgd", "mse")
    return model, lambda: model.fit(x, y, **FIT)


PROGRAMS = {"trainable/frozen": _frozen, "trainable/stages": _stages, "trainable/all_frozen": _all_frozen}
