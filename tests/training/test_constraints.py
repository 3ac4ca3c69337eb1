"""Constraints: values of Keras, names and configs, and that both executors apply them after each update."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from executor_zoo import PROGRAMS, random_parameters
from goldens import Golden, load
from small_models import BACKENDS
from tolerance import assert_close, assert_threads_agree

from rnncore import _core, constraints, layers, models, reference, utils
from rnncore.program import Constraint, Loss, Optimizer, Training

SGD = Optimizer("sgd", {"momentum": 0.0, "nesterov": False})


@pytest.mark.parametrize("golden", load("keras_constraints"), ids=str)
def test_values_of_keras(golden: Golden) -> None:
    constraint = getattr(constraints, golden.function)(**golden.options)
    found = constraint(golden.arrays["before"])
    assert found.dtype == np.float32
    assert_close(found, golden.arrays["after"])


@pytest.mark.parametrize(
    ("identifier", "config"),
    [
        ("max_norm", {"max_value": 2.0, "axis": 0}),
        ("MinMaxNorm", {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": 0}),
        ("non_neg", {}),
        (constraints.UnitNorm, {"axis": 0}),
        (constraints.unit_norm(axis=(0, 1)), {"axis": [0, 1]}),
    ],
)
def test_names_and_configs(identifier: Any, config: dict[str, Any]) -> None:
    constraint = constraints.get(identifier)
    assert constraint is not None
    assert constraint.get_config() == config
    again = constraints.deserialize(json.loads(json.dumps(constraints.serialize(constraint))))
    assert type(again) is type(constraint)
    assert again.get_config() == config
    assert constraints.get(None) is constraints.serialize(None) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: constraints.get("max_nrom"), ValueError, "unknown constraint 'max_nrom'; did you mean 'max_norm'"),
        (lambda: constraints.get(lambda w: w), TypeError, "a plain function does not run in the engine"),
        (lambda: constraints.MaxNorm(-1.0), ValueError, "max_value must be a finite number in"),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), ValueError, "min_value must be at most max_value = 1.0, got 2.0"),
        (lambda: constraints.UnitNorm(2)(np.ones((2, 2))), ValueError, "UnitNorm: axis must be one of 2 axes"),
        (lambda: constraints.UnitNorm("0"), TypeError, "each of axis must be an integer, got str"),
    ],
)
def test_bad_arguments_are_named(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_executors_apply_them_with_any_number_of_threads(dtype: Any, level: str) -> None:
    program = PROGRAMS["frozen"]()
    norm = {"min_value": 0.5, "max_value": 0.8, "rate": 0.75}
    described = (
        Constraint(0, "norm", {**norm, "axes": [0]}),
        Constraint(1, "norm", {**norm, "axes": [1]}),  # does not train
        Constraint(4, "non_negative"),
        Constraint(8, "norm", {**norm, "axes": [0, 1]}),
        Constraint(10, "norm", {**norm, "axes": []}),
    )
    described = tuple(c for c in described if c.parameter < len(program.parameters))
    assert {program.parameters[c.parameter].trainable for c in described} == {True, False}
    training = Training((Loss("mean_squared_error"),), optimizer=SGD, constraints=described)
    start, gradients = (random_parameters(program, dtype, seed) for seed in (5, 6))

    def steps(kind: Any) -> Any:
        parameters = start.copy()
        executor = kind(program, parameters, gradients.copy())
        executor.configure(training, np.zeros((1, start.size), dtype))
        for step in range(3):
            executor.apply_gradients(0.1, step)
        return parameters

    _core.set_isa(level)
    expected = steps(reference.Executor)
    assert_close(steps(_core.Executor), expected)
    assert_threads_agree(lambda: [steps(_core.Executor)])
    for c in described:
        p = program.parameters[c.parameter]
        window = slice(p.offset, p.offset + p.size)
        assert (c.kind != "non_negative") or (expected[window] >= 0).all()
        assert p.trainable or np.array_equal(expected[window], start[window])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_layers_hand_their_constraints_on(cell: Any, backend: str) -> None:
    utils.set_random_seed(0)
    model = models.Sequential(
        [
            layers.Input((None,)),
            layers.Embedding(7, 3, embeddings_constraint="unit_norm"),
            cell(
                4, kernel_constraint="non_neg", recurrent_constraint=constraints.MaxNorm(0.3), bias_constraint="non_neg"
            ),
            layers.Dense(2, kernel_constraint=constraints.UnitNorm(1), bias_constraint="non_neg"),
        ]
    )
    model = models.Sequential.from_config(model.get_config())
    model.compile("sgd", "mse", backend=backend)
    rng = np.random.default_rng(0)
    model.fit(rng.integers(7, size=(20, 5)), rng.normal(size=(20, 2)), epochs=2, verbose=0)
    table, kernel, recurrent, bias, head, head_bias = model.get_weights()
    assert np.linalg.norm(table, axis=0) == pytest.approx(np.ones(3), abs=1e-5)
    assert (kernel == 0).any()
    assert all((w >= 0).all() for w in (kernel, bias, head_bias))
    assert (np.linalg.norm(recurrent, axis=0) <= 0.3 + 1e-6).all()
    assert np.linalg.norm(head, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


@pytest.mark.parametrize("executor_class", [_core.Executor, reference.Executor])
def test_executors_refuse_what_they_do_not_know(executor_class: Any) -> None:
    program = PROGRAMS["tutorial"]()
    parameters = random_parameters(program, np.float64)
    executor = executor_class(program, parameters, np.zeros_like(parameters))
    for constraint, message in (
        (Constraint(0, "positive"), "unknown constraint 'positive'"),
        (Constraint(99, "norm"), "a constraint is on parameter 99"),
    ):
        training = Training((Loss("mean_squared_error"),), optimizer=SGD, constraints=(constraint,))
        with pytest.raises(ValueError, match=message):
            executor.configure(training, np.zeros((1, parameters.size)))
