"""From a description of Keras to a model whose weights are still to come."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rnncore import _validation as check
from rnncore import layers, models
from rnncore.keras import dialects
from rnncore.keras.graphs import described_graph
from rnncore.layers import InputLayer, Layer

__all__ = ["Reader"]

MODELS = ("Sequential", "Functional", "Model")
ADVICE = "give load_model custom={{{name!r}: layer}}, a layer or model of rnncore that does the same"


@dataclass
class Reader:
    """Makes layers and models of descriptions.

    Attributes
    ----------
    version : tuple of int
        Of the Keras that wrote them.
    custom : mapping of str to Layer, class or function
        What the user gives for layers by their names, or for classes.
    classes : dict of Layer to str
        The Keras class of each layer that was made.
    members : dict of Layer to list of Layer
        The layers of each model that was made, in the order of the file.
    dtypes : set of str
        The precisions that layers ask for.
    """

    version: dialects.Version
    custom: Mapping[str, Any] = field(default_factory=dict)
    classes: dict[Layer, str] = field(default_factory=dict)
    members: dict[Layer, list[Layer]] = field(default_factory=dict)
    dtypes: set[str] = field(default_factory=set)

    def model(self, entry: Any) -> models.Model:
        """The model of a description `{"class_name": ..., "config": ...}`."""
        made = self.layer(entry)
        if not isinstance(made, models.Model):
            raise ValueError(f"it describes a layer, {made.name!r}, and no model")
        if not made.built:
            raise ValueError(f"{made.name!r} has no input shape, so that its weights are not known; save it once built")
        return made

    def layer(self, entry: Any) -> Layer:
        """The layer or model of a description."""
        if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
            raise TypeError(f"a layer must be described by class_name and config, got {type(entry).__name__}")
        name, config = entry["class_name"], entry.get("config")
        config = {"layers": config} if name == "Sequential" and isinstance(config, list) else config
        if not isinstance(config, dict):
            raise TypeError(f"config of a {name} must be a dict, got {type(config).__name__}")
        title = config.get("name", entry.get("name"))
        with self._naming(title, name):
            made = self._custom(title, name, config)
            if made is None and name in MODELS:
                made = self._sequential(entry, config) if name == "Sequential" else self._functional(config)
            elif made is None:
                made = self._plain_layer(name, config)
        self.classes[made] = name
        return made

    @contextmanager
    def _naming(self, title: Any, name: str) -> Iterator[None]:
        """Put a layer's name and class before what is wrong with it."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            if name in MODELS:
                raise
            raise ValueError(f"layer {title!r} ({name}): {error}") from error

    def _custom(self, title: Any, name: str, config: dict[str, Any]) -> Layer | None:
        """What the user gave for a layer of this name, or for its class."""
        given = self.custom.get(title, self.custom.get(name)) if isinstance(title, str) else self.custom.get(name)
        if given is None:
            return None
        by_class = title not in self.custom
        if isinstance(given, Layer):
            made = type(given).from_config({**given.get_config(), "name": title}) if by_class else given
        elif isinstance(given, type) and issubclass(given, Layer):
            made = given.from_config(dialects.modern(name, config, self.version))
        elif callable(given):
            made = given(dialects.modern(name, config, self.version))
        else:
            made = given
        if not isinstance(made, Layer):
            raise TypeError(f"custom must give a layer for it, got {type(made).__name__}")
        if not by_class and made.name != title:
            made.name = check.name("name", title)
        return made

    def _plain_layer(self, name: str, config: dict[str, Any]) -> Layer:
        if name == "InputLayer":
            return self._input(config)
        if isinstance(config.get("dtype"), (str, dict)):
            dtype = dialects.plain(config["dtype"])
            self.dtypes.add(dtype if isinstance(dtype, str) else str((dtype.get("config") or {}).get("name")))
        if name == "Merge":
            name, config = _merge(config)
        name, config = dialects.renamed(name, config, self.version)
        cls: Any = Layer._registry.get(name)
        if cls is None or name in ("Model", "Sequential", "GetItem", "Elementwise", "Lambda"):
            what = "is Python code, which is not run" if name == "Lambda" else "has no equal here"
            raise ValueError(f"this layer {what}; {ADVICE.format(name=config.get('name', name))}")
        for inner in ("layer", "backward_layer", "cell"):
            if inner in config and config[inner] is not None:
                config[inner] = self._inner(config[inner])
        if name == "Bidirectional":  # whose copies have names of their own
            config["layer"].name = config["layer"].name.removeprefix("forward_")
        if isinstance(config.get("cells"), list):
            config["cells"] = [self._inner(cell) for cell in config["cells"]]
        title = config.get("name")
        made: Layer = cls(
            **dialects.accepted(cls, config, self.version, lambda text: _warn(f"layer {title!r} ({name}): {text}"))
        )
        return made

    def _inner(self, entry: Any) -> Any:
        """A layer or cell inside another one; several cells make a stack."""
        if isinstance(entry, list):
            return layers.StackedRNNCells([self._inner(cell) for cell in entry])
        if isinstance(entry, dict) and entry.get("class_name") in CELLS:
            name, config = dialects.renamed(entry["class_name"], dict(entry.get("config") or {}), self.version)
            if name == "StackedRNNCells":
                return layers.StackedRNNCells([self._inner(cell) for cell in config.get("cells", [])])
            cls: Any = getattr(layers, name)
            return cls(**dialects.accepted(cls, config, self.version, _warn))
        return self.layer(entry)

    def _input(self, config: dict[str, Any]) -> InputLayer:
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        dtype = config.get("dtype", config.get("input_dtype"))
        if config.get("sparse") or config.get("ragged") or dtype == "string":
            raise ValueError("inputs must be dense arrays of numbers here")
        of_ints = isinstance(dtype, str) and dtype.startswith(("int", "uint", "bool"))
        return InputLayer(batch_shape=shape, dtype=dtype if of_ints else None, name=config.get("name"))

    def _sequential(self, entry: Mapping[str, Any], config: dict[str, Any]) -> models.Sequential:
        found = config.get("layers")
        if not isinstance(found, list):
            raise TypeError("layers of a Sequential must be a list")
        if found and isinstance(found[0], dict) and found[0].get("class_name") == "Merge":
            raise ValueError("a Sequential that begins with a Merge of others has no equal; make it a Model in Keras")
        made = [self.layer(part) for part in found]
        model = models.Sequential(made, config.get("trainable") is not False, config.get("name"))
        self.members[model] = [layer for layer in made if not isinstance(layer, InputLayer)]
        shape = config.get("build_input_shape", (entry.get("build_config") or {}).get("input_shape"))
        if not model.built and model.layers and shape is not None:
            model.build(check.shape("input_shape", shape))
        return model

    def _functional(self, config: dict[str, Any]) -> models.Model:
        entries = config.get("layers")
        if not isinstance(entries, list) or "input_layers" not in config or "output_layers" not in config:
            raise ValueError("a model must have layers, input_layers and output_layers; subclasses of Model are code")
        graph = described_graph(config, self)
        model = models.Model(graph.inputs, graph.outputs, config.get("name"))
        if config.get("trainable") is False:
            model.trainable = False
        self.members[model] = graph.layers
        return model


CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells")
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}


def _merge(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The layer that a Merge of Keras 1 is."""
    mode = config.get("mode")
    if mode not in _MERGES:
        raise ValueError(f"mode must be one of {', '.join(_MERGES)}, got {mode!r}")
    axis = {"axis": config.get("concat_axis", -1)} if mode == "concat" else {}
    return _MERGES[mode], {"name": config.get("name"), **axis}


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
