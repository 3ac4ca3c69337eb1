"""Models and weights from files of Keras."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from rnncore import _validation as check
from rnncore import models, saving
from rnncore._data import Array
from rnncore.keras.archive import opened, version_of_description
from rnncore.keras.reading import Reader
from rnncore.keras.training import Trained
from rnncore.keras.weights import Place, Structure, places, read
from rnncore.layers import Layer
from rnncore.layers.bidirectional import Bidirectional
from rnncore.parameters import Weight, assign_all, deferring, hold, start
from rnncore.policies import POLICIES, Policy
from rnncore.tensor_file import parse_json
from rnncore.writing import FilePath

__all__ = ["load_model", "load_weights", "made", "model_from_json"]


def load_model(
    filepath: FilePath,
    custom: Mapping[str, Layer | type[Layer] | Callable[[dict[str, Any]], Layer]] | None = None,
    compile: bool = True,
) -> models.Model:
    """Load a model from a `.keras` file, or from an `.h5` or `.hdf5` file of Keras 1, 2 or 3 or tf.keras.

    Arguments mean what they meant in the Keras that wrote the file: the `hard_sigmoid` before Keras 3 is
    0.2 · x + 0.5, a GRU of Keras 2.0 resets before the product, layers of cuDNN become LSTM and GRU. No code of the
    file is run, and nothing is allocated before the shapes of the weights are compared with what is stored.

    Parameters
    ----------
    filepath : str or path
    custom : dict of str to Layer, class or function, optional
        For layers that have no equal here, by the names of layers, or by class: a layer or model of rnncore, its
        class, or a function of the layer's config that returns one; activations in it are those of rnncore. The file's
        weights must be those that it has.
    compile : bool, default True
        Whether the model is compiled as it was, with the optimizer's state. What cannot be is named by a warning.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ImportError
        Without h5py.
    ValueError
        If the file is damaged, of another kind, or has a layer without an equal; the message names file and layer.
    FileNotFoundError

    See Also
    --------
    rnncore.models.load_model : for `.rnn` files.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from rnncore import keras, layers, models
    >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2), layers.Dense(1)])
    >>> x = np.ones((1, 5, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.save_model(model, os.path.join(folder, "model.keras"))
    ...     again = keras.load_model(os.path.join(folder, "model.keras"))
    >>> bool((again.predict(x, verbose=0) == model.predict(x, verbose=0)).all())
    True
    """
    compile = check.boolean("compile", compile)
    custom = _checked(custom)
    with saving.naming(filepath), opened(filepath) as file:
        if file.model is None:
            raise ValueError(
                "it holds weights without a model: make the model, and give it to rnncore.keras.load_weights"
            )
        reader = Reader(file.version, custom)

        def stored(model: models.Model) -> tuple[list[Weight], list[Array]]:
            return read(places(file, model, Structure(reader.classes, reader.members)))

        trained = Trained(file.training, file.version, file) if compile and file.training else None
        return made(reader, file.model, stored, trained)


def made(
    reader: Reader,
    description: Any,
    stored: Callable[[models.Model], tuple[list[Weight], list[Array]]],
    trained: Trained | None,
) -> models.Model:
    """A model as described, with the weights that `stored` finds for it, compiled as it was if `trained` says so."""
    with deferring():
        model = reader.model(description)
        weights, arrays = stored(model)
        policy = _policy(reader.dtypes)
        state = None if trained is None else trained.compile(model, policy)
    if missing := set(model.weights) - set(weights):
        names = sorted(weight.path for weight in missing)
        raise ValueError(f"the file lacks weights of the model: {', '.join(names[:8])}")
    model._policy = policy
    hold(weights, policy.dtype)
    assign_all("weights", weights, arrays)
    model._session.engine(model)  # checks the graph as a whole
    if state is not None:
        state()
    return model


def _policy(dtypes: set[str]) -> Policy:
    """The precision that layers of the file ask for; half of it is not there."""
    return POLICIES["float64" if dtypes == {"float64"} else "float32"]


def _checked(custom: Any) -> Mapping[str, Any]:
    if custom is None:
        return {}
    if not isinstance(custom, Mapping) or not all(isinstance(name, str) for name in custom):
        raise TypeError(f"custom must be a dict of layers by name, got {custom!r}")
    for name, value in custom.items():
        if not isinstance(value, Layer) and not callable(value):
            raise TypeError(f"custom[{name!r}] must be a layer, its class or a function, got {value!r}")
    return custom


def model_from_json(
    json_string: str, custom: Mapping[str, Layer | type[Layer] | Callable[[dict[str, Any]], Layer]] | None = None
) -> models.Model:
    """Make a model with new weights, which is not compiled, from what `to_json` of a model of Keras gave.

    `load_weights` fills it. The description names the Keras that wrote it; one that does not is of Keras 1.

    Parameters
    ----------
    json_string : str
    custom : dict of str to Layer, class or function, optional
        As for `load_model`.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    TypeError, ValueError
        If the text describes no model, or a layer without an equal; the message names the layer.

    Examples
    --------
    >>> from rnncore import keras
    >>> first = '{"class_name": "InputLayer", "config": {"batch_shape": [null, null, 3], "name": "x"}}'
    >>> layer = '{"class_name": "GRU", "config": {"units": 4, "name": "gru"}}'
    >>> text = '{"class_name": "Sequential", "config": {"layers": [%s, %s]}, "keras_version": "3.0.0"}'
    >>> keras.model_from_json(text % (first, layer)).output_shape
    (None, 4)
    """
    if not isinstance(json_string, (str, bytes)):
        raise TypeError(f"json_string must be text, got {type(json_string).__name__}")
    custom = _checked(custom)
    with saving.naming("json_string"):
        description = parse_json(json_string)
        if not isinstance(description, dict):
            raise TypeError(f"it must be an object, got {type(description).__name__}")
        reader = Reader(version_of_description(description), custom)
        with deferring():
            model = reader.model(description)
        model._policy = _policy(reader.dtypes)
        start(model.weights, model._policy.dtype)
        model._session.engine(model)  # checks the graph as a whole
    return model


def load_weights(
    model: models.Model, filepath: FilePath, *, by_name: bool = False, skip_mismatch: bool = False
) -> None:
    """Take the weights of a file of Keras: of a model, or of weights alone, `.weights.h5` and older `.h5`.

    Layers are found by their names if these are all the same, and by their order otherwise, those without weights left
    out. `.keras` and `.weights.h5` files of Keras 3 know classes and order alone.

    Parameters
    ----------
    model : Model or Sequential
        Built.
    filepath : str or path
    by_name : bool, default False
        Whether only layers whose names are in the file take weights.
    skip_mismatch : bool, default False
        Whether layers that do not fit keep their weights; a warning names them.

    Raises
    ------
    ImportError
        Without h5py.
    TypeError, ValueError
        If an argument or the file does not fit; the model is unchanged.
    FileNotFoundError

    Examples
    --------
    >>> import os, tempfile
    >>> from rnncore import keras, layers, models
    >>> a, b = (models.Sequential([layers.Input((None, 3)), layers.LSTM(2)]) for _ in range(2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.save_model(a, os.path.join(folder, "lstm.keras"))
    ...     keras.load_weights(b, os.path.join(folder, "lstm.keras"))
    >>> bool((a.layers[0].kernel == b.layers[0].kernel).all())
    True
    """
    if not isinstance(model, models.Model):
        raise TypeError(f"model must be a Model or Sequential, got {type(model).__name__}")
    model._require_built("its weights are loaded")
    by_name, skip_mismatch = check.boolean("by_name", by_name), check.boolean("skip_mismatch", skip_mismatch)
    skipped: list[str] = []
    with saving.naming(filepath), opened(filepath) as file:
        found = places(file, model, Structure(), by_name=by_name, skip=skipped.append if skip_mismatch else None)
        weights, arrays = read(found)
        if not weights and not skipped:
            raise ValueError("it has no weights of this model")
        doubtful = [place.layer.name for place in found if file.hard_gates and _has_other_gates(place)]
    assign_all("weights", weights, arrays)
    if doubtful:
        warnings.warn(
            f"the gates of {doubtful[0]!r} are a sigmoid, but in the Keras of {os.fsdecode(filepath)} they were a"
            " hard_sigmoid unless told otherwise: recurrent_activation=activations.HardSigmoid(alpha=0.2, beta=0.5)",
            stacklevel=2,
        )
    if skipped:
        path = os.fsdecode(filepath)
        warnings.warn(f"{path}: layers that do not fit keep their weights: {'; '.join(skipped)}", stacklevel=2)


def _has_other_gates(place: Place) -> bool:
    """Whether a layer's gates are a sigmoid, though the file does not have them as cuDNN's, which always are."""
    layer = place.layer.forward_layer if isinstance(place.layer, Bidirectional) else place.layer
    today = place.layout.shapes == [weight.shape for weight in place.weights]
    return today and getattr(layer, "recurrent_activation", None) == "sigmoid"
