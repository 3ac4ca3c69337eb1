"""What loading may be told, and what is taken from a file: user's code, parts that fit, nothing drawn at random."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import FOLDER
from small_models import data, forecaster, same

from rnncore import callbacks, constraints, initializers, layers, losses, metrics, models, optimizers, regularizers
from rnncore.optimizers import schedules


class Ramp(initializers.Initializer):
    def __init__(self, step: float = 1.0) -> None:
        self.step = step

    def values(self, shape: tuple[int, ...]) -> Any:
        return self.step * np.arange(np.prod(shape)).reshape(shape)


class Halving(schedules.LearningRateSchedule):
    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, step: int) -> float:
        return float(self.start * 0.5**step)


class Decay(regularizers.L2):
    pass


class Short(constraints.MaxNorm):
    pass


class Head(layers.Dense):
    pass


class Largest(metrics.Metric):
    def __init__(self, power: int = 1, name: str = "largest") -> None:
        super().__init__(name)
        self.power = power

    def increment(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return np.array([np.abs(np.asarray(y_true) - y_pred).max() ** self.power, 1.0])


def squares(y: Any, p: Any) -> Any:
    return ((p - y) ** 2).mean(), 2 * (p - y) / p.size


def distance(y: Any, p: Any) -> Any:
    return np.abs(y - p).mean(axis=-1)


CLASSES = {cls.__name__: cls for cls in (Ramp, Halving, Decay, Short, Head)}


def test_classes_of_the_user_are_found_by_name(tmp_path: Path) -> None:
    x, y = data()
    head = Head(2, kernel_initializer=Ramp(0.01), kernel_regularizer=Decay(0.1), bias_constraint=Short(0.5))
    model = models.Sequential([layers.Input((None, 3)), layers.Bidirectional(layers.GRU(2)), head])
    model.compile(optimizers.SGD(Halving(0.1)), "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.rnn")

    again = models.load_model(tmp_path / "model.rnn", custom_objects=CLASSES)
    assert type(again.layers[-1]) is Head
    assert again.optimizer.learning_rate == model.optimizer.learning_rate
    assert model.fit(x, y, shuffle=False, verbose=0).history == again.fit(x, y, shuffle=False, verbose=0).history
    with pytest.raises(ValueError, match=r"layer 2: unknown layer 'Head'; .*custom_objects"):
        models.load_model(tmp_path / "model.rnn")
    with pytest.raises(ValueError, match=r"custom_objects\['Head'\] must be a subclass of Layer, got <function"):
        models.load_model(tmp_path / "model.rnn", custom_objects={"Head": squares})
    with pytest.raises(TypeError, match="custom_objects must be a dict"):
        models.load_model(tmp_path / "model.rnn", custom_objects=[Head])  # type: ignore[arg-type]
    from_json = models.model_from_json(model.to_json(), custom_objects=CLASSES)
    from_config = models.Sequential.from_config(model.get_config(), custom_objects=CLASSES)
    for made in (from_json, from_config):
        np.testing.assert_array_equal(made.layers[-1].get_weights()[0], np.float32(0.01 * np.arange(8).reshape(4, 2)))


def test_losses_and_metrics_of_the_user_are_found_by_name(tmp_path: Path) -> None:
    x, y = data()
    path = tmp_path / "model.rnn"
    wrapped = metrics.MeanMetricWrapper(distance, name="far", direction="max")
    model = forecaster(optimizer="adam", loss=squares, metrics=[distance, wrapped, Largest(2), "mae"])
    model.fit(x, y, verbose=0)
    with pytest.warns(
        UserWarning, match=r"is not saved: give load_model custom_objects=\{'(squares|distance|Largest)'"
    ):
        model.save(path)
    own = {"squares": squares, "distance": distance, "Largest": Largest}
    again = models.load_model(path, custom_objects=own)
    assert again.metrics_names == model.metrics_names == ["loss", "distance", "far", "largest", "mae"]
    assert again.direction("far") == "max"
    assert model.evaluate(x, y, verbose=0) == again.evaluate(x, y, verbose=0)
    assert model.fit(x, y, shuffle=False, verbose=0).history == again.fit(x, y, shuffle=False, verbose=0).history

    fewer = models.load_model(path, custom_objects={"squares": squares})
    assert fewer.metrics_names == ["loss", "mae"]
    with pytest.raises(ValueError, match="must be compiled before"):
        models.load_model(path).evaluate(x, y, verbose=0)


def test_the_optimizer_may_be_left_out(tmp_path: Path) -> None:
    x, y = data()
    model = forecaster(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0)
    sizes = []
    for number, include in enumerate((True, False)):
        model.save(tmp_path / f"{number}.rnn", include_optimizer=include)
        sizes.append((tmp_path / f"{number}.rnn").stat().st_size)
    assert sizes[1] < sizes[0] / 2
    again = models.load_model(tmp_path / "1.rnn", safe_mode=False)
    assert again._session.compilation is None
    assert same(again.get_weights(), model.get_weights())
    assert models.load_model(tmp_path / "0.rnn", None, False)._session.compilation is None


def test_arguments_without_a_meaning_here_say_so(tmp_path: Path) -> None:
    model, path = forecaster(), tmp_path / "model.rnn"
    model.save(path, zipped=None, save_format=None)
    for options, message in (
        ({"zipped": True}, "save takes no zipped, got True: a model is one file"),
        ({"save_format": "h5"}, "save takes no save_format, got 'h5': there is one format"),
    ):
        with pytest.raises(ValueError, match=message):
            model.save(path, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="load_weights takes no by_name, got True: layers are matched by their order"):
        model.load_weights(path, by_name=True)
    with pytest.raises(ValueError, match="save_weights takes no max_shard_size, got 1: weights are one file"):
        model.save_weights(tmp_path / "a.weights.safetensors", max_shard_size=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="save got an unknown argument 'overwite'"):
        model.save(path, overwite=True)
    with pytest.raises(ValueError, match=r"is a folder; rnncore keeps a model in one file"):
        models.load_model(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(ValueError, match=r"it is a zip archive, as \.keras files are"):
        models.load_model(tmp_path / "model.keras")


def test_layers_without_weights_do_not_count(tmp_path: Path) -> None:
    model, path = forecaster(), tmp_path / "a.weights.safetensors"
    model.save_weights(path)
    gru, lstm, head = layers.GRU(5, return_sequences=True), layers.LSTM(4), layers.Dense(2)
    between = [layers.Input((None, 3)), layers.Dropout(0.1), gru, layers.Masking(), lstm, layers.ReLU(), head]
    other = models.Sequential(between)
    other.load_weights(path)
    assert same(other.get_weights(), model.get_weights())
    model.set_weights([weight + 1 for weight in model.get_weights()])
    other.save_weights(path)
    model.load_weights(path)
    assert same(other.get_weights(), model.get_weights())


def test_layers_that_do_not_fit_may_be_skipped(tmp_path: Path) -> None:
    model, path = forecaster(), tmp_path / "model.rnn"
    model.save(path)
    other = models.Sequential(
        [
            layers.Input((None, 3)),
            layers.GRU(5, return_sequences=True),
            layers.LSTM(4, use_bias=False, name="bare"),
            layers.Dense(2),
            layers.Dense(7, name="new"),
        ]
    )
    before = other.get_weights()
    with pytest.raises(ValueError, match="its weights are those of other layers"):
        other.load_weights(path)
    assert same(other.get_weights(), before)
    with pytest.warns(UserWarning, match=r"'bare' has \[\(5, 16\), \(4, 16\)\], stored is .*; 'new' has .* is \[\]"):
        other.load_weights(path, skip_mismatch=True)
    stored = model.get_weights()
    assert same(other.layers[0].get_weights(), stored[:3])
    assert same(other.layers[1].get_weights(), before[3:5])
    assert same(other.layers[2].get_weights(), stored[6:])
    assert same(other.layers[3].get_weights(), before[7:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_weights(path, skip_mismatch=True)


def test_nothing_is_drawn_for_weights_that_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, path = forecaster(optimizer="adam", loss="mse"), tmp_path / "model.rnn"
    model.save(path)

    def never(self: Any, shape: Any, dtype: Any = None) -> Any:
        raise AssertionError("an initializer ran")

    monkeypatch.setattr(initializers.Initializer, "__call__", never)
    assert same(models.load_model(path).get_weights(), model.get_weights())
    with pytest.raises(AssertionError, match="an initializer ran"):
        models.model_from_json(model.to_json())
    config = model.get_config()
    config["layers"][-1]["config"]["units"] = -1  # found before the first layer's weights are made
    with pytest.raises(ValueError, match="config: layer 3: units must be at least 1, got -1"):
        models.Sequential.from_config(config)


def test_first_values_are_those_of_layers_built_one_by_one() -> None:
    made = [
        layers.LSTM(3, layer_normalization=True, kernel_initializer=initializers.GlorotUniform(1)),
        layers.Embedding(4, 2, weights=np.arange(8.0).reshape(4, 2)),
    ]
    cell = made[0]
    cell.build((None, None, 2))
    np.testing.assert_array_equal(cell.get_weights()[0], initializers.GlorotUniform(1)((2, 12)))
    np.testing.assert_array_equal(cell.get_weights()[2], [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert cell.get_weights()[3][-1].tolist() == [0, 0, 0]
    table = models.Sequential([layers.Input((5,), dtype="int32"), made[1]])
    np.testing.assert_array_equal(table.get_weights()[0], np.arange(8.0).reshape(4, 2))
    both = layers.Bidirectional(
        layers.SimpleRNN(1), weights=[np.full(s, k) for k, s in enumerate([(2, 1), (1, 1), 1] * 2)]
    )
    both.build((None, None, 2))
    assert [float(weight.mean()) for weight in both.get_weights()] == [0, 1, 2, 3, 4, 5]


def test_an_initializer_that_gives_another_shape_is_refused() -> None:
    class Wrong(initializers.Initializer):
        def values(self, shape: tuple[int, ...]) -> Any:
            return np.zeros((*shape, 1))

    layer = layers.Dense(2, kernel_initializer=Wrong(), name="d")
    with pytest.raises(ValueError, match=r"d/kernel must have shape \(3, 2\), got \(3, 2, 1\)"):
        layer.build((None, 3))
    assert not layer.built


@pytest.mark.parametrize("damage", ["cut", "text", "epochs", "missing"])
def test_a_bad_backup_changes_nothing(tmp_path: Path, damage: str) -> None:
    x, y = data()
    model = forecaster(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    replaced = {
        "epochs": (b'\\"epochs\\": 1', b'\\"epochs\\": x'),
        "missing": (b"iterations", b"iteration_"),
        "text": (b"progress", b"progresz"),
    }
    path.write_bytes(content[:-1] if damage == "cut" else content.replace(*replaced[damage]))
    other = forecaster(optimizer="adam", loss="mse")
    before = other.get_weights()
    with pytest.raises(ValueError, match=rf"{path.name} (is not|does not)"):
        other.fit(x, y, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path))
    assert same(other.get_weights(), before)
    assert os.listdir(tmp_path) == [path.name]


def test_names_that_cannot_be_written_are_refused_at_once() -> None:
    for make in (layers.Dense, losses.Huber, metrics.AUC, optimizers.Adam):
        with pytest.raises(ValueError, match=r"name must be text, got '\\ud800'"):
            make(**{"name": "\ud800", **({"units": 1} if make is layers.Dense else {})})
        with pytest.raises(TypeError, match="name must be a string, got int 3"):
            make(**{"name": 3, **({"units": 1} if make is layers.Dense else {})})


def test_files_of_the_first_version_are_read() -> None:
    model = models.load_model(FOLDER / "version_1.rnn")
    assert model.input_names == ["past"]
    for number, weight in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weight.ravel(), (number + np.arange(weight.size)) / 64)
    assert (model.optimizer.iterations, model.optimizer.learning_rate) == (1, 0.25)
    assert model.optimizer.slots is not None
    np.testing.assert_array_equal(model.optimizer.slots.ravel(), np.arange(2 * model.count_params()) / 64)
    assert model.metrics_names == ["loss", "mae"]
