"""Models from files and descriptions."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from rnncore import _validation as check
from rnncore import saving
from rnncore.data import Array
from rnncore.models.model import Model
from rnncore.models.sequential import Sequential
from rnncore.policies import POLICIES

CLASSES: dict[str, type[Model]] = {"Model": Model, "Sequential": Sequential}


def load_model(filepath: str | os.PathLike[str], compile: bool = True) -> Model:
    """Load a model that `Model.save` saved: it predicts the same bits and trains on where it stopped.

    Parameters
    ----------
    filepath : str or path
    compile : bool, default True
        Whether the model is compiled as it was, with the optimizer's state.

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
    config, tensors = saving.read_model(filepath)
    with saving.naming(filepath):
        model = check.lookup("model class", config["class_name"], CLASSES).from_config(config["config"])
        _restore(model, config, tensors, compile)
    return model


def _restore(model: Model, config: dict[str, Any], tensors: Mapping[str, Array], compile: bool) -> None:
    """Take over what `save` wrote."""
    dtype, compiled = config["dtype"], config["compile"]
    if compile and compiled is not None:
        model.compile(**compiled, dtype_policy=dtype)
        model.optimizer.iterations = check.integer("iterations", config["iterations"], low=0)
    else:
        model._policy = check.lookup("dtype", dtype, POLICIES)
    model._ready()  # moves the weights to where the executor reads them, in their dtype
    weights = saving.weight_tensors(model.layers)
    model.set_weights(saving.matching(tensors, weights))
    if compile and compiled is not None and model.optimizer.slots is not None:
        saving.optimizer_slots(tensors, weights, model.optimizer.slots)


def model_from_json(json_string: str) -> Model:
    """Make a model with new weights, which is not compiled, from what `Model.to_json` gave.

    Parameters
    ----------
    json_string : str

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
    with saving.naming("json_string"):
        described = json.loads(json_string)
        return check.lookup("model class", described["class_name"], CLASSES).from_config(described["config"])


def clone_model(model: Model) -> Model:
    """A model of the same layers with new weights, which is not compiled.

    Parameters
    ----------
    model : Model or Sequential

    Returns
    -------
    Model or Sequential
        Its layers have the same names and arguments, and weights of their own.

    Raises
    ------
    TypeError
        If `model` is none.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
    >>> twin = models.clone_model(model)
    >>> [a.shape == b.shape for a, b in zip(model.get_weights(), twin.get_weights())]
    [True, True, True]
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model or Sequential, got {type(model).__name__}")
    return type(model).from_config(model.get_config())
