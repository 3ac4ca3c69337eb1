"""The files of Keras."""

from __future__ import annotations

import math

from rnncore import saving
from rnncore.formats.description import Description, Row, Shape
from rnncore.formats.own import rows_of
from rnncore.keras.archive import opened
from rnncore.keras.files import load_model
from rnncore.keras.hdf5 import Node
from rnncore.writing import FilePath

__all__ = ["describe"]


def describe(filepath: FilePath) -> Description:
    """The layers of a model, as the model that they become here, or the groups of arrays of a file of weights."""
    with saving.naming(filepath), opened(filepath) as file:
        version = "version " + ".".join(map(str, file.version))
        if file.model is None:
            rows = tuple(Row(name, "group", "?", tuple(shapes)) for name, shapes in _groups(file.root).items())
            return Description("Keras weights", version, rows, sum(row.parameters for row in rows))
    model = load_model(filepath, compile=False)
    total = sum(math.prod(weight.shape) for weight in model.weights)
    return Description("Keras", version, rows_of(model), total, {"model": f"{type(model).__name__} {model.name!r}"})


def _groups(node: Node) -> dict[str, list[Shape]]:
    """The shapes of the arrays in each group that has any, by its path."""
    found: dict[str, list[Shape]] = {}
    inner = dict(node.groups())
    arrays = [node.shape(name) for name in node.names() if name not in inner]
    if arrays:
        found[node.path or "(root)"] = arrays
    for group in inner.values():
        found |= _groups(group)
    return found
