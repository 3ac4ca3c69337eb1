"""Values with masks of their own, merged: as in Keras, and so that padding is never read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from goldens import arrays
from keras_merged_models import GRAPHS, MASK, data, make_model, targets
from small_models import BACKENDS
from tolerance import Array, assert_all_close

import rnncore
from rnncore import layers, metrics, models, optimizers
from rnncore.layers.builder import build_program

GOLDEN = arrays("keras_merged_masks")
STEPS, FEATURES = 6, 3


def golden(prefix: str) -> list[Array]:
    return [array for key, array in GOLDEN.items() if key.startswith(prefix)]


def with_random_weights(model: Any, backend: str, seed: int = 0, **options: Any) -> Any:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(scale=0.7, size=w.shape) for w in model.get_weights()]
    model.set_weights([np.abs(w) + 0.1 if w.ndim == 1 else w for w in weights])  # a variance has one axis
    model.compile("sgd", "mse", backend=backend, dtype_policy="float64", **options)
    return model


# Keras


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_match_keras(name: str, backend: str) -> None:
    model = make_model(rnncore, name)
    model.set_weights(golden(f"{name}/before/"))
    model.compile(optimizers.SGD(0.1), "mse", backend=backend)
    x = data()
    y = targets(model.output_shape)
    found, expected = model.predict(x, verbose=0), golden(f"{name}/outputs/")
    if "heads" in name:  # a query that sees nothing gets the mean of all values in Keras, and is masked in both
        found[0], expected[0] = found[0][MASK != 0], expected[0][MASK != 0]
    assert_all_close(found, expected, 2e-5)
    losses = [model.train_on_batch(x, y)[0] for _ in range(3)]
    assert losses[0] == pytest.approx(GOLDEN[f"{name}/losses"][0], rel=2e-5)
    for actual, wanted in zip(model.get_weights(), golden(f"{name}/after/"), strict=True):
        np.testing.assert_allclose(actual, wanted, atol=5e-5, rtol=0)


# A padded row gives what the row alone gives


def sequence_layer(rng: Any, x: Any) -> Any:
    """One layer after another that keeps the number of features."""
    kind = rng.integers(10)
    if kind == 0:
        return layers.LSTM(FEATURES, return_sequences=True)(x)
    if kind == 1:
        return layers.Bidirectional(layers.GRU(FEATURES, return_sequences=True), merge_mode="sum")(x)
    if kind == 2:
        return layers.TimeDistributed(layers.Dense(FEATURES))(x)
    if kind == 3:
        return layers.Conv1D(FEATURES, 3, padding="same", activation="tanh")(x)
    if kind == 4:
        return layers.Attention()([x, x])
    if kind == 5:
        return layers.MultiHeadAttention(2, 2)(x, x)
    if kind == 6:
        return layers.LayerNormalization()(layers.Dropout(0.3)(layers.Activation("tanh")(x)))
    if kind == 7:
        y = layers.Permute((1, 3, 2))(layers.Reshape((-1, 1, FEATURES))(x))
        return layers.Reshape((-1, FEATURES))(y)
    if kind == 8:
        return layers.MaxPooling1D(2, strides=1, padding="same")(x)
    cells = [layers.SimpleRNNCell(4), layers.GRUCell(FEATURES)]
    return layers.RNN(cells, return_sequences=True)(layers.BatchNormalization()(x))


def row_layer(rng: Any, x: Any) -> Any:
    """One vector for each row."""
    kind = rng.integers(5)
    if kind == 0:
        return layers.Bidirectional(layers.LSTM(2))(x)
    if kind == 1:
        return layers.GlobalAveragePooling1D()(x)
    if kind == 2:
        return layers.GlobalMaxPooling1D()(x)
    if kind == 3:
        return layers.LSTM(3)(layers.Concatenate(axis=1)([x, layers.GRU(FEATURES, return_sequences=True)(x)]))
    backwards = layers.SimpleRNN(3, return_sequences=True, go_backwards=True)(x)
    return layers.GRU(3)(backwards)


def random_graph(seed: int) -> Any:
    """Two inputs of ids and one of features, each with a mask of its own or none, in one sequence and one vector."""
    rng = np.random.default_rng(seed)
    inputs = [
        layers.Input((None,), dtype="int32"),
        layers.Input((None,), dtype="int32"),
        layers.Input((None, FEATURES)),
    ]
    inputs = [inputs[k] for k in rng.permutation(3)]
    values = []
    for x in inputs:
        is_masked = bool(rng.integers(2))
        if x.dtype == "int":
            values.append(layers.Embedding(6, FEATURES, mask_zero=is_masked)(x))
        else:
            values.append(layers.Masking(0.5)(x) if is_masked else x)
    while len(values) > 1:
        k = rng.integers(len(values))
        if rng.integers(3):
            values[k] = sequence_layer(rng, values[k])
            continue
        merge = rng.choice(["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
        merged = getattr(layers, merge)()([values.pop(k), values[0]])
        values[0] = layers.Dense(FEATURES)(merged) if merge == "Concatenate" else merged
    return models.Model(inputs, [values[0], layers.Dense(2)(row_layer(rng, values[0]))])


def random_data(inputs: Any, rows: int, rng: Any) -> list[Array]:
    arrays = []
    for x in inputs:
        if x.dtype == "int":
            arrays.append(rng.integers(0, 6, size=(rows, STEPS)))
            arrays[-1][:, 0] = np.arange(rows) % 5 + 1  # no row that seems to begin with padding
        else:
            arrays.append(rng.normal(size=(rows, STEPS, FEATURES)))
            arrays[-1][rng.random((rows, STEPS)) < 0.3] = 0.5
    return arrays


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(24))
def test_a_padded_row_gives_what_the_row_alone_gives(seed: int, backend: str) -> None:
    model = with_random_weights(random_graph(seed), backend, seed)
    rng = np.random.default_rng(seed + 100)
    lengths = rng.permutation([1, 2, 3, 4, STEPS])
    x = random_data(model.inputs, len(lengths), rng)
    y = [rng.normal(size=(len(lengths), STEPS, FEATURES)), rng.normal(size=(len(lengths), 2))]
    sequences, vectors = model.predict(x, lengths=lengths, verbose=0)
    logs = model.evaluate(x, y, lengths=lengths, batch_size=len(lengths), verbose=0)
    row_losses = []
    for n, length in enumerate(lengths):
        row = [array[n : n + 1, :length] for array in x]
        sequence, vector = model.predict(row, verbose=0)
        np.testing.assert_allclose(sequences[n, :length], sequence[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(vectors[n], vector[0], rtol=1e-9, atol=1e-9)
        row_losses.append(model.test_on_batch(row, [y[0][n : n + 1, :length], y[1][n : n + 1]])[2])
    assert logs[2] == pytest.approx(np.mean(row_losses), rel=1e-9)
    # What padding holds does not matter, to losses and training neither.
    padded = np.arange(STEPS) >= lengths[:, None]
    for array in (*x, y[0]):
        array[padded] = 3
    assert model.evaluate(x, y, lengths=lengths, batch_size=len(lengths), verbose=0) == pytest.approx(logs, rel=1e-9)


def check_rows(model: Any, x: list[Array], lengths: Any, *, backwards: bool = False) -> None:
    """Each row with its padding gives what it gives alone: a sequence by its real steps, or a vector."""
    together = model.predict(x, lengths=lengths, verbose=0)
    for n, length in enumerate(lengths):
        alone = model.predict([array[n : n + 1, :length] for array in x], verbose=0)[0]
        found = together[n]
        if found.ndim > 1:
            found = found[len(found) - len(alone) :] if backwards else found[: len(alone)]
        np.testing.assert_allclose(found, alone, rtol=1e-9, atol=1e-9)


def two_inputs(describe: Callable[[Any, Any], Any], backend: str) -> Any:
    inputs = [layers.Input((None, FEATURES)) for _ in range(2)]
    return with_random_weights(models.Model(inputs, describe(*inputs)), backend)


LENGTHS = [4, 7, 5, 8]


@pytest.mark.parametrize("backend", BACKENDS)
def test_lengths_belong_to_inputs_that_are_merged_step_by_step(backend: str) -> None:
    """Each of two branches reads its own future, or its own windows, before they meet."""
    x = list(np.random.default_rng(1).normal(size=(2, len(LENGTHS), 8, FEATURES)))

    def both_ways(x: Any, y: Any) -> Any:
        read = [layers.Bidirectional(layers.GRU(2, return_sequences=True))(z) for z in (x, y)]
        return layers.GRU(2)(layers.Concatenate()(read))

    def strided(x: Any, y: Any) -> Any:
        front = [layers.MaxPooling1D(2)(layers.Conv1D(2, 3, padding="same")(z)) for z in (y, x)]
        return layers.LSTM(2)(layers.Add()(front))

    def attended(x: Any, y: Any) -> Any:
        later = layers.Bidirectional(layers.LSTM(FEATURES, return_sequences=True), merge_mode="sum")(y)
        return layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 2)(x, later, layers.Add()([x, y])))

    for describe in (both_ways, strided, attended):
        check_rows(two_inputs(describe, backend), x, LENGTHS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lengths_stay_with_the_first_of_inputs_that_are_not(backend: str) -> None:
    """An encoder and a decoder: only the encoder's rows end early."""
    x, y = np.random.default_rng(2).normal(size=(2, len(LENGTHS), 8, FEATURES))

    def describe(x: Any, y: Any) -> Any:
        state = layers.GRU(4)(x)
        return layers.GRU(4, return_sequences=True)(y, initial_state=state)

    model = two_inputs(describe, backend)
    found = model.predict([x, y], lengths=LENGTHS, verbose=0)
    for n, length in enumerate(LENGTHS):
        alone = model.predict([x[n : n + 1, :length], y[n : n + 1]], verbose=0)[0]
        np.testing.assert_allclose(found[n], alone, rtol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sequences_joined_in_time(backend: str) -> None:
    """Padding stands in the middle, then at the end again."""
    x = list(np.random.default_rng(3).normal(size=(2, len(LENGTHS), 8, FEATURES)))
    one = layers.Dense(FEATURES)

    def described(x: Any, y: Any) -> Any:
        first = layers.Concatenate(axis=1)([x, one(y)])
        again = layers.Concatenate(axis=-2)([layers.LSTM(FEATURES, return_sequences=True)(first), x])
        return layers.Bidirectional(layers.GRU(2))(again)

    model = two_inputs(described, backend)
    found = model.predict(x, lengths=LENGTHS, verbose=0)
    for n, length in enumerate(LENGTHS):  # the second input has no lengths
        alone = model.predict([x[0][n : n + 1, :length], x[1][n : n + 1]], verbose=0)[0]
        np.testing.assert_allclose(found[n], alone, rtol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mask_zero", [False, True])
def test_reversed_sequences(mask_zero: bool, backend: str) -> None:
    """What a backward layer hands on ends with its real steps; masks with holes go on as without padding."""
    ids = layers.Input((None,), dtype="int32")
    y = layers.Embedding(6, FEATURES, mask_zero=mask_zero)(ids)
    for _ in range(3):
        y = layers.GRU(FEATURES, return_sequences=True, go_backwards=True)(y)
    model = with_random_weights(models.Model(ids, y), backend)
    rng = np.random.default_rng(4)
    x = rng.integers(0, 6, size=(len(LENGTHS), 8))
    x[:, 0] = 1 + np.arange(len(x))
    check_rows(model, [x], LENGTHS, backwards=True)
    target = rng.normal(size=(len(x), 8, FEATURES))
    loss = model.evaluate(x, target, lengths=LENGTHS, batch_size=len(x), verbose=0)
    real = np.arange(8) >= 8 - np.array(LENGTHS)[:, None]
    if not mask_zero:
        found = model.predict(x, lengths=LENGTHS, verbose=0)
        assert loss == pytest.approx(np.mean((found - target)[real] ** 2), rel=1e-9)
    target[~real] = 99.0
    assert model.evaluate(x, target, lengths=LENGTHS, batch_size=len(x), verbose=0) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mask_of_the_call_and_lengths_hold_together(backend: str) -> None:
    rng = np.random.default_rng(5)
    x, given = layers.Input((None, FEATURES)), layers.Input((None,), dtype="bool")
    model = models.Model([x, given], layers.LSTM(4)(x, mask=given))
    check_rows(
        with_random_weights(model, backend),
        [rng.normal(size=(len(LENGTHS), 8, FEATURES)), rng.integers(2, size=(len(LENGTHS), 8)).astype(bool)],
        LENGTHS,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_become_steps(backend: str) -> None:
    """Lengths of a series (N, T) go on with it as (N, T, 1)."""
    series = layers.Input((None,))
    y = layers.GRU(3)(layers.Reshape((-1, 1))(layers.GaussianNoise(0.1)(series)))
    model = with_random_weights(models.Model(series, y), backend)
    check_rows(model, [np.random.default_rng(6).normal(size=(len(LENGTHS), 8))], LENGTHS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_reads_no_padding(backend: str) -> None:
    """Batch statistics, gradients and losses of all steps are those of the same batch with other padding."""
    rng = np.random.default_rng(7)
    found = []
    padded = np.arange(8) >= np.array(LENGTHS)[:, None]
    ids, x = rng.integers(1, 6, size=(len(LENGTHS), 8)), rng.normal(size=(len(LENGTHS), 8, FEATURES))
    y = rng.normal(size=(len(LENGTHS), 8, 2))
    for filler in (0, 5):
        for array in (ids, x, y):
            array[padded] = filler
        inputs = [layers.Input((None,), dtype="int32"), layers.Input((None, FEATURES))]
        words = layers.Embedding(6, FEATURES, mask_zero=True)(inputs[0])
        both = layers.Maximum()([layers.BatchNormalization()(words), layers.BatchNormalization()(inputs[1])])
        both = layers.BatchNormalization()(layers.Concatenate()([both, words]))
        both = layers.TimeDistributed(layers.BatchNormalization())(layers.Reshape((-1, 2, FEATURES))(both))
        both = layers.Reshape((-1, 2 * FEATURES))(layers.BatchNormalization()(both))
        model = with_random_weights(models.Model(inputs, layers.Dense(2)(both)), backend, metrics=["mae"])
        history = model.fit([ids, x], y, lengths=LENGTHS, batch_size=2, epochs=3, shuffle=False, verbose=0).history
        found.append([*model.get_weights(), *map(np.array, history.values())])
    for actual, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_metrics_in_python_leave_out_the_same_steps(backend: str) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 6, size=(len(LENGTHS), 8)), rng.normal(size=(len(LENGTHS), 8, 2))
    x[:, 0] = 1 + np.arange(len(x))

    def error(y_true: Array, y_pred: Array) -> Array:
        found: Array = np.mean(np.abs(y_true - y_pred), axis=-1)
        return found

    ids = layers.Input((None,), dtype="int32")
    sequence = layers.GRU(3, return_sequences=True, go_backwards=True)(layers.Embedding(6, 3, mask_zero=True)(ids))
    model = models.Model(ids, layers.Dense(2)(layers.Dropout(0.2)(sequence)))
    with_random_weights(model, backend, metrics=["mae", metrics.MeanMetricWrapper(error, name="python")])
    for lengths in (None, LENGTHS):
        _, native, own = model.evaluate(x, y, lengths=lengths, batch_size=3, verbose=0)
        assert own == pytest.approx(native, rel=1e-9)
    history = model.fit(x, y, lengths=LENGTHS, batch_size=3, epochs=2, verbose=0).history
    assert history["python"] == pytest.approx(history["mae"], rel=1e-9)


def test_lengths_alone_need_no_masks() -> None:
    """Padding stays free where nothing but the lengths says what is real."""
    x, y = layers.Input((None, FEATURES)), layers.Input((None, FEATURES))
    merged = layers.Multiply()([layers.Add()([x, y]), layers.Dense(1)(x), layers.Conv1D(1, 3, padding="same")(y)])
    merged = layers.Concatenate()([merged, layers.Attention()([x, y])])
    program, _ = build_program([x, y], [layers.LSTM(4, return_sequences=True)(merged)])
    assert {node.op for node in program.nodes} == {"merge", "concatenate", "dense", "conv1d", "attention", "lstm"}
    (lstm,) = [node for node in program.nodes if node.op == "lstm"]
    assert lstm.inputs[1] == program.lengths >= 0
    assert program.masks == (program.lengths,)
