"""Penalties on the outputs of layers: against Keras, finite differences and one executor against the other."""

from __future__ import annotations

from typing import Any

import keras_penalised_models as penalised
import numpy as np
import pytest
from executor_calls import run_test, run_train
from executor_zoo import PROGRAMS
from goldens import arrays
from small_models import BACKENDS, same
from tolerance import FINITE_DIFFERENCES, Array, assert_close, numerical_gradient
from training_setting import SGD, Setting

import rnncore
from rnncore import _core, layers, models, reference
from rnncore.program import ActivityRegularizer, Loss, Program, Training
from rnncore.regularizers import L1L2, L2

GOLDEN = arrays("keras_activity")


def stored(name: str) -> list[Array]:
    return [array for key, array in GOLDEN.items() if key.startswith(f"{name}/")]


def on_all_values(program: Program) -> tuple[ActivityRegularizer, ...]:
    """Penalties on all values that nodes make, two on the last one."""
    made = [v for node in program.nodes for v in node.outputs if v >= 0 and program.values[v].dtype == "float"]
    return tuple(ActivityRegularizer(v, 0.02 + 0.01 * k, 0.05) for k, v in enumerate([*made, made[-1]]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", penalised.MODELS)
def test_losses_and_steps_are_those_of_keras(name: str, backend: str) -> None:
    model = penalised.make(rnncore, name)
    model.set_weights(stored(f"{name}/before"))
    model.compile(rnncore.optimizers.SGD(0.5), "mse", backend=backend)
    x, y = penalised.sequences(), GOLDEN["y"]
    loss = model.test_on_batch(x, y)
    assert_close(np.float32(loss), GOLDEN[f"{name}/loss"].astype(np.float32))
    model.train_on_batch(x, y)
    for weight, before, after in zip(
        model.get_weights(), stored(f"{name}/before"), stored(f"{name}/after"), strict=True
    ):
        assert_close(weight - before, after - before, 2e-4)


@pytest.mark.parametrize("level", _core.isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", PROGRAMS)
def test_both_executors_agree(name: str, dtype: Any, level: str) -> None:
    _core.set_isa(level)
    program = PROGRAMS[name]()
    outputs = tuple(Loss("mean_squared_error", output) for output in range(len(program.outputs)))
    training = Training(outputs, optimizer=SGD, activity_regularizers=on_all_values(program))
    Setting(program, training, dtype).assert_trains_alike()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    program = PROGRAMS["gru"]()
    training = Training((Loss("huber"),), optimizer=SGD, activity_regularizers=on_all_values(program))
    _core.set_num_threads(1)
    single = Setting(program, training, np.float32).train(_core.Executor)
    for threads in (2, 3, 8):
        _core.set_num_threads(threads, always=True)
        assert same(list(Setting(program, training, np.float32).train(_core.Executor)), list(single))


def test_gradients_are_those_of_finite_differences() -> None:
    program = PROGRAMS["gru"]()
    smooth = tuple(ActivityRegularizer(r.value, 0.0, r.l1) for r in on_all_values(program))
    training = Training((Loss("mean_squared_error"),), optimizer=SGD, activity_regularizers=smooth)
    setting = Setting(program, training, samples=5, batch=3)
    shared, measured = setting.arrays()
    shared["batch_size"] = len(shared["order"])
    parameters = np.random.default_rng(0).normal(scale=0.5, size=sum(p.size for p in program.parameters))
    gradients = np.zeros_like(parameters)
    executor = reference.Executor(program, parameters, gradients)
    executor.configure(training, np.zeros((1, parameters.size)))

    def loss() -> float:
        state = np.zeros(2)
        run_test(executor, **shared, **measured, state=state)
        return float(state[0] / state[1])

    expected = numerical_gradient(loss, parameters)
    run_train(executor, **shared, **measured, learning_rate=np.zeros(1), step=0, seed=0, state=np.zeros(2))
    for p in program.parameters:
        if p.trainable:
            window = slice(p.offset, p.offset + p.size)
            assert_close(gradients[window], expected[window], FINITE_DIFFERENCES)


def test_the_penalty_counts_each_sample_once() -> None:
    model = models.Sequential(
        [layers.Input((3,)), layers.Dense(2, kernel_initializer="ones", activity_regularizer=L1L2(0.5, 0.25))]
    )
    model.compile("sgd", "mse")
    x = np.array([[1.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    y = model.predict(x, verbose=0)
    assert model.evaluate(x, y, verbose=0) == pytest.approx((0.5 * 6 + 0.25 * 10) / 2, rel=1e-6)


def test_attention_penalises_its_projections() -> None:
    x = layers.Input((4, 3))
    layer = layers.MultiHeadAttention(2, 3, activity_regularizer=L2(0.5), name="attention")
    model = models.Model(x, layer(x, x))
    model.compile("sgd", "mse", dtype_policy="float64")
    a = np.random.default_rng(0).normal(size=(5, 4, 3))
    y = model.predict(a, verbose=0)
    weights = model.get_weights()
    named = dict(zip(("query", "key", "value"), zip(weights[0:6:2], weights[1:6:2], strict=True), strict=True))
    made = [np.einsum("ntf,fhk->nthk", a, kernel) + b for kernel, b in named.values()]
    expected = 0.5 * sum(np.square(p).sum() for p in [*made, y]) / len(a)
    assert model.evaluate(a, y, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert layers.deserialize(layers.serialize(layer)).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2, activity_regularizer="l2"),
        layers.Dropout(0.1, activity_regularizer="l1"),
        layers.Conv1D(2, 2, activity_regularizer=L1L2(0.1, 0.2)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs(layer: Any) -> None:
    again = layers.deserialize(layers.serialize(layer))
    assert again.activity_regularizer.get_config() == layer.activity_regularizer.get_config()


def test_a_function_as_loss_is_refused() -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(1, activity_regularizer="l2")])
    model.compile("sgd", lambda y_true, y_pred: (0.0, y_pred))
    with pytest.raises(ValueError, match="a loss that is a function takes no layers with activity_regularizer"):
        model.fit(np.ones((2, 3)), np.ones((2, 1)), verbose=0)


@pytest.mark.parametrize("kind", [_core.Executor, reference.Executor])
@pytest.mark.parametrize("value", [-1, 99])
def test_a_value_that_does_not_exist_is_named(kind: Any, value: int) -> None:
    program = PROGRAMS["gru"]()
    parameters = np.zeros(sum(p.size for p in program.parameters))
    training = Training((Loss("huber"),), optimizer=SGD, activity_regularizers=(ActivityRegularizer(value, l2=1.0),))
    with pytest.raises(ValueError, match=f"an activity regularizer is on value {value}, which is none"):
        kind(program, parameters, parameters.copy()).configure(training, np.zeros((1, parameters.size)))
