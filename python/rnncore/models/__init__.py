"""Models: graphs of layers that can be trained, saved and loaded."""

from __future__ import annotations

from rnncore.models.files import clone_model, load_model, model_from_json
from rnncore.models.model import Model
from rnncore.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json"]
