"""Models that together use every layer, loss, optimizer, regularizer and constraint, with data to train them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from small_models import Array

from rnncore import activations, constraints, layers, losses, models, optimizers, regularizers

ROWS, STEPS, FEATURES = 11, 9, 3


@dataclass
class Case:
    """A model, how it is compiled, and what it is trained on."""

    model: models.Model
    x: Any
    y: Any
    loss: Any
    optimizer: optimizers.Optimizer
    fit: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 4


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def ids(high: int, *shape: int, low: int = 0) -> Array:
    return np.random.default_rng(high).integers(low, high, size=shape)


def one_hot(classes: int, *shape: int) -> Array:
    return np.eye(classes)[ids(classes, *shape)]


LENGTHS = np.array([9, 4, 0, 1, 7, 9, 3, 2, 8, 5, 6])


def recurrent() -> Case:
    """The three recurrent layers with everything that they can be told, on rows of several lengths."""
    model = models.Sequential(
        [
            layers.Input((None, FEATURES)),
            layers.SimpleRNN(
                5,
                "relu",
                return_sequences=True,
                dropout=0.2,
                recurrent_dropout=0.1,
                seed=3,
                kernel_constraint=constraints.MaxNorm(1.0),
                recurrent_constraint=constraints.MinMaxNorm(0.2, 1.1, rate=0.9),
                bias_regularizer="l2",
            ),
            layers.LSTM(
                17,
                recurrent_activation="hard_sigmoid",
                return_sequences=True,
                go_backwards=True,
                unroll=True,
                unit_forget_bias=False,
                recurrent_dropout=0.2,
                zoneout=0.1,
                cell_zoneout=0.2,
                kernel_regularizer=regularizers.L1L2(1e-3, 1e-3),
                bias_constraint=constraints.NonNeg(),
            ),
            layers.LSTM(
                4,
                activations.ScaledTanh(1.2, 0.8),
                activations.HardSigmoid(0.2),
                use_bias=False,
                return_sequences=True,
                peepholes=True,
                zero_output_for_mask=True,
            ),
            layers.LSTM(7, return_sequences=True, recurrent_dropout=0.1, projection_units=3),
            layers.LSTM(4, return_sequences=True, layer_normalization=True),
            layers.GRU(5, return_sequences=True, layer_normalization=True, recurrent_dropout=0.1),
            layers.SimpleRNN(6, return_sequences=True, layer_normalization=True, go_backwards=True),
            layers.GRU(
                6,
                dropout=0.1,
                return_sequences=True,
                recurrent_initializer="glorot_uniform",
                recurrent_regularizer=regularizers.OrthogonalRegularizer(1e-2),
            ),
            layers.GRU(5, reset_after=False, zoneout=0.1, recurrent_constraint=constraints.UnitNorm()),
            layers.Dense(2, kernel_regularizer=regularizers.L1(1e-3)),
        ]
    )
    return Case(
        model,
        random(ROWS, STEPS, FEATURES),
        random(ROWS, 2, seed=1),
        losses.Huber(0.7),
        optimizers.Adam(0.01, amsgrad=True, clipnorm=0.5, weight_decay=0.01),
        {"lengths": LENGTHS, "sample_weight": np.linspace(0.2, 2, ROWS)},
    )


def front_end() -> Case:
    """Convolutions, pooling, normalization and noise before a recurrent layer in both directions."""
    given = layers.Input((STEPS, FEATURES))
    x = layers.Conv1D(6, 3, padding="causal", dilation_rate=2, use_bias=False)(given)
    x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.05)(x)
    x = layers.MaxPooling1D(2, strides=1, padding="same")(layers.SpatialDropout1D(0.2, seed=1)(x))
    x = layers.Conv1D(7, 2, strides=2, padding="same", activation="gelu", kernel_regularizer="l2")(x)
    x = layers.LayerNormalization(epsilon=1e-2)(layers.AveragePooling1D(2, strides=1)(x))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum")(x)
    x = layers.GaussianNoise(0.1, seed=2)(layers.TimeDistributed(layers.Dense(5, "mish"))(x))
    x = layers.LeakyReLU(0.2)(layers.GaussianDropout(0.1)(x))
    x = layers.ELU(0.8)(layers.AlphaDropout(0.1)(x))
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    x = layers.BatchNormalization(center=False, scale=False)(layers.Dropout(0.2)(x))
    return Case(
        models.Model(given, layers.Softmax()(layers.Dense(3)(x))),
        random(ROWS, STEPS, FEATURES),
        one_hot(3, ROWS),
        losses.CategoricalCrossentropy(label_smoothing=0.1),
        optimizers.RMSprop(0.01, momentum=0.5, centered=True, clipvalue=0.5),
    )


def transformer() -> Case:
    """Attention of words to words under masks that the embedding makes, then stacked cells."""
    words = layers.Input((None,), dtype="int32")
    x = layers.Embedding(12, 6, mask_zero=True, embeddings_constraint=constraints.MaxNorm(2.0, axis=1))(words)
    attended = layers.MultiHeadAttention(2, 3, value_dim=4, dropout=0.1)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(scale=False)(layers.Add()([x, attended]))
    cells = layers.StackedRNNCells([layers.GRUCell(5), layers.LSTMCell(4), layers.SimpleRNNCell(6)])
    x = layers.RNN(cells, return_sequences=True)(x)
    x = layers.RNN(layers.LSTMCell(5, dropout=0.1), return_sequences=True, go_backwards=True)(x)
    text = ids(12, ROWS, STEPS)
    text[:, 5:] *= text[:, 5:] % 2
    text[3] = 0
    labels = ids(4, ROWS, STEPS)
    return Case(
        models.Model(words, layers.Dense(4)(x)),
        text,
        labels,
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
        optimizers.Nadam(0.01, global_clipnorm=1.0),
    )


def encoder_decoder() -> Case:
    """States from one layer to the next, and both kinds of attention of what is written to what was read."""
    source, target = layers.Input((None, FEATURES), name="source"), layers.Input((6, 2), name="target")
    read = layers.Masking()(source)
    read, *states = layers.LSTM(5, return_sequences=True, return_state=True)(read)
    written, h, c = layers.LSTM(5, return_sequences=True, return_state=True)(target, initial_state=states)
    dot, scores = layers.Attention(use_scale=True, dropout=0.1)([written, read], return_attention_scores=True)
    concat = layers.Attention(score_mode="concat")([written, read])
    additive = layers.AdditiveAttention()([written, read])
    x = layers.concatenate([written, dot, concat, additive])
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True, return_state=True), merge_mode="ave")
    x, *ends = both(x)
    made = layers.TimeDistributed(layers.Dense(4, activation="softmax"))(x)
    state = layers.Dense(2, name="state")(layers.concatenate([h, c, *ends]))
    x = random(ROWS, STEPS, FEATURES)
    x[np.arange(STEPS) >= np.maximum(LENGTHS, 2)[:, None]] = 0
    seen = layers.GlobalMaxPooling1D(name="seen")(layers.Permute((2, 1))(scores))
    return Case(
        models.Model([source, target], [made, state, seen]),
        {"source": x, "target": random(ROWS, 6, 2, seed=2)},
        [ids(4, ROWS, 6), random(ROWS, 2, seed=3), np.full((ROWS, 6), 0.3)],
        [losses.SparseCategoricalCrossentropy(), losses.MeanAbsoluteError(reduction="sum"), "mse"],
        optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    )


def branches() -> Case:
    """Layers that two inputs share, every way to merge, and a loss of its own kind for each output."""
    left, right = layers.Input((STEPS, FEATURES), name="left"), layers.Input((STEPS, FEATURES), name="right")
    shared = layers.Bidirectional(layers.SimpleRNN(4, activation="tanh"), merge_mode="mul", name="shared")
    head = layers.Dense(4, activation="tanh", name="head")
    a, b = head(shared(left)), head(shared(right))
    ends = [
        layers.Add()([a, b]),
        layers.Subtract()([a, b]),
        layers.Multiply()([a, b]),
        layers.Average()([a, b]),
        layers.Maximum()([a, b]),
        layers.Minimum()([a, b]),
    ]
    ends += [merge([ends[0], b]) for merge in (layers.add, layers.multiply, layers.average)]
    ends += [merge([ends[1], b]) for merge in (layers.subtract, layers.maximum, layers.minimum)]
    turned = layers.Flatten()(layers.Permute((2, 1))(layers.Reshape((STEPS * FEATURES, 1))(right)))
    end = (0.5 * left - 1.0)[:, -1]
    x = layers.concatenate([*ends, layers.Activation("softsign")(turned), end])
    positive = [layers.Dense(3, activation="softplus")(x) for _ in range(3)]
    chances = [layers.Dense(3, activation="softmax")(x) for _ in range(2)]
    bits = [layers.Dense(3, activation="sigmoid")(x) for _ in range(2)]
    plain = [layers.Dense(3)(layers.RepeatVector(2)(x)) for _ in range(6)]
    counts = np.abs(random(ROWS, 3, seed=4)) + 0.5
    signs = np.where(random(ROWS, 2, 3, seed=5) > 0, 1.0, -1.0)
    classes, values = one_hot(3, ROWS), random(ROWS, 2, 3, seed=6)
    return Case(
        models.Model([left, right], [*positive, *chances, *bits, *plain]),
        [random(ROWS, STEPS, FEATURES), random(ROWS, STEPS, FEATURES, seed=1)],
        [*[counts] * 3, classes, classes, classes, classes, values, values, values, signs, signs, one_hot(3, ROWS, 2)],
        [
            losses.Poisson(),
            losses.MeanSquaredLogarithmicError(),
            losses.MeanAbsolutePercentageError(reduction="mean_with_sample_weight"),
            losses.KLDivergence(),
            losses.CategoricalFocalCrossentropy(alpha=0.5, gamma=1.5),
            losses.BinaryFocalCrossentropy(apply_class_balancing=True),
            losses.BinaryCrossentropy(label_smoothing=0.2),
            losses.MeanSquaredError(),
            losses.LogCosh(),
            losses.CosineSimilarity(),
            losses.Hinge(),
            losses.SquaredHinge(),
            losses.CategoricalHinge(),
        ],
        optimizers.SGD(0.01, momentum=0.9, nesterov=True, gradient_accumulation_steps=2),
    )


def reader() -> Case:
    """Connectionist temporal classification after a convolution with a stride."""
    model = models.Sequential(
        [
            layers.Input((None, FEATURES)),
            layers.Conv1D(5, 3, padding="same", activation="silu", kernel_constraint="unit_norm"),
            layers.Bidirectional(layers.GRU(4, return_sequences=True)),
            layers.Dense(4),
        ]
    )
    labels = np.zeros((ROWS, 3), np.int32)
    labels[:, 0] = ids(4, ROWS, low=1)
    labels[::2, 1] = 4 - labels[::2, 0]
    labels[labels[:, 0] == labels[:, 1], 1] = 0
    lengths = np.maximum(LENGTHS, 4)
    rate = optimizers.schedules.ExponentialDecay(0.05, 3, 0.9)
    return Case(
        model,
        random(ROWS, STEPS, FEATURES),
        labels,
        losses.CTC(),
        optimizers.Adamax(rate),
        {"lengths": lengths},
    )


def stateful() -> Case:
    """Layers whose states go on from batch to batch."""
    model = models.Sequential(
        [
            layers.Input(batch_shape=(4, STEPS, FEATURES)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.GRU(18, stateful=True, return_sequences=True),
            layers.LSTM(3, stateful=True, return_sequences=True),
            layers.SimpleRNN(3, stateful=True, return_sequences=True),
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)], stateful=True),
            layers.Dense(1, bias_constraint="non_neg"),
        ]
    )
    return Case(model, random(12, STEPS, FEATURES), random(12, 1, seed=7), "mse", optimizers.Adagrad(0.1))


def windows() -> Case:
    """Training on windows of time steps with states carried between them."""
    model = models.Sequential(
        [
            layers.Input((None, FEATURES)),
            layers.LSTM(7, return_sequences=True),
            layers.SimpleRNN(4, return_sequences=True),
            layers.Dense(2),
        ]
    )
    x, y = random(ROWS, STEPS, FEATURES), random(ROWS, STEPS, 2, seed=8)
    return Case(model, x, y, "mae", optimizers.Lion(0.003), {"truncate": 4, "lengths": LENGTHS})


def shared_stack() -> Case:
    """The same recurrent layer read twice, frozen layers."""
    given = layers.Input((STEPS, FEATURES))
    layer = layers.GRU(FEATURES, return_sequences=True)
    frozen = layers.Dense(4, name="frozen", trainable=False)
    x = layers.Dropout(0.3, noise_shape=(None, 1, None))(layer(layer(given)))
    x = layers.BatchNormalization(trainable=False)(frozen(x))
    return Case(
        models.Model(given, [layers.GlobalMaxPooling1D()(x), layers.Dense(1)(x)]),
        random(ROWS, STEPS, FEATURES),
        [random(ROWS, 4, seed=9), random(ROWS, STEPS, 1, seed=10)],
        "mse",
        optimizers.Adadelta(1.0),
    )


# What a recurrent layer or cell can be told about its weights and its noise.
TOLD: dict[str, Any] = {
    "activation": "relu",
    "kernel_regularizer": "l1",
    "recurrent_regularizer": "l2",
    "bias_regularizer": regularizers.L2(0.1),
    "kernel_constraint": "max_norm",
    "recurrent_constraint": "unit_norm",
    "bias_constraint": constraints.MaxNorm(0.5),
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
    "seed": 4,
}


def cells() -> Case:
    """Cells and layers that were told everything at once, and ones without biases."""
    given = layers.Input((None, FEATURES))
    hard = {**TOLD, "recurrent_activation": "hard_sigmoid"}
    every = [
        layers.SimpleRNNCell(3, **TOLD),
        layers.LSTMCell(4, unit_forget_bias=False, **hard),
        layers.GRUCell(5, reset_after=False, **hard),
        layers.SimpleRNNCell(2, use_bias=False),
        layers.LSTMCell(3, use_bias=False, projection_units=2),
        layers.GRUCell(2, use_bias=False),
    ]
    x, *states = layers.RNN(
        every, return_sequences=True, return_state=True, unroll=True, zero_output_for_mask=True, name="cells"
    )(layers.Masking(2.0)(given))
    y, state = layers.SimpleRNN(3, return_state=True, return_sequences=True, unroll=True, zoneout=0.2, **TOLD)(x)
    y = layers.LSTM(3, return_sequences=True, **hard)(y)
    y = layers.GRU(3, return_sequences=True, unroll=True, **hard)(y)
    y = layers.SimpleRNN(2, use_bias=False)(layers.GRU(2, use_bias=False, return_sequences=True)(y))
    x = random(ROWS, STEPS, FEATURES)
    x[2, 3:], x[5, 1:4], x[6] = 2, 2, 2
    ends = [layers.concatenate([y, state]), layers.Dense(2, use_bias=False)(layers.concatenate(states))]
    return Case(
        models.Model(given, ends),
        x,
        [random(ROWS, 5, seed=11), random(ROWS, 2, seed=12)],
        "mse",
        optimizers.SGD(0.02, clipnorm=1.0),
        {"checkpoint_every": 2},
    )


def nested() -> Case:
    """Models within models: a stack in a stack, a model of two inputs and outputs called twice, one for each step."""
    step = models.Sequential([layers.Masking(), layers.GRU(3, dropout=0.2, seed=8), layers.Dense(4, "relu")])
    x, context = layers.Input((None, 4)), layers.Input((3,))
    sequence, state = layers.GRU(3, return_sequences=True, return_state=True)(x, initial_state=context)
    shared = models.Model([x, context], [sequence, layers.Add()([state, context])], name="shared")
    given, begin = layers.Input((STEPS, 3, FEATURES)), layers.Input((3,))
    inner = models.Sequential(
        [layers.Dense(5, kernel_regularizer="l2", activity_regularizer="l2"), layers.Dropout(0.1)]
    )
    y = layers.TimeDistributed(step)(given)
    once, end = shared([y, begin])
    y = layers.Dense(4)(models.Sequential([inner, layers.LSTM(4, return_sequences=True)])(once))
    twice, end = shared([y, end])
    return Case(
        models.Model([given, begin], [layers.Dense(2)(twice), end]),
        [random(ROWS, STEPS, 3, FEATURES, seed=14), random(ROWS, 3, seed=15)],
        [random(ROWS, STEPS, 2, seed=16), random(ROWS, 3, seed=17)],
        "mse",
        optimizers.Adam(0.01),
        {"lengths": LENGTHS},
    )


def details() -> Case:
    """What the other layers can be told and no model above tells them."""
    weights: dict[str, Any] = {
        "beta_regularizer": "l2",
        "gamma_regularizer": "l1",
        "beta_constraint": "max_norm",
        "gamma_constraint": "non_neg",
    }
    words = layers.Input((STEPS,), dtype="int32")
    x = layers.Embedding(9, 4, embeddings_regularizer="l2")(words)
    x = layers.Conv1D(4, 2, bias_constraint="max_norm", bias_regularizer="l1", padding="same")(x)
    x = layers.BatchNormalization(axis=2, epsilon=0.1, **weights)(x)
    x = layers.LayerNormalization(axis=-1, **weights)(layers.LayerNormalization(axis=2, center=False)(x))
    x = layers.AveragePooling1D(2, padding="same")(layers.MaxPooling1D(3, strides=1)(x))
    x = layers.Dropout(0.1, seed=1)(layers.AlphaDropout(0.1, seed=2)(layers.GaussianDropout(0.1, seed=3)(x)))
    attended = layers.MultiHeadAttention(
        2, 3, output_shape=4, use_bias=False, kernel_regularizer="l2", dropout=0.1, seed=5
    )(x, x)
    biased = layers.MultiHeadAttention(1, 2, bias_regularizer="l1")(x, attended)
    dot = layers.Attention(dropout=0.2, seed=6)([x, attended], use_causal_mask=True)
    additive = layers.AdditiveAttention(use_scale=False, dropout=0.1)([x, attended])
    x = layers.Concatenate(axis=1)([attended, biased, dot, additive])
    x = layers.Dense(3, kernel_constraint="non_neg", bias_regularizer="l1")(x)
    mean, largest = layers.GlobalAveragePooling1D(keepdims=True)(x), layers.GlobalMaxPooling1D(keepdims=True)(x)
    return Case(
        models.Model(words, layers.Flatten()(layers.Average()([mean, largest]))),
        ids(9, ROWS, STEPS),
        random(ROWS, 3, seed=13),
        losses.MeanSquaredError(),
        optimizers.Adam(optimizers.schedules.CosineDecay(0.02, 6)),
    )


def power(x: Array, exponent: float) -> Array:
    return np.asarray(np.abs(x) ** exponent)


def power_slope(x: Array, y: Array, dy: Array, exponent: float) -> Array:
    return np.asarray(dy * exponent * np.sign(x) * np.abs(x) ** (exponent - 1))


def power_shape(shape: Any) -> Any:
    return shape


def habits() -> Case:
    """Layers that are made of several ops, on rows of several lengths."""
    weights: dict[str, Any] = {
        "beta_regularizer": "l2",
        "gamma_regularizer": "l1",
        "beta_constraint": "max_norm",
        "gamma_constraint": "non_neg",
    }
    x = layers.Input((None, FEATURES))
    scaled = layers.Normalization()
    scaled.adapt(2 * random(ROWS, STEPS, FEATURES) + 1, LENGTHS)
    y = layers.Dense(4, "tanh")(layers.Normalization(2, [1.0, 0.0, -1.0], [2.0, 1.0, 3.0], True)(scaled(x)))
    y = layers.PReLU("ones", "l2", constraints.MaxNorm(0.9, axis=1), shared_axes=[1])(y)
    y = layers.GroupNormalization(2, 2, 0.1, **weights)(layers.ActivityRegularization(1e-3, 1e-2)(y))
    separable: dict[str, Any] = {"depthwise_regularizer": "l2", "pointwise_regularizer": "l1", "bias_regularizer": "l2"}
    separable |= {"depthwise_constraint": constraints.MaxNorm(0.9, axis=0), "pointwise_constraint": "max_norm"}
    separable |= {"activation": "tanh", "bias_constraint": "non_neg", "padding": "causal", "dilation_rate": 2}
    y = layers.SeparableConv1D(4, 3, depth_multiplier=2, **separable)(y)
    y = layers.Lambda(power, power_shape, arguments={"exponent": 2.0}, backward=power_slope, by_steps=True)(y)
    short = layers.SeparableConv1D(4, 2, strides=2, use_bias=False)(y)
    z = layers.GroupNormalization(-1, epsilon=0.1, scale=False)(layers.GroupNormalization(1, center=False)(y))
    h = layers.GRU(4)(layers.UnitNormalization()(z))
    scores = layers.Dot(2)([y, z])
    context = layers.Dot((2, 1), normalize=True)([layers.Reshape((1, 4))(h), layers.Permute((2, 1))(y[:, :3])])
    ends = [layers.PReLU("ones")(h), layers.dot([h, layers.Dense(4)(h)], 1), layers.Flatten()(context)]
    ends += [layers.UnitNormalization(axis=[1])(h), layers.GlobalAveragePooling1D()(short)]
    return Case(
        models.Model(x, [layers.concatenate(ends), scores]),
        random(ROWS, STEPS, FEATURES),
        [random(ROWS, 16, seed=31), random(ROWS, STEPS, STEPS, seed=32)],
        "mse",
        optimizers.Adam(0.01),
        {"lengths": np.maximum(LENGTHS, 3)},
    )


def spectrum() -> Case:
    """Magnitudes of a filter bank over mirrored signals, in rows of several lengths, as speech front ends are."""
    x = layers.Input((None, 2))
    y = layers.Conv1D(6, 3, use_bias=False)(layers.ReflectionPadding1D(2)(x))
    magnitude = layers.Elementwise("sqrt")(y[..., :3] ** 2 + y[..., 3:] ** 2 + 0.1)
    weights = layers.Softmax(axis=1)(magnitude)
    y = layers.GRU(4, return_sequences=True)(layers.ZeroPadding1D((1, 0))(magnitude * weights))
    y = layers.Cropping1D((0, 1))(layers.UpSampling1D(3)(y))
    limited = layers.Elementwise("clip", min_value=-0.4, max_value=0.3)(y)
    return Case(
        models.Model(x, layers.SimpleRNN(3)(layers.Elementwise("power", exponent=3.0)(limited))),
        random(ROWS, STEPS, 2, seed=21),
        random(ROWS, 3, seed=22),
        losses.MeanSquaredError(),
        optimizers.SGD(0.2, momentum=0.5),
        {"lengths": LENGTHS},
    )


def tagger() -> Case:
    """Labels that follow each other, in rows of several lengths."""
    boundary: dict[str, Any] = {"boundary_regularizer": "l2", "boundary_constraint": "max_norm"}
    return Case(
        models.Sequential(
            [
                layers.Input((None, FEATURES)),
                layers.GRU(4, return_sequences=True),
                layers.Dense(3),
                layers.CRF(transition_regularizer="l1", transition_constraint="max_norm", **boundary),
            ]
        ),
        random(ROWS, STEPS, FEATURES, seed=23),
        ids(3, ROWS, STEPS),
        losses.CRF(),
        optimizers.Adam(0.02),
        {"lengths": LENGTHS},
    )


def episodes() -> Case:
    """Sequences that begin anew within rows of several lengths, from states that are learned."""
    learned: dict[str, Any] = {"return_sequences": True, "trainable_initial_state": True}
    x, begins, begin = layers.Input((None, FEATURES)), layers.Input((None,), dtype="bool"), layers.Input((4,))
    y, h = layers.GRU(4, return_state=True, zoneout=0.2, seed=9, **learned)(x, initial_state=begin, resets=begins)
    y = layers.Bidirectional(layers.LSTM(3, projection_units=2, **learned))(y, resets=begins)
    stack = [layers.SimpleRNNCell(5, trainable_initial_state=True), layers.LSTMCell(3, recurrent_dropout=0.2)]
    y = layers.RNN(stack, return_sequences=True, go_backwards=True)(y, resets=begins)
    return Case(
        models.Model([x, begins, begin], [y, layers.SimpleRNN(2, **learned)(y), h]),
        [random(ROWS, STEPS, FEATURES, seed=23), ids(3, ROWS, STEPS) == 0, random(ROWS, 4, seed=24)],
        [random(ROWS, STEPS, 3, seed=25), random(ROWS, STEPS, 2, seed=26), random(ROWS, 4, seed=27)],
        "mse",
        optimizers.SGD(0.1),
        {"lengths": LENGTHS},
    )


def chain() -> Case:
    """The same with the transitions alone."""
    crf = layers.CRF(use_boundary=False)
    return Case(
        models.Sequential([layers.Input((STEPS, FEATURES)), crf]),
        random(ROWS, STEPS, FEATURES, seed=24),
        ids(FEATURES, ROWS, STEPS),
        losses.CRF(),
        optimizers.SGD(0.1),
    )


def forecasts() -> Case:
    """A distribution of each family, and quantiles, on one series."""
    x = layers.Input((STEPS, FEATURES))
    y = layers.GRU(5, return_sequences=True)(x)
    given = [
        losses.GaussianNLL(),
        losses.StudentTNLL(),
        losses.NegativeBinomialNLL(),
        losses.MixtureNLL(2),
        losses.Quantile([0.2, 0.7]),
    ]
    targets = [random(ROWS, STEPS, 2, seed=30 + k) for k in range(5)]
    targets[2] = np.floor(np.abs(4 * targets[2]))
    return Case(
        models.Model(x, [layers.Dense(2 * loss.parameters)(y) for loss in given]),
        random(ROWS, STEPS, FEATURES, seed=29),
        targets,
        given,
        optimizers.Adam(0.01),
    )


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: make
    for make in (
        recurrent,
        front_end,
        transformer,
        encoder_decoder,
        branches,
        reader,
        stateful,
        windows,
        shared_stack,
        cells,
        details,
        nested,
        spectrum,
        habits,
        tagger,
        chain,
        forecasts,
        episodes,
    )
}
