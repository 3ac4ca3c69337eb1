"""The graph of a functional model, from a description of any version of Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnncore import layers
from rnncore.keras.nodes import Node, Ref, calls_of, ref_of, refs
from rnncore.keras.operations import MASKING, is_operation, operation
from rnncore.layers import InputLayer, Layer
from rnncore.layers.attention import AttentionLayer
from rnncore.layers.graph import Graph
from rnncore.layers.initial_state import TakesInitialState
from rnncore.layers.symbolic import SymbolicValue, keyed_values

if TYPE_CHECKING:
    from rnncore.keras.reading import Reader

__all__ = ["described_graph"]


@dataclass
class Described:
    """A graph in the making.

    Attributes
    ----------
    inputs, outputs : SymbolicValue, or list or dict of them
    layers : list of Layer
        In the order of the file.
    """

    entries: dict[str, Mapping[str, Any]]
    calls: dict[str, list[Node]]
    made: dict[str, Layer]
    values: dict[Ref, SymbolicValue] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # operations without an equal, by name, and what they are
    inputs: Any = None
    outputs: Any = None
    layers: list[Layer] = field(default_factory=list)


def described_graph(config: Mapping[str, Any], reader: Reader) -> Described:
    """The graph of a functional model's config; its layers are made by `reader`."""
    entries: dict[str, Mapping[str, Any]] = {}
    for entry in config["layers"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), (dict, list)):
            raise TypeError("each layer of a model must be described by class_name, config and inbound_nodes")
        name = entry.get("name", entry["config"].get("name") if isinstance(entry["config"], dict) else None)
        if not isinstance(name, str) or name in entries:
            raise ValueError(f"layers of a model must have different names, got {name!r}")
        entries[name] = entry
    graph = Described(entries, {name: calls_of(entry) for name, entry in entries.items()}, {})
    outputs = _from_zero(graph, config, reader.version)
    for name, entry in entries.items():
        if not is_operation(entry, reader.version) or name in reader.custom:
            graph.made[name] = reader.layer(entry)
            graph.layers.append(graph.made[name])
    _connect(graph, reader)
    graph.inputs, graph.outputs = _values_of(graph, config["input_layers"]), _values_of(graph, outputs)
    return graph


def _ends(value: Any) -> Iterator[tuple[Any, Ref]]:
    """The values that input_layers or output_layers name, with their keys."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key, ref_of(entry)
    elif isinstance(value, list) and value and isinstance(value[0], str):
        yield None, ref_of(value)
    elif isinstance(value, list):
        for entry in value:
            yield None, ref_of(entry)
    else:
        raise TypeError(f"inputs and outputs of a model must be lists, got {value!r}")


def _values_of(graph: Described, value: Any) -> Any:
    found = {}
    for number, (key, ref) in enumerate(_ends(value)):
        found[number if key is None else key] = _value(graph, ref)
    return found if isinstance(value, dict) else list(found.values())


def _value(graph: Described, ref: Ref) -> SymbolicValue:
    if ref not in graph.values:
        if ref.layer in graph.missing:
            raise ValueError(graph.missing[ref.layer])
        raise ValueError(f"it reads output {ref.output} of call {ref.call} of {ref.layer!r}, which is never made")
    return graph.values[ref]


def _from_zero(graph: Described, config: Mapping[str, Any], version: tuple[int, ...]) -> Any:
    """Count the calls of models from 0, and return the outputs counted so.

    A functional model's own graph is a call to Keras: to Keras 2 of all models, to Keras 3 where outputs are named.
    """
    outputs = config["output_layers"]
    if version[0] >= 3:
        return _shifted(graph, outputs)
    first: dict[str, int] = {}
    ends = [ref for _, ref in _ends(outputs)]
    for ref in [*ends, *refs([[node.args, node.kwargs] for nodes in graph.calls.values() for node in nodes])]:
        first[ref.layer] = min(first.get(ref.layer, ref.call), ref.call)
    for name, start in first.items():
        if start and name in graph.calls:
            graph.calls[name] = [*[Node((), {"missing": True})] * start, *graph.calls[name]]
    return outputs


def _shifted(graph: Described, outputs: Any) -> Any:
    if isinstance(outputs, dict):
        return {key: _shifted(graph, value) for key, value in outputs.items()}
    if isinstance(outputs, list) and outputs and isinstance(outputs[0], str):
        name, call, output = outputs
        entry = graph.entries.get(name, {})
        own = "input_layers" in (entry.get("config") or {})
        return [name, call - own if type(call) is int and call else call, output]
    return [_shifted(graph, value) for value in outputs] if isinstance(outputs, list) else outputs


def _connect(graph: Described, reader: Reader) -> None:
    """Make the calls, each once what it reads is there."""
    waiting = [(name, number, node) for name, nodes in graph.calls.items() for number, node in enumerate(nodes)]
    for name, layer in graph.made.items():
        if isinstance(layer, InputLayer):
            graph.values[Ref(name, 0, 0)] = layer.output
    while waiting:
        left = []
        for name, number, node in waiting:
            if node.kwargs.get("missing") is True and not node.args:
                continue
            needed = [ref for ref in refs([node.args, _without_masks(node.kwargs)]) if ref not in graph.values]
            if any(ref.layer in graph.missing for ref in needed):
                _miss(graph, name, next(graph.missing[ref.layer] for ref in needed if ref.layer in graph.missing))
            elif needed:
                left.append((name, number, node))
            else:
                _call(graph, reader, name, number, node)
        if len(left) == len(waiting):
            name, _, node = left[0]
            ref = next(ref for ref in refs([node.args, _without_masks(node.kwargs)]) if ref not in graph.values)
            raise ValueError(
                f"layer {name!r} reads output {ref.output} of call {ref.call} of {ref.layer!r}, which is never made"
            )
        waiting = left


def _miss(graph: Described, name: str, why: str) -> None:
    """Take note that a call cannot be made: an error where a layer reads it, as masks follow by themselves."""
    if name in graph.made:
        raise ValueError(f"layer {name!r} ({graph.entries[name].get('class_name')}): {why}")
    graph.missing[name] = why


def _call(graph: Described, reader: Reader, name: str, number: int, node: Node) -> None:
    entry = graph.entries[name]
    kind = entry.get("class_name")
    try:
        if name in graph.made:
            result = _called(graph, graph.made[name], node)
        else:
            act = operation(entry)
            if act is None:
                raise ValueError(
                    f"{name!r} is the operation {entry['config'].get('function', kind)} of Keras,"
                    f" which has no equal here; give load_model custom={{{name!r}: layer}}"
                )
            args, kwargs = (_filled(graph, value) for value in (node.args, dict(node.kwargs)))
            result = act(*args, **kwargs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if name in graph.made:
            raise ValueError(f"layer {name!r} ({kind}): {error}") from error
        _miss(graph, name, f"{error}" if repr(name) in str(error) else f"{name!r} ({kind}): {error}")
        return
    for output, value in enumerate(keyed_values("outputs", result)[1]):
        graph.values[Ref(name, number, output)] = value


def _filled(graph: Described, value: Any) -> Any:
    """An argument with values in the place of their names."""
    if isinstance(value, Ref):
        return _value(graph, value)
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(graph, entry) for entry in value)
    if isinstance(value, dict):
        return {key: _filled(graph, entry) for key, entry in value.items()}
    return value


# What a call may be told

_ROLES = ("query", "value", "key")
_FLAGS = ("return_attention_scores", "use_causal_mask")


def _called(graph: Described, layer: Layer, node: Node) -> Any:
    """The result of a call of a layer."""
    kwargs = {key: value for key, value in node.kwargs.items() if value is not None}
    if kwargs.pop("training", False):
        raise ValueError("a call with training=True has no equal here: dropout is on in training alone")
    masks = {key: kwargs.pop(key) for key in list(kwargs) if key.endswith("mask") and not key.startswith("use_")}
    masks = {key: mask for key, mask in masks.items() if _is_given(graph, node, mask)}
    args = _filled(graph, node.args)
    if isinstance(layer, AttentionLayer):
        return _attended(graph, layer, args, _filled(graph, kwargs), _filled(graph, masks))
    inputs = args[0] if len(args) == 1 else _flat(args)
    told: dict[str, Any] = {}
    if isinstance(layer, TakesInitialState):
        inputs = _flat(args)
        states = kwargs.pop("initial_state", None)
        if states is not None and len(inputs) == 1:
            inputs = [*inputs, *_flat([_filled(graph, states)])]
    if masks:
        if list(masks) != ["mask"] or not isinstance(masks["mask"], Ref):
            raise ValueError(f"its masks {list(masks)} have no equal here")
        told["mask"] = _filled(graph, masks["mask"])
    unknown = [key for key, value in kwargs.items() if value not in (None, False, [], {})]
    if unknown:
        raise ValueError(f"a call with {unknown[0]} has no equal here")
    return layer(inputs, **told)


def _flat(args: Any) -> list[Any]:
    return [value for entry in args for value in (_flat(entry) if isinstance(entry, (list, tuple)) else [entry])]


def _attended(graph: Described, layer: Layer, args: Any, kwargs: dict[str, Any], masks: dict[str, Any]) -> Any:
    act: Any = layer
    flags = {key: bool(kwargs.pop(key)) for key in _FLAGS if key in kwargs}
    given = [*_flat(args), *(kwargs.pop(role) for role in _ROLES if role in kwargs)]
    if kwargs:
        raise ValueError(f"a call with {next(iter(kwargs))} has no equal here")
    if isinstance(layer, layers.MultiHeadAttention):
        return act(*given, **flags, **masks)
    if isinstance(masks.get("mask"), (list, tuple)):
        return act(given, mask=masks["mask"], **flags)
    if masks:
        raise ValueError(f"its masks {list(masks)} have no equal here")
    return act(given, **flags)


def _without_masks(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if not key.endswith("mask")}


def _is_given(graph: Described, node: Node, mask: Any) -> bool:
    """Whether a mask is an input of the model; one that Masking or an Embedding makes follows by itself."""
    found = list(refs(mask))
    given = [ref for ref in found if isinstance(graph.made.get(ref.layer), InputLayer)]
    if len(given) == len(found) and found:
        return True
    known = all(graph.entries[ref.layer].get("class_name") in MASKING for ref in found if ref.layer in graph.entries)
    if given or not known or not _carries_mask(graph, [*refs(node.args)]):
        raise ValueError("its mask is neither an input of the model nor made by Masking or an Embedding")
    return False


def _carries_mask(graph: Described, found: list[Ref]) -> bool:
    """Whether values depend on a layer that makes a mask."""
    names = [ref.layer for ref in found]
    seen: set[str] = set()
    while names:
        name = names.pop()
        layer = graph.made.get(name)
        if isinstance(layer, (layers.Masking, Graph)) or getattr(layer, "mask_zero", False):
            return True
        if name not in seen:
            seen.add(name)
            names += [ref.layer for node in graph.calls.get(name, []) for ref in refs([node.args, node.kwargs])]
    return False
