"""Small models of Keras, of version 2 or 3, with data: what the files of tests are saved from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STEPS, FEATURES, WORDS = 6, 3, 9
Made = tuple[Any, list[Array]]


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _padded() -> Array:
    """Sequences with steps of -1: at the end, at the beginning, and in a whole row."""
    x = _random(4, STEPS, FEATURES)
    x[0, 4:] = x[1, 2:] = x[2] = x[3, 0] = -1
    return x


def _words() -> Array:
    ids = np.random.default_rng(1).integers(1, WORDS, size=(4, STEPS))
    ids[0, 3:] = ids[1, 5:] = 0
    return ids


def _chain(keras: Any, *layers: Any) -> Any:
    return keras.Sequential(list(layers))


def gates(keras: Any) -> Made:
    k = keras.layers
    parts = [k.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True), k.GRU(3, return_sequences=True)]
    parts += [k.GRU(3, reset_after=False, return_sequences=True), k.SimpleRNN(3, "relu", return_sequences=True)]
    last = [k.LSTM(3, go_backwards=True), k.Dense(2, "hard_sigmoid"), k.Activation("hard_sigmoid")]
    return _chain(keras, k.Input((None, FEATURES)), *parts, *last), [_random(4, STEPS, FEATURES)]


def masked(keras: Any) -> Made:
    k = keras.layers
    both = [k.Bidirectional(k.LSTM(4, return_sequences=True)), k.Bidirectional(k.GRU(3), merge_mode="sum")]
    front = [k.Input((None, FEATURES)), k.Masking(-1.0), k.BatchNormalization()]
    return _chain(keras, *front, *both, k.Dense(2)), [_padded()]


def words(keras: Any) -> Made:
    k = keras.layers
    ids = k.Input((STEPS,))
    x = k.SpatialDropout1D(0.2)(k.Embedding(WORDS, 5, mask_zero=True)(ids))
    x = k.TimeDistributed(k.Dense(3))(k.LSTM(4, return_sequences=True, dropout=0.1, recurrent_dropout=0.1)(x))
    return keras.Model(ids, k.Dense(2, "softmax")(k.GRU(3)(x))), [_words()]


def windows(keras: Any) -> Made:
    k = keras.layers
    parts = [k.Conv1D(4, 3, padding="same", activation="relu"), k.MaxPooling1D(2, padding="same")]
    parts += [k.Conv1D(3, 2, padding="causal"), k.BatchNormalization(), k.LeakyReLU(), k.AveragePooling1D(2)]
    last = [k.ZeroPadding1D(1), k.Flatten(), k.Dropout(0.3), k.Dense(2)]
    return _chain(keras, k.Input((STEPS, FEATURES)), *parts, *last), [_random(4, STEPS, FEATURES)]


def states(keras: Any) -> Made:
    k = keras.layers
    x, h = k.Input((None, FEATURES), name="x"), k.Input((4,), name="h")
    s, end = k.GRU(4, return_sequences=True, return_state=True, name="g")(x, initial_state=h)
    pooled = k.Concatenate()([k.GlobalMaxPooling1D()(s), k.GlobalAveragePooling1D()(s), end])
    shared = k.Dense(4, "tanh", name="shared")
    once = shared(end)
    outputs = [k.Dense(2)(pooled), k.Add()([shared(once), once])]
    return keras.Model([x, h], outputs, name="states"), [_random(4, STEPS, FEATURES), _random(4, 4, seed=2)]


def attention(keras: Any) -> Made:
    k = keras.layers
    x = k.Input((None, FEATURES))
    s = k.LSTM(4, return_sequences=True)(k.Masking(-1.0)(x))
    t = k.LayerNormalization()(k.Add()([k.MultiHeadAttention(2, 3)(s, s), s]))
    both = k.Concatenate()([k.Attention(use_scale=True)([s, s]), t])
    return keras.Model(x, k.Dense(2)(k.GRU(3)(both))), [_random(4, STEPS, FEATURES)]


def nested(keras: Any) -> Made:
    k = keras.layers
    norm = [k.GRU(4, return_sequences=True), k.BatchNormalization(), k.Dense(2)]
    inner = _chain(keras, k.Input((None, FEATURES)), *norm)
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    two = keras.Model([a, b], [k.Dense(3)(k.Add()([a, b])), k.Dense(3)(b)], name="two")
    x, y = k.Input((None, FEATURES)), k.Input((3,))
    last = k.LSTM(3)(_chain(keras, k.Input((None, FEATURES)), inner)(x))
    one, other = two([last, y])
    return keras.Model([x, y], two([other, one])), [_random(4, STEPS, FEATURES), _random(4, 3, seed=2)]


def steps(keras: Any) -> Made:
    k = keras.layers
    step = _chain(keras, k.Input((5, FEATURES)), k.GRU(4), k.Dense(2))
    step.trainable = False
    model = _chain(keras, k.Input((STEPS, 5, FEATURES)), k.TimeDistributed(step), k.LSTM(3))
    return model, [_random(4, STEPS, 5, FEATURES)]


def steps_of_steps(keras: Any) -> Made:
    k = keras.layers
    padded = k.TimeDistributed(k.TimeDistributed(k.ZeroPadding1D((1, 2))))
    parts = [
        k.Conv1D(4, 2, padding="same"),
        k.GRU(3, return_sequences=True),
        k.Softmax(axis=1),
        k.Dense(2),
        k.Flatten(),
    ]
    each = [k.TimeDistributed(k.TimeDistributed(part)) for part in parts]
    last = k.TimeDistributed(k.LSTM(3, go_backwards=True))
    return _chain(keras, k.Input((2, 3, 4, FEATURES)), padded, *each, last), [_random(4, 2, 3, 4, FEATURES)]


def cells(keras: Any) -> Made:
    k = keras.layers
    stack = k.RNN([k.LSTMCell(4), k.GRUCell(3)], return_sequences=True)
    return _chain(keras, k.Input((None, FEATURES)), stack, k.RNN(k.SimpleRNNCell(2))), [_random(4, STEPS, FEATURES)]


def operators(keras: Any) -> Made:
    k = keras.layers
    x = k.Input((STEPS, FEATURES))
    return keras.Model(x, k.Dense(2)((x[:, -1] + k.LSTM(3)(x)) * 2.0 - 1.0)), [_random(4, STEPS, FEATURES)]


def shapes(keras: Any) -> Made:
    k = keras.layers
    x = k.Input((STEPS, FEATURES))
    y = k.Bidirectional(k.GRU(3, return_sequences=True), merge_mode="ave")(k.RepeatVector(STEPS)(k.LSTM(4)(x)))
    y = k.Reshape((STEPS, 3))(k.Permute((2, 1))(y))
    y = k.ReLU(max_value=2.0)(k.ELU(0.7)(k.Softmax()(k.Cropping1D(1)(k.UpSampling1D(2)(y)))))
    return keras.Model(x, y), [_random(4, STEPS, FEATURES)]


def composed(keras: Any) -> Made:
    k = keras.layers
    x = k.Input((None, FEATURES))
    y = k.Normalization(mean=[1.0, 0.0, -1.0], variance=2.0 * np.ones(3))(k.Normalization()(x))
    y = k.PReLU(shared_axes=[1])(k.ActivityRegularization(0.1)(k.Dense(4)(y)))
    y = k.GroupNormalization(2)(y)
    z = k.UnitNormalization()(k.SeparableConv1D(4, 3, padding="same", depth_multiplier=2)(y))
    ends = [k.Dot((1, 1), normalize=True)([k.LSTM(4)(y), k.PReLU()(k.GRU(4)(z))]), k.GlobalMaxPooling1D()(y)]
    return keras.Model(x, [k.Dot(2)([y, z]), k.Concatenate()(ends)]), [_random(4, STEPS, FEATURES)]


MODELS: dict[str, Callable[[Any], Made]] = {
    make.__name__: make
    for make in (
        gates,
        masked,
        words,
        windows,
        states,
        attention,
        nested,
        steps,
        steps_of_steps,
        cells,
        operators,
        shapes,
        composed,
    )
}
TRAINED = ("masked", "states", "nested")  # no dropout in them, so that losses are equal


def filled(keras: Any, name: str) -> Made:
    """A model of Keras whose weights are all random, and its inputs."""
    model, inputs = MODELS[name](keras)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if "int" in weight.dtype:
            continue
        draw = rng.uniform(0.5, 2.0, size=weight.shape) if "variance" in weight.name else rng.normal(size=weight.shape)
        weight.assign(draw if "variance" in weight.name else 0.4 * draw)
    return model, inputs


def targets(outputs: list[Array]) -> list[Array]:
    """Something to train on."""
    return [_random(*output.shape, seed=9) for output in outputs]


def listed(value: Any) -> list[Array]:
    """Arrays of one or several inputs or outputs."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def one_or_list(values: list[Array]) -> Any:
    """As models take them."""
    return values[0] if len(values) == 1 else values


def fitted(model: Any, inputs: list[Array], outputs: list[Array], epochs: int) -> list[float]:
    """The losses of so many epochs in a fixed order."""
    x, y = one_or_list(inputs), one_or_list(targets(outputs))
    losses: list[float] = model.fit(x, y, epochs=epochs, batch_size=2, shuffle=False, verbose=0).history["loss"]
    return losses
