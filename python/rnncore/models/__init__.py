"""Models: graphs of layers that can be trained, saved and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.models.files import clone_model, load_model, model_from_json
from rnncore.models.model import Model
from rnncore.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
