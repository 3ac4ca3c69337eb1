"""Models from files and descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore import layers, saving
from rnncore._configurable import fields, make
from rnncore.layers import InputLayer, Layer
from rnncore.layers.trainable import parts
from rnncore.models.model import Model
from rnncore.models.sequential import Sequential
from rnncore.parameters import deferring
from rnncore.policies import POLICIES
from rnncore.tensor_file import TensorFile, parse_json
from rnncore.training import own_code
from rnncore.writing import FilePath

CLASSES: dict[str, type[Model]] = {"Model": Model, "Sequential": Sequential}


def load_model(
    filepath: FilePath,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Model:
    """Load a model that `Model.save` saved: it predicts the same bits and trains on where it stopped.

    The shapes that the description asks for are compared with the stored ones before anything is allocated.

    Parameters
    ----------
    filepath : str or path
    custom_objects : dict of str to class or function, optional
        Classes, losses and metrics of the user's by the names they had. A metric that is not among them is left out,
        and without its loss the model is not compiled.
    compile : bool, default True
        Whether the model is compiled as it was, with the optimizer's state.
    safe_mode : bool, default True
        Kept for compatibility: a file holds no code, so that loading it never runs any.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ValueError
        If the file is damaged or of another kind; the message names the file and the reason.
    FileNotFoundError

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    >>> x = np.ones((1, 5, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.rnn"))
    ...     again = models.load_model(os.path.join(folder, "model.rnn"))
    >>> bool((again.predict(x, verbose=0) == model.predict(x, verbose=0)).all())
    True
    """
    compile = check.boolean("compile", compile)
    check.boolean("safe_mode", safe_mode)
    with configurable.custom_objects(custom_objects), TensorFile(filepath) as file:
        if "model" not in file.metadata:
            raise ValueError(f"{file.path} holds weights without a model; give it to load_weights of a model")
        with saving.naming(file.path):
            return _restored(file, compile)


def _restored(file: TensorFile, compile: bool) -> Model:
    """The model in a file."""
    config = parse_json(file.metadata["model"])
    fields("the model", config, ("class_name", "config", "dtype", "compile"), ("iterations",))
    policy = check.lookup("dtype", config["dtype"], POLICIES)
    with deferring():
        model = described({key: config[key] for key in ("class_name", "config")})
        compiled = own_code.restored(config["compile"]) if compile and config["compile"] is not None else None
        optimizer = None
        if compiled is not None:
            model.compile(**compiled, dtype_policy=policy.name)
            optimizer = model.optimizer
            optimizer.iterations = saving.check_step("iterations", config.get("iterations", 0))
    model._policy = policy
    saving.fill(file, model.layers, policy.dtype, optimizer)
    model._session.engine(model)  # checks the graph as a whole
    return model


def described(description: Any) -> Model:
    """The model of a description with the name of its class."""
    return make("model class", description, Model, CLASSES)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Model:
    """Make a model with new weights, which is not compiled, from what `Model.to_json` gave.

    Parameters
    ----------
    json_string : str
    custom_objects : dict of str to class, optional
        Classes of the user's by the names that the description has for them.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    TypeError, ValueError
        If the text describes no model.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2, name="cell")])
    >>> models.model_from_json(model.to_json()).get_layer("cell").units
    2
    """
    if not isinstance(json_string, (str, bytes)):
        raise TypeError(f"json_string must be text, got {type(json_string).__name__}")
    with saving.naming("json_string"), configurable.custom_objects(custom_objects):
        return described(parse_json(json_string))


def _anew(layer: Layer) -> Layer:
    """The layer made anew, with its code."""
    if isinstance(layer, Model):
        return layer._cloned(_anew)
    if isinstance(layer, layers.Lambda):
        return layer._again()
    with configurable.custom_objects({type(part).__name__: type(part) for part in parts([layer]) if part._is_own_code}):
        return layers.deserialize(layers.serialize(layer))


def clone_model(
    model: Model, *, clone_function: Callable[[Layer], Layer] | None = None, recursive: bool = False
) -> Model:
    """A model of the same layers with new weights, which is not compiled.

    Parameters
    ----------
    model : Model or Sequential
    clone_function : callable, optional
        Is given each layer but the inputs, and returns the layer to take in its place: the layer itself, to share its
        weights, or one made of `layer.get_config()`. By default each layer is made anew.
    recursive : bool, default False
        Whether `clone_function` is given the layers of models inside rather than these models.

    Returns
    -------
    Model or Sequential
        Its layers have the same names and arguments, and weights of their own.

    Raises
    ------
    TypeError
        If `model` is none, or `clone_function` returns something else than a layer.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    >>> twin = models.clone_model(model)
    >>> [a.shape == b.shape for a, b in zip(model.get_weights(), twin.get_weights())]
    [True, True, True]

    A model whose recurrent layers drop more:

    >>> def dropping(layer):
    ...     config = layer.get_config()
    ...     return type(layer).from_config({**config, "dropout": 0.5} if "dropout" in config else config)
    >>> models.clone_model(model, clone_function=dropping).layers[0].dropout
    0.5
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model or Sequential, got {type(model).__name__}")
    recursive = check.boolean("recursive", recursive)
    if clone_function is None:
        code = [part for part in parts(model.layers) if part._is_own_code]
        return model._cloned(_anew) if code else type(model).from_config(model.get_config())

    def cloned(layer: Layer) -> Layer:
        if recursive and isinstance(layer, Model):
            return layer._cloned(cloned)
        made = layers.deserialize(layers.serialize(layer)) if isinstance(layer, InputLayer) else clone_function(layer)
        if not isinstance(made, Layer):
            raise TypeError(f"clone_function must return a layer for {layer.name!r}, got {type(made).__name__}")
        return made

    return model._cloned(cloned)
