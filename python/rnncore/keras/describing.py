"""From a model to the description that Keras 3 has of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from rnncore import layers, models
from rnncore._overrides import is_own
from rnncore.activations import serialize
from rnncore.layers import InputLayer, Layer
from rnncore.layers.attention import AttentionLayer
from rnncore.layers.bidirectional import Bidirectional
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.symbolic import Call, SymbolicValue

__all__ = ["described_model", "is_operation"]

Entry = dict[str, Any]

# Of Keras 3; an activation with options stands as the layer of its name.
ACTIVATIONS = frozenset(
    [
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_sigmoid",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "softsign",
        "tanh",
    ]
)
ACTIVATION_LAYERS = ("ELU", "LeakyReLU", "ReLU")
KINDS = ("initializer", "regularizer", "constraint")
OPERATIONS = {"abs": "Absolute", **{name: name.title() for name in ("clip", "cos", "exp", "log", "sin", "sqrt")}}
OPERATIONS |= {"power": "Power", "square": "Square"}
ONLY_HERE = (layers.CRF, layers.ReflectionPadding1D)


def described_model(model: models.Model) -> Entry:
    """The description of a built model.

    Raises
    ------
    ValueError
        For what Keras has not; the message names the layer.
    """
    if _is_chain(model):
        parts = [_named(layer, _layer) for layer in [*(value.layer for value in model.inputs), *model.layers]]
        config = {"name": model.name, "trainable": model.trainable, "layers": parts}
        return {**_object("keras", "Sequential", config), "build_config": {"input_shape": list(model.input_shape)}}
    calls: dict[Layer, list[Call]] = {}
    for call in model._calls():
        calls.setdefault(call.layer, []).append(call)
    number = {call: k for of_layer in calls.values() for k, call in enumerate(of_layer)}
    names = {layer: _free_name(layer) for layer in model.layers}

    def tensor(value: SymbolicValue) -> Entry:
        place = [names[value.layer], number[value.call], value.index]
        config = {"shape": list(value.shape), "dtype": "int32" if value.dtype == "int" else "float32"}
        return {"class_name": "__keras_tensor__", "config": {**config, "keras_history": place}}

    def places(values: list[SymbolicValue], keys: tuple[str, ...] | None) -> Any:
        # Keras counts the graph of a functional model as its first call, but here alone.
        first = [isinstance(value.layer, models.Model) and not _is_chain(value.layer) for value in values]
        found = [
            [names[value.layer], number[value.call] + own, value.index]
            for value, own in zip(values, first, strict=True)
        ]
        return found if keys is None else dict(zip(keys, found, strict=True))

    parts = []
    for layer in model.layers:
        nodes = [] if isinstance(layer, InputLayer) else [_node(call, tensor) for call in calls[layer]]
        entry = _named(layer, _layer)
        entry["config"]["name"] = names[layer]
        parts.append({**entry, "name": names[layer], "inbound_nodes": nodes})
    config = {
        "name": model.name,
        "trainable": model.trainable,
        "layers": parts,
        "input_layers": places(model.inputs, model._input_keys),
        "output_layers": places(model.outputs, model._output_keys),
    }
    return _object("keras.src.models.functional", "Functional", config, "Functional")


def _is_chain(layer: Layer) -> bool:
    return isinstance(layer, models.Sequential)


def _free_name(layer: Layer) -> str:
    """The name of a layer, another one where Keras would give it to what makes a mask of several."""
    is_taken = isinstance(layer, layers.Concatenate) and re.fullmatch(r"concatenate(_\d+)?", layer.name)
    return f"layer_{layer.name}" if is_taken else layer.name


def is_operation(layer: Layer) -> bool:
    """Whether Keras has an operation, and no layer, for this one."""
    return isinstance(layer, (layers.GetItem, layers.Elementwise))


def _object(module: str, name: str, config: Any, registered: str | None = None) -> Entry:
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def _named(layer: Layer, make: Callable[[Layer], Entry]) -> Entry:
    """What `make` makes of a layer, whose name stands before an error."""
    try:
        return make(layer)
    except ValueError as error:
        if str(error).startswith("layer "):
            raise
        raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}): {error}") from error


def _layer(layer: Layer) -> Entry:
    if isinstance(layer, models.Model):
        return described_model(layer)
    cls = next(filter(is_own, type(layer).__mro__))
    config = layer.get_config()
    config.pop("batch_input_shape", None)
    config.pop("dtype", None)
    if isinstance(layer, layers.SpatialDropout1D):
        del config["trainable"]  # which Keras's constructor does not take
    if layer._is_own_code:
        raise ValueError("its NumPy code is nothing that Keras could run")
    if isinstance(layer, layers.SeparableConv1D) and layer.padding == "causal":
        raise ValueError("padding='causal' is not there in Keras")
    if is_operation(layer):
        return _operation(layer, config)
    if isinstance(layer, InputLayer):
        dtype = "int32" if layer._output_dtype == "int" else "float32"
        return _object(
            "keras.layers",
            "InputLayer",
            {"batch_shape": list(layer.batch_shape), "dtype": dtype, "sparse": False, "name": layer.name},
        )
    if isinstance(layer, ONLY_HERE):
        raise ValueError("Keras has no such layer")
    for argument, part in _inside(layer).items():
        config[argument] = _layer_of_cell(part) if argument == "cell" else _named(part, _layer)
    if isinstance(layer, Bidirectional):  # whose copies have names of their own
        config["layer"]["config"]["name"] = layer.forward_layer.name.removeprefix("forward_")
    return _object("keras.layers", cls.__name__, _config(cls, config))


def _inside(layer: Layer) -> dict[str, Any]:
    """The layers that arguments of a layer are."""
    if isinstance(layer, Bidirectional):
        backward = {"backward_layer": layer.backward_layer} if layer._given_backward else {}
        return {"layer": layer.forward_layer, **backward}
    if isinstance(layer, layers.TimeDistributed):
        return {"layer": layer.layer}
    return {"cell": layer.cell} if isinstance(layer, layers.RNN) else {}


def _layer_of_cell(cell: Any) -> Entry:
    if isinstance(cell, layers.StackedRNNCells):
        return _object("keras.layers", "StackedRNNCells", {"cells": [_layer_of_cell(part) for part in cell.cells]})
    config = cell.get_config()
    for key in ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "batch_input_shape"):
        config.pop(key, None)
    layer = next(cls for cls in (layers.SimpleRNN, layers.LSTM, layers.GRU) if isinstance(cell, cls))
    return _object("keras.layers", type(cell).__name__, _config(layer, config))


def _config(cls: type[Layer], config: Mapping[str, Any]) -> Entry:
    """A config in the words of Keras 3, which has not what constructors take by keyword alone."""
    found: Entry = {}
    parameters = inspect.signature(cls).parameters
    for key, value in config.items():
        known = parameters.get(key)
        if known is not None and known.kind is known.KEYWORD_ONLY and key not in ("name", "trainable"):
            if value != known.default:
                raise ValueError(f"{key}={value!r} is not there in Keras")
        elif key in ("activation", "recurrent_activation"):
            found[key] = _activation(key, value)
        elif isinstance(value, dict) and set(value) == {"class_name", "config"}:
            kind = next((kind for kind in KINDS if key.endswith(kind)), None)
            found[key] = value if kind is None else _object(f"keras.{kind}s", value["class_name"], value["config"])
        else:
            found[key] = value
    return found


def _activation(argument: str, value: Any) -> Any:
    name = serialize(value)
    if isinstance(name, str) and name in ACTIVATIONS:
        return name
    if isinstance(name, dict) and name["class_name"] in ACTIVATION_LAYERS:
        return _object("keras.layers", name["class_name"], name["config"])
    raise ValueError(f"{argument}={value!r} is not there in Keras 3")


# Calls


def _operation(layer: Layer, config: Entry) -> Entry:
    module = "keras.src.ops.numpy"
    if isinstance(layer, layers.GetItem):
        return _object(module, "GetItem", {"name": layer.name}, "GetItem")
    name = OPERATIONS[config["function"]]
    limits = {"x_min": config["min_value"], "x_max": config["max_value"]} if name == "Clip" else {}
    if None in limits.values():
        raise ValueError("clip needs both limits in Keras")
    return _object(module, name, {"name": layer.name, **limits}, name)


def _node(call: Call, tensor: Callable[[SymbolicValue], Entry]) -> Entry:
    """The arguments of a call."""
    layer, values = call.layer, [tensor(value) for value in call.inputs]
    kwargs: Entry = {} if call.mask is None else {"mask": tensor(call.mask)}
    if isinstance(layer, AttentionLayer):
        return _attention(layer, layer._call_options(call.index), values)
    if call.resets is not None:
        raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}): resets are not there in Keras")
    if isinstance(layer, TakesInitialState) and len(values) > 1:
        return {"args": values[:1], "kwargs": {"initial_state": values[1:], **kwargs}}
    if isinstance(layer, layers.GetItem):
        index = [_slice(entry) for entry in layer.index]
        return {"args": [*values, index], "kwargs": {}}
    if isinstance(layer, layers.Elementwise) and layer.function == "power":
        return {"args": [*values, layer.exponent], "kwargs": {}}
    takes_list = len(values) > 1 or layer._op in ("merge", "concatenate") if hasattr(layer, "_op") else len(values) > 1
    return {"args": [values] if takes_list else values, "kwargs": kwargs}


def _slice(entry: Any) -> Any:
    if entry == "...":
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(entry, list):
        return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), entry, strict=True))}
    return entry


def _attention(layer: Layer, told: Entry, values: list[Entry]) -> Entry:
    given = dict(zip(told["roles"], values, strict=True))
    flags = {key: told[key] for key in ("use_causal_mask", "return_attention_scores") if told[key]}
    masks = {role: value for role, value in given.items() if role.endswith("mask")}
    main = [given[role] for role in ("query", "value", "key") if role in given]
    if isinstance(layer, layers.MultiHeadAttention):
        return {"args": main, "kwargs": {**masks, **flags}}
    if masks:
        pair = [masks.pop(role, None) for role in ("query_mask", "value_mask")]
        if masks:
            raise ValueError(f"layer {layer.name!r}: its masks {list(masks)} are not there in Keras")
        flags["mask"] = pair
    return {"args": [main], "kwargs": flags}
