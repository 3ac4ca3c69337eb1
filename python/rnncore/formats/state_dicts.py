"""PyTorch's files of weights: arrays by names, as modules call them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rnncore.formats.description import Description, Row, Shape
from rnncore.torch.reading import read_state_dict
from rnncore.writing import FilePath

__all__ = ["describe"]


def describe(filepath: FilePath) -> Description:
    """A row for each module of a `.pt` or `.pth` file that has weights."""
    modules: dict[str, list[Shape]] = defaultdict(list)
    for name, shape in _shapes(read_state_dict(filepath), ""):
        modules[name.rpartition(".")[0] or "(module)"].append(shape)
    rows = tuple(Row(name, "module", "?", tuple(shapes)) for name, shapes in modules.items())
    total = sum(math.prod(shape) for shapes in modules.values() for shape in shapes)
    return Description("PyTorch weights", "a zip archive of torch.save", rows, total)


def _shapes(content: Any, name: str) -> Iterator[tuple[str, Shape]]:
    """The arrays within containers, by the path to each."""
    if isinstance(content, dict):
        entries: Any = content.items()
    elif isinstance(content, (list, tuple)):
        entries = enumerate(content)
    else:
        if hasattr(content, "shape"):
            yield name, content.shape
        return
    for key, value in entries:
        yield from _shapes(value, f"{name}.{key}" if name else str(key))
