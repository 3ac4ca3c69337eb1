"""ONNX files: models from them, models as them, and ONNX's interface for packages that run its graphs.

Names load when first used. All of them need the package onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rnncore._namespace import UnknownName

if TYPE_CHECKING:
    from rnncore.onnx.backend import Backend
    from rnncore.onnx.exporting import export
    from rnncore.onnx.loading import load

_HOMES = {"Backend": "backend", "export": "exporting", "load": "loading"}
__all__ = ["Backend", "export", "load"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise UnknownName(__name__, name, __all__)
        try:
            module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if error.name != "onnx":
                raise
            raise ImportError(
                f"{__name__}.{name} needs the package onnx: pip install 'rnncore[onnx]'", name="onnx"
            ) from error
        globals()[name] = value = getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
