"""Models of Keras: its files of all versions, and models turned into each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._namespace import public
from rnncore.keras.converting import from_keras, save_model, to_keras
from rnncore.keras.files import load_model, load_weights, model_from_json

__all__ = ["from_keras", "load_model", "load_weights", "model_from_json", "save_model", "to_keras"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public(__name__, __all__)
