"""LSTMs whose output is projected to a size of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import Golden, load
from program_builder import Builder
from single_nodes import MASK, check_gradients
from small_models import same
from tolerance import assert_all_close, assert_close, assert_threads_agree

from rnncore import _core, layers, models, reference
from rnncore.program import Program

KINDS = [_core.Executor, reference.Executor]
STATES = ("h", "c")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("golden", load("torch_projection"), ids=str)
def test_torch(golden: Golden, kind: Any) -> None:
    """Outputs and all gradients."""
    arrays = golden.arrays
    units, size = arrays["projection_kernel"].shape
    b = Builder()
    x, h0, c0 = b.input(None, arrays["x"].shape[2]), b.input(size), b.input(units)
    options = {"go_backwards": True, "aligned": True} if golden.options["reverse"] else {}
    made = b.recurrent(
        "lstm", x, units, outputs="sequence h c", initial=(h0, c0), lengths=True, projected=size, **options
    )
    names = ("kernel", "recurrent_kernel", "bias", "projection_kernel")
    vector = np.concatenate([arrays[name].ravel() for name in names])
    gradients = np.full_like(vector, np.nan)
    executor = kind(b.build(*made), vector, gradients)
    inputs = [arrays["x"], *(arrays[f"initial_state_{state}"] for state in STATES)]
    sequence, *state = executor.forward(inputs, arrays["lengths"].astype(np.int32), training=True)
    assert_close(sequence[golden.real], arrays["output"][golden.real])
    doutput = np.where(golden.real[..., None], arrays["doutput"], 0)
    dx, *dinitial = executor.backward([doutput, *(arrays[f"dstate_{name}"] for name in STATES)])
    for k, name in enumerate(STATES):
        assert_close(state[k], arrays[f"state_{name}"])
        assert_close(dinitial[k], arrays[f"gradient_initial_state_{name}"])
    assert_close(dx, arrays["gradient_x"])
    assert_close(gradients, np.concatenate([arrays[f"gradient_{name}"].ravel() for name in names]))


def program_of(shape: tuple[int, ...], slot: str = "lengths", **attributes: Any) -> Program:
    _, _, inputs, units, size = shape
    b = Builder()
    x, h0, c0 = b.input(None, inputs), b.input(size), b.input(units)
    given: dict[str, Any] = {"lengths": {"lengths": True}, "mask": {"mask": b.mask()} if slot == "mask" else {}}
    options: dict[str, Any] = {"outputs": "sequence h c", "initial": (h0, c0), **given.get(slot, {})}
    return b.build(*b.recurrent("lstm", x, units, projected=size, **options, **attributes))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"recurrent_dropout": 0.4, "seed": 3, "go_backwards": True, "zero_output_for_mask": True},
    ],
    ids=["plain", "chosen", "dropped"],
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_gradients(options: dict[str, Any], size: int) -> None:
    rng = np.random.default_rng(5)
    program = program_of((6, 4, 3, 3, size), "mask", **options)
    check_gradients(program, [rng.normal(size=(6, 4, 3)), rng.normal(size=(6, size)), rng.normal(size=(6, 3)), MASK])


# N, T, I, H, P: P below, at and above H, sizes that fill vectors, panels and tiles or do not
SHAPES = [(1, 1, 1, 1, 1), (1, 33, 3, 17, 5), (3, 5, 2, 6, 33), (40, 4, 9, 70, 13), (5, 3, 64, 64, 64)]


def results(
    kind: Any, program: Program, shape: tuple[int, ...], ragged: bool, dtype: Any, rows: Any = slice(None)
) -> list[Any]:
    """Outputs, gradients of inputs and of parameters of some rows of a batch."""
    N, T, I, H, P = shape
    rng = np.random.default_rng(3)
    vector = rng.normal(scale=0.5, size=sum(p.size for p in program.parameters)).astype(dtype)
    gradients = np.full_like(vector, 7)
    executor = kind(program, vector, gradients)
    inputs = [rng.normal(size=size).astype(dtype)[rows] for size in ((N, T, I), (N, P), (N, H))]
    lengths = rng.integers(0, T + 1, N).astype(np.int32) if ragged else np.full(N, T, np.int32)
    outputs = executor.forward(inputs, lengths[rows], training=True, seed=5, step=2)
    doutputs = [rng.normal(size=(N, *y.shape[1:])).astype(dtype)[rows] for y in outputs]
    dinputs = executor.backward(doutputs)
    windows = [gradients[p.offset : p.offset + p.size] for p in program.parameters]
    return [*outputs, *dinputs, *windows]


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ragged", [False, True])
def test_executors_agree(shape: tuple[int, ...], ragged: bool, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    for options in (
        {},
        {"go_backwards": True, "bias": False, "activation": "sigmoid"},
        {"recurrent_dropout": 0.3, "checkpoint_every": 2, "go_backwards": True, "aligned": True},
    ):
        program = program_of(shape, **options)
        expected = results(reference.Executor, program, shape, ragged, dtype)
        assert_all_close(results(_core.Executor, program, shape, ragged, dtype), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ragged", [False, True])
def test_threads_give_the_same_bits(shape: tuple[int, ...], ragged: bool, dtype: Any) -> None:
    program = program_of(shape, recurrent_dropout=0.3)
    assert_threads_agree(lambda: results(_core.Executor, program, shape, ragged, dtype))


def test_rows_do_not_depend_on_their_neighbours() -> None:
    shape = SHAPES[3]
    program = program_of(shape)
    whole = results(_core.Executor, program, shape, True, np.float32)
    for rows in (slice(0, 1), slice(7, 21), np.arange(shape[0])[::-1]):
        part = results(_core.Executor, program, shape, True, np.float32, rows)
        for actual, wanted in zip(part[:6], whole[:6], strict=True):
            np.testing.assert_array_equal(actual, wanted[rows])


@pytest.mark.parametrize("slot", ["lengths", "none"])
def test_no_initial_state_is_zeros(slot: str) -> None:
    b = Builder()
    x = b.input(None, 3)
    bare = b.build(*b.recurrent("lstm", x, 6, outputs="sequence h c", lengths=slot == "lengths", projected=4))
    vector = np.random.default_rng(0).normal(size=sum(p.size for p in bare.parameters))
    given = program_of((5, 7, 3, 6, 4), slot)
    array = np.random.default_rng(1).normal(size=(5, 7, 3))
    found = []
    for program, inputs in ((bare, [array]), (given, [array, np.zeros((5, 4)), np.zeros((5, 6))])):
        gradients = np.zeros_like(vector)
        executor = _core.Executor(program, vector, gradients)
        lengths = np.array([7, 1, 0, 4, 7], np.int32) if slot == "lengths" else None
        outputs = executor.forward(inputs, lengths, training=True)
        found.append([*outputs, executor.backward([np.ones_like(y) for y in outputs])[0], gradients])
    assert same(*found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("attributes", "parameters", "message"),
    [
        ({}, [(3, 8), (4, 8), (8,), (4, 2)], r"projection_kernel: expected shape [\[(]2, 4[\])], got [\[(]4, 2[\])]"),
        ({}, [(3, 8), (4, 7), (8,), (2, 4)], "recurrent_kernel: expected shape"),
        ({"zoneout": 0.2}, [(3, 8), (4, 8), (8,), (2, 4)], "zoneout: expected none beside projected"),
        ({"cell_zoneout": 0.2}, [(3, 8), (4, 8), (8,), (2, 4)], "zoneout: expected none beside projected"),
        ({"peepholes": True}, [(3, 8), (2, 8), (8,), (3, 2), (2, 2)], "projected: expected (neither|no) peepholes"),
        ({"products": "bfloat16"}, [(3, 8), (4, 8), (8,), (2, 4)], "products"),
    ],
)
def test_bad_nodes_are_refused(
    kind: Any, attributes: dict[str, Any], parameters: list[tuple[int, ...]], message: str
) -> None:
    b = Builder()
    x, y = b.input(None, 3), b.value(None, 4)
    numbers = tuple(b.parameter(*shape) for shape in parameters)
    b.node("lstm", (x, -1, -1, -1), (y, -1, -1), numbers, projected=True, **attributes)
    program = b.build(y)
    vector = np.zeros(sum(p.size for p in program.parameters), np.float32)
    with pytest.raises(ValueError, match=message):
        kind(program, vector, vector.copy()).forward([np.zeros((2, 4, 3), np.float32)])


@pytest.mark.parametrize("kind", [layers.LSTM, layers.LSTMCell])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"projection_units": 0}, ValueError, "projection_units must be at least 1, got 0"),
        ({"projection_units": 2.5}, TypeError, "projection_units must be an integer, got float 2.5"),
        ({"projection_units": 2, "zoneout": 0.1}, ValueError, "zoneout of LSTM.* must be off with projection_units"),
        ({"projection_units": 2, "cell_zoneout": 0.1}, ValueError, "cell_zoneout of LSTM.* must be off"),
        ({"projection_units": 2, "peepholes": True}, ValueError, "peepholes of LSTM.* must be off"),
    ],
)
def test_bad_arguments_are_refused(kind: Any, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kind(4, **arguments)


def test_a_state_of_the_wrong_size_is_refused() -> None:
    """A state is not taken for another, though their sizes differ."""
    x, c = layers.Input((5, 3)), layers.Input((6,))
    with pytest.raises(ValueError, match="initial_state"):
        layers.LSTM(6, projection_units=2)(x, initial_state=[c, c])
    layers.LSTM(6, projection_units=2)(x, initial_state=[layers.Input((2,)), c])


def encoder_decoder() -> models.Model:
    """Layer, cell, both directions, states in and out."""
    source = layers.Input((None, 3))
    x = layers.Bidirectional(layers.LSTM(7, projection_units=4, return_sequences=True))(source)
    x, h, c = layers.LSTM(5, projection_units=2, go_backwards=True, return_sequences=True, return_state=True)(x)
    x = layers.LSTM(5, projection_units=2, return_sequences=True)(x, initial_state=[h, c])
    return models.Model(source, layers.RNN([layers.LSTMCell(6, projection_units=9), layers.GRUCell(2)])(x))


def test_models_train_alike_and_are_saved(tmp_path: Path) -> None:
    model = encoder_decoder()
    x = np.random.default_rng(0).normal(size=(16, 6, 3))
    weights = model.get_weights()
    assert [w.shape for w in weights[:4]] == [(3, 28), (4, 28), (28,), (7, 4)]
    found = []
    for backend in ("reference", "compiled"):
        model.set_weights(weights)
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
        model.fit(x, np.ones((16, 2)), lengths=np.arange(16) % 7, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for before, a, b in zip(weights, *found, strict=True):
        assert (a != before).any()
        assert_close(a, b)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    assert same(loaded.get_weights(), model.get_weights())
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_half_of_a_model_computes_in_bfloat16() -> None:
    """With mixed precision a projected layer goes on in float32, as it does alone."""
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    model = models.Sequential([layers.Input((6, 3)), layers.LSTM(5, projection_units=2)])
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        model.compile("sgd", "mse", dtype_policy=policy)
        found.append(model.predict(x, verbose=0))
    np.testing.assert_array_equal(*found)


def test_states_go_on_from_step_to_step() -> None:
    """A stream and windows of time steps keep h and c, each of its size."""
    model = models.Sequential([layers.Input((None, 3)), layers.LSTM(7, projection_units=2, return_sequences=True)])
    x = np.random.default_rng(0).normal(size=(1, 5, 3)).astype(np.float32)
    expected = model.predict(x, verbose=0)
    stream = model.stream()
    assert_close(np.stack([stream.step(x[:, t]) for t in range(5)], axis=1), expected)
    model.compile("sgd", "mse")
    first = model.get_weights()[-1]
    model.fit(x, np.ones((1, 5, 2)), truncate=2, verbose=0)
    assert (model.get_weights()[-1] != first).any()
