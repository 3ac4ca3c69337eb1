"""Subclasses of the user's: what the engine would not run is refused by name, what it runs has its effect."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import BACKENDS, data, forecaster

from rnncore import (
    augmentation,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)


def own(*arguments: Any, **keywords: Any) -> Any:
    """A method that must not be passed over."""
    raise AssertionError("called")


LAYERS = [getattr(layers, name) for name in layers.__all__ if inspect.isclass(getattr(layers, name))]
LAYERS = [cls for cls in LAYERS if issubclass(cls, layers.Layer) and cls not in (layers.Layer, layers.Lambda)]


@pytest.mark.parametrize("base", LAYERS, ids=lambda cls: cls.__name__)
def test_no_layer_takes_a_call_of_its_own(base: type) -> None:
    for name in ("call", "compute_mask", "compute_output_shape"):
        with pytest.raises(TypeError, match=f"^Mine.{name} would be ignored: layers are described"):
            type("Mine", (base,), {name: own})


@pytest.mark.parametrize(
    ("base", "names"),
    [
        (
            layers.Layer,
            ["compute_mask", "compute_output_spec", "get_build_config", "build_from_config", "save_own_variables"],
        ),
        (layers.RNN, ["get_initial_state", "inner_loop"]),
        (layers.LSTMCell, ["call", "get_initial_state", "get_dropout_mask", "get_recurrent_dropout_mask"]),
        (layers.Add, ["_merge_function"]),
        (layers.Attention, ["_calculate_scores", "_apply_scores"]),
        (models.Model, ["call", "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "build"]),
        (models.Model, ["trainable_weights", "trainable_variables", "non_trainable_weights", "losses"]),
        (models.Model, ["make_train_function", "compute_mask", "forward", "backward", "__call__", "metrics"]),
        (
            models.Sequential,
            ["call", "train_step", "test_step", "predict_step", "compute_loss", "compute_output_shape"],
        ),
        (losses.Loss, ["call", "__call__", "values"]),
        (losses.MeanSquaredError, ["call", "__call__"]),
        (metrics.Metric, ["update_state", "result", "reset_state", "reset_states"]),
        (metrics.MeanAbsoluteError, ["update_state", "result"]),
        (optimizers.Optimizer, ["update_step", "apply_gradients", "apply", "build"]),
        (optimizers.Adam, ["update_step", "minimize"]),
        (regularizers.Regularizer, ["__call__"]),
        (regularizers.L2, ["__call__"]),
        (constraints.Constraint, ["__call__"]),
        (constraints.NonNeg, ["__call__"]),
        (callbacks.Callback, ["on_epoch_start", "on_batch_start", "on_validation_end", "on_fit_begin"]),
        (callbacks.EarlyStopping, ["on_epoch_ends_begin", "on_train_epoch_end"]),
        (utils.PyDataset, ["on_epoch_start", "on_train_end"]),
    ],
    ids=lambda value: value.__name__ if inspect.isclass(value) else "",
)
def test_what_would_be_ignored_is_refused_by_name(base: type, names: list[str]) -> None:
    """When the class is made, also when the method comes with another class or through a class between."""
    for name in names:
        message = rf"Mine\.{name} would (be ignored|never be called)"
        for definition in (own, property(own), staticmethod(own)):
            with pytest.raises(TypeError, match=message):
                type("Mine", (base,), {name: definition})
        with pytest.raises(TypeError, match=message):
            type("Mine", (type("Mixin", (), {name: own}), base), {})
        with pytest.raises(TypeError, match=message):
            type("Mine", (type("Between", (base,), {}),), {name: own})


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: layers.Dense(2), ["call", "compute_mask"]),
        (lambda: layers.Bidirectional(layers.LSTM(2)), ["call"]),
        (lambda: layers.GRUCell(2), ["call"]),
        (forecaster, ["call", "train_step", "test_step", "compute_loss", "forward"]),
        (losses.MeanSquaredError, ["call"]),
        (metrics.AUC, ["update_state", "result"]),
        (optimizers.SGD, ["update_step", "apply_gradients"]),
        (lambda: regularizers.L2(0.1), ["call"]),
        (constraints.NonNeg, ["call"]),
        (callbacks.TerminateOnNaN, ["on_epoch_start", "on_validation_begin"]),
    ],
)
def test_objects_take_no_method_that_would_be_ignored(make: Callable[[], Any], names: list[str]) -> None:
    for name in names:
        instance = make()
        with pytest.raises(TypeError, match=rf"{name} would (be ignored|never be called)"):
            setattr(instance, name, own)


def test_messages_say_what_to_do_instead() -> None:
    with pytest.raises(TypeError, match="give compile a function loss\\(y_true, y_pred\\) -> \\(value, gradient\\)"):
        type("Mine", (losses.Loss,), {"call": own})
    with pytest.raises(TypeError, match="or train in a loop of your own with model.forward, model.backward and"):
        type("Mine", (models.Model,), {"train_step": own})
    with pytest.raises(TypeError, match="define these, or give compile a function of"):
        type("Mine", (metrics.Metric,), {"update_state": own})
    with pytest.raises(TypeError, match="on_epoch_start would never be called; did you mean 'on_epoch"):
        type("Mine", (callbacks.Callback,), {"on_epoch_start": own})


def test_methods_given_to_a_class_later_are_refused_when_a_model_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(layers.Dense):
        pass

    x = layers.Input((3,))
    for cls, name in ((Mine, "call"), (layers.Dense, "call"), (layers.Dense, "compute_mask"), (layers.GRUCell, "call")):
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, own, raising=False)
            with pytest.raises(TypeError, match=f"{cls.__name__}.{name} would be ignored"):
                layers.RNN(cls(2))(layers.Input((4, 3))) if cls is layers.GRUCell else cls(2)(x)
        assert Mine(2)(x).shape == (None, 2)
    with monkeypatch.context() as patch:
        patch.setattr(models.Sequential, "train_step", own, raising=False)
        with pytest.raises(TypeError, match="Sequential.train_step would be ignored"):
            forecaster(loss="mse")


def test_what_the_engine_does_not_know_is_refused_when_it_is_made() -> None:
    x = layers.Input((3,))
    for make, message in (
        (lambda: type("Mine", (layers.Layer,), {})()(x), "Mine is none that the engine knows: layers are described"),
        (lambda: type("Mine", (losses.Loss,), {})(), "Mine is none .* give compile a function"),
        (lambda: type("Mine", (optimizers.Optimizer,), {})(0.1), "Mine is none .* change learning_rate"),
        (lambda: type("Mine", (metrics.Metric,), {})().update_state([[0]], [[0.5]]), "Mine is none .* define these"),
        (lambda: type("Mine", (models.Model,), {})(), "Mine needs inputs and outputs, made by Input"),
    ):
        with pytest.raises(TypeError, match=message):
            make()

    class Linear(models.Model):
        def __init__(self, size: int) -> None:
            x = layers.Input((size,))
            super().__init__(x, layers.Dense(1)(x))

    assert Linear(3).output_shape == (None, 1)


# What is honoured


class Doubled(layers.Dense):
    """A layer with arguments, weights and a config of its own."""

    def __init__(self, units: int, factor: float = 2.0, **arguments: Any) -> None:
        super().__init__(units, **arguments)
        self.factor = factor

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.kernel = self.kernel * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}

    def helper(self) -> str:
        return "its own"


class Logged(models.Sequential):
    """A model that notes what is asked of it."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.asked: list[str] = []

    def compile(self, *arguments: Any, **keywords: Any) -> None:
        self.asked.append("compile")
        super().compile(*arguments, **keywords)

    def fit(self, *arguments: Any, **keywords: Any) -> Any:
        self.asked.append("fit")
        return super().fit(*arguments, **{"verbose": 0, **keywords})

    def build(self, input_shape: Any) -> None:
        self.asked.append("build")
        super().build(input_shape)

    def save(self, *arguments: Any, **keywords: Any) -> None:
        self.asked.append("save")
        super().save(*arguments, **keywords)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "more": 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_honoured_has_its_effect(backend: str, tmp_path: Path) -> None:
    x, y = data()
    model = Logged([layers.GRU(3), Doubled(2, kernel_initializer="ones")])
    model.compile("sgd", "mse", backend=backend)
    save = callbacks.ModelCheckpoint(tmp_path / "model.rnn")
    model.fit(x, y, callbacks=[save])
    assert model.asked == ["compile", "fit", "build", "save"]
    assert model.get_config()["more"] == 1
    assert model.layers[1].get_config()["factor"] == 2.0
    assert Doubled.from_config(Doubled(2, 3.0).get_config()).factor == 3.0
    built = Doubled(2, kernel_initializer="ones")
    built.build((None, 3))
    assert (built.kernel == 2).all()
    built.custom = "anything"
    assert built.helper() == "its own"


def test_a_build_that_makes_no_weights_is_refused() -> None:
    class Empty(layers.Dense):
        def build(self, input_shape: Any) -> None:
            """Makes nothing."""

    with pytest.raises(ValueError, match=r"build of 'empty.*' must call super\(\).build\(input_shape\)"):
        models.Sequential([layers.Input((3,)), Empty(2)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_metrics_of_the_users_own(backend: str) -> None:
    """A subclass of a metric that the engine knows counts as its own numbers say."""

    class Twice(metrics.MeanAbsoluteError):
        def compute(self, state: Any) -> Any:
            return 2 * super().compute(state)

    class Constant(metrics.MeanAbsoluteError):
        def increment(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return np.array([7.0 * len(y_pred), len(y_pred)])

    assigned = metrics.MeanAbsoluteError("assigned")
    assigned.increment = lambda y_true, y_pred, sample_weight=None: np.array([5.0, 1.0])  # type: ignore[method-assign]
    x, y = data()
    model = forecaster()
    model.compile("sgd", "mse", metrics=["mae", Twice(), Constant(), assigned], backend=backend)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["twice"] == pytest.approx(2 * logs["mae"])
    assert (logs["constant"], logs["assigned"]) == (7.0, 5.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_classes_of_the_users_own(backend: str) -> None:
    class Ramp(initializers.Initializer):
        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    class Halving(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: int) -> float:
            return 0.5 ** (step + 1)

    class Reverse(augmentation.Augmentation):
        def apply(self, x: Any, lengths: Any, draws: Any) -> Any:
            applied.append(len(x))
            return x[:, ::-1]

    class Spy(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

        def on_improvement(self) -> None:
            """Called by nobody but the class itself."""

    class Numbers(utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return data(rows=4)

    applied: list[int] = []
    rates: list[float] = []
    assert Ramp()((2, 2)).tolist() == [[0, 1], [2, 3]]
    dense = layers.Dense(2, kernel_initializer=Ramp())
    model = models.Sequential([layers.Input((6, 3)), layers.GRU(2), dense])
    assert dense.kernel.tolist() == [[0, 1], [2, 3]]
    model.compile(optimizers.SGD(Halving()), "mse", backend=backend)
    model.fit(Numbers(), augment=Reverse(), callbacks=[Spy()], verbose=0)
    assert rates == [0.25, 0.125, 0.0625]  # of the step after
    assert applied == [4, 4, 4]
