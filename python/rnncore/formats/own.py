"""The files of rnncore: models and weights in the safetensors layout."""

from __future__ import annotations

import math
from collections import defaultdict

from rnncore import saving
from rnncore._configurable import fields
from rnncore.formats.description import Description, Row, Shape
from rnncore.models import Model
from rnncore.models.files import described
from rnncore.parameters import deferring
from rnncore.tensor_file import TensorFile, parse_json
from rnncore.writing import FilePath

__all__ = ["describe", "rows_of"]


def describe(filepath: FilePath) -> Description:
    """The layers of a model file, or the weights of a file of weights; its numbers are not read."""
    with TensorFile(filepath) as file, saving.naming(file.path):
        version, stored = f"version {file.metadata['version']}", file.entries
        total = sum(math.prod(entry.shape) for name, entry in stored.items() if name.startswith(saving.LAYERS))
        if "model" not in file.metadata:
            shapes: dict[str, list[Shape]] = defaultdict(list)
            for name, entry in stored.items():
                if place := saving.PLACE.fullmatch(name):
                    shapes[place["layer"]].append(entry.shape)
            rows = tuple(Row(f"layer {number}", "?", "?", tuple(found)) for number, found in shapes.items())
            return Description("rnncore weights", version, rows, total)
        config = parse_json(file.metadata["model"])
        fields("the model", config, ("class_name", "config", "dtype", "compile"), ("iterations",))
        with deferring():  # layers without memory
            model = described({key: config[key] for key in ("class_name", "config")})
        saving.matched(stored, model.layers)
        details = {"model": f"{config['class_name']} {model.name!r}, {config['dtype']}"}
        return Description("rnncore", version, rows_of(model), total, details)


def rows_of(model: Model) -> tuple[Row, ...]:
    """A row for each layer of a model."""
    return tuple(
        Row(layer.name, type(layer).__name__, str(layer.output_shape), tuple(weight.shape for weight in layer.weights))
        for layer in model.layers
    )
