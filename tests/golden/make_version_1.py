"""Write `version_1.rnn`, a model file whose format later versions must go on to read. Not to be made anew for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnncore import layers, models, optimizers


def main() -> None:
    given = layers.Input((None, 3), name="past")
    x = layers.Dropout(0.1)(layers.LSTM(2, return_sequences=True)(given))
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)
    x = layers.Attention(use_scale=True)([x, x])
    model = models.Model(given, layers.Dense(1, kernel_regularizer="l2")(x))
    model.compile(optimizers.Adam(0.25), "mse", metrics=["mae"])
    model.train_on_batch(np.zeros((2, 4, 3)), np.zeros((2, 4, 1)))
    model.set_weights([(k + np.arange(w.size).reshape(w.shape)) / 64 for k, w in enumerate(model.get_weights())])
    slots = model.optimizer.slots
    assert slots is not None
    slots[...] = np.arange(slots.size).reshape(slots.shape) / 64
    model.save(Path(__file__).with_name("version_1.rnn"))


if __name__ == "__main__":
    main()
