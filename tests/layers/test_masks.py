"""Masks of any pattern: in layers as Keras has them, in Programs alike in both executors, in losses and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_masked_models as keras_models
import numpy as np
import pytest
from goldens import arrays
from keras_masked_models import CASES, MASK, MODELS, STEPS
from small_models import BACKENDS
from tolerance import Array, assert_all_close, assert_all_equal, assert_threads_agree

import rnncore
from rnncore import _core, layers, losses, metrics, models, optimizers, reference
from rnncore.layers.builder import build_program
from rnncore.program import Node, Program, Value

GOLDEN = arrays("keras_masked_layers")
ROWS, FEATURES = len(MASK), keras_models.FEATURES
EXECUTORS = {"compiled": _core.Executor, "reference": reference.Executor}
AFTER_STEPS = 2e-5  # in float32, absolute: weights are of the order of 1


def golden(prefix: str) -> list[Any]:
    return [array for key, array in GOLDEN.items() if key.startswith(prefix)]


# Keras


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_layers_match_keras(name: str, backend: str) -> None:
    kind, with_state, options = CASES[name]
    layer = keras_models.make_layer(rnncore, kind, options)
    inputs = [layers.Input((STEPS, FEATURES)), layers.Input((STEPS,), dtype="bool")]
    states = (2 if kind == "LSTM" else 1) if with_state else 0
    initial = [layers.Input((keras_models.UNITS,)) for _ in range(states)]
    outputs = layer(inputs[0], mask=inputs[1], initial_state=initial or None)
    model = models.Model([*inputs, *initial], outputs)
    model.compile(backend=backend)
    model.set_weights(golden(f"{name}/weights/"))
    found = model.predict([GOLDEN["x"], MASK.astype(bool), *GOLDEN["states"][: len(initial)]], verbose=0)
    assert_all_close(found, golden(f"{name}/outputs/"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_models_train_as_in_keras(name: str, backend: str) -> None:
    model, data, targets = MODELS[name](rnncore)
    before, after = golden(f"{name}/before/"), golden(f"{name}/after/")
    model.set_weights(before)
    model.compile(optimizers.SGD(0.3), "mse", weighted_metrics=["mae"], backend=backend)
    np.testing.assert_allclose(model.evaluate(data, targets, verbose=0), GOLDEN[f"{name}/logs"], rtol=2e-5)
    for _ in range(5):
        model.train_on_batch(data, targets)
    for actual, wanted in zip(model.get_weights(), after, strict=True):
        np.testing.assert_allclose(actual, wanted, atol=AFTER_STEPS, rtol=0)
    assert max(np.abs(b - a).max() for b, a in zip(before, after, strict=True)) > 1000 * AFTER_STEPS


# Values of the LSTM's, GRU's and simple layer's own tests in Keras: kernel 0.01, recurrent kernel 0.02, bias 0.03.


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "units", "mask", "options", "expected"),
    [
        ("LSTM", 2, "TTTF TTFF", {}, [0.11755939, 0.28556206]),
        ("LSTM", 2, "FTTT FFTT", {"go_backwards": True}, [0.15341201, 0.3844719]),
        ("GRU", 2, "TTFT TFFT", {}, [0.19393763, 0.30818558]),
        ("GRU", 2, "TTFT TFFT", {"go_backwards": True}, [0.11669192, 0.28380975]),
        ("SimpleRNN", 4, "TTFT TFFT", {}, [0.32951632, 0.61799484]),
    ],
)
def test_values_in_the_tests_of_keras(
    kind: str, units: int, mask: str, options: dict[str, Any], expected: list[float], backend: str
) -> None:
    real = np.array([[step == "T" for step in row] for row in mask.split()])
    constants = {
        f"{name}_initializer": rnncore.initializers.Constant(value)
        for name, value in [("kernel", 0.01), ("recurrent", 0.02), ("bias", 0.03)]
    }
    x, given = layers.Input((4, 3)), layers.Input((4,), dtype="bool")
    model = models.Model([x, given], getattr(layers, kind)(units, **constants, **options)(x, mask=given))
    model.compile(backend=backend)
    found = model.predict([np.arange(24.0).reshape(2, 4, 3), real], verbose=0)
    np.testing.assert_allclose(found, np.repeat(expected, units).reshape(2, units), rtol=1e-5)


# The op


def masking(x: Any, given: bool, lengths: bool = False, **attributes: Any) -> Program:
    """A program that makes the mask, and of floats the masked values."""
    integer = x.dtype == np.int32
    shape = (None, *(None for _ in x.shape[1:]))
    values = (
        Value("x", shape, "int" if integer else "float"),
        Value("given", (None,) if lengths else (None, None), "int"),
        Value("y", shape),
        Value("mask", (None, None), "int"),
        Value("z", (None, None, 1)),
    )
    masked = Node("masking", "masking", (0, 1 if given else -1), (-1 if integer else 2, 3), (), attributes)
    # Ones and zeros, read off a recurrent op that the mask steers.
    return Program(
        (*values, Value("one", (None, None, 1))),
        (rnncore.program.Parameter("kernel", (1, 1), 0), rnncore.program.Parameter("recurrent", (1, 1), 1)),
        (
            masked,
            Node(
                "simple_rnn",
                "rnn",
                (5, 3, -1),
                (4, -1),
                (0, 1),
                {"activation": "linear", "zero_output_for_mask": True},
            ),
        ),
        (0, *([1] if given and not lengths else []), 5),
        (4,) if integer else (2, 4),
        1 if lengths else -1,
    )


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("given", ["nothing", "mask", "lengths"])
@pytest.mark.parametrize("width", [1, 3, 17])
def test_masking(width: int, given: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    rng = np.random.default_rng(4)
    real = rng.integers(2, size=(9, 6)).astype(bool)
    if dtype == np.int32:
        x, value = (rng.integers(1, 9, size=(9, 6)) * real).astype(np.int32), 0.0
    else:
        value = 1.5
        x = rng.normal(size=(9, 6, width)).astype(dtype)
        x[~real] = value
        x[0, 0], real[0, 0] = value, False
        x[0, 0, -1:], real[0, 0] = np.nan, True  # one other number makes a step real, whatever it is
    mask, lengths = rng.integers(3, size=(9, 6)).astype(np.int32), (np.arange(9) % 7).astype(np.int32)
    float_type = np.dtype(np.float32 if dtype == np.int32 else dtype)
    program = masking(x, given != "nothing", given == "lengths", mask_value=value)
    inputs = [x, *([mask] if given == "mask" else []), np.ones((9, 6, 1), float_type)]
    expected = real & {"nothing": True, "mask": mask != 0, "lengths": np.arange(6) < lengths[:, None]}[given]
    for kind in EXECUTORS.values():
        executor = kind(program, np.array([1, 0], float_type), np.zeros(2, float_type))
        *y, z = executor.forward(inputs, lengths if given == "lengths" else None, training=True)
        np.testing.assert_array_equal(z[..., 0], expected)
        if y:
            np.testing.assert_array_equal(y[0], np.where(expected[..., None], x, 0))
            dy = rng.normal(size=x.shape).astype(float_type)
            (dx, *_) = executor.backward([dy, None])
            np.testing.assert_array_equal(dx, np.where(expected[..., None], dy, 0))


# Layers


def test_who_passes_a_mask_on() -> None:
    ids = layers.Input((None,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True, name="words")(ids)
    kept = layers.Dropout(0.1)(layers.Activation("relu")(layers.Dense(3)(x)))
    sequence, last = layers.LSTM(3, return_sequences=True, return_state=True, name="first")(kept)[:2]
    again = layers.GRU(3, return_sequences=True, name="second")(sequence)
    outputs = [layers.Dense(2)(again), layers.Dense(2)(last), sequence]
    program, _ = build_program([ids], outputs)
    mask = next(node for node in program.nodes if node.op == "masking").outputs[1]
    assert program.masks == (mask, -1, mask)
    assert [node.inputs[1] for node in program.nodes if node.op in ("lstm", "gru")] == [mask, mask]


def test_lengths_narrow_a_mask() -> None:
    x = layers.Input((None, FEATURES))
    program, _ = build_program([x], [layers.GRU(3, return_sequences=True)(layers.Masking()(x))])
    (made,) = [node for node in program.nodes if node.op == "masking"]
    assert made.inputs[1] == program.lengths >= 0
    assert program.masks == (made.outputs[1],)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masked_is_as_if_cut_out(backend: str) -> None:
    """Padding by value, by id, by lengths and by a mask of the caller's: the same loss, outputs and weights after."""
    rng = np.random.default_rng(2)
    lengths = np.array([5, 0, 3, 1, 4, 5, 2])
    real = np.arange(STEPS) < lengths[:, None]
    ids = rng.integers(1, 9, size=real.shape) * real
    targets = rng.normal(size=(*real.shape, 2))
    found = []
    for by in ("lengths", "mask_zero", "given"):
        given = layers.Input((None,), dtype="int32")
        mask = layers.Input((None,))
        x = layers.Embedding(9, 4, embeddings_initializer="ones", mask_zero=by == "mask_zero")(given)
        cell = layers.LSTM(3, return_sequences=True)
        y = layers.Dense(2)(cell(x, mask=mask) if by == "given" else cell(x))
        model = models.Model([given, mask] if by == "given" else given, y)
        draw = np.random.default_rng(3)
        model.set_weights([draw.normal(size=w.shape) for w in model.get_weights()])
        model.compile(optimizers.SGD(0.1), "mse", metrics=["mae"], backend=backend, dtype_policy="float64")
        data = [ids, real] if by == "given" else ids
        keywords = {"lengths": lengths} if by == "lengths" else {}
        model.fit(data, targets, batch_size=3, epochs=2, shuffle=False, verbose=0, **keywords)
        logs = model.evaluate(data, targets, verbose=0, **keywords)
        found.append([*model.get_weights(), model.predict(data, verbose=0, **keywords), np.array(logs)])
    for others in found[1:]:
        for actual, wanted in zip(others, found[0], strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("weights", ["none", "samples", "steps"])
def test_losses_and_metrics_leave_out_masked_steps(weights: str, backend: str) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(*MASK.shape, FEATURES)) * MASK[..., None]
    y = rng.normal(size=(*MASK.shape, 2))
    weight = {"none": None, "samples": rng.uniform(size=ROWS), "steps": rng.uniform(size=MASK.shape)}[weights]
    model = models.Sequential(
        [layers.Input((None, FEATURES)), layers.Masking(), layers.Dense(2, bias_initializer="ones")]
    )
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"], backend=backend, dtype_policy="float64")
    found = model.evaluate(x, y, sample_weight=weight, batch_size=ROWS, verbose=0)
    output, real = model.predict(x, verbose=0), MASK.astype(bool)
    spread = np.ones(MASK.shape) if weight is None else np.broadcast_to(weight.reshape(ROWS, -1), MASK.shape)
    squares, absolutes = (np.mean(np.abs(output - y) ** power, axis=-1)[real] for power in (2, 1))
    expected = [
        np.mean(squares * spread[real]),
        np.mean(absolutes),
        np.average(absolutes, weights=spread[real]),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    y[~real] = np.nan
    assert model.evaluate(x, y, sample_weight=weight, batch_size=ROWS, verbose=0) == found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_without_a_real_step_changes_nothing(backend: str) -> None:
    model = models.Sequential(
        [layers.Input((None, FEATURES)), layers.Masking(), layers.LSTM(3, return_sequences=True), layers.Dense(2)]
    )
    model.compile("sgd", "mse", metrics=["mae"], backend=backend)
    before = model.get_weights()
    logs = model.train_on_batch(np.zeros((4, 5, FEATURES)), np.ones((4, 5, 2)))
    assert logs == [0.0, 0.0]
    assert_all_equal(model.get_weights(), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_metrics_beside_a_function_are_masked(backend: str) -> None:
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(*MASK.shape, FEATURES)) * MASK[..., None], rng.normal(size=(*MASK.shape, 2))
    real = MASK.astype(bool)

    def loss(y_true: Array, y_pred: Array) -> tuple[float, Array]:
        error = np.where(real[..., None], y_pred - y_true, 0)
        return float(np.sum(error**2) / real.sum() / 2), error / real.sum()

    results = []
    for given in (loss, "mse"):
        model = models.Sequential(
            [layers.Input((None, FEATURES)), layers.Masking(), layers.GRU(3, return_sequences=True), layers.Dense(2)]
        )
        draw = np.random.default_rng(1)
        model.set_weights([draw.normal(size=w.shape) for w in model.get_weights()])
        model.compile(optimizers.SGD(0.1), given, metrics=["mae"], backend=backend, dtype_policy="float64")
        logs = [model.train_on_batch(x, y) for _ in range(2)]
        results.append([*model.get_weights(), np.array(logs), np.array(model.test_on_batch(x, y))])
    for actual, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-10)
    expected = metrics.MeanAbsoluteError()
    expected.update_state(y[real], model.predict(x, verbose=0)[real])
    assert results[0][-1][1] == pytest.approx(expected.result(), rel=1e-10)
    assert losses.get("mse")(y[real], model.predict(x, verbose=0)[real]) == pytest.approx(results[1][-1][0])


def test_any_number_of_threads_gives_the_same_bits() -> None:
    rng = np.random.default_rng(6)
    real = rng.integers(2, size=(101, 7))
    x, y = rng.normal(size=(101, 7, 5)) * real[..., None], rng.normal(size=(101, 7, 2))

    def run() -> list[Array]:
        given = layers.Input((None, 5))
        sequence = layers.LSTM(19, return_sequences=True)(layers.Masking()(given))
        reverse = layers.GRU(6, return_sequences=True, go_backwards=True)(sequence)
        model = models.Model(given, [layers.Dense(2)(sequence), layers.Dense(2)(reverse)])
        draw = np.random.default_rng(7)
        model.set_weights([draw.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
        model.compile("adam", "mse", metrics=[["mae"], ["mae"]])
        history = model.fit(x, [y, y], batch_size=40, epochs=2, shuffle=False, verbose=0).history
        return [*model.get_weights(), *model.predict(x, verbose=0), *map(np.array, history.values())]

    assert_threads_agree(run)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_row_does_not_feel_its_neighbours(backend: str) -> None:
    model, data, _ = MODELS["given"](rnncore)
    model.compile(backend=backend)
    together = model.predict(data, verbose=0)
    alone = [model.predict([part[n : n + 1] for part in data], verbose=0)[0] for n in range(ROWS)]
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-7)
    if backend == "compiled":
        np.testing.assert_array_equal(together, alone)


def test_configs_keep_masks(tmp_path: Path) -> None:
    model, data, _ = MODELS["given"](rnncore)
    again = models.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), model.predict(data, verbose=0))
    layer = layers.LSTM(3, zero_output_for_mask=True)
    assert layers.LSTM.from_config(layer.get_config()).zero_output_for_mask
    assert layers.Embedding.from_config(layers.Embedding(3, 2, mask_zero=True).get_config()).mask_zero
    program, _ = build_program(model.inputs, model.outputs)
    assert Program.from_json(program.to_json()) == program


def test_bad_masks() -> None:
    x = layers.Input((STEPS, FEATURES))
    cell = layers.LSTM(3, name="cell")
    with pytest.raises(ValueError, match=r"mask of 'cell' must have shape \(None, 5\), got \(None, 4\)"):
        cell(x, mask=layers.Input((STEPS - 1,), dtype="int32"))
    with pytest.raises(ValueError, match=r"mask of 'cell' must have shape \(None, 5\), got \(None, 5, 2\)"):
        cell(x, mask=layers.Input((STEPS, 2), dtype="int32"))
    with pytest.raises(TypeError, match="mask of 'cell' must be an Input of integers or booleans, got"):
        cell(x, mask=layers.Input((STEPS,), dtype="float32"))
    with pytest.raises(TypeError, match="mask of 'cell' must be a symbolic value made by Input"):
        cell(x, mask=MASK)
    assert not cell.built
    with pytest.raises(TypeError, match="mask"):
        layers.Dense(2)(x, mask=layers.Input((STEPS,), dtype="int32"))
    with pytest.raises(ValueError, match=r"'masking.*' needs an input of shape \(N, T, features\), got \(None, 5\)"):
        layers.Masking()(layers.Input((STEPS,)))
    with pytest.raises(ValueError, match=r"'words' needs ids of shape \(N, T\) for mask_zero, got \(None, 5, 2\)"):
        layers.Embedding(3, 2, mask_zero=True, name="words")(layers.Input((STEPS, 2), dtype="int32"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_arrays_for_a_mask(backend: str) -> None:
    x, mask = layers.Input((None, FEATURES), name="x"), layers.Input((None,), name="steps")
    model = models.Model([x, mask], layers.LSTM(3, name="cell")(x, mask=mask))
    model.compile(backend=backend)
    data = np.zeros((2, 5, FEATURES))
    with pytest.raises(ValueError, match=r"mask of 'cell' must have shape \(None, 5\), got \(None, 4\)"):
        model.predict([data, np.ones((2, 4))], verbose=0)
    with pytest.raises(ValueError, match="must hold whole numbers, got 0.5"):
        model.predict([data, np.full((2, 5), 0.5)], verbose=0)
