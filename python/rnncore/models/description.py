"""The graph of a model from its description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rnncore import _validation as check
from rnncore._configurable import fields, part
from rnncore.layers import Layer, deserialize
from rnncore.layers.symbolic import SymbolicValue, keyed_values
from rnncore.layers.trainable import parts

Values = list[SymbolicValue] | dict[str, SymbolicValue]
OF_STEPS = ("mask", "resets")  # what a call may be given besides its inputs


def refuse_shared(layers: list[Layer]) -> None:
    """ValueError if a layer is in two places that a description could only give one each."""
    count = Counter(parts(layers))
    shared = [layer.name for layer, places in count.items() if places > 1]
    if shared:
        raise ValueError(
            f"{shared[0]!r} is shared by a model or wrapper and what it is in, which a description cannot tell;"
            " save_weights keeps its weights"
        )


def described_layers(config: Mapping[str, Any]) -> list[Layer]:
    """The layers of a description, without weights."""
    found = []
    for number, entry in enumerate(_list("layers", config["layers"])):
        with part(f"layer {number}"):
            found.append(deserialize(entry))
    return found


def described_graph(config: Mapping[str, Any], layers: list[Layer] | None = None) -> tuple[Values, Values]:
    """The inputs and outputs of the graph that `Model.get_config` described, perhaps with other layers than it says."""
    optional = ("trainable", "input_keys", "output_keys")
    fields("a model", config, ("name", "layers", "calls", "inputs", "outputs"), optional)
    layers = described_layers(config) if layers is None else layers
    entries = _list("calls", config["calls"])
    made: list[tuple[SymbolicValue, ...]] = []

    def values(reader: str, places: Any) -> list[SymbolicValue]:
        found = []
        for place in _list(f"what {reader} reads", places):
            call, output = _place(reader, place)
            if not (0 <= call < len(made) and 0 <= output < len(made[call])):
                raise ValueError(f"{reader} reads output {output} of call {call}, which no call before it makes")
            found.append(made[call][output])
        return found

    for number, entry in enumerate(entries):
        reader = f"call {number}"
        fields(reader, entry, ("layer", "inputs"), (*OF_STEPS, "options"))
        index = check.integer(f"layer of {reader}", entry["layer"], low=0)
        if index >= len(layers):
            raise ValueError(f"layer of {reader} must be one of {len(layers)}, got number {index}")
        layer, read = layers[index], values(reader, entry["inputs"])
        given = {name: values(reader, entry[name])[0] for name in OF_STEPS if name in entry}
        with part(reader):
            if "options" in entry:
                result = layer._call_again(read, entry["options"])
            elif read:
                result = layer(read, **given)
            else:
                result = layer.output
            made.append(tuple(keyed_values("outputs of a layer", result)[1]))
    inputs, outputs = (values("the model", config[side]) for side in ("inputs", "outputs"))
    return _keyed("input_keys", config, inputs), _keyed("output_keys", config, outputs)


def _keyed(argument: str, config: Mapping[str, Any], values: list[SymbolicValue]) -> Values:
    """The inputs or outputs by key, if the model was made of a dict of them."""
    if argument not in config:
        return values
    keys = _list(argument, config[argument])
    if len(keys) != len(values) or len(set(map(str, keys))) != len(keys):
        raise ValueError(f"{argument} must be {len(values)} different names, got {keys}")
    return dict(zip(keys, values, strict=True))


def _list(argument: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{argument} must be a list, got {type(value).__name__} {value!r}")
    return list(value)


def _place(reader: str, value: Any) -> tuple[int, int]:
    """The number of a call and that of one of its outputs."""
    pair = _list(f"each place that {reader} reads", value)
    if len(pair) != 2:
        raise ValueError(f"each place that {reader} reads must be a call and an output, got {value!r}")
    call, output = (check.integer(f"a place that {reader} reads", number) for number in pair)
    return call, output
