"""Random models whose outputs at a step depend on no later step, and ways to cut sequences in chunks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore import layers, models

Rng = np.random.Generator


def causal_model(rng: Rng, backend: str, dtype: str, depth: int, steps: int | None) -> models.Model:
    """A chain of `depth` random blocks with branches, on features or ids; all its weights are random."""
    if rng.random() < 0.3:
        x = layers.Input((steps,), dtype="int32")
        sequence = layers.Embedding(7, size(rng), mask_zero=rng.random() < 0.5)(x)
    else:
        x = layers.Input((steps, size(rng)))
        sequence = layers.Masking()(x) if rng.random() < 0.3 else x
    outputs = []
    for _ in range(depth):
        sequence = BLOCKS[rng.integers(len(BLOCKS))](rng, sequence)
        if rng.random() < 0.2:
            outputs.append(sequence)
    if rng.random() < 0.4:
        last = recurrent(rng, sequence, return_sequences=False)
        outputs.append(layers.Dense(2)(layers.LSTM(2)(layers.RepeatVector(2)(last)) if rng.random() < 0.3 else last))
    model = models.Model(x, [*outputs, sequence])
    model.compile(backend=backend, dtype_policy=dtype)
    model.set_weights(
        [rng.uniform(0.2, 0.9, w.shape) * rng.choice([-1, 1], w.shape) ** (w.ndim > 1) for w in model.get_weights()]
    )
    return model


def size(rng: Rng) -> int:
    return int(rng.integers(1, 21))


def recurrent(rng: Rng, x: Any, return_sequences: bool = True) -> Any:
    kind = rng.choice(["SimpleRNN", "GRU", "LSTM", "RNN"])
    if kind == "RNN":
        return layers.RNN([layers.LSTMCell(size(rng)), layers.GRUCell(size(rng))], return_sequences=return_sequences)(x)
    return getattr(layers, kind)(size(rng), return_sequences=return_sequences)(x)


def convolution(rng: Rng, x: Any) -> Any:
    strides = int(rng.integers(1, 5)) if rng.random() < 0.4 else 1
    dilation = int(rng.integers(1, 4)) if strides == 1 else 1
    padding = str(rng.choice(["valid", "causal"]))
    activation = str(rng.choice(["linear", "tanh", "relu", "softmax"]))
    return layers.Conv1D(
        size(rng), int(rng.integers(1, 5)), strides, padding, dilation_rate=dilation, activation=activation
    )(x)


def pooling(rng: Rng, x: Any) -> Any:
    kind = layers.MaxPooling1D if rng.random() < 0.5 else layers.AveragePooling1D
    return kind(int(rng.integers(1, 4)), None if rng.random() < 0.5 else int(rng.integers(1, 4)))(x)


def pointwise(rng: Rng, x: Any) -> Any:
    made = [
        lambda: layers.Dense(size(rng), activation="tanh"),
        lambda: layers.TimeDistributed(layers.Dense(size(rng), activation="softmax")),
        lambda: layers.BatchNormalization(),
        lambda: layers.LayerNormalization(),
        lambda: layers.Dropout(0.5),
        lambda: layers.GaussianNoise(0.5),
        lambda: layers.Activation("sigmoid"),
        lambda: layers.LeakyReLU(),
        lambda: layers.Softmax(),
        lambda: layers.Rescaling(0.5, 0.1),
    ]
    return made[rng.integers(len(made))]()(x)


def residual(rng: Rng, x: Any) -> Any:
    y = layers.Conv1D(x.shape[-1], int(rng.integers(1, 4)), padding="causal")(x)
    merge = rng.choice(["Add", "Multiply", "Maximum", "Average", "Concatenate", "Subtract"])
    return getattr(layers, merge)()([x, y])


def branches(rng: Rng, x: Any) -> Any:
    """Two ways to one number of steps."""
    first, second = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    one = layers.Conv1D(3, first + second - 1)(x)
    two = layers.Conv1D(2, second)(layers.Conv1D(4, first)(x))
    return layers.Concatenate()([one, two])


def attention(rng: Rng, x: Any) -> Any:
    kind = rng.choice(["Attention", "AdditiveAttention", "MultiHeadAttention"])
    if kind == "MultiHeadAttention":
        layer = layers.MultiHeadAttention(
            int(rng.integers(1, 4)), int(rng.integers(1, 6)), use_bias=bool(rng.integers(2))
        )
        return layer(x, x, *([layers.Dense(3)(x)] if rng.random() < 0.3 else []), use_causal_mask=True)
    return getattr(layers, kind)()([x, x], use_causal_mask=True)


BLOCKS = [recurrent, convolution, convolution, pooling, pointwise, residual, branches, attention]


def reach(model: Any) -> int:
    """A number of steps after which every output has one."""
    steps = 1
    while True:
        try:
            model.predict(sequence(np.random.default_rng(0), model, 1, steps), verbose=0)
        except ValueError:
            steps += 1
        else:
            return steps


def sequence(rng: Rng, model: Any, rows: int, steps: int) -> Any:
    (value,) = model.inputs
    if value.dtype == "int":
        return rng.integers(0, 7, (rows, steps)).astype(np.int32)
    x = rng.normal(size=(rows, steps, value.shape[-1]))
    x[rng.random((rows, steps)) < 0.2] = 0
    return x


def cuts(rng: Rng, steps: int) -> list[int]:
    """Sizes of chunks, some of them 0, that make `steps` together."""
    most = int(rng.choice([1, 2, 7, steps + 1]))
    sizes: list[int] = []
    while sum(sizes) < steps:
        sizes.append(min(int(rng.integers(0, most + 1)), steps - sum(sizes)))
    return sizes
