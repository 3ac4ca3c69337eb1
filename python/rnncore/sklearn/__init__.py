"""Estimators and transformers of sequences for scikit-learn.

Names load when first used, and scikit-learn with them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rnncore._namespace import UnknownName

if TYPE_CHECKING:
    from rnncore.sklearn.recurrent import RNNClassifier, RNNRegressor
    from rnncore.sklearn.transformers import PadSequences, SequenceScaler, WindowMaker
    from rnncore.sklearn.wrapping import SequenceEstimator

_HOMES = {
    "PadSequences": "transformers",
    "RNNClassifier": "recurrent",
    "RNNRegressor": "recurrent",
    "SequenceEstimator": "wrapping",
    "SequenceScaler": "transformers",
    "WindowMaker": "transformers",
}
__all__ = ["PadSequences", "RNNClassifier", "RNNRegressor", "SequenceEstimator", "SequenceScaler", "WindowMaker"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise UnknownName(__name__, name, __all__)
        try:
            module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "sklearn":
                raise
            raise ImportError(
                f"{__name__}.{name} needs scikit-learn: pip install 'rnncore[sklearn]'", name="sklearn"
            ) from error
        globals()[name] = value = getattr(module, name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
