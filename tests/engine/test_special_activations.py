"""Every activation at NaN, infinity, the largest and the smallest numbers, against mathematics.

In cells, Dense and Activation, at every level and in the reference. NaN gives NaN, also as a derivative; infinities
give limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from activation_zoo import EVERY
from program_builder import Builder
from special_numbers import DTYPES, EXECUTORS, Array, assert_numbers, executor_of, specials

from rnncore import _core, activations, functional, layers, models, reference
from rnncore.callbacks import TerminateOnNaN
from rnncore.program import Program

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def exp(x: float) -> float:
    return math.exp(x) if x < 709.78 else math.inf


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def bell(x: float) -> float:
    return exp(-x * x / 2) / math.sqrt(2 * math.pi)


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def times(x: float, factor: float) -> float:
    """Where the factor falls to 0 faster than x grows."""
    return 0.0 if factor == 0 else x * factor


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(exp(-abs(x)))


def tanh_slope(x: float) -> float:
    return math.cosh(x) ** -2 if abs(x) < 350 else 0.0


def mish_slope(x: float) -> float:
    return math.tanh(softplus(x)) + times(x, sigmoid(x) * tanh_slope(softplus(x)))


def bent(x: float) -> float:
    return math.sqrt(8 / math.pi) * (x + 0.044715 * x**3) if abs(x) < 1e3 else math.copysign(math.inf, x)


def gelu_tanh_slope(x: float) -> float:
    v = bent(x)
    return sigmoid(v) + times(x * math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * x * x), sigmoid(v) * sigmoid(-v))


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805

# Name and options: the function and its derivative at a number or an infinity.
TRUTH: dict[str, tuple[dict[str, Any], Callable[[float], float], Callable[[float], float]]] = {
    "linear": ({}, lambda x: x, lambda x: 1.0),
    "relu": ({}, lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "sigmoid": ({}, sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": ({}, math.tanh, tanh_slope),
    "hard_sigmoid": ({}, lambda x: min(max(x + 3, 0), 6) / 6, lambda x: 1 / 6 if -3 < x < 3 else 0.0),
    "leaky_relu": ({"negative_slope": 0.25}, lambda x: x if x >= 0 else x / 4, lambda x: 1.0 if x >= 0 else 0.25),
    "relu6": ({"max_value": 6.0}, lambda x: min(max(x, 0), 6), lambda x: float(0 <= x < 6)),
    "relu_threshold": ({"threshold": 1.0}, lambda x: x if x >= 1 else 0.0, lambda x: float(x >= 1)),
    "elu": ({"alpha": 0.5}, lambda x: x if x >= 0 else 0.5 * math.expm1(x), lambda x: 1.0 if x > 0 else 0.5 * exp(x)),
    "selu": (
        {},
        lambda x: SCALE * (x if x >= 0 else ALPHA * math.expm1(x)),
        lambda x: SCALE * (1.0 if x > 0 else ALPHA * exp(x)),
    ),
    "exponential": ({}, exp, exp),
    "softsign": (
        {},
        lambda x: math.copysign(1.0, x) if math.isinf(x) else x / (1 + abs(x)),
        lambda x: (1 / (1 + abs(x))) ** 2,
    ),
    "softplus": ({}, softplus, sigmoid),
    "silu": (
        {},
        lambda x: times(x, sigmoid(x)),
        lambda x: sigmoid(x) + times(x, sigmoid(x) * sigmoid(-x)),
    ),
    "gelu": ({}, lambda x: times(x, normal(x)), lambda x: normal(x) + times(x, bell(x))),
    "mish": ({}, lambda x: times(x, math.tanh(softplus(x))), mish_slope),
    "affine": ({"alpha": 0.5, "beta": 0.25}, lambda x: 0.5 * x + 0.25, lambda x: 0.5),
    "onnx_hard_sigmoid": (
        {"alpha": 0.25, "beta": 0.375},
        lambda x: min(max(0.25 * x + 0.375, 0), 1),
        lambda x: 0.25 if -1.5 < x < 2.5 else 0.0,
    ),
    "threshold": (
        {"threshold": 1.0, "default_value": -2.0},
        lambda x: x if x > 1 else -2.0,
        lambda x: float(x > 1),
    ),
    "scaled_tanh": (
        {"alpha": 1.75, "beta": 0.5},
        lambda x: 1.75 * math.tanh(x / 2),
        lambda x: 0.875 * tanh_slope(x / 2),
    ),
    "celu": (
        {"alpha": 0.5},
        lambda x: x if x >= 0 else 0.5 * math.expm1(2 * x),
        lambda x: 1.0 if x > 0 else exp(2 * x),
    ),
    "gelu_tanh": ({"approximate": True}, lambda x: times(x, sigmoid(bent(x))), gelu_tanh_slope),
}
NAMES = {"relu6": "relu", "relu_threshold": "relu", "onnx_hard_sigmoid": "hard_sigmoid", "gelu_tanh": "gelu"}
GATES = ["linear", "relu", "sigmoid", "tanh", "hard_sigmoid", "gelu"]
LINES = {"linear": 1.0, "affine": 0.5}  # whose slope is the same everywhere
BENT = ["leaky_relu", "relu6", "relu_threshold", "elu", "selu", "celu", "relu"]  # at zero
STRAIGHT = ["linear", "affine", activations.serialize(activations.Affine(0.2, 0.3))]


def truth(name: str, x: Array) -> tuple[Array, Array]:
    """Values and derivatives in float64."""
    _, function, slope = TRUTH[name]
    with np.errstate(all="ignore"):
        pairs = [(math.nan,) * 2 if math.isnan(v) else (function(v), slope(v)) for v in x.astype(float).tolist()]
    values, slopes = np.array(pairs).T
    return values, np.full_like(slopes, LINES[name]) if name in LINES else slopes


def activation_program(name: str) -> Program:
    b = Builder()
    y = b.elementwise("activation", b.input(1), function=NAMES.get(name, name), **TRUTH[name][0])
    return b.build(y)


def dense_program(name: str) -> Program:
    b = Builder()
    y = b.dense(b.input(1), 1, NAMES.get(name, name), bias=False)
    for attribute, value in TRUTH[name][0].items():
        b.nodes[-1].attributes[attribute] = value
    return b.build(y)


def cell_program(name: str) -> Program:
    b = Builder()
    options = {"activation": NAMES.get(name, name), **TRUTH[name][0]}
    (h,) = b.recurrent("simple_rnn", b.input(1, 1), 1, outputs="h", bias=False, **options)
    return b.build(h)


def run(kind: Any, program: Program, x: Array) -> tuple[Array, Array]:
    """The outputs and the gradients of inputs x (n,), for dy of ones. The first weight is one, others are zeros."""
    parameters = np.zeros(sum(p.size for p in program.parameters), x.dtype)
    parameters[:1] = 1
    executor = kind(program, parameters, np.zeros_like(parameters))
    shape = (x.size, *(1 for _ in program.values[program.inputs[0]].shape[1:]))
    (y,) = executor.forward([x.reshape(shape)], training=True)
    (dx,) = executor.backward([np.ones_like(y)])
    return y.ravel(), dx.ravel()


def run_gate(kind: Any, name: str, x: Array) -> tuple[Array, Array]:
    """The same for the update gate z of a GRU, whose h = z·h' + (1 - z)·n is z: h' is 1 and n is 0."""
    b = Builder()
    options = {f"recurrent_{option}": value for option, value in TRUTH[name][0].items()}
    options |= {"activation": "linear", "recurrent_activation": NAMES.get(name, name)}
    states = b.input(1, 1), b.input(1)
    program = b.build(*b.recurrent("gru", states[0], 1, outputs="h", initial=states[1:], bias=False, **options))
    parameters = np.array([1, 0, 0, 0, 0, 0], x.dtype)
    executor = kind(program, parameters, np.zeros_like(parameters))
    (y,) = executor.forward([x.reshape(-1, 1, 1), np.ones((x.size, 1), x.dtype)], training=True)
    dx, _ = executor.backward([np.ones_like(y)])
    return y.ravel(), dx.ravel()


def tolerances(dtype: str) -> tuple[float, float, float]:
    """Relative; absolute of values: below the smallest normal number times the largest bend; absolute of slopes."""
    limits = np.finfo(dtype)
    return 40 * float(limits.eps), 2000 * float(limits.tiny), 8 * float(limits.eps)


@each_executor
@each_dtype
@pytest.mark.parametrize("program", [activation_program, dense_program, cell_program])
@pytest.mark.parametrize("name", TRUTH)
def test_values_and_slopes(executor: str, dtype: str, program: Callable[[str], Program], name: str) -> None:
    x = specials(dtype)
    values, slopes = truth(name, x)
    if name in (
        "leaky_relu",
        "relu6",
        "relu_threshold",
        "elu",
        "selu",
        "celu",
        "relu",
    ):  # at a bend either side's slope is right
        slopes = np.where(x == 0, np.nan, slopes)
    relative, absolute, slope_absolute = tolerances(dtype)
    if name in ("gelu", "gelu_tanh"):  # beyond it counts for nothing beside 1
        absolute = float(np.finfo(dtype).eps) ** 2
    with executor_of(executor) as kind:
        y, dx = run(kind, program(name), x)
    at_bend = (x == 0) & np.isnan(slopes)
    assert_numbers(y, values, relative, absolute)
    assert_numbers(np.where(at_bend, 0, dx), np.where(at_bend, 0, slopes), relative, slope_absolute)


@each_dtype
@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("level", _core.isa_levels())
def test_cells_and_dense_have_the_same_bits(name: str, dtype: str, level: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([specials(dtype), *(rng.normal(size=1000) * scale for scale in (0.1, 1, 5, 100))]).astype(dtype)
    with executor_of(level) as kind:
        found = [run(kind, program(name), x) for program in (cell_program, dense_program, activation_program)]
        gate = run_gate(kind, name, x)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0][0], other[0])
        np.testing.assert_array_equal(found[0][1], other[1])
    finite = np.isfinite(x) & np.isfinite(gate[0])  # of the others the candidate makes NaN
    for part in range(2):
        np.testing.assert_array_equal(found[0][part][finite], gate[part][finite])


@each_dtype
def test_exponential_goes_over_the_whole_range(dtype: str) -> None:
    """Five units in the last place, and denormal results to one of theirs."""
    limits = np.finfo(dtype)
    wide = np.float64 if dtype == "float32" else np.longdouble
    low, high = np.log(wide(limits.smallest_subnormal)) - 2, np.log(wide(limits.max))
    x = np.linspace(low, high, 200_001).astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.exp(x.astype(wide))
    for level in _core.isa_levels():
        with executor_of(level) as kind:
            y, _ = run(kind, activation_program("exponential"), x)
        finite = expected <= limits.max
        unit = np.maximum(expected * wide(limits.eps), wide(limits.smallest_subnormal))
        assert np.max(np.abs(y[finite] - expected[finite]) / unit[finite]) < 5
        assert np.all(y[~finite] >= limits.max * (1 - 4 * limits.eps))


def test_the_functions_on_arrays_agree() -> None:
    for name in TRUTH:
        x = specials("float64")
        relative, absolute, _ = tolerances("float64")
        function = getattr(activations, NAMES.get(name, name))
        assert_numbers(function(x, **TRUTH[name][0]), truth(name, x)[0], relative, absolute)


# A NaN goes on through everything that is recurrent.


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.parametrize(
    ("cell", "recurrent_activation"),
    [("simple_rnn", "")] + [(cell, name) for cell in ("lstm", "gru") for name in GATES],
)
def test_nan_goes_through_the_functions(level: str, activation: Any, cell: str, recurrent_activation: str) -> None:
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[cell]
    options: dict[str, Any] = {"activation": activation}
    if recurrent_activation:
        options["recurrent_activation"] = recurrent_activation
    rng = np.random.default_rng(0)
    x, kernel, recurrent = (
        0.1 * rng.normal(size=s).astype("float32") for s in ((3, 4, 2), (2, 5 * gates), (5, 5 * gates))
    )
    x[1, 2, 0] = np.nan
    with executor_of(level):
        for module in (functional, reference):
            result = getattr(module, cell)(x, kernel, recurrent, training=True, **options)
            wrong = np.isnan(result.output)
            assert wrong[1, 2:].all()
            assert not wrong[[0, 2]].any()
            assert not wrong[1, :2].any()
            gradients = module.backward(result.tape, doutput=np.ones_like(result.output))
            assert np.isnan(gradients.kernel[0]).all()
            if cell != "simple_rnn" or activations.serialize(activation) not in STRAIGHT:
                assert np.isnan(gradients.x[1, 2]).all()
            assert not np.isnan(gradients.x[[0, 2]]).any()


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.SimpleRNN(3, activation="relu"),
        lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid"),
        lambda: layers.LSTM(3, recurrent_activation="relu", activation="relu"),
        lambda: layers.GRU(3, activation="relu", recurrent_activation="hard_sigmoid"),
        lambda: layers.GRU(3, reset_after=False, activation="relu", recurrent_activation="hard_sigmoid"),
        lambda: layers.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", zoneout=0.2, cell_zoneout=0.2),
        lambda: layers.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", peepholes=True),
        lambda: layers.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", projection_units=2),
        lambda: layers.GRU(3, activation="relu", recurrent_activation="hard_sigmoid", layer_normalization=True),
    ],
)
def test_a_loss_of_nan_weights_is_nan(layer: Callable[[], Any], backend: str) -> None:
    x, y = np.ones((8, 3, 2)), np.ones((8, 1))
    model = models.Sequential([layers.Input((3, 2)), layer(), layers.Dense(1)])
    model.compile(loss="mse", backend=backend)
    weights = model.get_weights()
    weights[0][0, 0] = np.nan
    model.set_weights(weights)
    assert math.isnan(model.evaluate(x, y, verbose=0))
    history = model.fit(x, y, epochs=3, batch_size=4, verbose=0, callbacks=[TerminateOnNaN()])
    assert len(history.history["loss"]) <= 1
    assert all(math.isnan(loss) for loss in history.history["loss"])
