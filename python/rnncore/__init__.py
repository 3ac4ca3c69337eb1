"""Recurrent networks for NumPy: a C++ engine under a Keras-style interface.

Submodules and names load when first used, so that `import rnncore` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnncore import (
        activations,
        augmentation,
        callbacks,
        config,
        constraints,
        data,
        decoding,
        functional,
        initializers,
        inspection,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        optimizers,
        plotting,
        reference,
        regularizers,
        utils,
    )
    from rnncore.initializers import Initializer
    from rnncore.layers import Input, Layer
    from rnncore.losses import Loss
    from rnncore.metrics import Metric
    from rnncore.models import Model, Sequential
    from rnncore.optimizers import Optimizer
    from rnncore.regularizers import Regularizer
    from rnncore.runtime import get_num_threads, release_memory, set_num_threads, show_config
    from rnncore.tutorial import RNNModel, predict, train

    __version__: str

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "RNNModel",
    "Regularizer",
    "Sequential",
    "__version__",
    "activations",
    "augmentation",
    "callbacks",
    "config",
    "constraints",
    "data",
    "decoding",
    "functional",
    "get_num_threads",
    "initializers",
    "inspection",
    "keras",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "optimizers",
    "plotting",
    "predict",
    "reference",
    "regularizers",
    "release_memory",
    "set_num_threads",
    "show_config",
    "train",
    "utils",
]

_HOMES = {
    "Input": "layers",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Optimizer": "optimizers",
    "Initializer": "initializers",
    "Regularizer": "regularizers",
    "Model": "models",
    "Sequential": "models",
    "RNNModel": "tutorial",
    "predict": "tutorial",
    "train": "tutorial",
    "get_num_threads": "runtime",
    "release_memory": "runtime",
    "set_num_threads": "runtime",
    "show_config": "runtime",
}
_SUBMODULES = set(__all__) - set(_HOMES) - {"__version__"}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"rnncore.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"rnncore.{_HOMES[name]}"), name)
    elif name == "__version__":
        value = importlib.import_module("rnncore._core").build_info()["version"]
    else:
        raise importlib.import_module("rnncore._namespace").UnknownName("rnncore", name, __all__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
