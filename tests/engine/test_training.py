"""The compiled executor against the reference: whole steps of training, measuring and predicting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from executor_calls import run_predict, run_test, run_train
from executor_zoo import PROGRAMS, random_parameters
from program_builder import Builder
from tolerance import assert_all_close, assert_threads_agree
from training_setting import BATCH, SGD, STEPS_RELATIVE, Setting

from rnncore import _core, reference
from rnncore.program import Loss, Metric, Optimizer, Regularizer, Training

OPTIMIZERS = {
    "sgd": Optimizer("sgd", {"momentum": 0.0, "nesterov": False}),
    "momentum": SGD,
    "nesterov": Optimizer("sgd", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
    "rmsprop": Optimizer("rmsprop", {"rho": 0.8, "momentum": 0.0, "epsilon": 1e-7, "centered": False}),
    "rmsprop_centered": Optimizer("rmsprop", {"rho": 0.8, "momentum": 0.5, "epsilon": 1e-3, "centered": True}),
    "adam": Optimizer("adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4, "clipvalue": None}),
    "adamw": Optimizer("adamw", {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-4, "weight_decay": 0.1}),
    "amsgrad": Optimizer("adam", {"beta_1": 0.8, "beta_2": 0.5, "epsilon": 1e-4, "amsgrad": True}),
    "nadam": Optimizer("nadam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    "adagrad": Optimizer("adagrad", {"initial_accumulator_value": 0.2, "epsilon": 1e-4}),
    "adadelta": Optimizer("adadelta", {"rho": 0.8, "epsilon": 1e-3}),
    "adamax": Optimizer("adamax", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-4}),
    "lion": Optimizer("lion", {"beta_1": 0.8, "beta_2": 0.9}),
    "average": Optimizer("sgd", {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3}),
    "gathered": Optimizer("adam", {"epsilon": 1e-4, "gradient_accumulation_steps": 3, "clipnorm": 0.03}),
    "gathered_average": Optimizer(
        "nadam",
        {
            "epsilon": 1e-4,
            "gradient_accumulation_steps": 2,
            "global_clipnorm": 0.1,
            "use_ema": True,
            "ema_momentum": 0.5,
            "ema_overwrite_frequency": 2,
        },
    ),
    "clipvalue": Optimizer("sgd", {"momentum": 0.0, "nesterov": False, "clipvalue": 0.01}),
    "clipnorm": Optimizer("sgd", {"momentum": 0.0, "nesterov": False, "clipnorm": 0.05}),
    "global_clipnorm": Optimizer("sgd", {"momentum": 0.0, "nesterov": False, "global_clipnorm": 0.1}),
}

ELEMENTWISE = {
    "mean_squared_error": Loss("mean_squared_error"),
    "mean_absolute_error": Loss("mean_absolute_error"),
    "huber": Loss("huber", attributes={"delta": 0.3}),
    "mean_absolute_percentage_error": Loss("mean_absolute_percentage_error", weight=0.01),
    "mean_squared_logarithmic_error": Loss("mean_squared_logarithmic_error"),
    "log_cosh": Loss("log_cosh"),
    "cosine_similarity": Loss("cosine_similarity"),
    "hinge": Loss("hinge"),
    "squared_hinge": Loss("squared_hinge"),
    "categorical_hinge": Loss("categorical_hinge"),
    "sum": Loss("mean_squared_error", attributes={"reduction": "sum"}, weight=0.01),
    "mean_with_weights": Loss("mean_squared_error", attributes={"reduction": "mean_with_sample_weight"}),
    "binary_focal_logits": Loss(
        "binary_focal_crossentropy",
        attributes={"from_logits": True, "gamma": 1.5, "label_smoothing": 0.1, "apply_class_balancing": True},
    ),
    "categorical_focal_logits": Loss("categorical_focal_crossentropy", attributes={"from_logits": True, "alpha": 0.7}),
    "binary_logits": Loss("binary_crossentropy", attributes={"from_logits": True, "label_smoothing": 0.0}),
    "binary_logits_smooth": Loss("binary_crossentropy", attributes={"from_logits": True, "label_smoothing": 0.2}),
    "categorical_logits": Loss(
        "categorical_crossentropy", attributes={"from_logits": True, "label_smoothing": 0.1}, weight=0.7
    ),
}
PROBABILITIES = {
    "binary": Loss("binary_crossentropy", attributes={"from_logits": False, "label_smoothing": 0.1}),
    "categorical": Loss("categorical_crossentropy", attributes={"from_logits": False, "label_smoothing": 0.0}),
    "categorical_smooth": Loss("categorical_crossentropy", attributes={"from_logits": False, "label_smoothing": 0.3}),
    "poisson": Loss("poisson", weight=0.1),
    "kl_divergence": Loss("kl_divergence"),
    "binary_focal": Loss("binary_focal_crossentropy", attributes={"alpha": 0.3}),
    "categorical_focal": Loss("categorical_focal_crossentropy", attributes={"gamma": 1.2, "label_smoothing": 0.1}),
    "sparse_ignoring": Loss("sparse_categorical_crossentropy", attributes={"ignore_class": 1}),
    "sparse_weighted": Loss(
        "sparse_categorical_crossentropy", attributes={"ignore_class": 1, "reduction": "mean_with_sample_weight"}
    ),
    "sparse": Loss("sparse_categorical_crossentropy", attributes={"from_logits": False}),
    "sparse_logits": Loss("sparse_categorical_crossentropy", attributes={"from_logits": True}),
}

HARD_SIGMOID = {"function": "hard_sigmoid"}

DENSE_METRICS = (
    Metric("mean_squared_error"),
    Metric("huber", weighted=True, attributes={"delta": 0.5}),
    Metric("binary_accuracy", attributes={"threshold": 0.3}),
    Metric("binary_accuracy", weighted=True, attributes={"threshold": 0.5}),
    Metric("categorical_accuracy", weighted=True),
    Metric("top_k_categorical_accuracy", attributes={"k": 2}),
    Metric("confusion", weighted=True, attributes={"thresholds": [0.1, 0.25, 0.5]}),
    Metric("confusion", attributes={"thresholds": [0.4]}),
)
LABEL_METRICS = (
    Metric("sparse_categorical_crossentropy", attributes={"from_logits": False}),
    Metric("sparse_categorical_accuracy"),
    Metric("sparse_categorical_accuracy", weighted=True),
    Metric("sparse_top_k_categorical_accuracy", weighted=True, attributes={"k": 3}),
)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    training = Training((Loss("mean_squared_error"),), optimizer=OPTIMIZERS[optimizer])
    Setting(PROGRAMS["frozen"](), training, dtype).assert_trains_alike()


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("weights", ["none", "samples", "positions"])
@pytest.mark.parametrize("name", [*ELEMENTWISE, *PROBABILITIES])
def test_losses(name: str, weights: str, level: str) -> None:
    _core.set_isa(level)
    program = PROGRAMS["gru" if name in ELEMENTWISE else "mixed"]()
    loss = {**ELEMENTWISE, **PROBABILITIES}[name]
    Setting(program, Training((loss,), optimizer=SGD), weights=weights).assert_trains_alike()


@pytest.mark.parametrize("program", ["words", "mixed"])
def test_metrics(program: str) -> None:
    dense = Training((PROBABILITIES["categorical"],), DENSE_METRICS, optimizer=SGD)
    Setting(PROGRAMS[program](), dense).assert_trains_alike()
    sparse = Training((PROBABILITIES["sparse"],), LABEL_METRICS, optimizer=SGD)
    Setting(PROGRAMS[program](), sparse).assert_trains_alike()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, dtype: Any) -> None:
    program = PROGRAMS[name]()
    losses = tuple(Loss("mean_squared_error", output) for output in range(len(program.outputs)))
    Setting(program, Training(losses, optimizer=SGD), dtype).assert_trains_alike()


def test_several_losses_and_regularizers() -> None:
    losses = (
        Loss("mean_squared_error", 0, 0.5),
        Loss("mean_absolute_error", 1, 2.0),
        Loss("huber", 0, 1.5, {"delta": 0.2}),
        Loss("mean_squared_error", 3),
    )
    metrics = (Metric("mean_absolute_error", 3, weighted=True), Metric("mean_squared_error", 0, weighted=True))
    regularizers = (Regularizer(0, l1=0.01), Regularizer(2, l2=0.02), Regularizer(3, 0.003, 0.004))
    Setting(PROGRAMS["shared"](), Training(losses, metrics, regularizers, SGD)).assert_trains_alike()


def test_regularized_frozen_parameters_count_but_do_not_move() -> None:
    regularizers = tuple(Regularizer(number, 0.01, 0.02) for number in range(9))
    Setting(PROGRAMS["frozen"](), Training((Loss("huber"),), (), regularizers, SGD)).assert_trains_alike()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "categorical", "sparse"])
def test_saturated_probabilities(kind: str, dtype: Any) -> None:
    program = PROGRAMS["words"]()
    if kind == "binary":
        program = replace(program, nodes=(*program.nodes[:-1], replace(program.nodes[-1], attributes=HARD_SIGMOID)))
    setting = Setting(program, Training((PROBABILITIES[kind],), optimizer=SGD), dtype)
    shared, measured = setting.arrays()
    parameters = 30 * random_parameters(program, dtype)
    results = []
    for executor_class in (_core.Executor, reference.Executor):
        gradients = np.zeros_like(parameters)
        executor = executor_class(program, parameters.copy(), gradients)
        executor.configure(setting.training, np.zeros((1, parameters.size), dtype))
        state = np.zeros(2)
        run_train(executor, **shared, **measured, learning_rate=np.zeros(4), step=0, seed=0, state=state)
        results.append((gradients, state))
    assert_all_close(*results, STEPS_RELATIVE[np.dtype(dtype)])


@pytest.mark.parametrize("name", PROGRAMS)
def test_measuring_and_predicting(name: str) -> None:
    program = PROGRAMS[name]()
    losses = tuple(Loss("mean_squared_error", output) for output in range(len(program.outputs)))
    setting = Setting(program, Training(losses, (Metric("mean_absolute_error"),)))
    shared, measured = setting.arrays()
    parameters = random_parameters(program, np.float64)
    results = []
    for executor_class in (_core.Executor, reference.Executor):
        executor = executor_class(program, parameters, np.zeros_like(parameters))
        executor.configure(setting.training, np.zeros((0, parameters.size)))
        state = np.zeros(setting.training.state_size())
        assert run_test(executor, **shared, **measured, state=state) == 4
        shapes = [y.shape[1:] for y in executor.forward([x[:1] for x in shared["inputs"]])]
        outputs = [np.full((len(shared["order"]), *shape), np.nan) for shape in shapes]
        assert run_predict(executor, **shared, outputs=outputs) == 4
        results.append([state, *outputs])
    assert_all_close(*results)


def test_gradient_of_logits_lies_where_they_did() -> None:
    classes = 20000
    b = Builder()
    program = b.build(b.dense(b.input(3), classes))
    logits = Loss("sparse_categorical_crossentropy", attributes={"from_logits": True})
    metrics = (Metric(logits.kind, weighted=True, attributes=logits.attributes), *LABEL_METRICS[1:])
    setting = Setting(program, Training((logits,), metrics, optimizer=SGD))
    setting.assert_trains_alike()
    parameters = random_parameters(program, np.float64)
    executor = _core.Executor(program, parameters, np.zeros_like(parameters))
    executor.configure(setting.training, np.zeros((1, parameters.size)))
    shared, measured = setting.arrays()
    _core.set_num_threads(1)
    state = np.zeros(setting.training.state_size())
    run_train(executor, **shared, **measured, learning_rate=np.zeros(4), step=0, seed=0, state=state)
    logits_bytes = BATCH * classes * 8
    assert logits_bytes < executor.arena_bytes < 1.5 * logits_bytes


def test_apply_gradients() -> None:
    training = Training((Loss("mean_squared_error"),), optimizer=OPTIMIZERS["adamw"])
    program = PROGRAMS["frozen"]()
    results = []
    for executor_class in (_core.Executor, reference.Executor):
        parameters = random_parameters(program, np.float64)
        gradients = random_parameters(program, np.float64, seed=6)
        slots = np.zeros((2, parameters.size))
        executor = executor_class(program, parameters, gradients)
        executor.configure(training, slots)
        for step in range(3):
            executor.apply_gradients(0.1, step)
        results.append((parameters, slots[0], slots[1]))
    assert_all_close(*results)


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_number_of_threads_trains_to_the_same_bits(name: str) -> None:
    program = PROGRAMS[name]()
    losses = tuple(Loss("mean_squared_error", output) for output in range(len(program.outputs)))
    optimizer = Optimizer("adam", {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7, "global_clipnorm": 1.0})
    training = Training(losses, DENSE_METRICS, (Regularizer(0, 0.01, 0.01),), optimizer)
    setting = Setting(program, training, np.float32, samples=201, batch=80)
    assert_threads_agree(lambda: setting.train(_core.Executor))
