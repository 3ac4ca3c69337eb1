"""Recurrent layers whose products are normalized."""

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
STATES = {"simple_rnn": 1, "lstm": 2, "gru": 1}
OUTPUTS = {"simple_rnn": "sequence h", "lstm": "sequence h c", "gru": "sequence h"}


def program_of(
    op: str, shape: tuple[int, ...], slot: str = "lengths", given: bool = True, **attributes: Any
) -> Program:
    _, _, inputs, units = shape
    b = Builder()
    x = b.input(None, inputs)
    initial = tuple(b.input(units) for _ in range(STATES[op] if given else 0))
    slots: dict[str, Any] = {"lengths": {"lengths": True}, "mask": {"mask": b.mask()} if slot == "mask" else {}}
    options: dict[str, Any] = {"outputs": OUTPUTS[op], "initial": initial, **slots.get(slot, {}), **attributes}
    return b.build(*b.recurrent(op, x, units, layer_normalization=True, **options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("golden", load("torch_normalized"), ids=str)
def test_torch(golden: Golden, kind: Any) -> None:
    """Outputs and all gradients, beside PyTorch's operations."""
    arrays = golden.arrays
    names = ("kernel", "recurrent_kernel", "bias", "normalization_weights")
    shape = (*arrays["x"].shape, arrays["recurrent_kernel"].shape[0])
    options = {"go_backwards": True, "aligned": True} if golden.options["reverse"] else {}
    vector = np.concatenate([arrays[name].ravel() for name in names])
    gradients = np.full_like(vector, np.nan)
    executor = kind(program_of(golden.function, shape, **options), vector, gradients)
    inputs = [arrays["x"], *arrays["initial_state"]]
    sequence, *state = executor.forward(inputs, arrays["lengths"].astype(np.int32), training=True)
    assert_close(sequence[golden.real], arrays["output"][golden.real])
    assert_close(np.stack(state), arrays["state"])
    doutput = np.where(golden.real[..., None], arrays["doutput"], 0)
    dx, *dinitial = executor.backward([doutput, *arrays["dstate"]])
    assert_close(dx, arrays["gradient_x"])
    assert_close(np.stack(dinitial), arrays["gradient_initial_state"])
    assert_close(gradients, np.concatenate([arrays[f"gradient_{name}"].ravel() for name in names]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "activation": "sigmoid"},
        {"recurrent_dropout": 0.4, "seed": 3, "go_backwards": True, "zero_output_for_mask": True},
    ],
    ids=["plain", "chosen", "dropped"],
)
@pytest.mark.parametrize("op", STATES)
def test_gradients(op: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    program = program_of(op, (6, 4, 3, 3), "mask", **options)
    initial = [rng.normal(size=(6, 3)) for _ in range(STATES[op])]
    check_gradients(program, [rng.normal(size=(6, 4, 3)), *initial, MASK])


@pytest.mark.parametrize("op", STATES)
def test_gradients_from_a_state_of_zeros(op: str) -> None:
    """Where h·U has no variance at all."""
    check_gradients(program_of(op, (6, 4, 3, 3), given=False), [np.random.default_rng(5).normal(size=(6, 4, 3))])


SHAPES = [(1, 1, 3, 5), (1, 33, 3, 17), (3, 5, 2, 33), (40, 4, 9, 70), (5, 3, 64, 64)]  # N, T, I, H


def results(
    kind: Any, program: Program, shape: tuple[int, ...], ragged: bool, dtype: Any, rows: Any = slice(None)
) -> list[Any]:
    """Outputs, gradients of inputs and of parameters of some rows of a batch."""
    N, T, I, H = shape
    rng = np.random.default_rng(3)
    vector = rng.normal(scale=0.5, size=sum(p.size for p in program.parameters)).astype(dtype)
    gradients = np.full_like(vector, 7)
    executor = kind(program, vector, gradients)
    sizes = [(N, T, I), *[(N, H)] * (len(program.inputs) - 1)]
    inputs = [rng.normal(size=size).astype(dtype)[rows] for size in sizes]
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
@pytest.mark.parametrize("op", STATES)
def test_executors_agree(op: str, shape: tuple[int, ...], ragged: bool, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    for options in (
        {},
        {"go_backwards": True, "bias": False, "activation": "sigmoid", "given": False},
        {"recurrent_dropout": 0.3, "checkpoint_every": 2, "go_backwards": True, "aligned": True},
    ):
        program = program_of(op, shape, **options)
        expected = results(reference.Executor, program, shape, ragged, dtype)
        assert_all_close(results(_core.Executor, program, shape, ragged, dtype), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("op", STATES)
def test_threads_give_the_same_bits(op: str, shape: tuple[int, ...], ragged: bool, dtype: Any) -> None:
    program = program_of(op, shape, recurrent_dropout=0.3)
    assert_threads_agree(lambda: results(_core.Executor, program, shape, ragged, dtype))


@pytest.mark.parametrize("op", STATES)
def test_rows_do_not_depend_on_their_neighbours(op: str) -> None:
    shape = SHAPES[3]
    program = program_of(op, shape)
    parts = 2 * (1 + STATES[op])
    whole = results(_core.Executor, program, shape, True, np.float32)
    for rows in (slice(0, 1), slice(7, 21), np.arange(shape[0])[::-1]):
        part = results(_core.Executor, program, shape, True, np.float32, rows)
        for actual, wanted in zip(part[:parts], whole[:parts], strict=True):
            np.testing.assert_array_equal(actual, wanted[rows])


@pytest.mark.parametrize("op", STATES)
def test_inference_is_the_training_pass(op: str) -> None:
    """Without a tape only two steps are kept; the numbers are the same."""
    N, T, I, H = shape = (5, 7, 3, 6)
    program = program_of(op, shape)
    rng = np.random.default_rng(0)
    vector = rng.normal(size=sum(p.size for p in program.parameters))
    executor = _core.Executor(program, vector, np.zeros_like(vector))
    inputs = [rng.normal(size=(N, T, I)), *(rng.normal(size=(N, H)) for _ in range(STATES[op]))]
    lengths = np.array([7, 1, 0, 4, 6], np.int32)
    assert same(*(executor.forward(inputs, lengths, training=training) for training in (False, True)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("op", "attributes", "weights", "message"),
    [
        ("lstm", {}, [(9, 2)], "normalization_weights: expected shape"),
        ("gru", {}, [(10, 2)], "normalization_weights: expected shape"),
        ("gru", {"reset_after": False}, [(6, 2)], "layer_normalization: expected reset_after"),
        ("simple_rnn", {"zoneout": 0.2}, [(1, 2)], "zoneout: expected none beside layer_normalization"),
        ("lstm", {"cell_zoneout": 0.2}, [(10, 2)], "zoneout: expected none beside layer_normalization"),
        ("lstm", {"peepholes": True}, [(3, 2), (10, 2)], "layer_normalization: expected (no )?peepholes"),
        ("lstm", {"projected": True}, [(2, 2), (10, 2)], "layer_normalization: expected (no )?projected"),
        ("gru", {"products": "bfloat16"}, [(6, 2)], "products"),
    ],
)
def test_bad_nodes_are_refused(
    kind: Any, op: str, attributes: dict[str, Any], weights: list[tuple[int, ...]], message: str
) -> None:
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[op]
    b = Builder()
    x, y = b.input(None, 3), b.value(None, 2)
    split = op == "gru" and attributes.get("reset_after", True)
    shapes = [(3, gates * 2), (2, gates * 2), (2, gates * 2) if split else (gates * 2,), *weights]
    nothing = (-1,) * STATES[op]
    numbers = tuple(b.parameter(*shape) for shape in shapes)
    b.node(op, (x, -1, *nothing), (y, *nothing), numbers, layer_normalization=True, **attributes)
    program = b.build(y)
    vector = np.zeros(sum(p.size for p in program.parameters), np.float32)
    with pytest.raises(ValueError, match=message):
        kind(program, vector, vector.copy()).forward([np.zeros((2, 4, 3), np.float32)])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (layers.SimpleRNN, {"zoneout": 0.1}, "zoneout of SimpleRNN must be off with layer_normalization, got 0.1"),
        (layers.GRU, {"zoneout": 0.1}, "zoneout of GRU must be off with layer_normalization, got 0.1"),
        (layers.GRUCell, {"reset_after": False}, "reset_after of GRUCell must be True with layer_normalization"),
        (layers.LSTM, {"cell_zoneout": 0.1}, "cell_zoneout of LSTM must be off with layer_normalization, got 0.1"),
        (layers.LSTMCell, {"peepholes": True}, "peepholes of LSTMCell must be off with layer_normalization, got True"),
        (layers.LSTM, {"projection_units": 2}, "projection_units of LSTM must be off with layer_normalization, got 2"),
    ],
)
def test_bad_arguments_are_refused(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(4, layer_normalization=True, **arguments)
    with pytest.raises(TypeError, match="layer_normalization must be True or False"):
        kind(4, layer_normalization="yes")


def normalized() -> models.Model:
    """Layers, cells, both directions, states in and out."""
    given = layers.Input((None, 3))
    x = layers.Bidirectional(layers.LSTM(7, layer_normalization=True, return_sequences=True))(given)
    x, h = layers.GRU(5, layer_normalization=True, return_sequences=True, return_state=True, go_backwards=True)(x)
    x = layers.SimpleRNN(5, layer_normalization=True, return_sequences=True)(x, initial_state=h)
    cells = [cell(4, layer_normalization=True) for cell in (layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell)]
    return models.Model(given, layers.RNN(cells)(x))


def test_models_train_alike_and_are_saved(tmp_path: Path) -> None:
    model = normalized()
    x = np.random.default_rng(0).normal(size=(16, 6, 3))
    weights = model.get_weights()
    assert [w.shape for w in weights[:4]] == [(3, 28), (7, 28), (28,), (10, 7)]
    assert (weights[2] == np.repeat([0, 1, 0, 0], 7)).all()
    assert (weights[3][:9] == 1).all()
    assert (weights[3][9] == 0).all()
    found = []
    for backend in ("reference", "compiled"):
        model.set_weights(weights)
        model.compile("sgd", "mse", backend=backend, dtype_policy="float64")
        model.fit(x, np.ones((16, 4)), lengths=np.arange(16) % 7, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for before, a, b in zip(weights, *found, strict=True):
        assert (a != before).any()
        assert_close(a, b)
    model.save(tmp_path / "model.rnn")
    loaded = models.load_model(tmp_path / "model.rnn")
    assert same(loaded.get_weights(), model.get_weights())
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_a_layer_and_its_options(kind: Any) -> None:
    """With mixed precision it goes on in float32; a stream carries its states; the scale of a kernel has no say."""
    x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
    layer = kind(5, layer_normalization=True, return_sequences=True)
    model = models.Sequential([layers.Input((None, 3)), layer])
    found = []
    for policy in ("float32", "mixed_bfloat16"):
        model.compile("sgd", "mse", dtype_policy=policy)
        found.append(model.predict(x, verbose=0))
    np.testing.assert_array_equal(*found)
    stream = model.stream()
    assert_close(np.stack([stream.step(x[:, t]) for t in range(6)], axis=1), found[0])
    kernel, recurrent_kernel, *others = model.get_weights()
    model.set_weights([1e3 * kernel, 1e3 * recurrent_kernel, *others])
    large = model.predict(x, verbose=0)
    model.set_weights([1e4 * kernel, 1e4 * recurrent_kernel, *others])
    np.testing.assert_allclose(model.predict(x, verbose=0), large, rtol=1e-3, atol=1e-3)
