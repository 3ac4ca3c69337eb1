"""The reference against values computed by other libraries, and against the values their tests contain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from goldens import Golden, load
from tolerance import assert_close

from rnncore import reference
from rnncore.program import Metric, Optimizer
from rnncore.reference.losses import LOSSES, weighted_loss
from rnncore.reference.metrics import state_increment
from rnncore.reference.optimizers import update


@pytest.mark.parametrize("golden", load("keras_losses"), ids=str)
def test_losses(golden: Golden) -> None:
    arrays = golden.arrays
    options = dict(golden.options)
    reduction = options.pop("reduction", "sum_over_batch_size")
    value, gradient = LOSSES[golden.function](arrays["target"], arrays["output"], **options)
    counted = arrays["target"] != options["ignore_class"] if "ignore_class" in options else None
    loss, gradient, _ = weighted_loss(value, gradient, arrays["weight"], reduction, counted)
    assert_close(np.array(loss), arrays["value"])
    assert_close(gradient, arrays["gradient"])


@pytest.mark.parametrize("golden", load("keras_metrics"), ids=str)
def test_metrics(golden: Golden) -> None:
    arrays = golden.arrays
    for key, weight in (("value", None), ("weighted_value", arrays["weight"])):
        if key not in arrays:
            continue
        metric = Metric(golden.function, weighted=weight is not None, attributes=golden.options)
        state = state_increment(metric, arrays["target"], arrays["output"], weight)
        assert state.shape == (metric.state_size(),)
        value = state.reshape(4, -1) if golden.function == "confusion" else state[0] / state[1]
        assert_close(np.array(value), arrays[key])


@pytest.mark.parametrize("golden", load("keras_optimizers"), ids=str)
@pytest.mark.parametrize("single", [False, True])
def test_optimizers(golden: Golden, single: bool) -> None:
    arrays = golden.arrays
    dtype = np.dtype(np.float32) if single else arrays["end"].dtype
    optimizer = Optimizer(golden.function, golden.options)
    weights = arrays["start"].astype(dtype)
    slots = np.zeros((optimizer.slot_count(), weights.size), dtype)
    for step, (rate, gradients) in enumerate(
        zip(arrays["learning_rates"], arrays["gradients"].astype(dtype), strict=True)
    ):
        windows = [gradients[:6], gradients[6:]]  # the two parameters of the case
        weights, slots = update(optimizer, weights, windows, slots, float(rate), step)
    assert weights.dtype == slots.dtype == dtype
    assert_close(weights, arrays["end"])


# Keras's own tests: kernel 0.01, recurrent kernel 0.02, bias 0.03, x counting up; all units end equal.


def constant_weights(function: str, features: int, units: int, bias: bool = True, **options: Any) -> dict[str, Any]:
    columns = {"simple_rnn": 1, "lstm": 4, "gru": 3}[function] * units
    weights = {
        "kernel": np.full((features, columns), 0.01),
        "recurrent_kernel": np.full((units, columns), 0.02),
    }
    if bias:
        split = function == "gru" and options.get("reset_after", True)
        weights["bias"] = np.full((2, columns) if split else columns, 0.03)
    if function == "lstm" and bias:
        weights["bias"][units : 2 * units] = options.get("forget_bias", 1.0)
    return weights


def counting(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


@pytest.mark.parametrize(
    ("function", "shape", "units", "options", "expected"),
    [
        ("lstm", (3, 6, 4), 3, {}, [0.6288687, 0.86899155, 0.9460773]),
        ("lstm", (3, 6, 4), 3, {"reverse": True}, [0.35622165, 0.74789524, 0.8872726]),
        ("lstm", (3, 6, 4), 3, {"forget_bias": 0.03}, [0.57019705, 0.8661914, 0.9459622]),
        ("lstm", (3, 6, 4), 3, {"bias": False}, [0.54986924, 0.86226785, 0.9443936]),
        ("gru", (3, 6, 4), 3, {}, [0.5217289, 0.6371659, 0.39384964]),
        ("gru", (3, 6, 4), 3, {"reverse": True}, [0.24406259, 0.611516, 0.3928808]),
        ("gru", (3, 6, 4), 3, {"reset_after": False}, [0.51447755, 0.6426879, 0.40208298]),
        ("gru", (3, 6, 4), 3, {"bias": False}, [0.49988455, 0.64701194, 0.4103359]),
        ("simple_rnn", (2, 3, 4), 4, {}, [0.405432, 0.73605347]),
        ("simple_rnn", (2, 3, 4), 4, {"reverse": True}, [0.11144729, 0.5528889]),
    ],
)
def test_values_of_the_keras_tests(
    function: str, shape: tuple[int, ...], units: int, options: dict[str, Any], expected: list[float]
) -> None:
    weights = constant_weights(function, shape[2], units, **options)
    options = {name: value for name, value in options.items() if name not in ("bias", "forget_bias")}
    result = getattr(reference, function)(counting(*shape), **weights, **options)
    np.testing.assert_allclose(result.state[0], np.repeat(np.array(expected)[:, None], units, axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "reverse", "expected"),
    [
        ("lstm", False, [[0.20574439, 0.3558822], [0.64930826, 0.66276]]),
        ("lstm", True, [[0.13281618, 0.2790356], [0.5839337, 0.5992567]]),
        ("gru", False, [[0.23774096, 0.33508456], [0.83659905, 1.0227708]]),
        ("gru", True, [[0.13486053, 0.23261218], [0.78257304, 0.9691353]]),
    ],
)
def test_initial_states_of_the_keras_tests(function: str, reverse: bool, expected: list[list[float]]) -> None:
    state = counting(2, 2)
    result = getattr(reference, function)(
        counting(2, 4, 3),
        **constant_weights(function, 3, 2),
        initial_state=(state, state) if function == "lstm" else state,
        reverse=reverse,
    )
    np.testing.assert_allclose(result.state[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "steps", "expected"),
    [
        ("lstm", 3, [0.3124785, 0.6863672]),
        ("gru", 3, [0.29542392, 0.5885018]),
        ("simple_rnn", 3, [0.40559256, 0.7361247]),
    ],
)
def test_carried_states_of_the_keras_tests(function: str, steps: int, expected: list[float]) -> None:
    run, weights, x = getattr(reference, function), constant_weights(function, 4, 4), counting(2, steps, 4)
    state = run(x, **weights, initial_state=run(x, **weights).state).state
    np.testing.assert_allclose(state[0], np.repeat(np.array(expected)[:, None], 4, axis=1), rtol=1e-5)


@pytest.mark.parametrize(("reverse", "expected"), [(False, [0.33621645, 0.6262637]), (True, [0.07344437, 0.43043602])])
def test_initial_states_of_the_keras_tests_of_simple_rnn(reverse: bool, expected: list[float]) -> None:
    weights = constant_weights("simple_rnn", 3, 4)
    result = reference.simple_rnn(counting(2, 4, 3), **weights, initial_state=counting(2, 4), reverse=reverse)
    np.testing.assert_allclose(result.state[0], np.repeat(np.array(expected)[:, None], 4, axis=1), rtol=1e-5)


def test_masked_lstm_of_the_keras_tests() -> None:
    weights = constant_weights("lstm", 3, 2)
    result = reference.lstm(counting(2, 4, 3), **weights, lengths=[3, 2])
    np.testing.assert_allclose(result.output[0, :, 0], [0.0158891, 0.05552048, 0.11755939, 0.11755939], rtol=1e-5)
    np.testing.assert_allclose(result.output[1, :, 1], [0.14185596, 0.28556206, 0.28556206, 0.28556206], rtol=1e-5)


def test_lstm_of_the_pytorch_tests() -> None:
    """Weights i / size and a falling input; the values tell all 24 gate orders apart."""

    def ramp(*shape: int) -> Any:
        return counting(*shape) / np.prod(shape)

    result = reference.lstm(
        (24 - counting(3, 4, 2)).transpose(1, 0, 2) / 24,
        ramp(8, 2).T,
        ramp(8, 2).T,
        2 * ramp(8),
    )
    last = [0.7889, 0.9003, 0.7769, 0.8905, 0.7635, 0.8794, 0.7484, 0.8666]
    cells = [1.1647, 1.6106, 1.1425, 1.5726, 1.1187, 1.5329, 1.0931, 1.4911]
    np.testing.assert_allclose(result.output[:, -1].ravel(), last, atol=1e-4)
    np.testing.assert_allclose(result.state[1].ravel(), cells, atol=1e-4)
    np.testing.assert_allclose(result.output[0, 0], [0.4391, 0.5402], atol=1e-4)


@pytest.mark.parametrize(
    ("function", "units", "weight", "options", "expected"),
    [
        ("simple_rnn", 4, 0.1, {}, [0.29131261, 0.60436778, 0.80049902]),
        ("lstm", 3, 0.1, {}, [0.09524119, 0.25606443, 0.40323774]),
        ("gru", 5, 0.1, {"reset_after": False}, [0.12397026, 0.20053662, 0.19991654]),
    ],
)
def test_default_nodes_of_the_onnx_tests(
    function: str, units: int, weight: float, options: dict[str, Any], expected: list[float]
) -> None:
    columns = {"simple_rnn": 1, "lstm": 4, "gru": 3}[function] * units
    x = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])
    kernel, recurrent_kernel = np.full((2, columns), weight), np.full((units, columns), weight)
    result = getattr(reference, function)(x, kernel, recurrent_kernel, **options)
    np.testing.assert_allclose(result.state[0], np.repeat(np.array(expected)[:, None], units, axis=1), rtol=1e-6)
