"""The functional model: any graph of layers from inputs to outputs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from rnncore import _configurable as configurable
from rnncore import _validation as check
from rnncore import layers as all_layers
from rnncore import saving
from rnncore._keras_names import MODEL
from rnncore._naming import given_name
from rnncore.layers import InputLayer, Layer
from rnncore.layers.builder import layers_of
from rnncore.layers.symbolic import SymbolicValue, keyed_values
from rnncore.models.description import described_graph, refuse_shared
from rnncore.models.summary import summary, summary_html
from rnncore.parameters import deferring, start
from rnncore.training.compiled import Compiled
from rnncore.training.steps import Steps
from rnncore.training.trainer import Trainer
from rnncore.writing import FilePath


class Model(Compiled, Steps, Trainer):
    """A graph of layers from inputs to outputs.

    Models that share layers share their weights.

    Parameters
    ----------
    inputs : SymbolicValue, list or dict of SymbolicValue
        Made by `layers.Input`. In a dict, sorted by key; the keys are the names of the inputs for data.
    outputs : SymbolicValue, list or dict of SymbolicValue
        Made by calling layers. In a dict, sorted by key; predictions are a dict then, and the keys are the names of the
        outputs for targets, losses, metrics and logs.
    name : str, optional
    trainable : bool, optional
        Set for the model and all its layers; by default each layer keeps its own.

    Attributes
    ----------
    layers : list of Layer
    inputs, outputs : list of SymbolicValue
    history : History or None
        Of the last `fit`.
    stop_training : bool
        A callback sets it to True to end training after the batch or epoch.
    first_epoch : int
        Where `fit` begins to count; a callback may raise it in `on_train_begin`.

    Raises
    ------
    TypeError, ValueError
        If an output depends on an input that is not given, or two layers have one name.

    Examples
    --------
    >>> from rnncore import layers, models
    >>> x = layers.Input((None, 3))
    >>> sequence, last = layers.GRU(4, return_sequences=True, return_state=True)(x)
    >>> model = models.Model(x, [sequence, layers.Dense(2)(last)])
    >>> model.output_shape
    [(None, None, 4), (None, 2)]
    """

    _elsewhere = MODEL
    _ignored = Compiled._ignored | {"build"}  # its layers are built already

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, *, trainable: bool | None = None
    ) -> None:
        super().__init__()
        if inputs is None or outputs is None:
            raise TypeError(
                f"{type(self).__name__} needs inputs and outputs, made by Input() and by calling layers: a model that"
                " computes by methods of its own does not run here"
            )
        self.name = given_name(self, name)
        self._trainable = True
        self._input_keys, self.inputs = keyed_values("inputs", inputs)
        self._output_keys, self.outputs = keyed_values("outputs", outputs)
        for value in self.inputs:
            if not isinstance(value.layer, InputLayer):
                raise ValueError(f"inputs must be made by Input(), got {value}")
        self._layers = layers_of(self._calls())
        for call in self._calls():
            if isinstance(call.layer, InputLayer) and call not in self._input_calls():
                raise ValueError(f"an output depends on the input {call.layer.name!r}, which is not among inputs")
        if trainable is not None:
            self.trainable = trainable

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of layers, output shapes and numbers of weights.

        Where layers branch, another column tells which outputs of which calls of layers each layer reads. The total
        counts the numbers that the optimizer keeps once training has begun.

        Parameters
        ----------
        line_length : int, optional
            Width of the table; by default what the longest cells need. Longer text is broken, or cut with "…".
        positions : sequence of float, optional
            Where each column ends, as shares of the width, or as numbers of characters.
        print_fn : callable, optional
            Gets the whole text; `print` by default.
        expand_nested : bool, default False
            Whether the layers of models inside are rows, too.
        show_trainable : bool, default False
            Whether a column tells which layers are trained.
        layer_range : sequence of two str, optional
            The names of the first and the last layer to show.

        Raises
        ------
        TypeError, ValueError
            For an argument that does not fit.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.LSTM(4, name="lstm")], name="small")
        >>> model.summary()
        Model: "small"
        ┏━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┓
        ┃ Layer (type) ┃ Output Shape ┃ Param # ┃
        ┡━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━┩
        │ lstm (LSTM)  │ (None, 4)    │     128 │
        └──────────────┴──────────────┴─────────┘
         Total params: 128 (512.00 B)
         Trainable params: 128 (512.00 B)
         Non-trainable params: 0 (0.00 B)
        """
        expand_nested = check.boolean("expand_nested", expand_nested)
        if print_fn is not None and not callable(print_fn):
            raise TypeError(f"print_fn must be callable, got {type(print_fn).__name__}")
        show_trainable = check.boolean("show_trainable", show_trainable)
        text = summary(self, show_trainable, line_length, positions, layer_range, expand_nested)
        (print if print_fn is None else print_fn)(text)

    def get_config(self) -> dict[str, Any]:
        """The graph as JSON-serialisable data: layers, and calls that name layers and earlier calls by number.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> x = layers.Input((3,), name="x")
        >>> models.Model(x, layers.Dense(2, name="y")(x)).get_config()["calls"]
        [{'layer': 0, 'inputs': []}, {'layer': 1, 'inputs': [[0, 0]]}]
        """
        calls, layers = self._calls(), self.layers
        refuse_shared(layers)
        number = {call: k for k, call in enumerate(calls)}

        def where(values: Sequence[SymbolicValue]) -> list[list[int]]:
            return [[number[value.call], value.index] for value in values]

        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [all_layers.serialize(layer) for layer in layers],
            "calls": [
                {"layer": layers.index(call.layer), "inputs": where(call.inputs)}
                | {name: where([value]) for name, value in call.of_steps.items()}
                | ({"options": options} if (options := call.layer._call_options(call.index)) else {})
                for call in calls
            ],
            "inputs": where(self.inputs),
            "outputs": where(self.outputs),
            **({} if self._input_keys is None else {"input_keys": list(self._input_keys)}),
            **({} if self._output_keys is None else {"output_keys": list(self._output_keys)}),
        }

    def to_json(self) -> str:
        """The graph as JSON text, without weights, for `models.model_from_json`.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((None, 3)), layers.GRU(2)])
        >>> models.model_from_json(model.to_json()).output_shape
        (None, 2)
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()})

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Model:
        """Make a model with new weights from what `get_config` gave.

        Parameters
        ----------
        config : dict
        custom_objects : dict of str to class, optional
            Classes of the user's by the names that the description has for them.

        Raises
        ------
        ValueError
            If it describes no model, one that does not fit together or into memory.

        Examples
        --------
        >>> from rnncore import layers, models
        >>> x = layers.Input((3,))
        >>> model = models.Model(x, layers.Dense(2)(x))
        >>> models.Model.from_config(model.get_config()).output_shape
        (None, 2)
        """
        with configurable.part("config"), configurable.custom_objects(custom_objects):
            with deferring():  # so that nothing is allocated for a description that does not fit
                model = cls._from_description(config)
                model._trainable = check.boolean("trainable", config.get("trainable", True))
            start(model.weights, model._policy.dtype)
        return model

    @classmethod
    def _from_description(cls, config: dict[str, Any], layers: list[Layer] | None = None) -> Model:
        """The model of a description, whose weights are new; or of these layers in the place of those it describes."""
        return cls(*described_graph(config, layers), name=config["name"])

    def _cloned(self, clone: Callable[[Layer], Layer]) -> Model:
        """The model with what `clone` makes of each layer, inputs included."""
        config = self.get_config()
        model = self._from_description(config, [clone(layer) for layer in self._described_layers()])
        model._trainable = self.trainable
        return model

    def _described_layers(self) -> list[Layer]:
        """The layers that `get_config` describes."""
        return self.layers

    # Files

    def save(
        self,
        filepath: FilePath,
        overwrite: bool = True,
        zipped: None = None,
        *,
        include_optimizer: bool = True,
        **unsupported: Any,
    ) -> None:
        """Save the model: layers, weights, what `compile` was given, and the optimizer's state.

        The file has the safetensors layout: a JSON header and raw numbers. It appears whole or not at all.

        Parameters
        ----------
        filepath : str or path
            Ends in `.rnn`.
        overwrite : bool, default True
        zipped : None
            Keras's choice of a layout: there is one only.
        include_optimizer : bool, default True
            Whether the file keeps what `compile` was given and the optimizer's state; otherwise the loaded model is
            not compiled.

        Raises
        ------
        ValueError
            For another ending, or a model that is not built.
        FileExistsError
            Unless `overwrite`.

        Examples
        --------
        >>> import os, tempfile
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "model.rnn"))
        ...     models.load_model(os.path.join(folder, "model.rnn")).output_shape
        (None, 2)
        """
        self._require_built("it is saved")
        saving.refuse("save", zipped=zipped, **unsupported)
        compilation, optimizer = self._session.compilation, None
        config: dict[str, Any] = {"class_name": type(self).__name__, "config": self.get_config()}
        config |= {"dtype": self.dtype_policy, "compile": None}
        if check.boolean("include_optimizer", include_optimizer) and compilation is not None:
            optimizer = self.optimizer
            config |= {"compile": compilation.get_config(), "iterations": optimizer.iterations}
        saving.save_model(filepath, config, self.layers, optimizer, overwrite=overwrite)

    def save_weights(
        self, filepath: FilePath, overwrite: bool = True, max_shard_size: None = None, **unsupported: Any
    ) -> None:
        """Save the weights alone.

        Parameters
        ----------
        filepath : str or path
            Ends in `.weights.safetensors`.
        overwrite : bool, default True
        max_shard_size : None
            Keras's parts of a file: there is one only.

        Raises
        ------
        ValueError
            For another ending, or a model that is not built.
        FileExistsError
            Unless `overwrite`.

        Examples
        --------
        >>> import os, tempfile
        >>> from rnncore import layers, models
        >>> a, b = (models.Sequential([layers.Input((3,)), layers.Dense(2)]) for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.weights.safetensors")
        ...     a.save_weights(path)
        ...     b.load_weights(path)
        >>> bool((a.get_weights()[0] == b.get_weights()[0]).all())
        True
        """
        self._require_built("its weights are saved")
        saving.refuse("save_weights", max_shard_size=max_shard_size, **unsupported)
        saving.save_weights(filepath, self.layers, overwrite=overwrite)

    def load_weights(self, filepath: FilePath, skip_mismatch: bool = False, **unsupported: Any) -> None:
        """Take the weights from a file that `save_weights` or `save` made for the same layers.

        Layers are counted, not named, and those without weights do not count: one more Dropout is no difference.

        Parameters
        ----------
        filepath : str or path
        skip_mismatch : bool, default False
            Whether layers whose weights have other shapes than those stored for their number, or none are stored, keep
            theirs; a warning names them.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or for other layers; the model is unchanged.
        FileNotFoundError

        Examples
        --------
        >>> import os, tempfile
        >>> from rnncore import layers, models
        >>> model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.rnn")
        ...     model.save(path)
        ...     kernel = model.layers[0].kernel.copy()
        ...     model.layers[0].kernel = kernel + 1
        ...     model.load_weights(path)
        >>> bool((model.layers[0].kernel == kernel).all())
        True
        """
        self._require_built("its weights are loaded")
        saving.refuse("load_weights", **unsupported)
        saving.load_weights(filepath, self.layers, skip_mismatch=check.boolean("skip_mismatch", skip_mismatch))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": copy.copy(self._session)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {'built' if self.built else 'not built'}>"

    def _repr_html_(self) -> str:
        return summary_html(self)
