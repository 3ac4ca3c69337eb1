"""Models of Keras and of rnncore turned into each other, and files that Keras 3 loads."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from rnncore import _validation as check
from rnncore import losses, metrics, models
from rnncore._data import Array
from rnncore.keras.archive import CONFIG, METADATA, WEIGHTS, version_of, version_of_description
from rnncore.keras.describing import described_model, is_operation
from rnncore.keras.files import made
from rnncore.keras.hdf5 import h5py_module
from rnncore.keras.optimizer_state import state_of, take_state
from rnncore.keras.reading import Reader
from rnncore.keras.training import Trained
from rnncore.keras.weights import Structure, slot
from rnncore.layers import Layer
from rnncore.parameters import Weight
from rnncore.tensor_file import parse_json
from rnncore.training.own_code import OWN
from rnncore.writing import FilePath, write_whole

__all__ = ["from_keras", "save_model", "to_keras"]

VERSION = "3.0.0"  # of the layout that is written
ENDING = ".keras"


def from_keras(model: Any, custom: dict[str, Any] | None = None) -> models.Model:
    """The model of rnncore for one of Keras 3, or of tf.keras 2: the same outputs, and training goes on.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, built.
    custom : dict of str to Layer, class or function, optional
        As for `load_model`.

    Returns
    -------
    Model or Sequential
        Compiled as `model` is, with the optimizer's state.

    Raises
    ------
    TypeError, ValueError
        If it is no such model, or has a layer without an equal; the message names the layer.

    Examples
    --------
    >>> from rnncore.keras import from_keras
    >>> import keras  # doctest: +SKIP
    >>> there = keras.Sequential([keras.layers.Input((None, 3)), keras.layers.GRU(4)])  # doctest: +SKIP
    >>> from_keras(there).output_shape  # doctest: +SKIP
    (None, 4)
    """
    for name in ("to_json", "get_weights", "layers"):
        if not hasattr(model, name):
            raise TypeError(f"model must be a built model of Keras, got {type(model).__name__}")
    text = json.loads(model.to_json())
    version = version_of_description(text)
    reader = Reader(version, {} if custom is None else custom)
    arrays: list[Array] = model.get_weights()

    def stored(ours: models.Model) -> tuple[list[Weight], list[Array]]:
        weights = _in_order_of_keras(ours, Structure(reader.classes, reader.members))
        if [weight.shape for weight in weights] != [array.shape for array in arrays]:
            raise ValueError(
                f"the weights of {ours.name!r} must have shapes {[w.shape for w in weights]}, got"
                f" {[array.shape for array in arrays]}"
            )
        return weights, arrays

    given = model.get_compile_config() if getattr(model, "optimizer", None) is not None else None
    if given and "optimizer" not in given:  # saving to HDF5 makes Keras 3 forget it there
        own = {"class_name": type(model.optimizer).__name__, "config": model.optimizer.get_config()}
        given = {**given, "optimizer": own}
    trained = Trained(parse_json(json.dumps(given, default=str)), version) if given else None
    found = made(reader, text, stored, trained)
    if trained is not None and found.compiled:
        state = [np.asarray(value) for value in _variables(model.optimizer)]
        problem = take_state(found, state, by_weight=trained.lies_by_weight)
        if problem is not None:
            warnings.warn(f"the optimizer begins anew: {problem}", stacklevel=2)
    return found


def _variables(optimizer: Any) -> list[Any]:
    found = optimizer.variables
    values = found() if callable(found) else found
    return [value.numpy() if hasattr(value, "numpy") else value for value in values]


def _in_order_of_keras(model: models.Model, structure: Structure) -> list[Weight]:
    """The weights of a model as Keras orders them: layer by layer, in the order of its layers."""

    def weights(layer: Layer) -> Iterator[Weight]:
        if not isinstance(layer, models.Model):
            yield from layer.weights
            return
        for part in structure.layers_of(layer):
            yield from weights(part)

    return list(dict.fromkeys(weights(model)))


def to_keras(model: models.Model) -> Any:
    """The model of Keras 3 for one of rnncore: the same outputs, and training goes on.

    Parameters
    ----------
    model : Model or Sequential
        Built.

    Returns
    -------
    keras.Model
        Compiled as `model` is, with the optimizer's state.

    Raises
    ------
    ImportError
        Without Keras 3 and a backend of its own.
    TypeError, ValueError
        For another object, or what Keras has not: zoneout, peepholes, projections, normalized cells, activations
        with options; the message names the layer.

    Examples
    --------
    >>> from rnncore import keras, layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
    >>> keras.to_keras(model).output_shape  # doctest: +SKIP
    (None, 4)
    """
    _check(model, "it is turned into one of Keras")
    description = described_model(model)
    try:
        import keras
    except ImportError as error:
        raise ImportError("to_keras needs Keras 3 and one of its backends: pip install keras") from error
    if version_of(keras.__version__)[0] < 3:
        raise ImportError(f"to_keras needs Keras 3, got {keras.__version__}")
    found = keras.saving.deserialize_keras_object(description)
    found.set_weights([weight.numpy() for weight in _in_order_of_keras(model, Structure())])
    compiled = _compile_config(model)
    if compiled is not None:
        found.compile_from_config(compiled)
        state = state_of(model)
        if state is not None:
            found.optimizer.build(found.trainable_variables)
            for variable, value in zip(found.optimizer.variables, state, strict=True):
                variable.assign(value)
    return found


def save_model(model: models.Model, filepath: FilePath, overwrite: bool = True) -> None:
    """Save a model as a `.keras` file, which Keras 3 loads: layers, weights, and how it was compiled and trained.

    Parameters
    ----------
    model : Model or Sequential
        Built.
    filepath : str or path
        Ends in `.keras`.
    overwrite : bool, default True

    Raises
    ------
    ImportError
        Without h5py. Keras itself is not needed.
    TypeError, ValueError
        For another ending or object, or what Keras has not: see `to_keras`.
    FileExistsError
        Unless `overwrite`.

    Examples
    --------
    >>> import os, tempfile
    >>> from rnncore import keras, layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.save_model(model, os.path.join(folder, "model.keras"))
    ...     keras.load_model(os.path.join(folder, "model.keras")).output_shape
    (None, 4)
    """
    _check(model, "it is saved")
    path = os.fsdecode(filepath)
    if not path.endswith(ENDING):
        raise ValueError(f"filepath must end in {ENDING!r}, got {path!r}")
    overwrite = check.boolean("overwrite", overwrite)
    description = described_model(model)
    compiled = _compile_config(model)
    if compiled is not None:
        description["compile_config"] = compiled
    weights = _weights(model, compiled is not None)

    def content(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(METADATA, json.dumps({"keras_version": VERSION, "date_saved": "1980-01-01@00:00:00"}))
            archive.writestr(CONFIG, json.dumps(description, allow_nan=False))
            archive.writestr(WEIGHTS, weights)

    write_whole(path, content, overwrite=overwrite)


def _check(model: Any, purpose: str) -> None:
    if not isinstance(model, models.Model):
        raise TypeError(f"model must be a Model or Sequential, got {type(model).__name__}")
    model._require_built(purpose)


def _weights(model: models.Model, with_optimizer: bool) -> bytes:
    """The HDF5 part of a file."""
    h5py = h5py_module()
    memory = io.BytesIO()
    done: set[Weight] = set()
    with h5py.File(memory, "w") as file:
        for path, layer, weights in slot(model, Structure()):
            if is_operation(layer):
                continue
            group = file.require_group(path)
            for k, weight in enumerate(weights):
                if weight not in done:
                    group[str(k)] = weight.numpy()
            done.update(weights)
        state = state_of(model) if with_optimizer else None
        if state is not None:
            group = file.require_group("optimizer/vars")
            for k, array in enumerate(state):
                group[str(k)] = array
    return memory.getvalue()


# What compile was given


def _compile_config(model: models.Model) -> dict[str, Any] | None:
    """What `compile` was given, as Keras 3 has it; None, with a warning, for a loss or metric of the user's own."""
    if not model.compiled:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is not saved; said below in one sentence
        config = model._session.compiled("it is saved").get_config()
    if OWN in json.dumps(config, default=str):
        warnings.warn("a loss or metric is code of your own: the model of Keras is not compiled", stacklevel=3)
        return None
    optimizer = config["optimizer"]
    rate = optimizer["config"]["learning_rate"]
    if isinstance(rate, dict):
        rate = _module("keras.optimizers.schedules", rate)
    optimizer = _module("keras.optimizers", {**optimizer, "config": {**optimizer["config"], "learning_rate": rate}})
    return {
        "optimizer": optimizer,
        "loss": _each("keras.losses", config["loss"], losses.Loss),
        "loss_weights": config["loss_weights"],
        "metrics": _each("keras.metrics", config["metrics"], metrics.Metric),
        "weighted_metrics": _each("keras.metrics", config["weighted_metrics"], metrics.Metric),
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _each(module: str, value: Any, base: type[Any]) -> Any:
    if isinstance(value, list):
        return [_each(module, entry, base) for entry in value]
    if isinstance(value, dict):
        if "class_name" in value:
            return _module(module, value)
        return {key: _each(module, entry, base) for key, entry in value.items()}
    return value if value is None or isinstance(value, str) else _module(module, _serialized(value))


def _serialized(value: Any) -> dict[str, Any]:
    return {"class_name": type(value).__name__, "config": value.get_config()}


def _module(module: str, description: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "registered_name": None, **description}
