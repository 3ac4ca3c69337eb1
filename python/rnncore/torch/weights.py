"""Weights between layers and the `state_dict` of PyTorch's modules; arrays alone, without PyTorch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnncore import layers
from rnncore._arrays import as_array
from rnncore._data import Array
from rnncore._gate_orders import reorder
from rnncore.layers import Layer
from rnncore.models import Model
from rnncore.parameters import assign_all

__all__ = ["arrays_of", "load_state_dict"]

RECURRENT = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(|_reverse)")
CELLS: dict[type[Layer], str] = {layers.SimpleRNN: "simple_rnn", layers.LSTM: "lstm", layers.GRU: "gru"}
BATCHES = "num_batches_tracked"  # of a BatchNorm1d: how often it was trained, which changes nothing here


@dataclass
class Part:
    """The entries of one layer: their names without its own, and as they were given."""

    name: str
    arrays: dict[str, Array] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)


def load_state_dict(target: Any, state_dict: Mapping[str, Any], prefix: str = "") -> None:
    """Load the weights of PyTorch modules into layers.

    Parameters
    ----------
    target : layer, model or sequence of layers
        `SimpleRNN`, `LSTM`, `GRU`, `Bidirectional` of them, `Dense`, `Embedding`, `Conv1D`, `LayerNormalization` and
        `BatchNormalization`, a `TimeDistributed` one of these, or a model of such and of layers without weights. A
        layer that is not built is built. Layers of a sequence or a model get the modules of their names, or, where
        names differ, one after the other in the order of the state dict; each layer of `num_layers` counts.
    state_dict : mapping of str to array_like or Tensor
        From `module.state_dict()` or `read_state_dict`.
    prefix : str, default ""
        Only entries that begin so are read, as "encoder.rnn.".

    Raises
    ------
    ValueError
        If modules and layers do not match, an entry is missing or has another shape; nothing is loaded then.
    TypeError
        If `target` or `state_dict` is something else.

    Examples
    --------
    >>> from rnncore import layers
    >>> from rnncore.torch import load_state_dict
    >>> state = {"head.weight": [[1.0, 2.0, 3.0]], "head.bias": [4.0]}
    >>> dense = layers.Dense(1)
    >>> load_state_dict(dense, state, prefix="head.")
    >>> dense.kernel.ravel(), dense.bias
    (array([1., 2., 3.], dtype=float32), array([4.], dtype=float32))
    """
    parts, found = _parts(state_dict, prefix), _layers_of(target)
    names = [layer.name for layer in found]
    if {part.name for part in parts} == set(names) and len(parts) == len(names):
        parts.sort(key=lambda part: names.index(part.name))
    if len(parts) != len(found):
        raise ValueError(
            f"state_dict: expected the weights of {len(found)} layer(s), {', '.join(names)}, "
            f"got {len(parts)} module(s), {', '.join(repr(part.name) for part in parts)}"
        )
    pairs = list(zip(found, parts, strict=True))
    arrays = [_arrays_for(layer, part) for layer, part in pairs]
    for (layer, part), values in zip(pairs, arrays, strict=True):
        if not layer.built:
            layer.build(_input_shape(layer, part))
        shapes, given = [weight.shape for weight in layer.weights], [value.shape for value in values]
        if shapes != given:
            raise ValueError(
                f"state_dict: {', '.join(part.entries.values())} give weights of shapes {given}, "
                f"{layer.name!r} has {shapes}"
            )
    weights = [weight for layer in found for weight in layer.weights]
    assign_all("state_dict", weights, [value for values in arrays for value in values])


def arrays_of(target: Any, prefix: str = "") -> dict[str, Array]:
    """The weights of layers by the names that PyTorch's modules give them; ValueError if one has no counterpart."""
    found: dict[str, Array] = {}
    if isinstance(target, Model):
        for layer in _layers_of(target):
            found |= _named(layer, f"{prefix}{layer.name}.", 0)
        return found
    for level, layer in enumerate(_layers_of(target)):
        if level and not _is_recurrent(layer):
            raise ValueError(f"layer: expected a model, a layer or recurrent layers, got {layer.name!r} among several")
        found |= _named(layer, prefix, level)
    return found


def _layers_of(target: Any) -> list[Layer]:
    """The layers with weights, those of models within models too."""
    if isinstance(target, Model):
        inner = (part for layer in target.layers for part in _layers_of(layer))
        return [layer for layer in inner if layer.weights or not layer.built]
    if isinstance(target, layers.TimeDistributed):
        return _layers_of(target.layer)
    if isinstance(target, Layer):
        return [target]
    if isinstance(target, Sequence) and target and all(isinstance(layer, Layer) for layer in target):
        return [part for layer in target for part in _layers_of(layer)]
    raise TypeError(f"layer: expected a layer, a model or a sequence of layers, got {type(target).__name__}")


def _parts(state_dict: Mapping[str, Any], prefix: str) -> list[Part]:
    """The entries by module, and by layer of a recurrent module, in their order."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a mapping of names to arrays, got {type(state_dict).__name__}")
    found: dict[tuple[str, str], Part] = {}
    for key, value in state_dict.items():
        if not key.startswith(prefix):
            continue
        module, _, name = key.removeprefix(prefix).rpartition(".")
        if name == BATCHES:
            continue
        recurrent = RECURRENT.fullmatch(name)
        level = recurrent[2] if recurrent else ""
        part = found.setdefault((module, level), Part(f"{module} l{level}" if level not in ("", "0") else module))
        name = recurrent[1] + recurrent[3] if recurrent else name
        part.arrays[name], part.entries[name] = as_array(f"state_dict[{key!r}]", value), key
    if not found:
        raise ValueError(f"state_dict: no entry begins with {prefix!r}; there are {', '.join(state_dict) or 'none'}")
    return list(found.values())


def _is_recurrent(layer: Layer) -> bool:
    return type(layer) in CELLS or isinstance(layer, layers.Bidirectional)


def _directions(layer: Any) -> list[tuple[Any, str]]:
    """A recurrent layer, or those of a Bidirectional, with the ends of their names."""
    if isinstance(layer, layers.Bidirectional):
        return [(layer.forward_layer, ""), (layer.backward_layer, "_reverse")]
    return [(layer, "")]


def _cell(layer: Any) -> str:
    """The kind of a recurrent layer; ValueError if PyTorch has no such."""
    if type(layer) not in CELLS:
        raise ValueError(f"layer: {type(layer).__name__} {layer.name!r} has no counterpart in PyTorch")
    on = ("peepholes", "layer_normalization", "trainable_initial_state")
    for option, wrong in (("reset_after", False), *((name, True) for name in on)):
        if getattr(layer, option, not wrong) is wrong:
            raise ValueError(f"layer: {layer.name!r} has {option}={wrong}, which PyTorch has not")
    return CELLS[type(layer)]


def _names(layer: Any) -> list[str]:
    """What PyTorch calls the weights of a layer."""
    if _is_recurrent(layer):
        names = []
        for one, end in _directions(layer):
            _cell(one)
            stems = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if one.use_bias else [])]
            names += [stem + end for stem in [*stems, *(["weight_hr"] if getattr(one, "projection_units", 0) else [])]]
        return names
    if isinstance(layer, (layers.Dense, layers.Conv1D)):
        return ["weight", *(["bias"] if layer.use_bias else [])]
    if isinstance(layer, layers.Embedding):
        return ["weight"]
    if isinstance(layer, (layers.LayerNormalization, layers.BatchNormalization)):
        names = [*(["weight"] if layer.scale else []), *(["bias"] if layer.center else [])]
        moving = ["running_mean", "running_var"] if isinstance(layer, layers.BatchNormalization) else []
        return names + moving
    raise ValueError(f"layer: {type(layer).__name__} {layer.name!r} has no counterpart in PyTorch")


def _arrays_for(layer: Any, part: Part) -> list[Array]:
    """The weights of a layer in its order."""
    names = _names(layer)
    if set(names) != set(part.arrays):
        there = ", ".join(part.entries.values())
        raise ValueError(f"state_dict: {layer.name!r} expects {', '.join(names)} of {part.name!r}, got {there}")
    if not _is_recurrent(layer):
        return [_turned(layer, name, part.arrays[name]) for name in names]
    found: list[Array] = []
    for one, end in _directions(layer):
        cell = _cell(one)
        rows = {name: part.arrays[name + end] for name in map(_stem, names) if name + end in names}
        try:
            ordered = {k: v if k == "weight_hr" else reorder(v, cell, "torch", "rnncore", 0) for k, v in rows.items()}
        except ValueError as error:
            raise ValueError(f"state_dict: {part.name!r}: {error}") from None
        found += [ordered["weight_ih"].T, ordered["weight_hh"].T]
        if "bias_ih" in ordered:
            biases = ordered["bias_ih"], ordered["bias_hh"]
            if biases[0].shape != biases[1].shape:
                raise ValueError(f"state_dict: {part.name!r} has biases of shapes {[b.shape for b in biases]}")
            found.append(np.stack(biases) if cell == "gru" else biases[0] + biases[1])
        if "weight_hr" in ordered:
            found.append(ordered["weight_hr"].T)
    return found


def _stem(name: str) -> str:
    return name.removesuffix("_reverse")


def _turned(layer: Any, name: str, array: Array) -> Array:
    """PyTorch's array for the layer's, or back."""
    if name == "weight" and isinstance(layer, (layers.Dense, layers.Conv1D)):
        return array.T  # Conv1d has (F, C, K), Conv1D (K, C, F)
    return array


def _named(layer: Any, prefix: str, level: int) -> dict[str, Array]:
    """The weights of one layer under PyTorch's names."""
    names = _names(layer)
    if not layer.built:
        raise ValueError(f"layer: {layer.name!r} has no weights before it is built")
    values = layer.get_weights()
    if not _is_recurrent(layer):
        found = {f"{prefix}{name}": _turned(layer, name, value) for name, value in zip(names, values, strict=True)}
        batches = {f"{prefix}{BATCHES}": np.array(0)} if isinstance(layer, layers.BatchNormalization) else {}
        return found | batches
    found = {}
    for one, end in _directions(layer):
        cell, own = _cell(one), one.get_weights()
        arrays = {"weight_ih": own[0].T, "weight_hh": own[1].T}
        if one.use_bias:
            both = own[2] if cell == "gru" else np.stack([own[2], np.zeros_like(own[2])])
            arrays |= {"bias_ih": both[0], "bias_hh": both[1]}
        arrays = {name: reorder(array, cell, "rnncore", "torch", 0) for name, array in arrays.items()}
        if getattr(one, "projection_units", 0):
            arrays["weight_hr"] = own[-1].T
        found |= {f"{prefix}{name}_l{level}{end}": array for name, array in arrays.items()}
    return found


def _input_shape(layer: Any, part: Part) -> tuple[int | None, ...]:
    """An input shape that the weights fit."""
    if isinstance(layer, layers.Embedding):
        return (None, None)
    array = part.arrays["weight_ih" if _is_recurrent(layer) else next(iter(part.arrays))]
    features = array.shape[1] if array.ndim > 1 else array.shape[0]
    return (None, None, features) if _is_recurrent(layer) or isinstance(layer, layers.Conv1D) else (None, features)
