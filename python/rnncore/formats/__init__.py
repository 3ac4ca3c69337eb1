"""Kinds of files, by their endings: what describes, reads and writes each."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnncore.formats.description import Description
from rnncore.models import Model
from rnncore.writing import FilePath

__all__ = ["FORMATS", "Format", "format_of"]


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is imported when it is called."""
    return lambda *arguments, **options: getattr(importlib.import_module(module), name)(*arguments, **options)


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes
    ----------
    endings : tuple of str
    describe : function of a path that returns a Description
    load : function of a path that returns a Model, or None
    save : function of a Model and a path, or None
    """

    endings: tuple[str, ...]
    describe: Callable[[FilePath], Description]
    load: Callable[[FilePath], Model] | None = None
    save: Callable[[Model, FilePath], None] | None = None


FORMATS = (
    Format((".weights.safetensors",), _late("rnncore.formats.own", "describe")),
    Format(
        (".rnn",),
        _late("rnncore.formats.own", "describe"),
        _late("rnncore.models", "load_model"),
        lambda model, path: model.save(path),
    ),
    Format(
        (".onnx",),
        _late("rnncore.onnx.describing", "describe"),
        _late("rnncore.onnx.loading", "load"),
        _late("rnncore.onnx.exporting", "export"),
    ),
    Format((".weights.h5",), _late("rnncore.formats.keras_files", "describe")),
    Format(
        (".keras",),
        _late("rnncore.formats.keras_files", "describe"),
        _late("rnncore.keras", "load_model"),
        _late("rnncore.keras", "save_model"),
    ),
    Format(
        (".h5", ".hdf5"),
        _late("rnncore.formats.keras_files", "describe"),
        _late("rnncore.keras", "load_model"),
    ),
    Format((".pt", ".pth"), _late("rnncore.formats.state_dicts", "describe")),
)


def format_of(filepath: FilePath) -> Format:
    """The kind of a file, by its ending.

    Raises
    ------
    ValueError
        For an ending that is not known.
    """
    path = os.fsdecode(filepath)
    for found in FORMATS:
        if path.lower().endswith(found.endings):
            return found
    known = ", ".join(ending for found in FORMATS for ending in found.endings)
    raise ValueError(f"the ending of {path!r} says no kind of file that is known: {known}")
