"""Streams: a sequence in chunks of any sizes gives what `predict` gives on the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from causal_models import causal_model, cuts, reach, sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import BACKENDS, Array
from tolerance import assert_close

from rnncore import layers, models, utils

RNG = np.random.default_rng(3)
X = RNG.normal(size=(2, 12, 3))
W, B = (RNG.integers(-9, 9, size) / 8 for size in ((3, 3, 4), 4))  # of a convolution of three taps


def model_of(*stack: Any, backend: str = "compiled", shape: tuple[Any, ...] = (None, 3)) -> models.Sequential:
    model = models.Sequential([layers.Input(shape), *stack])
    model.compile(backend=backend, dtype_policy="float64")
    return model


def in_chunks(stream: Any, x: Array, sizes: list[int]) -> Array:
    ends = np.cumsum(sizes)
    return np.concatenate([stream.run(x[:, end - size : end]) for size, end in zip(sizes, ends, strict=True)], axis=1)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 5), dtype=st.sampled_from(["float32", "float64"]))
def test_chunks_give_what_predict_gives_on_the_whole(backend: str, seed: int, depth: int, dtype: str) -> None:
    """Bit for bit from the compiled core; NumPy's products add up in an order that depends on their sizes."""
    rng = np.random.default_rng(seed)
    utils.set_random_seed(seed)
    fixed = 60 if depth < 3 and rng.random() < 0.3 else None
    model = causal_model(rng, backend, dtype, depth, fixed)
    steps, rows = fixed or reach(model) + int(rng.choice([0, 11, 40])), int(rng.integers(1, 5))
    x = sequence(rng, model, rows, steps)
    expected = model.predict(x, verbose=0)
    stream = model.stream(rows)
    sizes = cuts(rng, steps)
    chunks = [stream.run(x[:, end - size : end]) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]
    assert (stream._direct is not None) == (backend == "compiled" and any(0 < size <= 16 for size in sizes))
    if len(model.outputs) == 1:
        expected, chunks = [expected], [[chunk] for chunk in chunks]
    for number, (value, whole) in enumerate(zip(model.outputs, expected, strict=True)):
        parts = [chunk[number] for chunk in chunks]
        found = np.concatenate(parts, axis=1) if len(value.shape) == 3 else parts[-1]
        if backend == "compiled":
            np.testing.assert_array_equal(found, whole)
        else:
            assert_close(found, whole)


# By formula


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [[12], [1] * 12, [0, 5, 0, 7]])
@pytest.mark.parametrize("dilation", [1, 2, 5])
def test_a_causal_convolution_reads_zeros_before_the_first_step(dilation: int, sizes: list[int], backend: str) -> None:
    model = model_of(layers.Conv1D(4, 3, padding="causal", dilation_rate=dilation), backend=backend)
    model.set_weights([W, B])
    expected = np.zeros((2, 12, 4)) + B
    for t in range(12):
        for tap in range(3):
            if (s := t - (2 - tap) * dilation) >= 0:
                expected[:, t] += X[:, s] @ W[tap]
    np.testing.assert_allclose(in_chunks(model.stream(2), X, sizes), expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [[12], [1] * 12, [2, 3, 0, 7]])
@pytest.mark.parametrize(
    ("strides", "padding"), [(1, "valid"), (2, "valid"), (5, "valid"), (2, "causal"), (4, "causal")]
)
def test_windows_begin_every_strides_steps(strides: int, padding: str, sizes: list[int], backend: str) -> None:
    model = model_of(layers.Conv1D(4, 3, strides, padding), backend=backend)
    model.set_weights([W, B])
    padded = np.pad(X, ((0, 0), (2 if padding == "causal" else 0, 0), (0, 0)))
    windows = [padded[:, s : s + 3] for s in range(0, padded.shape[1] - 2, strides)]
    expected = np.stack([np.einsum("nkc,kcu->nu", window, W) + B for window in windows], axis=1)
    np.testing.assert_allclose(in_chunks(model.stream(2), X, sizes), expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("layer", "reduce"), [(layers.MaxPooling1D, np.max), (layers.AveragePooling1D, np.mean)])
@pytest.mark.parametrize(("size", "strides"), [(2, 2), (3, 1), (2, 5)])
def test_pooling_waits_for_whole_windows(layer: Any, reduce: Any, size: int, strides: int, backend: str) -> None:
    expected = np.stack([reduce(X[:, s : s + size], axis=1) for s in range(0, 13 - size, strides)], axis=1)
    found = in_chunks(model_of(layer(size, strides), backend=backend).stream(2), X, [3, 1, 0, 8])
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [[12], [1] * 12, [4, 0, 8]])
def test_attention_reads_all_steps_so_far(sizes: list[int], backend: str) -> None:
    x = layers.Input((None, 3))
    model = models.Model(x, layers.Attention()([x, x], use_causal_mask=True))
    model.compile(backend=backend, dtype_policy="float64")
    expected = np.empty_like(X)
    for n in range(2):
        for t in range(12):
            weights = np.exp(X[n, : t + 1] @ X[n, t])
            expected[n, t] = weights @ X[n, : t + 1] / weights.sum()
    np.testing.assert_allclose(in_chunks(model.stream(2), X, sizes), expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_never_reads_masked_steps(backend: str) -> None:
    """The ids of a row with its zeros left out give the same last state."""
    ids = layers.Input((None,), dtype="int32")
    embedded = layers.Embedding(5, 4, mask_zero=True)(ids)
    attended = layers.MultiHeadAttention(2, 3)(embedded, embedded, use_causal_mask=True)
    model = models.Model(ids, layers.GRU(3)(attended))
    model.compile(backend=backend, dtype_policy="float64")
    stream, dense = model.stream(), model.stream()
    for chunk in ([1, 0, 2], [0], [0, 3, 4], [0]):
        found = stream.run([chunk])
    np.testing.assert_allclose(found, dense.run([[1, 2, 3, 4]]), atol=1e-12)


# What else goes step by step


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_of_a_call_are_inputs_too(backend: str) -> None:
    x, valid = layers.Input((None, 3)), layers.Input((None,), dtype="bool")
    marked = layers.Masking()(x)
    attended = layers.MultiHeadAttention(1, 2)(x, marked, value_mask=valid, use_causal_mask=True)
    shown = layers.Attention()([x, x], mask=[valid, valid], use_causal_mask=True)
    y = layers.GRU(3, return_sequences=True)(layers.Concatenate()([attended, shown]), mask=valid)
    model = models.Model([x, valid], y)
    model.compile(backend=backend, dtype_policy="float64")
    marks = (np.random.default_rng(0).random((2, 12)) < 0.6).astype(np.int32)
    given = X * (np.random.default_rng(1).random((2, 12, 1)) < 0.7)  # the mask of a call takes the place of the other
    stream = model.stream(2)
    found = [stream.run([given[:, cut], marks[:, cut]]) for cut in (slice(0, 1), slice(1, 6), slice(6, 12))]
    np.testing.assert_allclose(np.concatenate(found, 1), model.predict([given, marks], verbose=0), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_initial_state_is_that_of_the_first_step_a_layer_sees(backend: str) -> None:
    x, h = layers.Input((None, 3)), layers.Input((4,))
    y = layers.GRU(4, return_sequences=True)(layers.Conv1D(2, 3)(x), initial_state=layers.Dense(4)(h))
    model = models.Model([x, h], [y, layers.Dense(2)(h)])
    model.compile(backend=backend, dtype_policy="float64")
    first = np.random.default_rng(0).normal(size=(2, 4))
    stream = model.stream(2)
    found = [stream.run([X[:, cut], first]) for cut in (slice(0, 1), slice(1, 2), slice(2, 7), slice(7, 12))]
    expected = model.predict([X, first], verbose=0)
    np.testing.assert_allclose(np.concatenate([y for y, _ in found], 1), expected[0], atol=1e-12)
    for _, of_h in found:
        np.testing.assert_allclose(of_h, expected[1], atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_follows_the_end_begins_anew_in_each_chunk(backend: str) -> None:
    """A decoder reads the last state, however often it is asked."""
    stack = [layers.LSTM(4), layers.RepeatVector(3), layers.GRU(2, return_sequences=True), layers.Conv1D(2, 2)]
    model = model_of(*stack, backend=backend)
    stream = model.stream(2)
    for t in range(4):
        np.testing.assert_allclose(stream.step(X[:, t]), model.predict(X[:, : t + 1], verbose=0), atol=1e-12)
    np.testing.assert_allclose(stream.run(X[:, :0]), model.predict(X[:, :4], verbose=0), atol=1e-12)


def test_an_output_may_be_an_input_or_given_twice() -> None:
    x = layers.Input((None, 3))
    y = layers.Conv1D(2, 2)(x)
    model = models.Model(x, [x, y, y])
    model.compile(dtype_policy="float64")
    given = X.copy()
    same, one, two = model.stream(2).run(given)
    assert np.array_equal(same, X)
    assert not np.shares_memory(same, given)
    assert not np.shares_memory(one, two)
    assert np.array_equal(one, two)


@pytest.mark.parametrize("steps", [None, 12])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sequence_may_have_no_features(backend: str, steps: int | None) -> None:
    x = layers.Input((steps, 3))
    one = layers.Activation("tanh")(x[..., 0])
    model = models.Model(x, layers.Add()([one, x[..., 1]]))
    model.compile(backend=backend, dtype_policy="float64")
    expected = np.tanh(X[..., 0]) + X[..., 1]
    np.testing.assert_allclose(in_chunks(model.stream(2), X, [5, 0, 7]), expected, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_within_steps_need_not_be_known_to_the_model(backend: str) -> None:
    x = layers.Input((None, None, 3))
    model = models.Model(x, layers.TimeDistributed(layers.GRU(2, return_sequences=True))(x))
    model.compile(backend=backend, dtype_policy="float64")
    given = RNG.normal(size=(2, 5, 4, 3))
    stream = model.stream(2)
    assert stream.run(given[:, :0]).shape == (2, 0, 4, 2)
    found = np.concatenate([stream.run(given[:, :2]), stream.run(given[:, 2:])], axis=1)
    np.testing.assert_allclose(found, model.predict(given, verbose=0), atol=1e-12)


# What does not


def causal(layer: Any, *inputs: Any, **options: Any) -> Any:
    return layer(*inputs, use_causal_mask=True, **options)


REFUSED = {
    "bidirectional": (lambda x: layers.Bidirectional(layers.GRU(2), name="it")(x), "reads its sequence from the end"),
    "backwards": (lambda x: layers.GRU(2, go_backwards=True, name="it")(x), "reads its sequence from the end"),
    "pooling of all": (lambda x: layers.GlobalMaxPooling1D(name="it")(x), "pools all steps"),
    "same": (lambda x: layers.Conv1D(2, 3, padding="same", name="it")(x), "pads its sequence at both ends"),
    "same pooling": (lambda x: layers.MaxPooling1D(2, padding="same", name="it")(x), "pads its sequence at both ends"),
    "attention": (lambda x: layers.Attention(name="it")([x, x]), "lets each step see later ones"),
    "flatten": (lambda x: layers.Flatten(name="it")(x), "does not treat each step by itself"),
    "reshape": (lambda x: layers.Reshape((3, 12), name="it")(x), "does not treat each step by itself"),
    "permute": (lambda x: layers.Permute((2, 1), name="it")(x), "does not treat each step by itself"),
    "slice": (
        lambda x: layers.GetItem((slice(None), slice(1, None)), name="it")(x),
        "does not treat each step by itself",
    ),
    "join in time": (lambda x: layers.Concatenate(1, name="it")([x, x]), "does not treat each step by itself"),
    "steps as features": (lambda x: layers.Dense(2, name="it")(x[..., 0]), "takes the steps of a sequence"),
    "steps joined": (lambda x: layers.Concatenate(name="it")([x[..., 0], x[..., 1]]), "takes the steps of a sequence"),
    "rates": (
        lambda x: layers.Add(name="it")([x, layers.Conv1D(3, 1, strides=2)(x)]),
        "reads sequences with a step for every 1 and every 2 steps of the input",
    ),
    "delays": (
        lambda x: layers.Add(name="it")([layers.Conv1D(3, 2)(x), layers.Conv1D(3, 4)(x)]),
        "reads sequences of different numbers of steps, which begin after 2 and after 4 steps of the input",
    ),
    "state at the end": (
        lambda x: layers.GRU(2, name="it")(x, initial_state=layers.GRU(2)(x)),
        "begins with a state that is only known at the end of another sequence",
    ),
    "end": (
        lambda x: layers.Add(name="it")([x, layers.GRU(3)(x)]),
        "reads what is only known at the end of a sequence together with its steps",
    ),
    "scores": (
        lambda x: layers.Dense(2, name="it")(causal(layers.Attention(), [x, x], return_attention_scores=True)[1]),
        "reads attention scores, which grow with the sequence",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_layer_that_needs_later_steps_is_named(kind: str) -> None:
    make, reason = REFUSED[kind]
    x = layers.Input((None if kind in ("rates", "delays") else 12, 3))
    with pytest.raises(ValueError, match=f"^stream needs layers that go step by step, but 'it' {reason}"):
        models.Model(x, make(x)).stream()


def test_scores_are_no_output_of_a_stream() -> None:
    x = layers.Input((None, 3))
    outputs = causal(layers.Attention(name="it"), [x, x], return_attention_scores=True)
    with pytest.raises(ValueError, match="stream has no attention scores of 'it': they grow with the sequence"):
        models.Model(x, outputs).stream()
    assert models.Model(x, outputs[0]).stream().step(np.ones((1, 3))).shape == (1, 3)


@pytest.mark.parametrize("layer", [layers.Conv1D(2, 3, name="it"), layers.MaxPooling1D(2, name="it")])
def test_a_step_is_refused_where_outputs_have_other_steps(layer: Any) -> None:
    model = model_of(layer)
    with pytest.raises(ValueError, match="step needs .* 'it' has one for every [12], the first after [23]: use run"):
        model.stream(2).step(X[:, 0])
    last = model_of(layers.Conv1D(2, 3), layers.GRU(2)).stream(2)
    assert last.step(X[:, 0]).shape == (2, 2)
