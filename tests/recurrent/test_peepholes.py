"""Peepholes: gates of an LSTM that read its memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from goldens import Golden, load
from program_builder import Builder
from recurrent_passes import assert_nearly_equal, layer, passes
from single_nodes import MASK, RECURRENT, check_gradients, recurrent
from tolerance import assert_all_close, assert_close, assert_threads_agree

from rnncore import _core, layers, models, reference
from rnncore.program import Program

KINDS = [_core.Executor, reference.Executor]
OP, PARAMETERS, STATES, ATTRIBUTES = RECURRENT[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("golden", load("onnx_peepholes"), ids=str)
def test_onnxruntime(golden: Golden, kind: Any) -> None:
    arrays = golden.arrays
    _, _, features = arrays["x"].shape
    units = arrays["peephole_kernel"].shape[1]
    b = Builder()
    x, h0, c0 = b.input(None, features), b.input(units), b.input(units)
    options = {"go_backwards": True, "aligned": True} if golden.options["reverse"] else {}
    made = b.recurrent(
        "lstm", x, units, outputs="sequence h c", initial=(h0, c0), lengths=True, peepholes=True, **options
    )
    names = ("kernel", "recurrent_kernel", "bias", "peephole_kernel")
    vector = np.concatenate([arrays[name].ravel() for name in names])
    executor = kind(b.build(*made), vector, np.zeros_like(vector))
    lengths = arrays["lengths"].astype(np.int32)
    sequence, *state = executor.forward([arrays["x"], *arrays["initial_state"]], lengths)
    assert_close(sequence[golden.real], arrays["output"][golden.real])
    assert_close(np.stack(state), arrays["state"])


@pytest.mark.parametrize("options", [{}, {"zoneout": 0.4, "cell_zoneout": 0.3, "seed": 3, "go_backwards": True}])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_gradients(options: dict[str, Any], bias: bool) -> None:
    rng = np.random.default_rng(5)
    parameters = [*PARAMETERS[: 3 if bias else 2], (3, 2)]
    program = recurrent(OP, parameters, STATES, {**ATTRIBUTES, "peepholes": True, **options}, bias, mask=True)
    initial = [rng.normal(size=(6, 2)) for _ in range(STATES if bias else 0)]
    check_gradients(program, [rng.normal(size=(6, 4, 3)), MASK, *initial])


SHAPES = [(1, 1, 1, 1), (1, 33, 3, 17), (3, 5, 2, 33), (40, 4, 9, 70)]  # N, T, I, H


def program_of(shape: tuple[int, ...], **attributes: Any) -> Program:
    _, _, inputs, units = shape
    b = Builder()
    x, h0, c0 = b.input(None, inputs), b.input(units), b.input(units)
    options: dict[str, Any] = {"outputs": "sequence h c", "initial": (h0, c0), "lengths": True, "peepholes": True}
    return b.build(*b.recurrent("lstm", x, units, **options, **attributes))


def results(kind: Any, program: Program, shape: tuple[int, ...], ragged: bool, dtype: Any) -> list[Any]:
    N, T, I, H = shape
    rng = np.random.default_rng(3)
    vector = rng.normal(scale=0.5, size=sum(p.size for p in program.parameters)).astype(dtype)
    gradients = np.full_like(vector, 7)
    executor = kind(program, vector, gradients)
    inputs = [rng.normal(size=size).astype(dtype) for size in ((N, T, I), (N, H), (N, H))]
    lengths = rng.integers(0, T + 1, N).astype(np.int32) if ragged else None
    outputs = executor.forward(inputs, lengths, training=True, seed=5, step=2)
    dinputs = executor.backward([rng.normal(size=y.shape).astype(dtype) for y in outputs])
    windows = [gradients[p.offset : p.offset + p.size] for p in program.parameters]
    return [*outputs, *dinputs, *windows]


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ragged", [False, True])
def test_executors_agree(shape: tuple[int, ...], ragged: bool, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    for options in ({}, {"zoneout": 0.3, "cell_zoneout": 0.4, "recurrent_dropout": 0.3}):
        program = program_of(shape, **options)
        expected = results(reference.Executor, program, shape, ragged, dtype)
        assert_all_close(results(_core.Executor, program, shape, ragged, dtype), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ragged", [False, True])
def test_threads_give_the_same_bits(shape: tuple[int, ...], ragged: bool, dtype: Any) -> None:
    program = program_of(shape, cell_zoneout=0.3)
    assert_threads_agree(lambda: results(_core.Executor, program, shape, ragged, dtype))


@pytest.mark.parametrize("options", [{}, {"zoneout": 0.3}])
def test_products_of_bfloat16(options: dict[str, Any]) -> None:
    shape = (40, 4, 9, 70)
    program = layer("lstm", shape, "bfloat16", peepholes=True, **options)
    expected = passes(reference.Executor, program, shape, True)
    for actual, wanted in zip(passes(_core.Executor, program, shape, True), expected, strict=True):
        assert_nearly_equal(actual, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_peephole_kernel_is_refused(kind: Any) -> None:
    program = recurrent(OP, [*PARAMETERS, (2, 2)], STATES, {**ATTRIBUTES, "peepholes": True}, False)
    vector = np.zeros(sum(p.size for p in program.parameters))
    with pytest.raises(ValueError, match="peephole_kernel: expected shape"):
        kind(program, vector, vector.copy()).forward([np.zeros((2, 4, 3))])


@pytest.mark.parametrize("wrap", [False, True], ids=["layer", "cell"])
def test_layers_take_peepholes(wrap: bool) -> None:
    """They begin as zeros, where the layer is a plain LSTM, are saved in the config and train."""
    x = np.random.default_rng(0).normal(size=(16, 6, 3))

    def model_of(**arguments: Any) -> models.Sequential:
        made = layers.RNN(layers.LSTMCell(4, **arguments)) if wrap else layers.LSTM(4, **arguments)
        return models.Sequential([layers.Input((6, 3)), made])

    model, plain = model_of(peepholes=True), model_of()
    copy = models.Sequential.from_config(model.get_config())
    weights = copy.get_weights()
    assert [w.shape for w in weights] == [(3, 16), (4, 16), (16,), (3, 4)]
    assert not weights[-1].any()
    plain.set_weights(weights[:3])
    plain.compile(loss="mse")
    results = []
    for backend in ("compiled", "reference"):
        copy.set_weights(weights)
        copy.compile(loss="mse", backend=backend)
        assert_close(copy.predict(x, verbose=0), plain.predict(x, verbose=0))
        copy.fit(x, np.ones((16, 4)), epochs=2, shuffle=False, verbose=0)
        results.append(copy.get_weights()[-1])
    assert results[0].all()
    assert_close(*results)
