"""What a user reads in the first hour: errors that say what to do, short lists of names, short reprs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore
from rnncore import callbacks, functional, layers, losses, models
from rnncore.utils import timeseries_dataset_from_array

RAGGED = [np.ones((n, 2), np.float32) for n in (3, 5)]
PACKAGES = ["augmentation", "callbacks", "decoding", "initializers", "layers", "losses", "metrics", "models"]
PACKAGES += ["optimizers", "plotting", "regularizers", "constraints", "activations", "functional", "utils"]


def model(**output: Any) -> models.Sequential:
    made = models.Sequential([layers.Input((None, 2)), layers.GRU(3, **output), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(3),
        layers.Bidirectional(layers.GRU(3)),
        layers.RNN(layers.SimpleRNNCell(3)),
        layers.Conv1D(3, 1),
        layers.MaxPooling1D(),
        layers.GlobalAveragePooling1D(),
        layers.SpatialDropout1D(0.5),
        layers.Masking(),
        layers.TimeDistributed(layers.Dense(3)),
    ],
    ids=lambda layer: layer.name,
)
def test_a_layer_of_sequences_on_a_last_output_names_return_sequences(layer: layers.Layer) -> None:
    with pytest.raises(ValueError, match="return_sequences=True"):
        models.Sequential([layers.Input((None, 2)), layers.LSTM(4, name="last"), layer])


def test_attention_on_a_last_output_names_return_sequences() -> None:
    x = layers.LSTM(4)(layers.Input((None, 2)))
    for layer in (layers.Attention(), layers.AdditiveAttention()):
        with pytest.raises(ValueError, match="return_sequences=True"):
            layer([x, x])
    with pytest.raises(ValueError, match="return_sequences=True"):
        layers.MultiHeadAttention(2, 2)(x, x)


@pytest.mark.parametrize("rows", [RAGGED, [row.tolist() for row in RAGGED], np.array(RAGGED, dtype=object)])
def test_rows_of_different_lengths_name_what_to_do(rows: Any) -> None:
    for call in (
        lambda: model().stream(2).run(rows),
        lambda: losses.MeanSquaredError()(rows, np.ones((2, 5, 2))),
        lambda: timeseries_dataset_from_array(rows, None, 2),
    ):
        with pytest.raises(ValueError, match=r" must be .* from 3 to 5 steps.*pad_sequences.*lengths="):
            call()


def test_the_shape_of_targets_is_reported_as_given() -> None:
    with pytest.raises(ValueError, match=r"y must have shape \(any, 5, 1\), got \(6, 1\)"):
        model(return_sequences=True).fit(np.ones((6, 5, 2)), np.ones((6, 1)), verbose=0)


@pytest.mark.parametrize(
    ("module", "name", "hint"),
    [
        ("rnncore.layers", "Lstm", "did you mean 'LSTM'"),
        ("rnncore", "LSTM", r"it is rnncore\.layers\.LSTM"),
        ("rnncore", "load_model", r"it is rnncore\.models\.load_model"),
        ("rnncore", "Adam", r"it is rnncore\.optimizers\.Adam"),
        ("rnncore", "pad_sequences", r"it is rnncore\.utils\.pad_sequences"),
        ("rnncore", "sequental", "did you mean 'Sequential'"),
        ("rnncore.models", "LSTM", r"it is rnncore\.layers\.LSTM"),
        ("rnncore.losses", "MeanSquareError", "did you mean 'MeanSquaredError'"),
        ("rnncore.callbacks", "EarlyStoping", "did you mean 'EarlyStopping'"),
        ("rnncore.functional", "lsmt", "did you mean 'lstm'"),
    ],
)
def test_an_unknown_name_meets_the_nearest(module: str, name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=hint):
        getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_the_public_names(package: str) -> None:
    module = importlib.import_module(f"rnncore.{package}")
    assert dir(module) == sorted(module.__all__)


class Tensor:
    """What a tensor that requires a gradient answers to NumPy."""

    requires_grad = True

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> Any:
        return self.values

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


def test_tensors_that_require_gradients_give_their_numbers() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    made = model()
    expected = made.predict(x, verbose=0)
    assert np.array_equal(made.predict(Tensor(x), verbose=0), expected)
    made.fit(Tensor(x), Tensor(np.ones((4, 1))), sample_weight=Tensor(np.ones(4)), verbose=0)
    made.set_weights([Tensor(weight) for weight in made.get_weights()])
    kernel, recurrent_kernel = np.ones((2, 3), np.float32), np.ones((3, 3), np.float32)
    result = functional.simple_rnn(Tensor(x), Tensor(kernel), Tensor(recurrent_kernel))
    assert np.array_equal(result.output, functional.simple_rnn(x, kernel, recurrent_kernel).output)


def test_what_is_no_array_is_named() -> None:
    class Broken:
        def __array__(self, *arguments: Any, **options: Any) -> Any:
            raise RuntimeError("no memory on the host")

    with pytest.raises(TypeError, match="x must be convertible to a NumPy array: no memory on the host"):
        model().predict(Broken(), verbose=0)


def test_reprs_are_short() -> None:
    made = model()
    x = np.ones((4, 5, 2))
    history = made.fit(x, np.ones(4), epochs=2, validation_split=0.5, verbose=0)
    assert repr(history) == "<History of 2 epochs: loss, val_loss>"
    assert repr(callbacks.EarlyStopping(patience=3)) == "EarlyStopping(patience=3)"
    assert repr(callbacks.ModelCheckpoint("best.rnn", save_best_only=True)) == (
        "ModelCheckpoint(filepath='best.rnn', save_best_only=True)"
    )
    assert repr(callbacks.LambdaCallback(on_epoch_end=print)) == "LambdaCallback()"
    assert repr(timeseries_dataset_from_array(np.arange(10), None, 3)) == (
        "<WindowedSeries of 8 windows of 3 steps, batches of 128>"
    )
    assert len(repr(model(return_sequences=True).stream(2))) < 80


def test_a_misspelt_argument_is_found_by_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    lines = {
        'layers.LSTM(4, actvation="tanh")': False,
        'layers.Dense(4, nme="head")': False,
        "layers.Embedding(4, 2, mask_zeros=True)": False,
        'layers.GRU(4, name="cell", input_shape=(3, 2), zero_output_for_mask=True)': True,
        "layers.Lstm(4)": False,
    }
    script = tmp_path / "script.py"
    script.write_text("\n".join(["from rnncore import layers", *lines, ""]))
    package = str(Path(rnncore.__file__).parent.parent)
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", str(script)],
        capture_output=True,
        text=True,
        env={"MYPYPATH": "" if "site-packages" in package else package, "PATH": ""},
    )
    for number, (line, right) in enumerate(lines.items(), start=2):
        assert (f"script.py:{number}: error" in found.stdout) != right, (line, found.stdout, found.stderr)


# What Keras's layers have, the weights of each kind of layer, and what wrappers and cells show.
LAYER_NAMES = {
    *("build", "compute_output_shape", "count_params", "dtype", "dtype_policy", "from_config", "get_config"),
    *("get_weights", "input", "losses", "non_trainable_variables", "non_trainable_weights", "output", "output_shape"),
    *("set_weights", "trainable", "trainable_variables", "trainable_weights", "variables", "go_backwards", "stateful"),
    *("states", "reset_state", "reset_states", "state_size", "bias", "kernel", "recurrent_kernel", "peephole_kernel"),
    *("projection_kernel", "normalization_weights", "beta", "gamma", "moving_mean", "moving_variance", "embeddings"),
    *("scale", "concat_score_weight", "initial_h", "initial_c"),
    *("transitions", "start", "end", "adapt", "mean", "variance", "alpha", "depthwise_kernel", "pointwise_kernel"),
    *("get_vocabulary", "max_tokens", "pad_to_max_tokens", "set_vocabulary", "vocabulary_size", "call", "backward"),
}


@pytest.mark.parametrize("name", layers.__all__)
def test_a_layer_shows_what_users_need(name: str) -> None:
    shown = {attribute for attribute in dir(getattr(layers, name)) if not attribute.startswith("_")}
    if isinstance(getattr(layers, name), type):
        assert shown <= LAYER_NAMES
